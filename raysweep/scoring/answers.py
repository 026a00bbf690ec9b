"""What a model says of examples, and what that comes to beside the right labels."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from raysweep.task import Task

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

UNREAD = -1
"""The predicted index of an answer that no label could be read from."""


@dataclass(frozen=True)
class Prediction:
    """What a model says of one example."""

    probabilities: tuple[float, ...] | None
    """(n_labels,), in the task's order; None where the model gives none."""
    value: float | None = None
    """The expected rating, where the model answers with a number; else derived from the probabilities."""
    text: str | None = None
    """What it wrote, where it writes."""
    loss: float | None = None
    """Of a free text: nats that the right completion costs, all its tokens together; None where nobody says."""
    n_tokens: int = 0
    """Of a free text: tokens of the right completion."""
    grade: float | None = None
    """Of a free text: what the task's grader says of it."""


@dataclass(frozen=True)
class Answers:
    """One model's predictions of n examples, beside the right labels, as arrays."""

    right: Ints
    """(n,): places of the right labels."""
    predicted: Ints
    """(n,): places of the most likely ones, or UNREAD."""
    n_labels: int
    values: Floats
    """(n_labels,): the labels' numbers; (0,) for labels without."""
    probabilities: Floats | None
    """(n, n_labels), each row summing to one; None where the model does not give them for every example."""
    expected: Floats | None
    """(n,): expected ratings; None where labels have no numbers, or the model does not say enough."""

    @property
    def n(self) -> int:
        """How many examples."""
        return int(self.right.size)


def read(
    task: Task, labels: Sequence[str] | Sequence[int], predictions: Sequence[Prediction], words: Sequence[str] = ()
) -> Answers:
    """The predictions as arrays.

    `labels` are the right ones, as strings or as indices; `words` are what a writing model was taught to say for
    each label (none: the labels). Raises ValueError for lengths that differ, an unknown label, or a number that is
    not finite.
    """
    if not labels or len(labels) != len(predictions):
        raise ValueError(f"{len(labels)} labels and {len(predictions)} predictions: one each, and at least one row")
    right = np.array([_index(task, label) for label in labels], dtype=np.int64)
    probabilities = _probabilities(task, predictions)
    predicted = _predicted(task, predictions, probabilities, words or task.labels)
    values = np.array(task.values, dtype=np.float64)
    is_whole = not np.isnan(probabilities).any()
    expected = _expected(values, predictions, probabilities) if task.is_ordered else None
    return Answers(right, predicted, len(task.labels), values, probabilities if is_whole else None, expected)


def _index(task: Task, label: str | int) -> int:
    if isinstance(label, str):
        return task.index(label)
    if not 0 <= label < len(task.labels):
        raise ValueError(f"label index {label} is outside 0..{len(task.labels) - 1}")
    return int(label)


def _probabilities(task: Task, predictions: Sequence[Prediction]) -> Floats:
    """(n, n_labels), each row summing to one; a row of NaN where a model gave none."""
    n_labels = len(task.labels)
    nothing = (math.nan,) * n_labels
    rows = [nothing if one.probabilities is None else one.probabilities for one in predictions]
    if any(len(row) != n_labels for row in rows):
        raise ValueError(f"every prediction needs {n_labels} probabilities, one a label")
    table = np.array(rows, dtype=np.float64)
    given = np.array([one.probabilities is not None for one in predictions])
    sums = table.sum(axis=1)
    good = np.isfinite(table).all(axis=1) & (table >= 0).all(axis=1) & (sums > 0)
    if not good[given].all():
        row = int(np.flatnonzero(given & ~good)[0])
        raise ValueError(f"prediction {row}: probabilities {rows[row]} must be finite, none negative, not all zero")
    normalised: Floats = table / sums[:, None]
    return normalised


def _predicted(task: Task, predictions: Sequence[Prediction], probabilities: Floats, words: Sequence[str]) -> Ints:
    most_likely = np.argmax(np.nan_to_num(probabilities, nan=-1.0), axis=1)
    places = {word.strip(): place for place, word in enumerate(words)}
    rows = [
        int(best) if one.probabilities is not None else _read(task, one, places)
        for one, best in zip(predictions, most_likely, strict=True)
    ]
    return np.array(rows, dtype=np.int64)


def _read(task: Task, prediction: Prediction, places: Mapping[str, int]) -> int:
    if prediction.value is not None and task.values:
        value = prediction.value
        if not math.isfinite(value):
            raise ValueError(f"a predicted value is {value}; it must be finite")
        return min(range(len(task.values)), key=lambda place: abs(task.values[place] - value))
    return places.get((prediction.text or "").strip(), UNREAD)


def _expected(values: Floats, predictions: Sequence[Prediction], probabilities: Floats) -> Floats | None:
    own = np.array([math.nan if one.value is None else one.value for one in predictions], dtype=np.float64)
    expected = np.where(np.isnan(own), probabilities @ values, own)
    return None if np.isnan(expected).any() else expected
