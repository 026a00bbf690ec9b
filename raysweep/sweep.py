"""A sweep from its settings, or from its folder, to its results: the assembly of all the parts."""

import logging
import secrets
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from raysweep import environment, leaking, paying, results
from raysweep import ledger as ledgers
from raysweep.clock import RealClock
from raysweep.config import SweepConfig
from raysweep.config.identity import anchored
from raysweep.dimensions import Params, SpaceError
from raysweep.earlier import kept_earlier
from raysweep.entries import Entry
from raysweep.errors import ClusterError, SweepFolderError
from raysweep.folder import CONFIG_NAME, Past, find, open_ledger, read_past, refuse_late, refuse_unusable
from raysweep.ledger import Ledger
from raysweep.plan import budget_epochs
from raysweep.preflight import Ready, make_ready
from raysweep.recorder import Recorder
from raysweep.rehearsing import staged
from raysweep.results import Results
from raysweep.session import Session
from raysweep.state import SweepState
from raysweep.tuning.runner import Cluster, Resources, Runner
from raysweep.tuning.signals import held_back
from raysweep.views.plugin import make_recorders
from raysweep.views.tensorboard import TensorBoardView
from raysweep.views.view import FanOut, Setting, View

_LOG = logging.getLogger(__name__)

ID_LENGTH = 8
ALPHABET = string.ascii_lowercase + string.digits


@dataclass(frozen=True)
class Options:
    """How a sweep is run, rather than what it is: nothing of this changes its results."""

    cluster: str = "auto"
    """`auto`, `local`, or the address of a Ray cluster."""
    dashboard: bool = True
    """Whether a cluster that is started here has Ray's dashboard."""
    make_view: Callable[[Setting], View] | None = None
    """What shows the sweep in the terminal; None shows nothing."""
    is_confirmed: bool = False
    """Whether a new sweep may spend what its plan says, where the settings name no budget."""
    folder: Path | None = None
    """A new sweep's folder; None: a new one in the settings' `runs_folder`."""
    runner: Runner | None = None
    """What carries out the trials; None: Ray Tune on the cluster above."""


@dataclass(frozen=True)
class _Begun:
    """A sweep that is about to be driven, for the first time or again."""

    ready: Ready
    sweep_id: str
    folder: Path
    n_trials: int
    past: tuple[Entry, ...]
    state: SweepState


def run_sweep(config: SweepConfig, options: Options | None = None) -> Results:
    """Run a sweep to its end and give its results; they are also in its folder.

    Raises InputError before anything was spent, RaysweepError for what broke while it ran; what was learnt until then
    is in the folder, and `resume_sweep` goes on from there. SIGINT and SIGTERM are ordinary ends.
    """
    options = options or Options()
    sweep_id = "".join(secrets.choice(ALPHABET) for _ in range(ID_LENGTH))
    folder = (options.folder or config.runs_folder / sweep_id).absolute()
    refuse_unusable(folder)
    ready = paying.with_budget(make_ready(anchored(config)), is_confirmed=options.is_confirmed)
    begun = _Begun(ready, sweep_id, folder, ready.config.trials, (), SweepState())
    return _drive(begun, options, lambda: open_ledger(folder, ready.config, ready.earlier))


def resume_sweep(run: str | Path, overrides: Sequence[str] = (), options: Options | None = None) -> Results:
    """Go on with a sweep whose driver was interrupted or died, or give one that has ended more trials (`trials=60`).

    Ended trials are kept, the others go on from their jobs' folders under their own numbers, and the search goes on
    as if it had never stopped. A sweep that has nothing left to do stays as it is, but its recorders are told the end.
    Raises SweepFolderError for a folder without a sweep, one that was moved, is held by a living driver, is damaged or
    was written by a newer version, or whose settings or data are not those it began with; ConfigError for an override
    of what the results rest on. Nothing is changed then.
    """
    options = options or Options()
    folder = find(run)
    past = read_past(folder, overrides)
    _refuse_held(folder)
    if past.is_finished:
        found = Results(folder, past.state)
        if not results.are_written(folder):  # its driver died after the last entry
            with held_back():
                results.write(found)
        FanOut(make_recorders(past.config.recorders, folder)).close(past.state)  # a tracker may lack the end
        return found
    refuse_late(past)
    ready = make_ready(past.config, kept_earlier(folder, past.started))
    _refuse_other_data(past, ready)
    _refuse_other_space(past, ready)
    paying.refuse_poor(ready, past.state, past.n_trials)
    begun = _Begun(ready, past.started.sweep_id, folder, past.n_trials, past.entries, past.state)
    return _drive(begun, options, lambda: _reopen(past))


