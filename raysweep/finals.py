"""What is scored once the search is over, on rows that ranked nothing: the best trial's model, and the baseline."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from raysweep import baseline
from raysweep.clock import Clock
from raysweep.entries import FinalReserved, FinalScored
from raysweep.errors import RaysweepError
from raysweep.preflight import Ready
from raysweep.recorder import Recorder
from raysweep.scoring import Prediction, score
from raysweep.state import TrialState


@dataclass(frozen=True)
class Finals:
    """Scores what the settings ask for and no earlier session has scored."""

    ready: Ready
    recorder: Recorder
    clock: Clock
    predict: Callable[[str], Sequence[Prediction] | None]
    """What a model says of the test rows; None when it was stopped."""
    usd_of: Callable[[TrialState], float | None]
    """What that costs; raises RaysweepError where it cannot be paid."""

    def score(self, is_stopped: Callable[[], bool]) -> tuple[str, ...]:
        """Until somebody wants no more of it; what failed, in words."""
        problems: list[str] = []
        for step in (self._score_best, self._score_baseline):
            if is_stopped():
                break
            try:
                step()
            except (RaysweepError, ValueError) as error:  # what was found is worth having without it
                problems.append(str(error))
        return tuple(problems)

    def _score_best(self) -> None:
        best = self.recorder.state.best
        if not (self.ready.config.final.test and best and best.ended and best.ended.model):
            return
        if self.recorder.state.is_scored("best", "test", best.number):
            return
        usd = self.usd_of(best)
        if usd is not None:
            self.recorder.record(FinalReserved(self.clock.now(), "best", best.number, "test", usd))
        predictions = self.predict(best.ended.model)
        if predictions is not None:
            labels = [example.label for example in self.ready.loaded.splits.test]
            scores = score(self.ready.task, labels, predictions)
            self._record("best", best.number, "test", {f"test_{name}": value for name, value in scores.items()}, usd)

    def _score_baseline(self) -> None:
        if not self.ready.config.final.baseline or self.recorder.state.is_scored("tfidf", "test", None):
            return
        metrics = baseline.tfidf(self.ready.loaded.splits, self.ready.task, seed=self.ready.config.seed)
        for split in ("val", "test"):
            self._record("tfidf", None, split, {name: metrics[name] for name in metrics if name.startswith(split)})

    def _record(
        self, name: str, trial: int | None, split: str, metrics: Mapping[str, float | None], usd: float | None = None
    ) -> None:
        self.recorder.record(FinalScored(self.clock.now(), name, trial, split, metrics, usd))
