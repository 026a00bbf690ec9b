"""From what hosts say of a job's steps to points, whatever they call things, and however they pack them."""

import base64
import binascii
import csv
import io
import math
import re
from collections.abc import Mapping
from typing import Literal, TypeVar

from raysweep.trainers.hosted import Point

Said = TypeVar("Said")
Packing = Literal["plain", "base64"]

_NAMES: Mapping[str, tuple[str, ...]] = {
    "train_loss": ("train_loss", "training_loss"),
    "train_accuracy": ("train_mean_token_accuracy", "train_accuracy", "training_token_accuracy"),
    "valid_loss": ("valid_loss", "validation_loss"),
    "valid_accuracy": ("valid_mean_token_accuracy", "validation_mean_token_accuracy", "validation_token_accuracy"),
    "full_valid_loss": ("full_valid_loss", "full_validation_loss"),
    "full_valid_accuracy": ("full_valid_mean_token_accuracy", "full_validation_mean_token_accuracy"),
}
"""What hosts call a metric, by our own word."""
_WORDS: Mapping[str, re.Pattern[str]] = {
    "train_loss": re.compile(r"\btraining loss=([\w.+-]+)"),
    "valid_loss": re.compile(r"(?<!full )\bvalidation loss=([\w.+-]+)"),
    "full_valid_loss": re.compile(r"\bfull validation loss=([\w.+-]+)"),
}
"""Where an event's words say it; a NaN stands there alone, for JSON has none."""
_STEP = re.compile(r"\bstep (\d+)(?:/(\d+))?", re.IGNORECASE)


def point_of(values: Mapping[str, object], message: str = "") -> Point | None:
    """The point that an event's data, a checkpoint's metrics or a row of a result file holds; None for none.

    What the values leave out is read from the event's words. A blank, a null and a negative loss mean "not
    measured"; NaN and infinity are kept, for they say that a run has diverged.
    """
    at = _STEP.search(message)
    step = _number(values.get("step"))
    if step is None:
        step = float(at[1]) if at else None
    measured = {
        ours: next((number for name in theirs if (number := _measured(values.get(name))) is not None), None)
        for ours, theirs in _NAMES.items()
    }
    said = {ours: found for ours, pattern in _WORDS.items() if (found := pattern.search(message))}
    measured |= {ours: _measured(words[1]) for ours, words in said.items() if measured[ours] is None}
    if step is None or not math.isfinite(step) or all(value is None for value in measured.values()):
        return None
    total = _number(values.get("total_steps"))
    if total is None and at and at[2]:
        total = float(at[2])
    return Point(int(step), int(total) if total and math.isfinite(total) else None, **measured)


def read_result(content: bytes) -> tuple[Point, ...]:
    """The points of a result file: CSV, plain or in base64. None where it is something else."""
    _, text = _unpacked(content)
    rows = csv.DictReader(io.StringIO(text))
    made = (point_of({name: value for name, value in row.items() if name}) for row in rows)
    return tuple(point for point in made if point)


def encoding_of(content: bytes) -> Packing | None:
    """How a result file is packed; None where it is none."""
    return _unpacked(content)[0]


def merged(one: Point, other: Point) -> Point:
    """Two points of one step as one; where both measured, the later word counts."""
    return Point(
        one.step,
        _later(one.total_steps, other.total_steps),
        _later(one.train_loss, other.train_loss),
        _later(one.train_accuracy, other.train_accuracy),
        _later(one.valid_loss, other.valid_loss),
        _later(one.valid_accuracy, other.valid_accuracy),
        _later(one.full_valid_loss, other.full_valid_loss),
        _later(one.full_valid_accuracy, other.full_valid_accuracy),
    )


def _later(one: Said | None, other: Said | None) -> Said | None:
    return one if other is None else other


def _unpacked(content: bytes) -> tuple[Packing | None, str]:
    """How the table is packed, and its text; None and nothing where there is no table."""
    text = _text(content)
    if text.lower().startswith("step,"):
        return "plain", text
    try:
        text = _text(base64.b64decode(content, validate=False))
    except binascii.Error:
        return None, ""
    return ("base64", text) if text.lower().startswith("step,") else (None, "")


def _text(content: bytes) -> str:
    return content.decode("utf-8-sig", errors="replace").strip()


def _number(value: object) -> float | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        return float(str(value))
    except ValueError:
        return None


def _measured(value: object) -> float | None:
    number = _number(value)
    return None if number is not None and number < 0 else number


def metrics_of(point: Point) -> dict[str, float | None]:
    """A point as an evaluation's metrics; `val_loss` is always there, the whole validation file's where it is known."""
    metrics = {
        "val_loss": point.valid_loss if point.full_valid_loss is None else point.full_valid_loss,
        "train_loss": point.train_loss,
        "host_valid_loss": point.valid_loss,
        "host_train_mean_token_accuracy": point.train_accuracy,
        "host_valid_mean_token_accuracy": point.valid_accuracy,
        "host_full_valid_mean_token_accuracy": point.full_valid_accuracy,
    }
    return {name: value for name, value in metrics.items() if value is not None or name == "val_loss"}


HOST_METRICS = frozenset(
    {
        "val_loss",
        "train_loss",
        "host_valid_loss",
        "host_train_mean_token_accuracy",
        "host_valid_mean_token_accuracy",
        "host_full_valid_mean_token_accuracy",
    }
)
"""What a host tells of a job at the ends of epochs."""
