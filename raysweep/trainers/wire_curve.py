"""What is known of one job's training: points by step, told as epochs, and whether it has diverged."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from raysweep.trainers.hosted import Point
from raysweep.trainers.wire_metrics import merged

DIVERGED_RATIO = 1.5
"""A training loss so many times the first is no learning."""
DIVERGED_POINTS = 10
"""It has to stay there for so many points; a single batch may be hard."""


@dataclass(frozen=True)
class Divergence:
    """From this step on nothing is learnt, and nothing that is measured means anything."""

    step: int
    words: str


class Curve:
    """Takes points in any order, repeated or with gaps; each step counts once."""

    def __init__(self, *, n_epochs: int, n_train: int, batch_size: int | None) -> None:
        self._n_epochs = n_epochs
        self._steps_by_size = math.ceil(n_train / batch_size) * n_epochs if batch_size else None
        self._points: dict[int, Point] = {}
        self._total: int | None = None

    def add(self, points: Iterable[Point], *, fill: bool = False) -> None:
        """Take points in. `fill`: what is known already is kept, the new ones only fill gaps."""
        for point in points:
            known = self._points.get(point.step, Point(point.step))
            self._points[point.step] = merged(point, known) if fill else merged(known, point)
            self._total = point.total_steps or self._total

    def settle(self) -> None:
        """The job is over: its last step is the end of its last epoch."""
        self._total = self._total or (self.last_step or None)

    @property
    def last_step(self) -> int:
        """The furthest step that is known; 0 before any."""
        return max(self._points, default=0)

    @property
    def total_steps(self) -> int | None:
        """How many there will be; None where nothing says so."""
        return self._total or self._steps_by_size

    def epoch(self) -> float:
        """How far the job has come, as far as its points tell."""
        total = self.total_steps
        return min(self.last_step / total, 1.0) * self._n_epochs if total else 0.0

    def end_of(self, epoch: float) -> Point | None:
        """What was measured at the end of an epoch, once a validation loss is there; None before."""
        step = self._step_of(epoch)
        ends = [point for point in self._points.values() if point.full_valid_loss is not None]
        near = [point for point in ends if step is not None and abs(point.step - step) <= self._slack()]
        return min(near, key=lambda point: abs(point.step - (step or 0))) if near else None

    def has_passed(self, epoch: float) -> bool:
        """Whether later points than those of the epoch's end are known."""
        step = self._step_of(epoch)
        return step is not None and self.last_step > step + self._slack()

    def nearest(self, epoch: float) -> Point | None:
        """The last point with any validation loss up to an epoch's end, where the end itself was never told."""
        step = self._step_of(epoch)
        before = [
            point
            for point in self._points.values()
            if (step is None or point.step <= step + self._slack()) and point.valid_loss is not None
        ]
        return max(before, key=lambda point: point.step, default=None)

    def diverged(self) -> Divergence | None:
        """Where the training was lost; None while it is not. Steps that come later do not change the answer."""
        losses = [(step, point.train_loss) for step, point in sorted(self._points.items())]
        known = [(step, loss) for step, loss in losses if loss is not None]
        n_high = 0
        for step, loss in known:
            if not math.isfinite(loss):
                return Divergence(step, f"the training loss is {loss} at step {step}")
            n_high = n_high + 1 if loss >= DIVERGED_RATIO * known[0][1] else 0
            if n_high == DIVERGED_POINTS:
                words = f"the training loss is {loss:.3g} at step {step}, {known[0][1]:.3g} at the first"
                return Divergence(step, words)
        return None

    def _step_of(self, epoch: float) -> float | None:
        total = self.total_steps
        return epoch / self._n_epochs * total if total else None

    def _slack(self) -> float:
        """A host may round an epoch's last step; half an epoch is another epoch's."""
        total = self.total_steps or 0
        return min(max(1.0, 0.25 * total / self._n_epochs), 0.49 * total / self._n_epochs)
