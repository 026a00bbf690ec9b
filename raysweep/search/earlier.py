"""Earlier runs as a proposer can learn from them: points of this sweep's space, each with a loss."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from raysweep.dimensions import (
    Branch,
    Choice,
    Dimension,
    Fixed,
    Integer,
    Number,
    Params,
    ParamValue,
    QUniform,
    as_param,
    contains,
    describe,
    nested,
    quantised,
)
from raysweep.search.coordinates import options
from raysweep.search.propose import Proposer
from raysweep.space import Space


@dataclass(frozen=True)
class EarlierRun:
    """A run that was made before this sweep."""

    params: Params
    """A point of this sweep's space."""
    loss: float


class Misfit(ValueError):  # noqa: N818  # it says what the run is
    """A run says nothing about a space; the message has no value in it, so that alike ones can be counted."""


def point_of(space: Space, cells: Mapping[str, object]) -> Params:
    """The point of the space that a run's cells mean, read as its dimensions want them: in a CSV all is text.

    A fixed param that the run does not tell is taken to have been the same. Raises Misfit for a searched one that it
    does not tell, and for a value that a dimension does not hold.
    """
    return dict(_values(space.dimensions, cells))


def tell_earlier(proposer: Proposer, runs: Sequence[EarlierRun]) -> None:
    """Tell a fresh proposer of earlier runs, under numbers below zero, so that they are no trials of the sweep."""
    for number, run in enumerate(runs, start=-len(runs)):
        proposer.adopt(number, run.params)
        proposer.tell(number, run.loss)


def _values(dimensions: Mapping[str, Dimension], cells: Mapping[str, object]) -> Iterator[tuple[str, ParamValue]]:
    for name, dimension in dimensions.items():
        value = _value(name, dimension, cells.get(name))
        yield name, value
        if isinstance(dimension, Branch):
            yield from _values(nested(dimension, str(value)), cells)


def _value(name: str, dimension: Dimension, cell: object) -> ParamValue:
    if isinstance(dimension, Fixed | Choice | Branch):
        found = [option for option in options(dimension) if _means(cell, option)]
        if found:
            return found[0]
        if is_empty(cell) and isinstance(dimension, Fixed):
            return dimension.value
    elif not is_empty(cell):
        number = _number(dimension, cell)
        if number is not None and contains(dimension, number):
            return number
    if is_empty(cell):
        raise Misfit(f"no value of {name}")
    raise Misfit(f"{name} not in {describe(dimension)}")


def is_empty(cell: object) -> bool:
    """Whether a table's cell tells nothing."""
    return (
        cell is None or (isinstance(cell, str) and not cell.strip()) or (isinstance(cell, float) and math.isnan(cell))
    )


def as_number(cell: object) -> float:
    """The number in a cell; NaN where there is none."""
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        return math.nan
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _number(dimension: Number, cell: object) -> float | int | None:
    value = as_number(cell)
    if not math.isfinite(value):
        return None
    if isinstance(dimension, Integer):
        return int(value) if value.is_integer() else None
    if isinstance(dimension, QUniform) and dimension.low <= value <= dimension.high:
        return quantised(value, dimension)  # another step there: the nearest multiple is what can be tried here
    return value


def _means(cell: object, option: ParamValue) -> bool:
    if isinstance(cell, str) and isinstance(option, str):  # as JSON in a column of raysweep's that mixes types
        return cell in (option, json.dumps(option, ensure_ascii=False))
    if isinstance(cell, str):
        return _is_same(_parsed(cell), option)
    return _is_same(tuple(cell) if isinstance(cell, list) else cell, option)


def _is_same(value: object, option: ParamValue) -> bool:
    """True is not 1 here."""
    return value == option and isinstance(value, bool) == isinstance(option, bool)


def _parsed(cell: str) -> object:
    words = {"true": True, "false": False, "none": None}
    if cell.strip().lower() in words:
        return words[cell.strip().lower()]
    try:
        return as_param(json.loads(cell))
    except (ValueError, TypeError, RecursionError):
        return cell
