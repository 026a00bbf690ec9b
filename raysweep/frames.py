"""A sweep's state as two typed, documented tables: one row a trial, one row an evaluation."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from raysweep.entries import Evaluated
from raysweep.scoring import doc_of
from raysweep.space import ParamValue
from raysweep.state import SweepState, TrialState

if TYPE_CHECKING:
    import pyarrow as pa

DType = Literal["int64", "float64", "string", "bool", "timestamp[us, UTC]"]
"""The types of all columns; every column can be null."""

PARAMS_PREFIX = "params/"


@dataclass(frozen=True)
class ColumnDoc:
    """One column of a table."""

    dtype: DType
    help: str
    is_json: bool = False
    """Whether its values mix types or are lists, and so stand as JSON in a string."""


COLUMNS: Mapping[str, ColumnDoc] = MappingProxyType(
    {
        "trial": ColumnDoc("int64", "The trial's number, from 0; a replica's from 10,000."),
        "replica_of": ColumnDoc(
            "int64", "The finalist that it repeats with another seed, after the search; null for a trial of the search."
        ),
        "seed": ColumnDoc("int64", "Of everything random in its job; null in sweeps of older versions."),
        "outcome": ColumnDoc("string", "completed, pruned, failed, errored or cancelled; null while it runs."),
        "reason": ColumnDoc("string", "Why it ended so; empty for a completed trial, null while it runs."),
        "attempts": ColumnDoc("int64", "How many tries it took, this one included."),
        "interruptions": ColumnDoc(
            "string", "Why it was left before its end, each time, and whose fault that was if anybody's."
        ),
        "objective": ColumnDoc("float64", "What the trial is ranked by: its last evaluation's, once it has ended."),
        "epoch": ColumnDoc("float64", "Passes over the training examples up to the last evaluation."),
        "trained_tokens": ColumnDoc("int64", "Non-padding training tokens so far, as far as they are known."),
        "usd": ColumnDoc(
            "float64", "What all its attempts have cost; null while none is over, or where it costs nothing but time."
        ),
        "reserved_usd": ColumnDoc(
            "float64",
            "What is set aside for its last attempt, until its host has shown that job to be over; null for nothing.",
        ),
        "started_at": ColumnDoc("timestamp[us, UTC]", "When its first attempt was proposed."),
        "ended_at": ColumnDoc("timestamp[us, UTC]", "When it was over; null while it runs."),
        "duration_s": ColumnDoc("float64", "Seconds from its first proposal to its end; null while it runs."),
        "job_id": ColumnDoc("string", "The trainer's own name for the last attempt's job."),
        "host": ColumnDoc("string", "The machine that ran the last attempt's job."),
        "model": ColumnDoc("string", "Where the tuned model is: a folder, or a name at a host."),
    }
)
"""The fixed columns of the trials; then one a metric of the last evaluation, then one a param."""

EVALUATION_COLUMNS: Mapping[str, ColumnDoc] = MappingProxyType(
    {
        "trial": COLUMNS["trial"],
        "attempt": ColumnDoc("int64", "Which try made it, from 1."),
        "epoch": ColumnDoc("float64", "Passes over the training examples so far."),
        "examples": ColumnDoc("int64", "Training examples seen so far."),
        "trained_tokens": ColumnDoc("int64", "Non-padding training tokens so far."),
        "at": ColumnDoc("timestamp[us, UTC]", "When the driver wrote it down."),
    }
)
"""The fixed columns of the evaluations; then one a metric."""

SPLIT_WORDS: Mapping[str, str] = MappingProxyType({"val": "validation", "test": "test", "train": "training"})
"""What stands before a metric's name, in words."""

Cell = ParamValue | object
Row = Mapping[str, Cell]


def trials_table(state: SweepState) -> "pa.Table":
    """One row a trial by number, replicas last; an absent metric, or a param of a branch not taken, is null."""
    trials = [state.trials[number] for number in sorted(state.trials)]
    metrics = _metric_docs(state, taken=COLUMNS)
    params = _param_docs(trials)
    rows = [_trial_row(trial) | _metric_cells(trial, metrics) | _param_cells(trial, params) for trial in trials]
    return _table(rows, {**COLUMNS, **metrics, **params})


def evaluations_table(state: SweepState) -> "pa.Table":
    """One row an evaluation, by trial and then in the order they came."""
    trials = [state.trials[number] for number in sorted(state.trials)]
    metrics = _metric_docs(state, taken=EVALUATION_COLUMNS)
    rows = [
        {
            "trial": one.trial,
            "attempt": one.attempt,
            "epoch": one.epoch,
            "examples": one.examples,
            "trained_tokens": one.trained_tokens,
            "at": one.at,
        }
        | {_metric_column(name, EVALUATION_COLUMNS): value for name, value in one.metrics.items()}
        for trial in trials
        for one in trial.evaluations
    ]
    return _table(rows, {**EVALUATION_COLUMNS, **metrics})


