"""A sweep's space in Optuna's words: every searched param of a trial with its distribution."""

from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
)

from raysweep.dimensions import (
    Branch,
    Choice,
    Dimension,
    Fixed,
    Integer,
    LogUniform,
    Params,
    ParamValue,
    QUniform,
    Scalar,
    Uniform,
    multiples,
)
from raysweep.search.coordinates import leaves, options
from raysweep.state import TrialState
from raysweep.views.words import param

Searched = Mapping[str, tuple[Scalar, BaseDistribution]]
"""A trial's searched params by name: value and distribution."""


def searched(trials: Sequence[TrialState], space: Mapping[str, Dimension] | None) -> list[Searched]:
    """Of each trial; `space` is None where nobody knows it any more: then a range is what was tried."""
    if space is None:
        return _from_values(trials)
    found = [[(label, dimension, value) for label, dimension, value in leaves(space, one.params)] for one in trials]
    labels = {label: _distribution(dimension) for of_one in found for label, dimension, _ in of_one}
    names = _names(labels)
    return [{names[label]: (_scalar(value), labels[label]) for label, _, value in of_one} for of_one in found]


def _names(labels: Mapping[str, BaseDistribution]) -> dict[str, str]:
    """The bare name, unless two branches have a param of that name whose distributions Optuna does not take for one."""
    by_name: dict[str, list[str]] = {}
    for label in labels:
        by_name.setdefault(label.rpartition("/")[2], []).append(label)
    return {
        label: name if _are_one(labels[one] for one in shared) else label
        for name, shared in by_name.items()
        for label in shared
    }


def _are_one(distributions: Iterable[BaseDistribution]) -> bool:
    first, *others = distributions
    try:
        for other in others:
            check_distribution_compatibility(first, other)
    except ValueError:
        return False
    return True


def _distribution(dimension: Dimension) -> BaseDistribution:
    match dimension:
        case Fixed() | Choice() | Branch():
            return CategoricalDistribution([_scalar(value) for value in options(dimension)])
        case Uniform():
            return FloatDistribution(dimension.low, dimension.high)
        case LogUniform():
            return FloatDistribution(dimension.low, dimension.high, log=True)
        case QUniform():
            low, high = (round(multiple * dimension.step, 12) for multiple in multiples(dimension))
            return FloatDistribution(low, high, step=dimension.step)
        case Integer():
            return IntDistribution(dimension.low, dimension.high, log=dimension.log)
        case _:
            assert_never(dimension)


def _from_values(trials: Sequence[TrialState]) -> list[Searched]:
    names = dict.fromkeys(name for one in trials for name in one.proposed.sampled)
    tried = {name: [one.params[name] for one in trials if name in one.params] for name in names}
    known = {name: _of_values(values) for name, values in tried.items()}
    return [_with(known, one.params) for one in trials]


def _with(known: Mapping[str, BaseDistribution], params: Params) -> Searched:
    return {name: (_scalar(params[name]), one) for name, one in known.items() if name in params}


def _of_values(values: Sequence[ParamValue]) -> BaseDistribution:
    numbers = [one for one in values if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(numbers) < len(values):
        return CategoricalDistribution(list(dict.fromkeys(map(_scalar, values))))
    if all(isinstance(one, int) for one in numbers):
        return IntDistribution(int(min(numbers)), int(max(numbers)))
    return FloatDistribution(float(min(numbers)), float(max(numbers)))


def _scalar(value: ParamValue) -> Scalar:
    """A list as a text: Optuna's storages take no lists."""
    return param(value) if isinstance(value, tuple) else value
