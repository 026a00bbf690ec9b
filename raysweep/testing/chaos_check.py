"""What must be true of a sweep that was struck and resumed, against the same left alone; problems are said in words."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from raysweep import ledger
from raysweep.config import SweepConfig, load_config
from raysweep.entries import Entry, Evaluated, SweepEnded, TrialEnded, TrialProposed
from raysweep.folder import CONFIG_NAME
from raysweep.frames import evaluations_table, trials_table
from raysweep.jobs import Outcome
from raysweep.plan import budget_epochs
from raysweep.preflight import make_ready
from raysweep.search.prune import Pruner, Stop
from raysweep.state import SweepState, fold
from raysweep.testing.chaos_host import Host, sweep_id_of
from raysweep.testing.chaos_left import one_job_a_trial
from raysweep.testing.chaos_money import money_holds

Row = Mapping[str, object]

MAY_DIFFER = frozenset(
    (
        *("attempts", "attempt", "interruptions", "job_id", "host", "started_at", "ended_at", "duration_s", "at"),
        *("model", "usd", "reserved_usd"),
    )
)
"""Columns that say how a sweep came to its results, not what they are. That there is a model, or none, must agree."""


_JOB_ID = re.compile(r"ftjob-\w+")


@dataclass(frozen=True)
class Evidence:
    """What a sweep has left behind."""

    entries: tuple[Entry, ...]
    state: SweepState
    trials: Sequence[Row]
    """One a trial, by number."""
    evaluations: Sequence[Row]
    """One an evaluation, by trial, then as they came."""
    stored: tuple[Sequence[Row], Sequence[Row]]
    """Both tables as they stand in the folder's files."""


def gather(folder: Path) -> Evidence:
    """Everything that the checks look at; raises OSError or RaysweepError where something of it is not there."""
    import pyarrow.parquet as pq

    entries = tuple(ledger.read(folder))
    state = fold(entries)
    files = (pq.read_table(folder / f"{name}.parquet").to_pylist() for name in ("trials", "evaluations"))
    trials, evaluations = trials_table(state).to_pylist(), evaluations_table(state).to_pylist()
    return Evidence(entries, state, trials, evaluations, (next(files), next(files)))


def same_results(found: Evidence, undisturbed: Evidence) -> Iterator[str]:
    """The final tables are equal, and so are the scores of the best."""
    yield from _same_rows("trials", found.trials, undisturbed.trials)
    yield from _same_rows("evaluations", found.evaluations, undisturbed.evaluations)
    yield from _same_finals(found, undisturbed)


def prefixes(found: Evidence, whole: Evidence) -> Iterator[str]:
    """Each trial's evaluations are the first of those that it makes when nobody stops it; `whole` has them all."""
    curves = {number: [row for row in whole.evaluations if row["trial"] == number] for number in whole.state.trials}
    for number, trial in found.state.trials.items():
        curve = [row for row in found.evaluations if row["trial"] == number]
        yield from _same_rows(f"trial {number}'s evaluations", curve, curves[number][: len(curve)])
        if trial.outcome is Outcome.COMPLETED and len(curve) != len(curves[number]):
            yield f"trial {number}: completed after {len(curve)} of {len(curves[number])} evaluations"


def rungs_are_the_ledgers(entries: Iterable[Entry], pruner: Pruner, config: SweepConfig) -> Iterator[str]:
    """A fresh pruner, given the ledger's evaluations in their order, stops just the pruned ones, where they ended."""
    metric = config.stopping_goal.metric
    budgets: dict[int, float] = {}
    stops: dict[int, float] = {}
    pruned: dict[int, float | None] = {}
    last: dict[int, float] = {}
    for entry in entries:
        if isinstance(entry, TrialProposed):
            budgets[entry.trial] = budget_epochs(entry.params)
        elif isinstance(entry, Evaluated):
            value = entry.metrics.get(metric)
            number = math.nan if value is None else value
            last[entry.trial] = entry.epoch
            if isinstance(pruner.decide(entry.trial, entry.epoch, number, budgets[entry.trial]), Stop):
                stops.setdefault(entry.trial, entry.epoch)
        elif isinstance(entry, TrialEnded) and entry.outcome is Outcome.PRUNED:
            pruned[entry.trial] = last.get(entry.trial)
    if stops != pruned:
        yield f"rungs: by the ledger, these trials stop at these epochs: {stops}; pruned were {pruned}"