def _drive(begun: _Begun, options: Options, open_: Callable[[], Ledger]) -> Results:
    with staged(begun.ready, begun.folder) as ready:
        return _drive_ready(replace(begun, ready=ready), options, open_)


def _drive_ready(begun: _Begun, options: Options, open_: Callable[[], Ledger]) -> Results:
    ready = begun.ready
    data = ready.trainer.prepare(ready.loaded.splits)
    runner = options.runner or _ray(options)
    with runner.joined() as cluster:
        gpus = ready.capabilities.gpus or (ready.capabilities.gpus_if_any if cluster.gpus else 0.0)
        resources = Resources(ready.capabilities.cpus, gpus)
        concurrency = _concurrency(begun, resources, cluster)
        where = cluster.words + (f", dashboard at {cluster.dashboard_url}" if cluster.dashboard_url else "")
        setting = Setting(
            begun.folder,
            concurrency,
            budget_epochs,
            lambda params: _rungs(ready, params),
            ready.config.retries.attempts,
            where,
            ready.config.budget.max_usd,
            ready.config.rehearsal_words,
        )
        shown = [options.make_view(setting)] if options.make_view else []
        with open_() as ledger:
            recorders = make_recorders(ready.config.recorders, begun.folder)
            views = FanOut([*shown, TensorBoardView(begun.folder), *recorders])
            recorder = Recorder(ledger, views, begun.state)
            leaking.keep(begun.folder, leaking.leaks_of(ready.loaded))
            try:
                Session(
                    ready,
                    data,
                    sweep_id=begun.sweep_id,
                    folder=begun.folder,
                    n_trials=begun.n_trials,
                    concurrency=concurrency,
                    resources=resources,
                    recorder=recorder,
                    clock=RealClock(),
                    runner=runner,
                    views=views,
                    past=begun.past,
                ).carry_out()
            finally:
                try:
                    with held_back():  # all has ended but the tables
                        results.write(Results(begun.folder, recorder.state))
                finally:
                    views.close(recorder.state)
    return Results(begun.folder, recorder.state)


def _ray(options: Options) -> Runner:
    environment.prepare_for_ray()
    from raysweep.tuning.run import RayRunner  # Ray takes seconds to import

    return RayRunner(options.cluster, options.dashboard)


def _reopen(past: Past) -> Ledger:
    """The sweep's ledger again; raises SweepFolderError where somebody has written to it since it was read."""
    ledger = Ledger(past.folder)
    if ledger.n_found != len(past.entries):
        ledger.close()
        raise SweepFolderError(f"{past.folder}: another driver has just gone on with it; look at it before you do")
    return ledger


def _refuse_held(folder: Path) -> None:
    holder = ledgers.holder(folder)
    if holder:
        raise SweepFolderError(f"{folder}: {holder} drives this sweep; wait for it to end, or stop it first")


def _refuse_other_data(past: Past, ready: Ready) -> None:
    found, then = ready.loaded.splits.fingerprint, past.started.data_fingerprint
    if found != then:
        raise SweepFolderError(
            f"{past.folder}: the data's fingerprint is {found}, but {then} when the sweep began: rows, split or rules "
            "changed, and its scores do not compare; restore the data, or start a new sweep"
        )


def _refuse_other_space(past: Past, ready: Ready) -> None:
    for trial in past.state.trials.values():
        try:
            ready.space.project(trial.params)
        except SpaceError as error:
            raise SweepFolderError(
                f"{past.folder}: trial {trial.number} does not lie in the space of {CONFIG_NAME} ({error}); "
                "restore the file, or start a new sweep with the new space"
            ) from error


def _rungs(ready: Ready, params: Params) -> tuple[float, ...]:
    return ready.make_pruner().rungs_for(budget_epochs(params))


def _concurrency(begun: _Begun, takes: Resources, cluster: Cluster) -> int:
    """How many trials run at once; raises ClusterError where not even one fits."""
    if takes.gpus > cluster.gpus or takes.cpus > cluster.cpus:
        raise ClusterError(
            f"a trial takes {takes.cpus:g} CPUs and {takes.gpus:g} GPUs, the cluster has {cluster.cpus:g} and "
            f"{cluster.gpus:g}; join a larger one, or ask for less in the trainer's settings"
        )
    by_gpu = int(cluster.gpus / takes.gpus) if takes.gpus else begun.n_trials
    by_cpu = int(cluster.cpus / takes.cpus) if takes.cpus else begun.n_trials
    capabilities = begun.ready.capabilities
    wished = begun.ready.config.concurrency or capabilities.concurrency or max(int(cluster.cpus), 1)
    by_host = capabilities.max_concurrency or begun.n_trials
    return min(wished, by_cpu, by_gpu, by_host, begun.n_trials)  # more would be asked for before anything was learnt
