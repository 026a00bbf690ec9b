"""What a sweep has at its host: each attempt's job, and what ended jobs left there."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from raysweep import ledger, results
from raysweep.abilities import Prunes
from raysweep.errors import ConfigError
from raysweep.jobs import JobView, Trainer
from raysweep.rehearsing import looked_at
from raysweep.state import SweepState, TrialState

NOT_OURS = "not in the ledger"


@dataclass(frozen=True)
class Row:
    """One attempt of the ledger, or one job that it does not know."""

    key: str
    job_id: str
    """Empty where the host lists none."""
    status: str
    tokens: int | None
    trial: str
    """What has become of its trial."""

    @property
    def words(self) -> str:
        """For a person, one line."""
        tokens = "-" if self.tokens is None else f"{self.tokens:,}"
        return f"{self.key:<16} {self.job_id or '-':<32} {self.status:<18} {tokens:>12}  {self.trial}"


HEAD = f"{'attempt':<16} {'job':<32} {'at the host':<18} {'tokens':>12}  trial"


def rows(folder: Path) -> list[Row]:
    """Every attempt, and every job at the host. Raises ConfigError for a trainer whose jobs live nowhere else."""
    state = results.load(folder).state
    listed: dict[str, JobView] = {}
    with _trainer(folder, state) as (trainer, sweep_id):
        for view in trainer.jobs(sweep_id):
            listed.setdefault(view.key, view)
    known = attempts(state)
    made = [_row(key, listed.get(key), trial) for key, trial in known.items()]
    return made + [_row(key, view, NOT_OURS) for key, view in listed.items() if key not in known]


def prune(folder: Path) -> Iterator[str]:
    """Delete what jobs left at the host that nobody needs any more; what was deleted, in words.

    The best trial's stays, what an unfinished trial goes on with, and a job whose cost is still to be asked for.
    Raises ConfigError while a driver is at work, and for a trainer that leaves nothing behind.
    """
    holder = ledger.holder(folder)
    if holder is not None:
        raise ConfigError(f"--prune: {holder} drives this sweep and needs its jobs; wait for its end, or stop it first")
    state = results.load(folder).state
    with _trainer(folder, state) as (trainer, sweep_id):
        if not isinstance(trainer, Prunes):
            raise ConfigError(f"--prune: the trainer of {folder} leaves nothing at a host")
        best = {state.best.proposed.key} if state.best else set()
        yield from trainer.prune(sweep_id, frozenset(_spent(state)), best)


def _spent(state: SweepState) -> Iterator[str]:
    """The keys of attempts that nobody takes up, and that nobody has to ask after."""
    for trial in state.trials.values():
        is_over = trial.ended is not None and not trial.is_owed
        yield from state.keys(trial) if is_over else state.keys(trial)[:-1]


def attempts(state: SweepState) -> Mapping[str, str]:
    """The key of every attempt that the ledger knows, and what has become of its trial."""
    return {
        key: _words(trial, attempt)
        for trial in state.trials.values()
        for attempt, key in enumerate(state.keys(trial), start=1)
    }


def _words(trial: TrialState, attempt: int) -> str:
    """What has become of the trial; with its last attempt, what all of them have cost."""
    usd = trial.account.settled_usd if attempt == trial.attempt else None
    of = "" if trial.replica_of is None else f", trial {trial.replica_of} again"
    standing = "left running" if trial.is_left and attempt == trial.attempt else "not ended"
    return str(trial.outcome or standing) + of + ("" if usd is None else f", {usd:.2f} USD in all")


@contextmanager
def _trainer(folder: Path, state: SweepState) -> Iterator[tuple[Trainer, str]]:
    """The sweep's trainer, and its id at the host."""
    if state.started is None:
        raise ConfigError(f"{folder}: nothing was begun in it, so it has nothing at a host")
    with looked_at(folder, state.started) as ready:
        if not ready.capabilities.has_host:
            kind = ready.config.trainer.kind
            raise ConfigError(f"{folder}: the jobs of {kind} live in the sweep's folder, at no host")
        yield ready.trainer, state.started.sweep_id


def _row(key: str, view: JobView | None, trial: str) -> Row:
    if view is None:
        return Row(key, "", "none listed", None, trial)
    return Row(key, view.id, view.status or ("final" if view.is_final else "active"), view.trained_tokens, trial)
