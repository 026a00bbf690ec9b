"""Metrics that need every example by itself: with each example counted as often as its weight says.

`weights` are (b, n): b countings of n examples. A metric is (b,); NaN where it is undefined.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from raysweep.scoring.answers import Answers, Floats, Ints
from raysweep.scoring.counts import ratio

Flags = npt.NDArray[np.bool_]
Weighed = Callable[[Answers, Floats], Floats]
N_BINS = 15
"""Of the calibration error, of equal width; Guo, Pleiss, Sun and Weinberger 2017."""


def log_loss(answers: Answers, weights: Floats) -> Floats:
    """Mean negative logarithm of the right label's probability; one of 0 costs about 36, as in scikit-learn."""
    tiny = np.finfo(np.float64).eps
    return _mean(-np.log(np.clip(_of_right(answers), tiny, 1 - tiny)), weights)


def brier(answers: Answers, weights: Floats) -> Floats:
    """Mean squared distance of the probabilities from what happened, summed over the labels; halved for two labels."""
    happened = np.eye(answers.n_labels)[answers.right]
    squares = ((_probabilities(answers) - happened) ** 2).sum(axis=1)
    return _mean(squares / 2 if answers.n_labels == 2 else squares, weights)  # as in scikit-learn


def ece(answers: Answers, weights: Floats) -> Floats:
    """Expected calibration error of the most likely label: how far its probability is from how often it is right."""
    sure = _probabilities(answers).max(axis=1)
    is_right = _probabilities(answers).argmax(axis=1) == answers.right
    bins = np.minimum((sure * N_BINS).astype(np.int64), N_BINS - 1)
    gaps = np.zeros((answers.n, N_BINS))
    gaps[np.arange(answers.n), bins] = is_right - sure
    error: Floats = np.abs(weights @ gaps).sum(axis=1) / weights.sum(axis=1)
    return error


def auroc(answers: Answers, weights: Floats) -> Floats:
    """Area under the ROC curve: of the second label of two; of more, the mean of each against the rest.

    Over labels that some examples have and some have not.
    """
    table = _probabilities(answers)
    places = [1] if answers.n_labels == 2 else range(answers.n_labels)
    areas = np.stack([_area(table[:, place], answers.right == place, weights) for place in places])
    is_defined = ~np.isnan(areas)
    return ratio(np.where(is_defined, areas, 0.0).sum(axis=0), is_defined.sum(axis=0))


def mse_expected(answers: Answers, weights: Floats) -> Floats:
    """Mean squared error of the expected rating."""
    return _mean((_expected(answers) - answers.values[answers.right]) ** 2, weights)


def mae_expected(answers: Answers, weights: Floats) -> Floats:
    """Mean absolute error of the expected rating."""
    return _mean(np.abs(_expected(answers) - answers.values[answers.right]), weights)


def rmse_expected(answers: Answers, weights: Floats) -> Floats:
    """Square root of the mean squared error of the expected rating."""
    return np.sqrt(mse_expected(answers, weights))


def qwk_expected(answers: Answers, weights: Floats) -> Floats:
    """Quadratic weighted kappa for numbers between the labels', which is Lin's concordance coefficient (1989)."""
    x, y = answers.values[answers.right], _expected(answers)
    mean_x, mean_y = _mean(x, weights), _mean(y, weights)
    by_chance = _mean(x**2, weights) - mean_x**2 + _mean(y**2, weights) - mean_y**2 + (mean_x - mean_y) ** 2
    return 1 - ratio(mse_expected(answers, weights), np.where(by_chance > _ROUNDING, by_chance, 0.0))


def spearman_expected(answers: Answers, weights: Floats) -> Floats:
    """Correlation of ranks of expected and right ratings, ties at their middle."""
    x, y = _ranks(answers.right, weights), _ranks(_expected(answers), weights)
    together = (weights * x * y).sum(axis=1)
    alone = (weights * x**2).sum(axis=1) * (weights * y**2).sum(axis=1)
    return ratio(together, np.sqrt(alone))


_ROUNDING = 1e-12
"""Below this, a difference of means of squares is nothing."""

OF_PROBABILITIES: Mapping[str, Weighed] = MappingProxyType(
    {"log_loss": log_loss, "brier": brier, "ece": ece, "auroc": auroc}
)
"""For models that give probabilities."""
OF_EXPECTED: Mapping[str, Weighed] = MappingProxyType(
    {
        "mse_expected": mse_expected,
        "mae_expected": mae_expected,
        "rmse_expected": rmse_expected,
        "qwk_expected": qwk_expected,
        "spearman_expected": spearman_expected,
    }
)
"""For labels with numbers: of the expected rating."""


def _mean(of_examples: Floats, weights: Floats) -> Floats:
    mean: Floats = weights @ of_examples / weights.sum(axis=1)
    return mean


def _probabilities(answers: Answers) -> Floats:
    if answers.probabilities is None:
        raise ValueError("no probabilities")
    return answers.probabilities


def _expected(answers: Answers) -> Floats:
    if answers.expected is None:
        raise ValueError("no expected ratings")
    return answers.expected


def _of_right(answers: Answers) -> Floats:
    of_right: Floats = _probabilities(answers)[np.arange(answers.n), answers.right]
    return of_right


def _grouped(order: Ints, starts: Ints, weights: Floats) -> Floats:
    """(b, n_groups): the weights of examples whose scores are equal, the lowest first."""
    sums: Floats = np.add.reduceat(weights[:, order], starts, axis=1)
    return sums


def _groups(scores: Floats | Ints) -> tuple[Ints, Ints, Ints]:
    """An order by score, where each group of equals starts in it, and (n,) each example's group."""
    _, starts, group = np.unique(np.sort(scores), return_index=True, return_inverse=True)
    order = np.argsort(scores, kind="stable")
    of_example = np.empty(scores.size, dtype=np.int64)
    of_example[order] = group
    return order, starts, of_example


def _area(scores: Floats, is_positive: Flags, weights: Floats) -> Floats:
    """The share of pairs, one positive and one not, in which the positive one scores higher; ties count half."""
    order, starts, _ = _groups(scores)
    positive = _grouped(order, starts, weights * is_positive)
    negative = _grouped(order, starts, weights * ~is_positive)
    below = negative.cumsum(axis=1) - negative / 2
    return ratio((positive * below).sum(axis=1), positive.sum(axis=1) * negative.sum(axis=1))


def _ranks(scores: Floats | Ints, weights: Floats) -> Floats:
    """(b, n): the middle of each example's ranks, less the mean of all."""
    order, starts, of_example = _groups(scores)
    sums = _grouped(order, starts, weights)
    middles = sums.cumsum(axis=1) - sums / 2 - sums.sum(axis=1, keepdims=True) / 2
    ranks: Floats = middles[:, of_example]
    return ranks
