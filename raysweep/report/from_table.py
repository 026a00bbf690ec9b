"""A report's record from any table of trials: CSV, Parquet or JSON lines, one row a trial."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np

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

SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")
ALIASES: Mapping[str, str] = MappingProxyType(
    {"classification/accuracy": "val_accuracy", "classification/weighted_f1_score": "val_f1_weighted"}
)
"""Names that hosts of fine-tunes gave to metrics, and ours (Azure OpenAI and OpenAI, 2022)."""
PREFIXES = (PARAMS_PREFIX, "params_", "config/", "config.")
"""What marks a param in the tables of raysweep, Optuna, Ray Tune and others."""
REPLICA_OF = "replica_of"
_MINIMISED = {"loss", "error", "mse", "rmse", "mae", "perplexity"}
_MAXIMISED = {"accuracy", "acc", "f1", "auc", "precision", "recall", "score", "r2", "kappa", "qwk"}


def read_table(path: Path, metric: str | None, mode: str = "auto", params: Sequence[str] = ()) -> Record:
    """The record of a table: `metric` is its objective, `params` its hyperparameters (none: those that are marked so).

    Of a table that raysweep wrote, replicas are left out, as in the sweep's own report.
    Raises DataError for a file that cannot be read or has no rows, ConfigError for a column that is not there, is not
    a number, or whose direction nobody knows.
    """
    given = _without_replicas(_read(path))
    frame = given.rename(columns=dict(ALIASES))
    goal = _goal(frame, metric, mode)
    names = _param_columns(frame, [ALIASES.get(name, name) for name in params], goal)
    trials = _trials(frame, goal, names)
    params_made = [_param(trials, name) for name in names.values() if trials[PARAMS_PREFIX + name].nunique() > 1]
    return Record(
        title=path.stem,
        goal=goal,
        trials=trials,
        evaluations=trials.iloc[:0][["trial"]],
        metrics=_metrics(trials, goal),
        params=tuple(params_made),
        notes=tuple(_notes(list(given.columns), trials, goal)),
    )


def _notes(given: Sequence[str], trials: "pd.DataFrame", goal: Goal) -> Iterator[str]:
    for old, new in ALIASES.items():
        if old in given:
            yield f"{old} is shown as {new}"
    lacking = int((~np.isfinite(numbers_of(trials, "objective"))).sum())
    if lacking:
        yield f"{lacking} of {len(trials)} rows have no {goal.metric}; they count as failed trials"


def _read(path: Path) -> "pd.DataFrame":
    import pandas as pd

    if path.suffix not in SUFFIXES:
        raise DataError(f"{path}: a table is one of {', '.join(SUFFIXES)}")
    try:
        match path.suffix:
            case ".parquet":
                frame = pd.read_parquet(path)
            case ".jsonl" | ".ndjson":
                frame = pd.read_json(path, lines=True)
            case suffix:
                frame = pd.read_csv(path, sep="\t" if suffix == ".tsv" else ",")
    except (OSError, ValueError) as error:  # what pandas and pyarrow raise are kinds of these
        raise DataError(f"{path}: cannot be read as a table: {error}") from error
    if frame.empty:
        raise DataError(f"{path}: no rows; a report needs at least one trial")
    return frame.rename(columns=str)


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
    name = ALIASES.get(metric, metric)
    if name not in frame.columns:
        near = nearest(name, list(frame.columns))
        hint = f"did you mean {near}? " if near else ""
        raise ConfigError(
            f"--metric {metric}: no such column; {hint}columns of numbers: {', '.join(numeric) or 'none'}"
        )
    if not np.isfinite(numbers_of(frame, name)).any() and not frame[name].isna().all():
        raise ConfigError(f"--metric {metric}: its values are no numbers, such as {frame[name].iloc[0]!r}")
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
        return {name: name.removeprefix(PARAMS_PREFIX) for name in given}
    marked = [(name, prefix) for name in frame.columns for prefix in PREFIXES if name.startswith(prefix)]
    if not marked:
        varied = [name for name in frame.columns if name != goal.metric and frame[name].astype(str).nunique() > 1]
        raise ConfigError(f"--params: which columns are hyperparameters? These vary: {', '.join(varied) or 'none'}")
    return {name: name.removeprefix(prefix) for name, prefix in marked}


def _trials(frame: "pd.DataFrame", goal: Goal, names: Mapping[str, str]) -> "pd.DataFrame":
    import pandas as pd

    trials = frame.rename(columns={column: PARAMS_PREFIX + name for column, name in names.items()})
    scores = numbers_of(frame, goal.metric)
    scores = np.where(np.isfinite(scores), scores, np.nan)
    fixed = {
        "trial": frame["trial"] if _counts(frame) else np.arange(len(frame)),
        "outcome": _outcomes(frame, scores),
        "objective": scores,
    }
    rest = trials.drop(columns=[name for name in fixed if name in trials.columns]).replace([np.inf, -np.inf], np.nan)
    return pd.concat([pd.DataFrame(fixed).reset_index(drop=True), rest.reset_index(drop=True)], axis=1)


def _counts(frame: "pd.DataFrame") -> bool:
    """Whether the table numbers its trials itself."""
    is_there = "trial" in frame.columns and frame["trial"].dtype.kind in "iu"
    return is_there and bool(frame["trial"].notna().all()) and bool(frame["trial"].is_unique)


def _outcomes(frame: "pd.DataFrame", scores: Floats) -> list[str]:
    """The table's own where they are ours; else completed, or failed where there is no score."""
    known = set(Outcome)
    own = frame["outcome"].tolist() if "outcome" in frame.columns else []
    if own and all(value in known for value in own):
        return [str(value) for value in own]
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
