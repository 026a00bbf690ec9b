"""Grid search: every combination once, branch by branch."""

from collections.abc import Iterator, Mapping
from typing import assert_never

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
    SpaceError,
    Uniform,
    describe,
    multiples,
    nested,
)
from raysweep.search.coordinates import interval, value_at
from raysweep.space import Space


class GridProposer:
    """Hands out the combinations in order, the last dimension varying fastest.

    `points` is the number of evenly spaced values of a continuous dimension, its ends included; evenly in the logarithm
    where the dimension is logarithmic. Raises SpaceError for a continuous dimension without it.
    """

    def __init__(self, space: Space, *, points: int | None = None) -> None:
        _check(space.dimensions, points, "space")
        self._combinations = _combinations(list(space.dimensions.items()), points)
        self._taken: set[tuple[tuple[str, ParamValue], ...]] = set()

    def ask(self, number: int) -> Params | None:
        """The next combination that was not tried, None after the last."""
        for params in self._combinations:
            if _identity(params) not in self._taken:
                self._taken.add(_identity(params))
                return params
        return None

    def adopt(self, number: int, params: Params) -> None:
        """The combination is tried: it will not be handed out."""
        self._taken.add(_identity(params))

    def tell(self, number: int, loss: float | None) -> None:
        """Nothing to learn."""


def grid_size(space: Space, points: int | None = None) -> int:
    """How many combinations there are. Raises SpaceError as GridProposer does."""
    _check(space.dimensions, points, "space")
    return _size(space.dimensions, points)


def _size(dimensions: Mapping[str, Dimension], points: int | None) -> int:
    size = 1
    for dimension in dimensions.values():
        if isinstance(dimension, Branch):
            size *= sum(_size(nested(dimension, branch), points) for branch in dimension.branches)
        else:
            size *= len(_levels(dimension, points))
    return size


def _combinations(dimensions: list[tuple[str, Dimension]], points: int | None) -> Iterator[dict[str, ParamValue]]:
    if not dimensions:
        yield {}
        return
    (name, dimension), rest = dimensions[0], dimensions[1:]
    for value in _levels(dimension, points):
        inner = list(nested(dimension, str(value)).items()) if isinstance(dimension, Branch) else []
        for others in _combinations(inner + rest, points):
            yield {name: value} | others


def _levels(dimension: Dimension, points: int | None) -> list[ParamValue]:
    match dimension:
        case Fixed():
            return [dimension.value]
        case Choice():
            return list(dimension.values)
        case Branch():
            return list(dimension.branches)
        case Integer():
            return list(range(dimension.low, dimension.high + 1))
        case QUniform():
            lowest, highest = multiples(dimension)
            return [value_at(dimension, multiple) for multiple in range(lowest, highest + 1)]
        case Uniform() | LogUniform():
            return _spaced(dimension, points or 0)
        case _:
            assert_never(dimension)


def _spaced(dimension: Uniform | LogUniform, points: int) -> list[ParamValue]:
    low, high = interval(dimension)
    return [value_at(dimension, low + (high - low) * step / (points - 1)) for step in range(points)]


def _check(dimensions: Mapping[str, Dimension], points: int | None, place: str) -> None:
    if points is not None and points < 2:
        raise SpaceError(f"grid points: {points} does not reach both ends of a dimension; give at least 2")
    for name, dimension in dimensions.items():
        if isinstance(dimension, Uniform | LogUniform) and points is None:
            remedy = "make it a choice or quniform, or say how many grid points it has"
            raise SpaceError(f"{place}.{name}: {describe(dimension)} is continuous, a grid cannot exhaust it; {remedy}")
        if isinstance(dimension, Branch):
            for branch in dimension.branches:
                _check(nested(dimension, branch), points, f"{place}.{name}.branches.{branch}")


def _identity(params: Params) -> tuple[tuple[str, ParamValue], ...]:
    return tuple(sorted(params.items(), key=lambda item: item[0]))
