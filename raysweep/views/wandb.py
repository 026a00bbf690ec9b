"""Weights & Biases: a group for the sweep, with a run of its own and one a trial, while the sweep runs.

Where to, its own variables say: WANDB_PROJECT, WANDB_ENTITY, WANDB_API_KEY or `wandb login`, and WANDB_MODE=offline.
"""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import wandb
from wandb.errors import AuthenticationError, UsageError

from raysweep import environment
from raysweep.errors import ConfigError
from raysweep.jobs import Outcome
from raysweep.state import SweepState, TrialState
from raysweep.views.follower import Follower
from raysweep.views.tensorboard import flat
from raysweep.views.told import (
    end_metrics,
    evaluation_metrics,
    n_ended,
    sweep_metrics,
    sweep_words,
    trial_finals,
    trial_words,
)
from raysweep.views.words import without_credentials
from raysweep.whole import write_whole

_LOG = logging.getLogger(__name__)

NOTE = Path("wandb") / "raysweep.json"
"""In the sweep's folder: what the runs were told. A run's own record cannot be asked for where it is offline."""
AWAY = re.compile(r"not respond|time(d )?out|connection|dial tcp|no such host|\b(429|5\d\d)\b", re.IGNORECASE)
"""In the words of wandb's client on a server that does not answer; one that refuses a key says so in its own words."""
NOT_IN_A_PROJECT = re.compile(r"[/\\#?%:]")
EPOCH, ENDED = "epoch", "trials ended"
OK = (Outcome.COMPLETED, Outcome.PRUNED, Outcome.CANCELLED)
"""Outcomes of a trial whose run is not called failed."""


def recorder(folder: Path) -> Follower:
    """The recorder `wandb`; raises ConfigError where nobody has logged in, for it would ask in the live view.

    A server that does not answer is a warning: nobody can go on with a sweep any sooner by refusing it.
    """
    settings = wandb.setup().settings
    if settings.mode in ("online", "shared") and not _is_logged_in():
        raise ConfigError("recorders: wandb: nobody has logged in; `wandb login`, or set WANDB_MODE=offline")
    return Follower("wandb", WandbTracker(folder))


def _is_logged_in() -> bool:
    try:
        return wandb.login(prompt=False)
    except UsageError as error:
        raise ConfigError(f"recorders: wandb: {error}") from error
    except AuthenticationError as error:
        words = without_credentials(str(error))
        if not AWAY.search(words):
            raise ConfigError(f"recorders: wandb: {words}; `wandb login`, or set WANDB_MODE=offline") from error
        _LOG.warning("wandb does not answer, and is told later what it missed: %s", words)
        return wandb.login(prompt=False, verify=False)


@dataclass
class _Sent:
    """What a trial's run has been told."""

    evaluations: int = 0
    end: str = ""
    """How the trial stood when its run was closed."""


@dataclass(frozen=True)
class _Told:
    """What the sweep's own run has been told last."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)


class WandbTracker:
    """Runs of Weights & Biases that follow a sweep; a run is open while its trial runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._home = environment.wandb_folder() or str(folder)
        self._runs: dict[int, wandb.Run] = {}
        self._sweep: wandb.Run | None = None
        self._sent, self._told = _read(folder / NOTE)

    def follow(self, state: SweepState) -> None:
        """Tell each run what it lacks."""
        for number in sorted(state.trials):
            self._follow_trial(state, state.trials[number])
        self._follow_sweep(state)
        self._keep()

    def leave(self, state: SweepState) -> None:
        """Close the runs that are still open."""
        while self._runs:
            self._runs.popitem()[1].finish(exit_code=0)
        if self._sweep is not None:
            ended = state.ended
            self._sweep.finish(exit_code=0 if ended and ended.signal is None else 1)
            self._sweep = None

    def _follow_trial(self, state: SweepState, trial: TrialState) -> None:
        sent = self._sent.setdefault(trial.number, _Sent())
        finals = trial_finals(state, trial.number)
        stands = f"{trial.attempts} {trial.outcome} {len(finals)}" if trial.ended else ""
        if trial.ended and sent.end == stands:
            return
        run = self._runs.get(trial.number) or self._open_trial(state, trial)
        for place, one in enumerate(trial.evaluations[sent.evaluations :], start=sent.evaluations + 1):
            run.log(evaluation_metrics(one), step=one.examples)
            sent.evaluations = place
        if trial.ended:
            run.summary.update(end_metrics(trial) | finals | trial_words(trial))
            run.finish(exit_code=0 if trial.outcome in OK else 1)
            del self._runs[trial.number]
        sent.end = stands

    def _open_trial(self, state: SweepState, trial: TrialState) -> wandb.Run:
        name = f"trial_{trial.number:04d}"
        run = self._init(state, f"{state.sweep_id}-{trial.number:04d}", "trial", name, flat(trial.params))
        run.define_metric(EPOCH, hidden=True)
        run.define_metric("*", step_metric=EPOCH)
        self._runs[trial.number] = run
        return run

    def _follow_sweep(self, state: SweepState) -> None:
        told = _Told(sweep_metrics(state), sweep_words(state))
        if told == self._told:
            return
        if self._sweep is None:
            name = state.started.name if state.started else state.sweep_id
            self._sweep = self._init(
                state, state.sweep_id, "sweep", name, {key: value for key, value in told.words.items() if value}
            )
            self._sweep.define_metric("*", step_metric=ENDED)
        if told.metrics != self._told.metrics:
            self._sweep.log({**told.metrics, ENDED: n_ended(state)})
        self._sweep.summary.update(dict(told.words))
        self._told = told

    def _init(self, state: SweepState, id_: str, job_type: str, name: str, config: Mapping[str, object]) -> wandb.Run:
        project = environment.wandb_project() or (state.started.name if state.started else "raysweep")
        return wandb.init(
            project=NOT_IN_A_PROJECT.sub("_", project)[:128],
            group=state.sweep_id,
            job_type=job_type,
            name=name,
            id=id_,
            config=dict(config),
            dir=self._home,
            resume="allow",
            reinit="create_new",
            # No console, machine or code: the driver's own are no trial's, and a command line may hold a secret.
            settings=wandb.Settings(
                silent=True, console="off", x_disable_stats=True, x_disable_meta=True, save_code=False, disable_git=True
            ),
        )

    def _keep(self) -> None:
        trials = {str(number): [sent.evaluations, sent.end] for number, sent in self._sent.items()}
        write_whole(self._folder / NOTE, json.dumps({**trials, "sweep": [self._told.metrics, self._told.words]}))


def _read(path: Path) -> tuple[dict[int, _Sent], _Told]:
    """Nothing where it is not there or damaged: then a run is told again, and drops what it knows."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        metrics, words = told.pop("sweep", ({}, {}))
        sent = {int(number): _Sent(int(one[0]), str(one[1])) for number, one in told.items()}
    except (OSError, ValueError, TypeError, AttributeError, IndexError):
        return {}, _Told()
    return sent, _Told(metrics, words)
