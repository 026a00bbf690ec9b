"""The search space: dimensions by name, and the points in it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

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
    check_dimension,
    contains,
    default_value,
    describe,
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

    def names(self) -> tuple[str, ...]:
        """Every param's name that can occur, each once, in the order written."""
        return tuple(dict.fromkeys(_names(self.dimensions)))


def _complete(dimensions: Mapping[str, Dimension], point: Params) -> Iterator[tuple[str, ParamValue]]:
    for name, dimension in dimensions.items():
        value = point[name] if name in point else default_value(dimension)
        if not contains(dimension, value):
            raise SpaceError(f"{name}: {value!r} is not in {describe(dimension)}")
        yield name, value
        if isinstance(dimension, Branch):
            yield from _complete(nested(dimension, str(value)), point)


def _names(dimensions: Mapping[str, Dimension]) -> Iterator[str]:
    for name, dimension in dimensions.items():
        yield name
        if isinstance(dimension, Branch):
            for branch in dimension.branches:
                yield from _names(nested(dimension, branch))


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
        check_dimension(dimension, f"{place}.{name}")
        if not isinstance(dimension, Branch):
            continue
        for branch in dimension.branches:
            inner = nested(dimension, branch)
            within = f"{place}.{name}.branches.{branch}"
            for doubled in sorted(taken & set(_names(inner))):
                raise SpaceError(f"{within}.{doubled}: the same name stands outside this branch; rename one of them")
            _check_level(inner, within, taken)
        taken |= set(_names({name: dimension}))
