"""Metrics that need no more than how often each label was taken for which: of one table, or of many at once.

`counts` are (..., n_labels, n_labels + 1): right label, predicted label, how often; the last column counts answers that
no label could be read from. A metric is (...); NaN where it is undefined.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np

from raysweep.scoring.answers import UNREAD, Answers, Floats, Ints

Counted = Callable[[Floats, Floats], Floats]
"""From counts and the labels' values, (n_labels,), or (0,) where they have none."""


def cells(answers: Answers) -> Ints:
    """(n,): each example's place in the table of counts, laid out in a row."""
    columns = answers.n_labels + 1
    return answers.right * columns + np.where(answers.predicted == UNREAD, answers.n_labels, answers.predicted)


def tally(answers: Answers) -> Floats:
    """(n_labels, n_labels + 1)."""
    shape = (answers.n_labels, answers.n_labels + 1)
    return np.bincount(cells(answers), minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)


def accuracy(counts: Floats, _: Floats) -> Floats:
    """An answer that cannot be read is wrong."""
    right: Floats = _hits(counts).sum(axis=-1) / counts.sum(axis=(-1, -2))
    return right


def recalls(counts: Floats) -> Floats:
    """(..., n_labels); NaN for a label that no example has."""
    return ratio(_hits(counts), counts.sum(axis=-1))


def precisions(counts: Floats) -> Floats:
    """(..., n_labels); 0 for a label that is never predicted, NaN where no example has it either."""
    predicted = counts[..., :-1].sum(axis=-2)
    return np.where(predicted == 0, np.where(counts.sum(axis=-1) > 0, 0.0, np.nan), ratio(_hits(counts), predicted))


def f1s(counts: Floats) -> Floats:
    """(..., n_labels); NaN for a label that is neither right nor predicted anywhere."""
    return ratio(2 * _hits(counts), counts.sum(axis=-1) + counts[..., :-1].sum(axis=-2))


def ratio(above: Floats, below: Floats) -> Floats:
    """NaN where it is over nothing."""
    result: Floats = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)
    return result


def _hits(counts: Floats) -> Floats:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _mean(of_labels: Callable[[Floats], Floats], counts: Floats, _: Floats) -> Floats:
    """Over the labels for which it is defined."""
    each = of_labels(counts)
    is_defined = ~np.isnan(each)
    return ratio(np.where(is_defined, each, 0.0).sum(axis=-1), is_defined.sum(axis=-1))


def _weighted(of_labels: Callable[[Floats], Floats], counts: Floats, _: Floats) -> Floats:
    """By how many examples have the label."""
    examples = counts.sum(axis=-1)
    return ratio((np.nan_to_num(of_labels(counts)) * examples).sum(axis=-1), examples.sum(axis=-1))


def _seen_recalls(counts: Floats) -> Floats:
    """As in scikit-learn, a label that is predicted where no example has it has a recall of 0."""
    is_only_predicted = (counts.sum(axis=-1) == 0) & (counts[..., :-1].sum(axis=-2) > 0)
    return np.where(is_only_predicted, 0.0, recalls(counts))


def _n_predicted(counts: Floats, _: Floats) -> Floats:
    n: Floats = (counts[..., :-1].sum(axis=-2) > 0).sum(axis=-1).astype(np.float64)
    return n


def _coverage(counts: Floats, _: Floats) -> Floats:
    share: Floats = 1 - counts[..., -1].sum(axis=-1) / counts.sum(axis=(-1, -2))
    return share


def _answered(counts: Floats, values: Floats) -> Floats:
    """(..., n_labels, n_labels): what could not be read counts as the label furthest from the right one."""
    places = np.arange(values.size)
    furthest = np.abs(values[:, None] - values[None, :]).argmax(axis=1)
    table = counts[..., :-1].copy()
    table[..., places, furthest] += counts[..., -1]
    return table


def _mean_error(counts: Floats, values: Floats, *, power: int) -> Floats:
    table = _answered(counts, values)
    errors = np.abs(values[:, None] - values[None, :]) ** power
    mean: Floats = (table * errors).sum(axis=(-1, -2)) / table.sum(axis=(-1, -2))
    return mean


def _rmse(counts: Floats, values: Floats) -> Floats:
    return np.sqrt(_mean_error(counts, values, power=2))


def _qwk(counts: Floats, values: Floats) -> Floats:
    """Cohen 1968, weights by the square of the distance in places; undefined where both are one label throughout."""
    table = _answered(counts, values)
    n, places = table.sum(axis=(-1, -2)), np.arange(values.size)
    squares = (places[:, None] - places[None, :]) ** 2.0
    observed = (table * squares).sum(axis=(-1, -2)) / n
    by_chance = ((table.sum(axis=-1) @ squares) * table.sum(axis=-2)).sum(axis=-1) / n**2
    return 1 - ratio(observed, by_chance)


def _spearman(counts: Floats, values: Floats) -> Floats:
    """Pearson's correlation of ranks, ties at their middle; undefined where one of them is one label throughout."""
    table = _answered(counts, values)
    of_right, of_answers = table.sum(axis=-1), table.sum(axis=-2)
    x, y = _centred_ranks(of_right), _centred_ranks(of_answers)
    together = (table * x[..., :, None] * y[..., None, :]).sum(axis=(-1, -2))
    alone = (of_right * x**2).sum(axis=-1) * (of_answers * y**2).sum(axis=-1)
    return ratio(together, np.sqrt(alone))


def _centred_ranks(counts: Floats) -> Floats:
    """(..., n_labels): the middle of each label's ranks, less the mean of all."""
    ranks: Floats = counts.cumsum(axis=-1) - counts / 2 - counts.sum(axis=-1, keepdims=True) / 2
    return ranks


OF_LABELS: Mapping[str, Counted] = MappingProxyType(
    {
        "accuracy": accuracy,
        "balanced_accuracy": partial(_mean, recalls),
        "f1_weighted": partial(_weighted, f1s),
        "f1_macro": partial(_mean, f1s),
        "precision_macro": partial(_mean, precisions),
        "recall_macro": partial(_mean, _seen_recalls),
        "n_predicted_labels": _n_predicted,
        "coverage": _coverage,
    }
)
"""For any task."""
OF_RATINGS: Mapping[str, Counted] = MappingProxyType(
    {
        "mse": partial(_mean_error, power=2),
        "mae": partial(_mean_error, power=1),
        "rmse": _rmse,
        "qwk": _qwk,
        "spearman": _spearman,
    }
)
"""For labels with numbers: of the most likely label."""


def of_one_label(place: int) -> Counted:
    """F1 of the label at the place."""
    return lambda counts, _: f1s(counts)[..., place]