def metric_names(evaluations: Iterable[Evaluated], first: str | None = None) -> tuple[str, ...]:
    """Every metric of any of them, each once: `first`, then those on the validation split, then the rest."""
    names = dict.fromkeys(name for one in evaluations for name in one.metrics)
    return tuple(sorted(names, key=lambda name: (name != first, not name.startswith("val_"))))


def _trial_row(trial: TrialState) -> dict[str, Cell]:
    ended, last, job = trial.ended, trial.last, trial.job
    return {
        "trial": trial.number,
        "replica_of": trial.replica_of,
        "seed": trial.proposed.seed,
        "outcome": str(ended.outcome) if ended else None,
        "reason": ended.reason if ended else None,
        "attempts": trial.attempts,
        "interruptions": "; ".join(one.words for one in trial.interruptions),
        "objective": ended.objective if ended else None,
        "epoch": last.epoch if last else None,
        "trained_tokens": trial.trained_tokens,
        "usd": trial.account.settled_usd,
        "reserved_usd": trial.account.open_usd,
        "started_at": trial.started_at,
        "ended_at": ended.at if ended else None,
        "duration_s": (ended.at - trial.started_at).total_seconds() if ended and trial.started_at else None,
        "job_id": job.job_id if job else None,
        "host": job.host if job else None,
        "model": ended.model if ended else None,
    }


def _metric_column(name: str, taken: Mapping[str, ColumnDoc]) -> str:
    return f"metrics/{name}" if name in taken else name


def _metric_docs(state: SweepState, taken: Mapping[str, ColumnDoc]) -> dict[str, ColumnDoc]:
    names = metric_names(one for number in sorted(state.trials) for one in state.trials[number].evaluations)
    helps = dict(state.started.metrics if state.started else {})
    return {_metric_column(name, taken): ColumnDoc("float64", _metric_help(name, helps)) for name in names}


def _metric_help(name: str, helps: Mapping[str, str]) -> str:
    split, _, bare = name.partition("_")
    split = SPLIT_WORDS.get(split, "")
    doc = doc_of(bare)
    words = helps.get(bare) or (doc.help if doc else "")
    if split and words:
        return f"On the {split} split: {words}"
    return f"The trainer's metric {name}."


def _metric_cells(trial: TrialState, docs: Mapping[str, ColumnDoc]) -> dict[str, Cell]:
    if trial.last is None:
        return {}
    return {_metric_column(name, COLUMNS): value for name, value in trial.last.metrics.items()}


def _param_docs(trials: Sequence[TrialState]) -> dict[str, ColumnDoc]:
    names = dict.fromkeys(name for trial in trials for name in trial.params)
    sampled = {name for trial in trials for name in trial.proposed.sampled}
    docs = {}
    for name in names:
        dtype, is_json = _param_dtype([trial.params[name] for trial in trials if name in trial.params])
        origin = "searched" if name in sampled else "fixed, or the trainer's default"
        docs[PARAMS_PREFIX + name] = ColumnDoc(dtype, f"Param, {origin}{'; as JSON' if is_json else ''}.", is_json)
    return docs


def _param_dtype(values: Sequence[ParamValue]) -> tuple[DType, bool]:
    """The narrowest type that holds all values exactly, and whether they must be written as JSON."""
    given = [value for value in values if value is not None]
    if given and all(isinstance(value, bool) for value in given):
        return "bool", False
    if all(isinstance(value, str) for value in given):
        return "string", False
    if all(_is_whole(value, below=2**63) for value in given):
        return "int64", False
    if all(isinstance(value, float) or _is_whole(value, below=2**53) for value in given):
        return "float64", False
    return "string", True


def _is_whole(value: ParamValue, below: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < below


def _param_cells(trial: TrialState, docs: Mapping[str, ColumnDoc]) -> dict[str, Cell]:
    return {
        PARAMS_PREFIX + name: _param_cell(value, docs[PARAMS_PREFIX + name]) for name, value in trial.params.items()
    }


def _param_cell(value: ParamValue, doc: ColumnDoc) -> Cell:
    if value is None:
        return None
    if doc.is_json:
        return json.dumps(value, ensure_ascii=False)
    return float(value) if doc.dtype == "float64" and isinstance(value, int) else value


def _table(rows: Sequence[Row], docs: Mapping[str, ColumnDoc]) -> "pa.Table":
    import pyarrow as pa

    types: Mapping[DType, pa.DataType] = {
        "int64": pa.int64(),
        "float64": pa.float64(),
        "string": pa.string(),
        "bool": pa.bool_(),
        "timestamp[us, UTC]": pa.timestamp("us", tz="UTC"),
    }
    schema = pa.schema(
        [pa.field(name, types[doc.dtype], metadata={"description": doc.help}) for name, doc in docs.items()]
    )
    return pa.Table.from_pylist(list(rows), schema=schema)
