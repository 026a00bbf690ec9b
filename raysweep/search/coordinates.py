"""Values as numbers: every dimension as an interval on which its prior is uniform, or as a list of options."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import assert_never

from raysweep.dimensions import (
    Branch,
    Choice,
    Dimension,
    Fixed,
    Integer,
    LogUniform,
    Number,
    Params,
    ParamValue,
    QUniform,
    SpaceError,
    Uniform,
    multiples,
    nested,
    quantised,
)

Pick = Callable[[str, Dimension], ParamValue]
"""Chooses the value of one dimension that is not fixed, given its label."""


def interval(dimension: Number) -> tuple[float, float]:
    """The coordinate's ends; whole numbers and multiples reach half a step further, so that all are equally likely."""
    match dimension:
        case Uniform():
            return dimension.low, dimension.high
        case LogUniform():
            return math.log(dimension.low), math.log(dimension.high)
        case QUniform():
            lowest, highest = multiples(dimension)
            return lowest - 0.5, highest + 0.5
        case Integer():
            low, high = dimension.low - 0.5, dimension.high + 0.5
            return (math.log(low), math.log(high)) if dimension.log else (low, high)
        case _:
            assert_never(dimension)


def coordinate(dimension: Number, value: ParamValue) -> float:
    """Where a value lies. Raises SpaceError when it is not a number."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise SpaceError(f"{value!r} is not a number")
    match dimension:
        case Uniform():
            return float(value)
        case LogUniform():
            return math.log(value)
        case QUniform():
            return float(round(value / dimension.step))
        case Integer():
            return math.log(value) if dimension.log else float(value)
        case _:
            assert_never(dimension)


def value_at(dimension: Number, place: float) -> float | int:
    """The value at a coordinate; beyond the ends, the end's."""
    match dimension:
        case Uniform():
            return min(max(place, dimension.low), dimension.high)
        case LogUniform():
            return min(max(math.exp(place), dimension.low), dimension.high)
        case QUniform():
            return quantised(place * dimension.step, dimension)
        case Integer():
            return min(max(round(math.exp(place) if dimension.log else place), dimension.low), dimension.high)
        case _:
            assert_never(dimension)


def options(dimension: Fixed | Choice | Branch) -> Sequence[ParamValue]:
    """The values of a dimension that is not a range."""
    match dimension:
        case Fixed():
            return (dimension.value,)
        case Choice():
            return dimension.values
        case Branch():
            return tuple(dimension.branches)
        case _:
            assert_never(dimension)


def encoded(dimension: Dimension, value: ParamValue) -> float:
    """A value as a number: the coordinate in a range, the place among the options elsewhere."""
    if isinstance(dimension, Fixed | Choice | Branch):
        return options(dimension).index(value)
    return coordinate(dimension, value)


def decoded(dimension: Dimension, code: float) -> ParamValue:
    """The value that a number stands for."""
    if isinstance(dimension, Fixed | Choice | Branch):
        return options(dimension)[int(code)]
    return value_at(dimension, code)


def draw(dimension: Dimension, generator: Random) -> ParamValue:
    """A value from the dimension's prior."""
    match dimension:
        case Fixed():
            return dimension.value
        case Choice() | Branch():
            return options(dimension)[generator.randrange(len(options(dimension)))]
        case Uniform() | LogUniform() | QUniform() | Integer():
            return value_at(dimension, generator.uniform(*interval(dimension)))
        case _:
            assert_never(dimension)


def assemble(dimensions: Mapping[str, Dimension], pick: Pick, prefix: str = "") -> dict[str, ParamValue]:
    """Params whose values were picked, those of the taken branches too."""
    params: dict[str, ParamValue] = {}
    for name, dimension in dimensions.items():
        params[name] = dimension.value if isinstance(dimension, Fixed) else pick(prefix + name, dimension)
        if isinstance(dimension, Branch):
            taken = str(params[name])
            params |= assemble(nested(dimension, taken), pick, branch_prefix(prefix + name, taken))
    return params


def leaves(
    dimensions: Mapping[str, Dimension], params: Params, prefix: str = ""
) -> Iterator[tuple[str, Dimension, ParamValue]]:
    """Label, dimension and value of every dimension that is not fixed and exists in `params`.

    A label is unique in the whole space, although two branches may hold the same name.
    """
    for name, dimension in dimensions.items():
        if not isinstance(dimension, Fixed):
            yield prefix + name, dimension, params[name]
        if isinstance(dimension, Branch):
            taken = str(params[name])
            yield from leaves(nested(dimension, taken), params, branch_prefix(prefix + name, taken))


def branch_prefix(label: str, branch: str) -> str:
    """What the labels of a branch's own dimensions begin with."""
    return f"{label}={branch}/"
