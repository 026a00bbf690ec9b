"""The winner's base model, asked as it comes: a baseline that costs money where models do."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from raysweep import untuned
from raysweep.abilities import AnswersUntuned
from raysweep.clock import Clock
from raysweep.dimensions import Params
from raysweep.entries import FinalReserved
from raysweep.errors import RaysweepError
from raysweep.predictions import FOLDER, Place
from raysweep.preflight import Ready
from raysweep.recorder import Recorder
from raysweep.scoring import Prediction
from raysweep.state import TrialState
from raysweep.task import Example
from raysweep.trainers.prompting import PROMPT_PARAMS
from raysweep.untuned import FEW_SHOT, ZERO_SHOT, Asked


@dataclass(frozen=True)
class Plan:
    """Whether a base model is asked, how, and what that costs."""

    ready: Ready
    _known_usd: dict[str, float] = field(default_factory=dict)

    @property
    def asker(self) -> AnswersUntuned | None:
        """None where it is not wanted, or the trainer cannot."""
        ready, trainer = self.ready, self.ready.trainer
        is_wanted = ready.config.final.baseline and ready.capabilities.answers_untuned
        return trainer if is_wanted and isinstance(trainer, AnswersUntuned) else None

    @cached_property
    def shots(self) -> dict[str, tuple[Example, ...]]:
        """What it is told before each row, by the baseline's name."""
        ready, n = self.ready, self.ready.config.final.shots
        rows = untuned.chosen_shots(ready.loaded.splits.train, ready.task, n, seed=ready.config.seed)
        return {ZERO_SHOT: (), **({FEW_SHOT: rows} if rows else {})}

    @cached_property
    def splits(self) -> dict[str, Sequence[Example]]:
        """What it is asked: of the test split only where the winner is."""
        splits = self.ready.loaded.splits
        return {"val": splits.validation, **({"test": splits.test} if self.ready.config.final.test else {})}

    def usd(self, params: Params) -> float:
        """Of all its answers for a winner of these params, at most; 0 where it is not asked or costs nothing."""
        asker, key = self.asker, key_of(self.ready, params)
        if asker is None or not self.ready.capabilities.is_paid:
            return 0.0
        if key not in self._known_usd:
            ways = [shots for shots in self.shots.values() if not asker.why_not_untuned(params, shots)]
            costs = (asker.untuned_usd(params, shots, rows) for shots in ways for rows in self.splits.values())
            self._known_usd[key] = sum(usd or 0.0 for usd in costs)
        return self._known_usd[key]


def key_of(ready: Ready, params: Params) -> str:
    """16 hex digits over all on which the answers rest: model, prompt and how many examples are told."""
    rests_on = [model_of(ready, params), *(params.get(name) for name in PROMPT_PARAMS), ready.config.final.shots]
    return hashlib.sha256(repr(rests_on).encode()).hexdigest()[:16]


def model_of(ready: Ready, params: Params) -> str:
    """The base model's name."""
    return str(
        params["model"] if "model" in params else ready.config.trainer.model_dump().get("model", "the base model")
    )


@dataclass(frozen=True)
class Asking:
    """Asks the winner's base model what nobody has asked it yet."""

    plan: Plan
    folder: Path
    """The sweep's."""
    recorder: Recorder
    clock: Clock
    predict: Callable[[str, Sequence[Example]], Sequence[Prediction] | None]
    """What a model says of rows; None when it was stopped."""
    afford: Callable[[float, str], None]
    """Raises RaysweepError where so much, for what these words say, cannot be paid."""
    score: Callable[[Place, Sequence[Prediction], float | None], None]

    def steps(self) -> Iterator[Callable[[], None]]:
        """One a way of asking; none without a winner, or where the trainer cannot."""
        best, asker = self.recorder.state.best, self.plan.asker
        if best is not None and asker is not None:
            yield from (partial(self._ask, asker, best, name) for name in self.plan.shots)

    def _ask(self, asker: AnswersUntuned, best: TrialState, name: str) -> None:
        ready, shots = self.plan.ready, self.plan.shots[name]
        key = key_of(ready, best.params)
        n_shots = ready.config.final.shots if shots else 0
        asked = untuned.find(self.folder).get(name)
        if asked is None or asked.key != key:
            asked = Asked(model_of(ready, best.params), n_shots, key, has_labels=ready.task.writing is None)
        asked = replace(asked, reason=asker.why_not_untuned(best.params, shots), is_open=False)
        self._keep(name, asked)
        for split in () if asked.reason else self.plan.splits:
            if split in asked.splits and self.recorder.state.is_scored(name, split, None):
                continue
            try:
                is_answered = self._score(asker, best, Place(name, None, split))
            except RaysweepError as error:
                self._keep(name, replace(asked, reason=str(error), is_open=True))
                raise
            if not is_answered:
                return
            asked = replace(asked, splits=(*asked.splits, split))
            self._keep(name, asked)

    def _score(self, asker: AnswersUntuned, best: TrialState, place: Place) -> bool:
        """False where it was stopped."""
        shots, rows = self.plan.shots[place.name], self.plan.splits[place.split]
        usd = asker.untuned_usd(best.params, shots, rows)
        if usd:
            self.afford(usd, f"the base model was not asked {place.name.replace('_', '-')}")
            self.recorder.record(FinalReserved(self.clock.now(), place.name, best.number, place.split, usd))
        model = asker.untuned(best.params, shots, self.folder / FOLDER / place.name)
        said = self.predict(model, rows)
        if said is not None:
            self.score(place, said, usd or None)
        return said is not None

    def _keep(self, name: str, asked: Asked) -> None:
        untuned.keep(self.folder, untuned.find(self.folder) | {name: asked})
