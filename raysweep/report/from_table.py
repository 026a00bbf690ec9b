"""A report's record from any table of trials: CSV, TSV, Parquet or JSON lines, one row a trial."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np

from raysweep import readers
from raysweep.errors import ConfigError, DataError
from raysweep.frames import PARAMS_PREFIX
from raysweep.goal import Goal
from raysweep.jobs import Outcome
from raysweep.readers import nearest
from raysweep.report.record import Param, Record, numbers_of
from raysweep.report.scales import param_of
from raysweep.scoring import doc_of
from raysweep.scoring.answers import Floats

if TYPE_CHECKING:
    import pandas as pd

ALIASES: Mapping[str, str] = MappingProxyType(
    {"classification/accuracy": "val_accuracy", "classification/weighted_f1_score": "val_f1_weighted"}
)
"""Names that hosts of fine-tunes gave to metrics, and ours (Azure OpenAI and OpenAI, 2022)."""
PREFIXES = (PARAMS_PREFIX, "params_", "config/", "config.")
"""What marks a param in the tables of raysweep, Optuna, Ray Tune and others."""
REPLICA_OF = "replica_of"
OPTUNAS: Mapping[str, str | None] = MappingProxyType(
    {"COMPLETE": "completed", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": None, "WAITING": None}
)
"""Outcomes, as the column `state` of a table of Optuna's has them."""
ABSENT = {"", "na", "n/a", "nan", "none", "null", "<na>"}
"""Cells that say nothing, in a column of numbers."""
_MINIMISED = {"loss", "error", "mse", "rmse", "mae", "perplexity"}
_MAXIMISED = {"accuracy", "acc", "f1", "auc", "precision", "recall", "score", "r2", "kappa", "qwk"}


def read_table(path: Path, metric: str | None, mode: str = "auto", params: Sequence[str] = ()) -> Record:
    """The record of a table: `metric` is its objective, `params` its hyperparameters (none: those that are marked so).

    Of a table that raysweep wrote, replicas are left out, as in the sweep's own report.
    Raises DataError for a file that cannot be read or has no rows, ConfigError for a column that is not there, is not
    a number, or whose direction nobody knows.
    """
    whole = _read(path)
    given = _without_replicas(whole)
    renamed = {old: new for old, new in ALIASES.items() if old in given.columns and new not in given.columns}
    frame = given.rename(columns=renamed)
    goal = _goal(frame, metric, mode)
    names = _param_columns(frame, [renamed.get(name, name) for name in params], goal)
    trials = _trials(frame, goal, names)
    params_made = [_param(trials, name) for name in names.values() if trials[PARAMS_PREFIX + name].nunique() > 1]
    return Record(
        title=path.stem,
        goal=goal,
        trials=trials,
        evaluations=trials.iloc[:0][["trial"]],
        metrics=_metrics(trials, goal),
        params=tuple(params_made),
        notes=tuple(_notes(renamed, len(whole) - len(given), trials, goal)),
    )


def _notes(renamed: Mapping[str, str], n_replicas: int, trials: "pd.DataFrame", goal: Goal) -> Iterator[str]:
    yield from (f"{old} is shown as {new}" for old, new in renamed.items())
    if n_replicas:
        yield f"left out, since they cannot win: {n_replicas} rows that are replicas of other trials"
    lacking = int((~np.isfinite(numbers_of(trials, "objective"))).sum())
    if lacking:
        yield f"{lacking} of {len(trials)} rows have no {goal.metric}; they count as failed trials"


def _read(path: Path) -> "pd.DataFrame":
    """Every row, each column as the numbers that it holds, if all its cells are such."""
    import pandas as pd

    table = readers.read_table(path)
    for record in table.records:
        if record.broken or record.is_badly_encoded:
            why = record.broken or "bytes that are not UTF-8"
            raise DataError(f"{path}: line {record.line}: {why}; mend it, a report needs every row")
    columns = {name: [_plain(record.fields.get(name)) for record in table.records] for name in table.columns}
    return pd.DataFrame({name: _column(cells) for name, cells in columns.items()})


def _plain(cell: object) -> object:
    """What a cell of a report can be: a list or an object is shown as its text."""
    if isinstance(cell, Decimal):
        return float(cell)
    if isinstance(cell, list | dict | tuple):
        return json.dumps(cell, ensure_ascii=False, default=str)
    return cell


def _column(cells: list[object]) -> object:
    """Texts as numbers, where each that says something is one; else all as they are, empty texts null."""
    import pandas as pd

    texts = ["" if cell is None else cell for cell in cells if cell is None or isinstance(cell, str)]
    if len(texts) < len(cells):
        return cells
    numbers = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce")
    is_silent = np.array([text.strip().lower() in ABSENT for text in texts])
    if (numbers.notna().to_numpy() | is_silent).all() and not is_silent.all():
        return numbers
    return pd.Series([text if text.strip() else None for text in texts], dtype=object)


def _without_replicas(frame: "pd.DataFrame") -> "pd.DataFrame":
    if REPLICA_OF not in frame.columns:
        return frame
    return frame[frame[REPLICA_OF].isna()].drop(columns=REPLICA_OF).reset_index(drop=True)


