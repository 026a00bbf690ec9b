"""What a hyperparameter can be: fixed, chosen, a range of numbers, or a branch that brings others with it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, assert_never

Scalar = str | int | float | bool | None
ParamValue = Scalar | tuple[Scalar, ...]
"""A hyperparameter's value; a list in YAML is a tuple here."""

Params = Mapping[str, ParamValue]
"""One assignment: flat, the taken branches' params among the others."""

_STRICT = {"extra": "forbid", "use_attribute_docstrings": True}


@dataclass(frozen=True)
class Fixed:
    """Not searched: the same value in every trial."""

    __pydantic_config__ = _STRICT
    value: ParamValue
    kind: Literal["fixed"] = "fixed"


@dataclass(frozen=True)
class Choice:
    """One of some values; the first is the default."""

    __pydantic_config__ = _STRICT
    kind: Literal["choice"]
    values: tuple[ParamValue, ...]


@dataclass(frozen=True)
class Uniform:
    """A number between `low` and `high`, both inclusive."""

    __pydantic_config__ = _STRICT
    kind: Literal["uniform"]
    low: float
    high: float
    default: float | None = None
    """None: the middle."""


@dataclass(frozen=True)
class LogUniform:
    """A number whose logarithm is uniform between those of `low` and `high`."""

    __pydantic_config__ = _STRICT
    kind: Literal["loguniform"]
    low: float
    high: float
    default: float | None = None
    """None: the geometric mean."""


@dataclass(frozen=True)
class QUniform:
    """A multiple of `step` between `low` and `high`, both inclusive."""

    __pydantic_config__ = _STRICT
    kind: Literal["quniform"]
    low: float
    high: float
    step: float
    default: float | None = None
    """None: the multiple nearest to the middle."""


@dataclass(frozen=True)
class Integer:
    """A whole number between `low` and `high`, both inclusive."""

    __pydantic_config__ = _STRICT
    kind: Literal["integer"]
    low: int
    high: int
    log: bool = False
    """Whether its logarithm is uniform, rather than itself."""
    default: int | None = None
    """None: the middle, geometric where `log`."""


@dataclass(frozen=True)
class Branch:
    """A choice that brings further dimensions with it: only the taken branch's exist; the first is the default."""

    __pydantic_config__ = _STRICT
    kind: Literal["branch"]
    branches: Mapping[str, Mapping[str, "Dimension | ParamValue"]]


Number = Uniform | LogUniform | QUniform | Integer
Dimension = Fixed | Choice | Uniform | LogUniform | QUniform | Integer | Branch


class SpaceError(ValueError):
    """A dimension or a point is not valid; the message names it."""


def nested(branch: Branch, name: str) -> Mapping[str, Dimension]:
    """The dimensions of one branch, bare values as Fixed."""
    return {key: as_dimension(value) for key, value in branch.branches[name].items()}


def as_dimension(value: "Dimension | ParamValue") -> Dimension:
    """A dimension as it is; anything else as a fixed value."""
    if isinstance(value, Fixed | Choice | Uniform | LogUniform | QUniform | Integer | Branch):
        return value
    return Fixed(value)


def default_value(dimension: Dimension) -> ParamValue:
    """The dimension's default."""
    match dimension:
        case Fixed():
            return dimension.value
        case Choice():
            return dimension.values[0]
        case Branch():
            return next(iter(dimension.branches))
        case Uniform() | LogUniform() | QUniform() | Integer():
            return _middle(dimension) if dimension.default is None else dimension.default
        case _:
            assert_never(dimension)


def multiples(dimension: QUniform) -> tuple[int, int]:
    """The least and the greatest multiple of the step within the range, in steps."""
    slack = 1e-9  # 0.3 / 0.1 is not 3
    return math.ceil(dimension.low / dimension.step - slack), math.floor(dimension.high / dimension.step + slack)


def quantised(value: float, dimension: QUniform) -> float:
    """The multiple of the step that lies nearest to `value` and within the range."""
    lowest, highest = multiples(dimension)
    multiple = min(max(round(value / dimension.step), lowest), highest)
    return round(multiple * dimension.step, 12)


def contains(dimension: Dimension, value: ParamValue) -> bool:
    """Whether the dimension can take the value."""
    match dimension:
        case Fixed():
            return value == dimension.value
        case Choice():
            return value in dimension.values
        case Branch():
            return value in dimension.branches
        case Integer():
            return isinstance(value, int) and not isinstance(value, bool) and dimension.low <= value <= dimension.high
        case QUniform():
            # The nearest multiple lies within the range, up to the slack by which 3 * 0.1 is not 0.3.
            return _is_finite(value) and math.isclose(quantised(_number(value), dimension), _number(value))
        case Uniform() | LogUniform():
            return _is_number_within(value, dimension)
        case _:
            assert_never(dimension)


def describe(dimension: Dimension) -> str:
    """The dimension in the words of a message."""
    match dimension:
        case Fixed():
            return f"fixed {dimension.value!r}"
        case Choice():
            return f"choice of {', '.join(map(repr, dimension.values))}"
        case Branch():
            return f"branch of {', '.join(dimension.branches)}"
        case QUniform():
            return f"quniform {dimension.low:g} to {dimension.high:g} by {dimension.step:g}"
        case Uniform() | LogUniform() | Integer():
            return f"{dimension.kind} {dimension.low:g} to {dimension.high:g}"
        case _:
            assert_never(dimension)


def _middle(dimension: Number) -> float | int:
    low, high = dimension.low, dimension.high
    match dimension:
        case Uniform():
            return (low + high) / 2
        case LogUniform():
            return math.sqrt(low * high)
        case QUniform():
            return quantised((low + high) / 2, dimension)
        case Integer():
            return round(math.sqrt(low * high)) if dimension.log else (dimension.low + dimension.high) // 2
        case _:
            assert_never(dimension)


def _number(value: ParamValue) -> float:
    if isinstance(value, int | float):
        return float(value)
    raise SpaceError(f"{value!r} is not a number")


def _is_finite(value: ParamValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_number_within(value: ParamValue, dimension: Uniform | LogUniform) -> bool:
    return _is_finite(value) and dimension.low <= _number(value) <= dimension.high


def as_param(value: object) -> ParamValue:
    """A value from YAML or JSON as a hyperparameter: a list becomes a tuple; raises TypeError for anything deeper."""
    if isinstance(value, list | tuple):
        return tuple(_as_scalar(item) for item in value)
    return _as_scalar(value)


def _as_scalar(value: object) -> Scalar:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{value!r} is not a hyperparameter's value; scalars and lists of scalars are")
