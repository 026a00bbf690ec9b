"""When to look next: often while something changes, seldom while nothing does, never all at one moment."""

import random
from collections.abc import Sequence

from raysweep.trainers.dialects import Polls
from raysweep.trainers.hosted import Point

GROW, SHRINK, JITTER = 1.5, 0.5, 0.1
SLACK = 5
"""By so many steps a host may round the end of an epoch."""


class Pulse:
    """The interval between looks at one thing."""

    def __init__(self, polls: Polls, dice: random.Random, now_s: float) -> None:
        self._polls = polls
        self._dice = dice
        self._interval_s = polls.shortest_s
        self.due_s = now_s

    def looked(self, now_s: float, *, is_new: bool, expected_s: float | None = None) -> None:
        """A look is over. `expected_s`: when the next thing worth a look should come, as far as anybody can tell."""
        factor = SHRINK if is_new else GROW
        self._interval_s = self._within(self._interval_s * factor)
        wait_s = self._interval_s if expected_s is None else self._within(expected_s)
        self.due_s = now_s + wait_s * self._dice.uniform(1 - JITTER, 1 + JITTER)

    def hurry(self, now_s: float) -> None:
        """Something has happened: look now."""
        self._interval_s = self._polls.shortest_s
        self.due_s = now_s

    def _within(self, seconds: float) -> float:
        return min(max(seconds, self._polls.shortest_s), self._polls.longest_s)


class Steps:
    """How fast a job goes through its steps, and so when its next epoch ends."""

    def __init__(self) -> None:
        self._last = 0
        self._first: tuple[float, int] | None = None
        self._now_s = 0.0
        self._total: int | None = None

    def add(self, point: Point, now_s: float) -> None:
        """A step was told of."""
        self._total = point.total_steps or self._total
        self._last = max(self._last, point.step)
        self._first = self._first or (now_s, point.step)
        self._now_s = now_s

    def is_enough(self, new: Sequence[Point], n_epochs: int | None) -> bool:
        """Whether news that were read backwards hold the end of every epoch that ended since the last look.

        What lies before them then tells nothing that an evaluation needs.
        """
        total = self._total or next((point.total_steps for point in new if point.total_steps), None)
        if not (new and total and n_epochs):
            return False
        steps, epoch = [point.step for point in new], total / n_epochs
        first_end = (max(0, self._last - SLACK) // epoch + 1) * epoch
        return max(steps) + SLACK < first_end or min(steps) <= first_end - SLACK

    def seconds_to_epoch(self, n_epochs: int | None) -> float | None:
        """Until the next epoch ends; None where nothing tells."""
        if not (self._first and self._total and n_epochs and self._last > self._first[1]):
            return None
        rate = (self._last - self._first[1]) / max(self._now_s - self._first[0], 1e-3)
        epoch = self._total / n_epochs
        return (epoch - self._last % epoch) / rate
