"""The search space: dimensions by name, and the points in it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
    Scalar,
    SpaceError,
    Uniform,
    contains,
    default_value,
    describe,
    multiples,
    nested,
)

__all__ = [
    "Branch",
    "Choice",
    "Dimension",
    "Fixed",
    "Integer",
    "LogUniform",
    "Number",
    "ParamValue",
    "Params",
    "QUniform",
    "Scalar",
    "Space",
    "SpaceError",
    "Uniform",
]


@dataclass(frozen=True)
class Space:
    """Dimensions by name. Raises SpaceError when one of them cannot be searched."""

    dimensions: Mapping[str, Dimension]

    def __post_init__(self) -> None:
        _check_level(self.dimensions, "space", frozenset())

    @property
    def is_searchable(self) -> bool:
        """Whether anything varies."""
        return _varies(self.dimensions)

    def default(self) -> Params:
        """The default of every dimension: the first configuration that a sweep tries."""
        return self.complete({})

    def complete(self, point: Params) -> Params:
        """The point with defaults where it says nothing.

        Raises SpaceError for a name that is not a dimension (or not one of the taken branch) and a value out of range.
        """
        params = dict(_complete(self.dimensions, point))
        for name in point:
            if name not in params:
                known = ", ".join(sorted(params))
                raise SpaceError(f"{name}: no such dimension with these choices; known: {known}")
        return params

    def project(self, params: Params) -> Params:
        """The point that `params` hold beside a trainer's defaults: only what exists in the branches taken.

        Raises SpaceError for a dimension whose value is missing or out of range.
        """
        return dict(_project(self.dimensions, params))

    def names(self) -> tuple[str, ...]:
        """Every param's name that can occur, each once, in the order written."""
        return tuple(dict.fromkeys(_names(self.dimensions)))

    def searched(self) -> tuple[str, ...]:
        """Names of the params that vary, each once, in the order written."""
        return tuple(dict.fromkeys(_searched(self.dimensions)))


def _complete(dimensions: Mapping[str, Dimension], point: Params) -> Iterator[tuple[str, ParamValue]]:
    for name, dimension in dimensions.items():
        value = point[name] if name in point else default_value(dimension)
        if not contains(dimension, value):
            raise SpaceError(f"{name}: {value!r} is not in {describe(dimension)}")
        yield name, value
        if isinstance(dimension, Branch):
            yield from _complete(nested(dimension, str(value)), point)


def _project(dimensions: Mapping[str, Dimension], params: Params) -> Iterator[tuple[str, ParamValue]]:
    for name, dimension in dimensions.items():
        if name not in params:
            raise SpaceError(f"{name}: has no value in these params; it must be in {describe(dimension)}")
        value = params[name]
        if not contains(dimension, value):
            raise SpaceError(f"{name}: {value!r} is not in {describe(dimension)}")
        yield name, value
        if isinstance(dimension, Branch):
            yield from _project(nested(dimension, str(value)), params)


def _names(dimensions: Mapping[str, Dimension]) -> Iterator[str]:
    for name, dimension in dimensions.items():
        yield name
        if isinstance(dimension, Branch):
            for branch in dimension.branches:
                yield from _names(nested(dimension, branch))


def _searched(dimensions: Mapping[str, Dimension]) -> Iterator[str]:
    for name, dimension in dimensions.items():
        if not isinstance(dimension, Fixed):
            yield name
        if isinstance(dimension, Branch):
            for branch in dimension.branches:
                yield from _searched(nested(dimension, branch))


def _varies(dimensions: Mapping[str, Dimension]) -> bool:
    return any(
        len(dimension.branches) > 1 or any(_varies(nested(dimension, branch)) for branch in dimension.branches)
        if isinstance(dimension, Branch)
        else not isinstance(dimension, Fixed) and not (isinstance(dimension, Choice) and len(dimension.values) == 1)
        for dimension in dimensions.values()
    )


def _check_level(dimensions: Mapping[str, Dimension], place: str, outside: frozenset[str]) -> None:
    """Only sibling branches may share a name: no more than one of them exists in a trial."""
    taken = outside | dimensions.keys()
    for name, dimension in dimensions.items():
        _check(dimension, f"{place}.{name}")
        if not isinstance(dimension, Branch):
            continue
        for branch in dimension.branches:
            inner = nested(dimension, branch)
            within = f"{place}.{name}.branches.{branch}"
            for doubled in sorted(taken & set(_names(inner))):
                raise SpaceError(f"{within}.{doubled}: the same name stands outside this branch; rename one of them")
            _check_level(inner, within, taken)
        taken |= set(_names({name: dimension}))


def _check(dimension: Dimension, place: str) -> None:
    match dimension:
        case Fixed():
            return
        case Choice():
            if not dimension.values:
                raise SpaceError(f"{place}: an empty choice; give it at least one value")
            if any(dimension.values.count(value) > 1 for value in dimension.values):
                raise SpaceError(f"{place}: a value stands twice in this choice")
        case Branch():
            if not dimension.branches:
                raise SpaceError(f"{place}: no branches; give it at least one")
        case Uniform() | LogUniform() | QUniform() | Integer():
            _check_range(dimension, place)
        case _:
            assert_never(dimension)


def _check_range(dimension: Number, place: str) -> None:
    low, high = dimension.low, dimension.high
    if not (math.isfinite(low) and math.isfinite(high)):
        raise SpaceError(f"{place}: the range {low:g} to {high:g} is not finite")
    if low >= high:
        remedy = "write the value itself to fix it" if low == high else "swap them"
        raise SpaceError(f"{place}: low {low:g} is not below high {high:g}; {remedy}")
    is_log = isinstance(dimension, LogUniform) or (isinstance(dimension, Integer) and dimension.log)
    if is_log and low <= 0:
        raise SpaceError(f"{place}: a logarithmic range must lie above zero, not start at {low:g}")
    if isinstance(dimension, QUniform):
        _check_step(dimension, place)
    if dimension.default is not None and not contains(dimension, dimension.default):
        raise SpaceError(f"{place}: the default {dimension.default!r} is not in {describe(dimension)}")


def _check_step(dimension: QUniform, place: str) -> None:
    low, high, step = dimension.low, dimension.high, dimension.step
    if not 0 < step <= (high - low) * (1 + 1e-9):  # NaN fails too; 0.4 - 0.3 is less than 0.1
        raise SpaceError(
            f"{place}: step {step:g} does not fit into {low:g} to {high:g}; it must lie above 0 and within"
        )
    lowest, highest = multiples(dimension)
    if lowest >= highest:
        raise SpaceError(
            f"{place}: fewer than two multiples of {step:g} lie in {low:g} to {high:g}; make the step less"
        )
