"""What models at a host say of rows: asked through the gate, deployed first where they must be."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from raysweep.clock import Clock
from raysweep.config import WireTrainer as Settings
from raysweep.errors import ConfigError, RaysweepError
from raysweep.task import Example, Task, words_of
from raysweep.trainers import wire_record
from raysweep.trainers.dialects import Dialect
from raysweep.trainers.host_errors import HostError, as_failure
from raysweep.trainers.hosted import Gate
from raysweep.trainers.wire_data import questions
from raysweep.trainers.wire_grading import graded_by_model
from raysweep.trainers.wire_labels import Reading
from raysweep.trainers.wire_scores import reading_of
from raysweep.trainers.wire_untuned import untuned_question

CHUNK = 32
"""Questions between two looks whether anybody still wants the answers."""
DEPLOY_S, DEPLOY_LOOK_S = 3600.0, 2.0
NOWHERE_TO_ANSWER = "a model answers only once it is deployed: set trainer.azure, to say where, or final.test=false"


@dataclass(frozen=True)
class Answering:
    """Asks the models of one trainer."""

    settings: Settings
    dialect: Dialect
    task: Task
    gate: Callable[[], Gate]
    clock: Clock

    def readings(self, model: str, examples: Sequence[Example], is_stopped: Callable[[], bool]) -> list[Reading]:
        """By the path of a model's note or its name; fewer than there are examples where nobody wants them any more."""
        note = wire_record.load_model(model)
        words = words_of(note.prompt, self.task)
        asked = questions(examples, note.prompt, self.task)
        if note.is_untuned:
            asked = [untuned_question(one, note) for one in asked]
        readings: list[Reading] = []
        try:
            with self._answering(note, is_stopped) as name:
                while name and len(readings) < len(asked) and not is_stopped():
                    answers = self.gate().ask(name, asked[len(readings) : len(readings) + CHUNK])
                    readings += [reading_of(answer, words, self.task) for answer in answers]
            said = [reading.prediction for reading in readings]
            graded = graded_by_model(self.gate(), self.task, examples[: len(said)], said, is_stopped)
        except HostError as error:
            raise as_failure(error) from error
        return [replace(one, prediction=said) for one, said in zip(readings, graded, strict=True)]

    @contextmanager
    def _answering(self, note: wire_record.ModelNote, is_stopped: Callable[[], bool]) -> Iterator[str]:
        """The name by which the model answers, deployed for as long as the block runs; empty where it was stopped."""
        if note.is_untuned or not self.dialect.needs_deployment:
            yield note.model
            return
        name = deployment_name(note.key or note.model[-8:])
        try:
            yield name if self._is_deployed(name, note.model, is_stopped) else ""
        finally:
            self.gate().discard("deployment", name)

    def _is_deployed(self, name: str, model: str, is_stopped: Callable[[], bool]) -> bool:
        """Wait for a place and for the deployment; False where it was stopped. Its failure is no end of its job."""
        if self.settings.azure is None:
            raise ConfigError(NOWHERE_TO_ANSWER)
        until_s = self.clock.monotonic_s() + DEPLOY_S
        while not is_stopped():
            found = self.gate().deploy(name, model)
            if found is not None and found.failure:
                raise RaysweepError(f"deployment {name} of {model}: {found.failure}")
            if found is not None and found.is_ready:
                return True
            if self.clock.monotonic_s() > until_s:
                raise RaysweepError(f"deployment {name} of {model}: not ready within {DEPLOY_S / 3600:g} h")
            self.clock.sleep_s(DEPLOY_LOOK_S)
        return False


def deployment_name(key: str) -> str:
    """Of a tuned model, by its job's key."""
    return f"raysweep-{key}"
