"""A sweep as a study of Optuna, for its dashboard and its plots: one trial a trial, under the same numbers."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as Stands

from raysweep.dimensions import Dimension
from raysweep.entries import FinalScored
from raysweep.errors import ConfigError
from raysweep.export.distributions import Searched, searched
from raysweep.jobs import Outcome
from raysweep.results import Results
from raysweep.search.optuna_quiet import optuna_quietly
from raysweep.state import SweepState, TrialState
from raysweep.views.words import without_credentials

JOURNALS = (".journal", ".log")
"""How files are called that are no SQLite."""


@dataclass(frozen=True)
class Written:
    """What was written."""

    study: str
    n_trials: int
    n_running: int


def write_study(found: Results, space: Mapping[str, Dimension] | None, storage: str, name: str) -> Written:
    """Add the study to the storage: an address of Optuna's (`sqlite:///…`), or a file; whole, or not at all.

    Replicas are left out: the best of Optuna's trials would often be one of theirs.
    Raises ConfigError where the storage cannot be opened or written, or has a study of that name.
    """
    state = found.state
    trials = [trial for _, trial in sorted(state.searched.items())]
    made = [_frozen(state, one, params) for one, params in zip(trials, searched(trials, space), strict=True)]
    with optuna_quietly(), _refused_clearly(storage, name):
        opened = _open(storage)
        direction = StudyDirection.MAXIMIZE if state.goal.mode == "max" else StudyDirection.MINIMIZE
        study = optuna.create_study(storage=opened, study_name=name, direction=direction)
        try:
            _fill(study, state, made)
        except BaseException:  # Ctrl-C too: half of a study looks like a whole one
            optuna.delete_study(study_name=name, storage=opened)
            raise
    return Written(name, len(made), sum(one.state is Stands.RUNNING for one in made))


def _fill(study: optuna.Study, state: SweepState, trials: Sequence[FrozenTrial]) -> None:
    study.set_metric_names([state.goal.metric])
    for key, value in _study_attributes(state).items():
        study.set_user_attr(key, value)
    study.add_trials(trials)


@contextmanager
def _refused_clearly(storage: str, name: str) -> Iterator[None]:
    """Raises ConfigError for whatever is raised within."""
    try:
        yield
    except optuna.exceptions.DuplicatedStudyError as error:
        there = without_credentials(storage)
        raise ConfigError(
            f"{there}: has a study {name} already; give this one another --name, or choose another --out"
        ) from error
    except Exception as error:  # a database's driver may raise anything
        words = without_credentials(f"{storage}: {type(error).__name__}: {error}".splitlines()[0])
        raise ConfigError(f"{words}; give --out a file, or an address of a database that Optuna can open") from error


def _open(storage: str) -> BaseStorage:
    if "://" in storage:
        return RDBStorage(storage)
    path = Path(storage).expanduser().absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in JOURNALS:
        return JournalStorage(JournalFileBackend(str(path)))
    return RDBStorage(f"sqlite:///{path}")


def _frozen(state: SweepState, trial: TrialState, params: Searched) -> FrozenTrial:
    stands = _stands(trial)
    objective = trial.ended.objective if trial.ended else None
    return FrozenTrial(
        number=trial.number,
        trial_id=trial.number,
        state=stands,
        value=objective if stands in (Stands.COMPLETE, Stands.PRUNED) else None,
        datetime_start=_local(trial.started_at or trial.proposed.at),
        datetime_complete=_local(trial.ended.at) if trial.ended else None,
        params={name: value for name, (value, _) in params.items()},
        distributions={name: distribution for name, (_, distribution) in params.items()},
        user_attrs=_attributes(state, trial, params),
        system_attrs={},
        intermediate_values=_intermediate(state, trial),
    )


def _stands(trial: TrialState) -> Stands:
    """In the words that Optuna has; a completed trial without a finite score is none to it."""
    if trial.ended is None:
        return Stands.RUNNING
    is_scored = trial.ended.objective is not None and math.isfinite(trial.ended.objective)
    match trial.ended.outcome:
        case Outcome.COMPLETED if is_scored:
            return Stands.COMPLETE
        case Outcome.PRUNED:
            return Stands.PRUNED
        case _:
            return Stands.FAIL


def _intermediate(state: SweepState, trial: TrialState) -> dict[int, float]:
    """The objective by the number of examples seen: Optuna's steps are whole numbers."""
    told = ((one.examples, one.metrics.get(state.goal.metric)) for one in trial.evaluations)
    return {step: value for step, value in told if value is not None and math.isfinite(value)}


def _attributes(state: SweepState, trial: TrialState, params: Searched) -> dict[str, object]:
    """Everything else that is known of the trial, every metric among it."""
    ended = trial.ended
    fixed = {name: value for name, value in trial.params.items() if name not in params}
    attributes: dict[str, object] = {
        **(trial.last.metrics if trial.last else {}),
        **{name: value for one in _finals(state, trial) for name, value in one.metrics.items()},
        "outcome": str(ended.outcome) if ended else None,
        "reason": ended.reason if ended else None,
        "epoch": trial.last.epoch if trial.last else None,
        "trained_tokens": trial.trained_tokens,
        "usd": trial.account.settled_usd,
        "attempts": trial.attempts,
        "model": ended.model if ended else None,
        **{f"fixed/{name}": value for name, value in fixed.items()},
    }
    return {name: value for name, value in attributes.items() if value is not None}


def _finals(state: SweepState, trial: TrialState) -> Iterator[FinalScored]:
    return (one for one in state.finals if one.trial == trial.number)


def _study_attributes(state: SweepState) -> dict[str, object]:
    started = state.started
    if started is None:
        return {}
    told = {"sweep": started.sweep_id, "name": started.name, "data_fingerprint": started.data_fingerprint}
    best = {"best_trial": state.best.number} if state.best else {}
    baselines = {
        f"{one.name}/{name}": value for one in state.finals if one.trial is None for name, value in one.metrics.items()
    }
    return {**told, "raysweep_version": started.raysweep_version, **best, **baselines}


def _local(at: datetime) -> datetime:
    """As Optuna keeps times: of this machine's zone, without saying so."""
    return at.astimezone().replace(tzinfo=None)
