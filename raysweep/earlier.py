"""Earlier runs for a warm start: read from a sweep's folder or a table, fitted into this space, kept with the sweep."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from raysweep import ledger
from raysweep.config import EarlierRuns, SweepConfig
from raysweep.dimensions import Params, as_param
from raysweep.entries import SweepStarted
from raysweep.errors import ConfigError, SweepFolderError
from raysweep.frames import PARAMS_PREFIX, metric_names
from raysweep.goal import Goal
from raysweep.readers import Table, nearest, read_table
from raysweep.search.earlier import EarlierRun, Misfit, as_number, point_of
from raysweep.search.history import told
from raysweep.space import Space
from raysweep.state import SweepState, TrialState, fold

FILE_NAME = "warm_start.jsonl"
"""In a sweep's folder: what its proposer was told before the first trial, one run a line."""

Found = tuple[Mapping[str, object], float | None]
"""A run's params as they stand in its source, by our names, and its loss; None where it has none."""


@dataclass(frozen=True)
class Earlier:
    """All the earlier runs that a sweep learns from."""

    runs: tuple[EarlierRun, ...] = ()
    notes: tuple[str, ...] = ()
    """A line a source: how many of its runs are used, and why others are not."""

    @property
    def lines(self) -> str:
        """As they are kept in the sweep's folder."""
        return "".join(json.dumps({"params": run.params, "loss": run.loss}) + "\n" for run in self.runs)

    @property
    def digest(self) -> str:
        """Of those lines; empty without runs."""
        return hashlib.sha256(self.lines.encode()).hexdigest()[:16] if self.runs else ""


def read_earlier(config: SweepConfig) -> Earlier:
    """The earlier runs that the settings name, as points of their space.

    Raises ConfigError, DataError or SweepFolderError for a source that is not there or cannot be read, for a metric or
    a param that it does not have, and for one of whose runs none can be used.
    """
    space = Space(config.space)
    found = [_read(f"warm_start.{number}", one, config, space) for number, one in enumerate(config.warm_start)]
    return Earlier(tuple(run for runs, _ in found for run in runs), tuple(note for _, note in found))


def kept_earlier(folder: Path, started: SweepStarted) -> Earlier:
    """The earlier runs that a sweep began with, whatever became of their sources.

    Raises SweepFolderError where the file is gone or was changed: the search would go on as another one.
    """
    if not started.earlier:
        return Earlier()
    path = folder / FILE_NAME
    try:
        documents = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        kept = Earlier(tuple(EarlierRun(_params(one["params"]), float(one["loss"])) for one in documents))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise SweepFolderError(f"{path}: cannot be read ({error}); the search rests on it, restore it") from error
    if kept.digest != started.earlier:
        raise SweepFolderError(f"{path}: changed since the sweep began, and its search rests on that; restore it")
    return kept


def _params(document: Mapping[str, object]) -> Params:
    return {name: as_param(value) for name, value in document.items()}


def _read(place: str, source: EarlierRuns, config: SweepConfig, space: Space) -> tuple[list[EarlierRun], str]:
    goal, path = config.earlier_goal(source), source.path.expanduser()
    is_sweep = path.is_dir() or path.name == ledger.FILE_NAME
    found = list(_of_sweep(place, path, source, goal) if is_sweep else _of_table(place, path, source, goal))
    runs, misfits = _fitted(found, space)
    reasons = "; ".join(f"{count} {words}" for words, count in misfits.most_common())
    if not runs:
        raise ConfigError(
            f"{place}.path: {path}: none of its {len(found)} runs can be used: {reasons or 'it has none'}; "
            f"widen the space, name its params in {place}.params, or leave it out"
        )
    note = f"{path}: {len(runs)} of {len(found)} earlier runs are learnt from, by {goal.metric} ({goal.mode})"
    return runs, f"{note}; left out: {reasons}" if reasons else note


def _fitted(found: Iterable[Found], space: Space) -> tuple[list[EarlierRun], Counter[str]]:
    runs: list[EarlierRun] = []
    misfits: Counter[str] = Counter()
    for cells, loss in found:
        if loss is None:
            misfits["without a result"] += 1
            continue
        try:
            runs.append(EarlierRun(point_of(space, cells), loss))
        except Misfit as misfit:
            misfits[str(misfit)] += 1
    return runs, misfits


def _of_sweep(place: str, path: Path, source: EarlierRuns, goal: Goal) -> Iterator[Found]:
    """Each trial counts as it would in its own sweep: see `told`."""
    folder = path if path.is_dir() else path.parent
    if not (folder / ledger.FILE_NAME).is_file():
        raise ConfigError(
            f"{place}.path: {path}: no {ledger.FILE_NAME} in it; give a sweep's folder, or a table's file"
        )
    state = fold(ledger.read(folder))
    trials = [trial for _, trial in sorted(state.searched.items())]
    _need(f"{place}.metric: {path}", goal.metric, _metrics(state))
    _need_all(f"{place}.params: {path}", source.params, {name for trial in trials for name in trial.params})
    losses = {trial.number: _losses(trial, goal) for trial in trials}
    worst = max((loss for of_one in losses.values() for loss in of_one if math.isfinite(loss)), default=None)
    for trial in trials:
        loss = told(trial.outcome, losses[trial.number], worst) if trial.outcome else None
        yield _renamed(trial.params, source.params), loss


def _metrics(state: SweepState) -> Sequence[str]:
    return metric_names(one for trial in state.trials.values() for one in trial.evaluations)


def _losses(trial: TrialState, goal: Goal) -> list[float]:
    return [goal.loss(goal.value_in(one.metrics)) for one in trial.evaluations]


def _of_table(place: str, path: Path, source: EarlierRuns, goal: Goal) -> Iterator[Found]:
    table = _table(place, path)
    _need(f"{place}.metric: {path}", goal.metric, table.columns)
    _need_all(f"{place}.params: {path}", source.params, table.columns)
    for record in table.records:
        if math.isfinite(as_number(record.fields.get("replica_of"))):  # of a table that raysweep wrote
            continue
        value = as_number(record.fields.get(goal.metric))
        cells = {name.removeprefix(PARAMS_PREFIX): cell for name, cell in record.fields.items()}
        yield _renamed({**cells, **record.fields}, source.params), goal.loss(value) if math.isfinite(value) else None


def _table(place: str, path: Path) -> Table:
    if not path.exists():
        raise ConfigError(f"{place}.path: {path}: not there; give a sweep's folder, or a table's file")
    return read_table(path)


def _renamed(cells: Mapping[str, object], names: Mapping[str, str]) -> Mapping[str, object]:
    """By our names; what is renamed stands no longer under its own."""
    kept = {name: cell for name, cell in cells.items() if name not in names}
    return {**kept, **{ours: cells.get(theirs) for theirs, ours in names.items()}}


def _need_all(place: str, names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        _need(place, name, known)


def _need(place: str, name: str, known: Collection[str]) -> None:
    if name in known:
        return
    near = nearest(name, known)
    hint = f"did you mean {near!r}? " if near else ""
    raise ConfigError(f"{place} has no {name!r}; {hint}there: {', '.join(sorted(known)) or 'nothing'}")