def _goal(frame: "pd.DataFrame", metric: str | None, mode: str) -> Goal:
    numeric = [name for name in frame.columns if frame[name].dtype.kind in "iuf"]
    if metric is None:
        raise ConfigError(
            f"--metric: which column ranks the trials? Columns of numbers: {', '.join(numeric) or 'none'}"
        )
    name = metric if metric in frame.columns else ALIASES.get(metric, metric)
    if name not in frame.columns:
        near = nearest(name, list(frame.columns))
        hint = f"did you mean {near}? " if near else ""
        raise ConfigError(
            f"--metric {metric}: no such column; {hint}columns of numbers: {', '.join(numeric) or 'none'}"
        )
    if not np.isfinite(numbers_of(frame, name)).any() and not frame[name].isna().all():
        raise ConfigError(f"--metric {metric}: its values are no numbers, such as {frame[name].dropna().tolist()[0]!r}")
    return Goal(name, _direction(name) if mode == "auto" else "max" if mode == "max" else "min")


def _direction(name: str) -> Literal["max", "min"]:
    bare = name.rpartition("/")[2]
    for prefix in ("val_", "test_", "train_", "eval_", "valid_", "validation_"):
        bare = bare.removeprefix(prefix)
    doc = doc_of(bare)
    if doc:
        return doc.direction
    if set(bare.lower().split("_")) & _MINIMISED:
        return "min"
    if set(bare.lower().split("_")) & _MAXIMISED:
        return "max"
    raise ConfigError(f"--metric {name}: nobody knows whether more of it is better; add --mode max or --mode min")


def _param_columns(frame: "pd.DataFrame", given: Sequence[str], goal: Goal) -> dict[str, str]:
    """The names of params by the columns that have them."""
    lacking = [name for name in given if name not in frame.columns]
    if lacking:
        raise ConfigError(f"--params {', '.join(lacking)}: no such column; there: {', '.join(frame.columns)}")
    if goal.metric in given:
        raise ConfigError(f"--params {goal.metric}: it is the metric; leave it out")
    if given:
        return _apart(frame, {name: name.removeprefix(PARAMS_PREFIX) for name in given})
    marked = [(name, prefix) for name in frame.columns for prefix in PREFIXES if name.startswith(prefix)]
    if not marked:
        varied = [name for name in frame.columns if name != goal.metric and frame[name].astype(str).nunique() > 1]
        raise ConfigError(f"--params: which columns are hyperparameters? These vary: {', '.join(varied) or 'none'}")
    return _apart(frame, {name: name.removeprefix(prefix) for name, prefix in marked})


def _apart(frame: "pd.DataFrame", names: dict[str, str]) -> dict[str, str]:
    """The same; raises ConfigError where two columns would get one name."""
    own = {column: column.removeprefix(PARAMS_PREFIX) for column in frame.columns if column.startswith(PARAMS_PREFIX)}
    columns: dict[str, list[str]] = {}
    for column, name in (own | names).items():
        columns.setdefault(name, []).append(column)
    for name in names.values():
        if len(columns[name]) > 1:
            both = " and ".join(columns[name])
            raise ConfigError(f"--params: {both} would both be called {name}; rename one of these columns")
    return names


def _trials(frame: "pd.DataFrame", goal: Goal, names: Mapping[str, str]) -> "pd.DataFrame":
    import pandas as pd

    trials = frame.rename(columns={column: PARAMS_PREFIX + name for column, name in names.items()})
    scores = numbers_of(frame, goal.metric)
    scores = np.where(np.isfinite(scores), scores, np.nan)
    counted = _counts(frame)
    fixed = {
        "trial": np.arange(len(frame)) if counted is None else frame[counted],
        "outcome": _outcomes(frame, scores),
        "objective": scores,
    }
    rest = trials.drop(columns=[name for name in fixed if name in trials.columns]).replace([np.inf, -np.inf], np.nan)
    return pd.concat([pd.DataFrame(fixed).reset_index(drop=True), rest.reset_index(drop=True)], axis=1)


def _counts(frame: "pd.DataFrame") -> str | None:
    """The column by which the table numbers its trials itself, if it does."""
    name = "number" if _is_optunas(frame) and "trial" not in frame.columns else "trial"
    is_there = name in frame.columns and frame[name].dtype.kind in "iu"
    return name if is_there and bool(frame[name].is_unique) else None


def _is_optunas(frame: "pd.DataFrame") -> bool:
    return "state" in frame.columns and all(state in OPTUNAS for state in frame["state"].tolist())


def _outcomes(frame: "pd.DataFrame", scores: Floats) -> list[str | None]:
    """The table's own where they are ours or Optuna's; else completed, or failed where there is no score."""
    known = set(Outcome)
    own = frame["outcome"].dropna().tolist() if "outcome" in frame.columns else []
    if own and all(value in known for value in own):
        return [value if value in known else None for value in frame["outcome"].tolist()]
    if _is_optunas(frame):
        return [OPTUNAS[state] for state in frame["state"].tolist()]
    return ["completed" if math.isfinite(score) else "failed" for score in scores]


def _metrics(trials: "pd.DataFrame", goal: Goal) -> tuple[str, ...]:
    known = [name for name in trials.columns if name.rpartition("_")[2] and _is_metric(name) and name != goal.metric]
    return (goal.metric, *known)


def _is_metric(name: str) -> bool:
    split, _, bare = name.partition("_")
    return split in ("val", "test", "train", "eval", "training") and bool(bare)


def _param(trials: "pd.DataFrame", name: str) -> Param:
    values = trials[PARAMS_PREFIX + name].dropna().tolist()
    return param_of(name, values)