def once(found: Evidence) -> Iterator[str]:
    """Each trial came to one end, each evaluation stands there once, and nothing comes after an end."""
    counts = Counter((entry.trial, entry.epoch) for entry in found.entries if isinstance(entry, Evaluated))
    yield from (
        f"trial {trial}: evaluated {n} times at epoch {epoch:g}" for (trial, epoch), n in counts.items() if n > 1
    )
    over: set[int] = set()
    for entry in found.entries:
        if isinstance(entry, TrialProposed | Evaluated | TrialEnded) and entry.trial in over:
            yield f"trial {entry.trial}: {type(entry).__name__} after its end"
        if isinstance(entry, TrialEnded) and entry.outcome is not Outcome.CANCELLED:
            over.add(entry.trial)
    missing = sorted({*range(found.state.n_trials)} - over)
    if missing:
        yield f"trials {missing} have no end of their own"
    if not isinstance(found.entries[-1], SweepEnded):
        yield f"the last entry is {type(found.entries[-1]).__name__}"
    scored = Counter((final.name, final.split) for final in found.state.finals)
    yield from (f"{name} was scored {n} times on {split}" for (name, split), n in scored.items() if n > 1)


def tables_are_the_ledgers(found: Evidence) -> Iterator[str]:
    """What the folder's tables say is what its ledger says."""
    for name, stored, folded in zip(
        ("trials", "evaluations"), found.stored, (found.trials, found.evaluations), strict=True
    ):
        if list(map(repr, stored)) != list(map(repr, folded)):
            yield f"{name}.parquet is not what the ledger gives"


def check(folder: Path, undisturbed: Path, *, is_compared: bool, host: Host) -> list[str]:
    """Every problem of the sweep in `folder`.

    `undisturbed` is the same sweep, left alone; where trials are compared (`is_compared`), the same without pruning.
    """
    found, other = gather(folder), gather(undisturbed)
    problems = [*once(found), *tables_are_the_ledgers(found)]
    problems += prefixes(found, other) if is_compared else same_results(found, other)
    config = load_config(folder / CONFIG_NAME)
    problems += rungs_are_the_ledgers(found.entries, make_ready(config).make_pruner(), config)
    if config.budget.max_usd is not None:
        problems += money_holds(found.entries, host.made(sweep_id_of(found.entries)))
    if config.on_interrupt == "leave":
        problems += one_job_a_trial(host.made(sweep_id_of(found.entries)), found.entries)
    return [*problems, *host.problems(found.entries)]


def _same_rows(name: str, found: Sequence[Row], other: Sequence[Row]) -> Iterator[str]:
    if len(found) != len(other):
        yield f"{name}: {len(found)} rows, undisturbed {len(other)}"
    for row, twin in zip(found, other, strict=False):
        where = f"{name}, trial {row['trial']}"
        for column in sorted({*row, *twin} - MAY_DIFFER):
            mine, theirs = _unnamed(row.get(column)), _unnamed(twin.get(column))
            if repr(mine) != repr(theirs):
                yield f"{where}: {column} is {mine!r}, undisturbed {theirs!r}"
        if (row.get("model") is None) != (twin.get("model") is None):
            yield f"{where}: model is {row.get('model')!r}, undisturbed {twin.get('model')!r}"


def _unnamed(value: object) -> object:
    """The value without a host's ids of jobs, which differ."""
    return _JOB_ID.sub("ftjob", value) if isinstance(value, str) else value


def _same_finals(found: Evidence, other: Evidence) -> Iterator[str]:
    mine, theirs = (
        [(one.name, one.trial, one.split, dict(one.metrics)) for one in evidence.state.finals]
        for evidence in (found, other)
    )
    if repr(mine) != repr(theirs):
        yield f"finals: {mine}, undisturbed {theirs}"
