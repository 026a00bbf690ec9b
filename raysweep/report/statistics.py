"""What the scores of all trials look like: their statistics, and from where on a trial counts as failed."""

import math
from dataclasses import dataclass

import numpy as np

from raysweep.goal import Goal
from raysweep.report.record import Record
from raysweep.scoring.answers import Floats

LEAST_GAP = 0.15
"""A gap that tells failed trials from others is at least this share of the range of all scores."""
LEAST_SCORES = 8
"""Fewer are too few to tell."""
FAR = 10.0
"""So many times as far from the worse quarter of the scores as that is from the best one."""
CHANCE = 0.01
"""And so wide that evenly scattered scores would leave it anywhere with less than this chance."""


@dataclass(frozen=True)
class Threshold:
    """The score beyond which a trial counts as failed, and how it was chosen."""

    value: float | None
    """None: no score is so poor."""
    reason: str


@dataclass(frozen=True)
class Statistics:
    """Of some scores; all but the count are NaN where there are none, `std` also where there is only one."""

    of: str
    """Of which trials."""
    count: int
    mean: float
    std: float
    """The sample's, with n - 1."""
    min: float
    q25: float
    median: float
    q75: float
    max: float

    @property
    def cells(self) -> dict[str, float]:
        """By the names that pandas gives them."""
        names = ("count", "mean", "std", "min", "25 %", "50 %", "75 %", "max")
        values = (self.count, self.mean, self.std, self.min, self.q25, self.median, self.q75, self.max)
        return dict(zip(names, values, strict=True))


def describe(scores: Floats, of: str) -> Statistics:
    """Statistics of the scores that are numbers."""
    given = scores[np.isfinite(scores)]
    if given.size == 0:
        return Statistics(of, 0, *(math.nan,) * 7)
    low, q25, median, q75, high = (float(value) for value in np.percentile(given, [0, 25, 50, 75, 100]))
    std = float(given.std(ddof=1)) if given.size > 1 else math.nan
    return Statistics(of, int(given.size), float(given.mean()), std, low, q25, median, q75, high)


def tables(record: Record, threshold: Threshold) -> tuple[Statistics, ...]:
    """Of all trials with a score, without the failed ones, and of the completed ones alone; each only if it differs."""
    scores, tried, completed = record.scores, record.is_tried, record.is_completed
    made = [describe(scores[tried], "all trials with a score")]
    is_sound = tried & ~is_beyond(scores, threshold, record.goal)
    if threshold.value is not None and not np.array_equal(is_sound, tried):
        made.append(describe(scores[is_sound], "without failed trials"))
    if not np.array_equal(completed, tried):
        made.append(describe(scores[completed], "completed trials"))
    return tuple(made)


def is_beyond(scores: Floats, threshold: Threshold, goal: Goal) -> np.typing.NDArray[np.bool_]:
    """Which scores are worse than the threshold."""
    if threshold.value is None:
        return np.zeros(scores.shape, dtype=bool)
    sign = goal.loss(1.0)
    beyond: np.typing.NDArray[np.bool_] = np.nan_to_num(sign * scores, nan=-np.inf) > sign * threshold.value
    return beyond


def is_far(scores: Floats, goal: Goal) -> np.typing.NDArray[np.bool_]:
    """Which scores are so poor that on their scale all others would be one line: a loss of 1e12 among losses of 5."""
    losses = goal.loss(1.0) * scores
    best, upper = np.percentile(losses[np.isfinite(losses)], [0, 75]) if np.isfinite(losses).any() else (0.0, 0.0)
    far: np.typing.NDArray[np.bool_] = np.nan_to_num(losses, nan=-np.inf) > upper + FAR * (upper - best)
    return far if upper > best else np.zeros(scores.shape, dtype=bool)


def choose_threshold(scores: Floats, goal: Goal) -> Threshold:
    """The middle of the widest gap among the worse half of the scores, where it is too wide to be chance.

    Trials that collapsed or diverged stand apart from the others; where none stands apart, none counts as failed.
    """
    losses = np.sort(goal.loss(1.0) * scores[np.isfinite(scores)])
    n = losses.size
    if n < LEAST_SCORES or losses[-1] == losses[0]:
        return Threshold(None, "too few different scores to tell failed trials from others")
    gaps = np.diff(losses) / (losses[-1] - losses[0])
    start = (n - 1) // 2
    place = start + int(np.argmax(gaps[start:]))
    gap = float(gaps[place])
    if gap < LEAST_GAP or n * (1 - gap) ** (n - 1) > CHANCE:
        return Threshold(None, "no gap among the poorer scores is too wide to be chance")
    value = goal.loss(1.0) * float(losses[place] + losses[place + 1]) / 2
    words = f"the widest gap among the poorer scores, {gap:.0%} of their range, lies around it"
    return Threshold(value, words)


def given_threshold(value: float | None) -> Threshold:
    """The threshold that somebody asked for; None: none."""
    return Threshold(value, "as asked for")
