"""What is scored once the search is over, on rows that ranked nothing: the best trial's model, and the baselines."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from raysweep import baseline, certainty, predictions
from raysweep.asking import Asking, Plan
from raysweep.clock import Clock
from raysweep.entries import FinalReserved, FinalScored
from raysweep.errors import RaysweepError
from raysweep.predictions import Kept, Place
from raysweep.preflight import Ready
from raysweep.recorder import Recorder
from raysweep.scoring import OF_LIKELIHOOD, Prediction, answers_of, graded, score
from raysweep.state import TrialState
from raysweep.task import Example, Task


@dataclass(frozen=True)
class Finals:
    """Scores what the settings ask for and no earlier session has scored; what was said is kept in the folder."""

    ready: Ready
    folder: Path
    """The sweep's."""
    recorder: Recorder
    clock: Clock
    predict: Callable[[str, Sequence[Example]], Sequence[Prediction] | None]
    """What a model says of rows; None when it was stopped."""
    usd_of: Callable[[TrialState], float | None]
    """What that costs; raises RaysweepError where it cannot be paid."""
    afford: Callable[[float, str], None]
    """Raises RaysweepError where so much, for what these words say, cannot be paid."""

    def score(self, is_stopped: Callable[[], bool]) -> tuple[str, ...]:
        """Until somebody wants no more of it; what failed, in words."""
        problems: list[str] = []
        for step in self._steps():
            if is_stopped():
                break
            try:
                step()
            except (RaysweepError, ValueError) as error:  # what was found is worth having without it
                problems.append(str(error))
        return tuple(problems)

    def _steps(self) -> Iterator[Callable[[], None]]:
        final = self.ready.config.final
        for name, trial in self.recorder.state.standing.to_test(final.top if final.test else 0):
            yield partial(self._score_trial, name, trial)
        if self.ready.config.final.baseline:
            yield from self._asking.steps()  # before the others: where the last of them is scored, all are
            yield from (partial(self._score_baseline, name) for name in baseline.names_for(self.ready.task))
        yield self._measure

    def _score_trial(self, name: str, trial: TrialState) -> None:
        """A model of a finalist, unless it was scored already."""
        if trial.ended is None or trial.ended.model is None or not self.recorder.state.lacks_test(name, trial.number):
            return
        kept = predictions.of_trial(self.folder, trial.number)
        if kept is not None:  # it came close once and has won since, or won and only comes close now
            self._score(Place(name, trial.number, "test"), kept.predictions)
        else:
            self._ask(Place(name, trial.number, "test"), trial, trial.ended.model)

    def _ask(self, place: Place, trial: TrialState, model: str) -> None:
        usd = self.usd_of(trial)
        if usd is not None:
            self.recorder.record(FinalReserved(self.clock.now(), place.name, trial.number, place.split, usd))
        said = self.predict(model, self.ready.loaded.splits.test)
        if said is not None:
            self._score(place, said, usd)

    @property
    def _asking(self) -> Asking:
        plan = Plan(self.ready)
        return Asking(plan, self.folder, self.recorder, self.clock, self.predict, self.afford, self._score)

    def _score_baseline(self, name: str) -> None:
        if self.recorder.state.is_scored(name, "test", None):
            return
        ready = self.ready
        said = baseline.predictions_of(name, ready.loaded.splits, ready.task, seed=ready.config.seed)
        for split in ("val", "test"):  # test last: where it is scored, both are
            self._score(Place(name, None, split), said[split])

    def _measure(self) -> None:
        """How sure the winner is, kept so that nobody has to draw it again."""
        state = self.recorder.state
        best = state.best
        if best is None or not state.is_scored("best", "test", best.number):
            return
        if certainty.known(self.folder, best.number, state.rivals) is None:
            found = certainty.measure(self.folder, best.number, state.bare_metric, state.rivals)
            if found is not None:
                certainty.keep(self.folder, found)

    def _score(self, place: Place, said: Sequence[Prediction], usd: float | None = None) -> None:
        """Metrics into the ledger and predictions into their file, which is there once the ledger says so."""
        splits, task = self.ready.loaded.splits, _lenient(self.ready.task)
        rows = splits.test if place.split == "test" else splits.validation
        labels = tuple(one.label for one in rows)
        said = graded(task, rows, said)
        answers_of(task, labels, said)  # what no answers can be read from is not kept
        try:  # before it is scored: what was paid is not asked again
            kept = Kept(replace(task, metrics=()), labels, tuple(said), self._n_ranking)
            predictions.keep(self.folder, place, kept)
        finally:  # the scores are worth having without the file
            scores = score(task, labels, said)
            self._record(place, {f"{place.split}_{name}": value for name, value in scores.items()}, usd)

    @property
    def _n_ranking(self) -> int:
        """How many validation rows the objective is made from."""
        rows, writing = self.ready.loaded.splits.validation, self.ready.task.writing
        is_written = writing is not None and self.ready.config.goal.bare not in OF_LIKELIHOOD
        return len(rows[: writing.scored_rows] if writing and is_written else rows)

    def _record(self, place: Place, metrics: Mapping[str, float | None], usd: float | None) -> None:
        self.recorder.record(FinalScored(self.clock.now(), place.name, place.trial, place.split, metrics, usd))


def _lenient(task: Task) -> Task:
    """The sweep may need an own metric to rank its trials; what it breaks on here has none of it, and a warning."""
    return replace(task, metrics=tuple(replace(one, is_needed=False) for one in task.metrics))
