"""The table of all trials and all metrics: which columns, in which order, and each cell as text."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from raysweep.certainty import HEADLINES
from raysweep.frames import PARAMS_PREFIX
from raysweep.report.record import Record

if TYPE_CHECKING:
    import pandas as pd

FIRST = ("trial", "outcome")
LAST = ("reason", "interruptions", "model", "job_id", "host", "started_at", "ended_at")

TITLES = {"model": "tuned_model"}
SHORT = ("epoch", "trained_tokens", "usd")
"""What a short table shows of what a trial took."""


@dataclass(frozen=True)
class Column:
    """One column."""

    name: str
    cells: tuple[str, ...]
    is_number: bool
    keys: tuple[str, ...]
    """What rows are sorted by; empty where a cell is."""


def columns(record: Record) -> tuple[Column, ...]:
    """Every column that has a value: what it is, its first scores beside the params that varied, then all the rest."""
    frame = _told(record)
    return tuple(_column(frame, name) for name in _names(record) if frame[name].notna().any())


def short_columns(record: Record) -> tuple[Column, ...]:
    """The few that a page of text has room for: the objective, the metrics beside it, what varied, what it took."""
    frame, wanted = _told(record), [*_first(record), *SHORT]
    return tuple(_column(frame, name) for name in wanted if name in frame.columns and frame[name].notna().any())


def ranked(record: Record) -> list[int]:
    """The places of the trials, the best completed first, those without a score last."""
    losses = np.where(np.isfinite(record.scores), record.scores * record.goal.loss(1.0), np.inf)
    return [int(place) for place in np.lexsort((losses, ~record.is_completed))]


def _told(record: Record) -> "pd.DataFrame":
    """The trials; one that has not ended is running."""
    return record.trials.assign(outcome=list(record.outcomes))


def _first(record: Record) -> list[str]:
    """What is read together: the objective, the headlines beside it, and the params that varied."""
    score = record.goal.metric if record.goal.metric in record.metrics else "objective"
    beside = (f"val_{name}" for name in HEADLINES)
    return list(dict.fromkeys([*FIRST, score, *beside, *(param.column for param in record.params)]))


def _names(record: Record) -> Iterator[str]:
    there = list(record.trials.columns)
    first = [name for name in _first(record) if name in there]
    metrics = [name for name in record.metrics if name in there and name not in first]
    fixed = [name for name in there if name.startswith(PARAMS_PREFIX) and name not in first]
    told = {*first, *LAST, *fixed, *metrics, "objective"}
    rest = [name for name in there if name not in told]
    yield from [*first, *metrics, *rest, *fixed]
    yield from (name for name in LAST if name in there)


def _column(frame: "pd.DataFrame", name: str) -> Column:
    import pandas as pd

    values = ["" if pd.isna(value) else value for value in frame[name].tolist()]
    is_number = frame[name].dtype.kind in "iufIUF" and name != "trial"
    cells = tuple(_cell(value) for value in values)
    keys = tuple("" if value == "" else repr(float(value)) if is_number or name == "trial" else "" for value in values)
    return Column(_title(name), cells, is_number or name == "trial", keys)


def _title(name: str) -> str:
    """As the table calls it: a tuned model is not the base model, which is a param."""
    return TITLES.get(name, name.removeprefix(PARAMS_PREFIX))


def _cell(value: object) -> str:
    import pandas as pd

    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e6 else f"{value:.4g}"
    return " ".join(str(value).split())
