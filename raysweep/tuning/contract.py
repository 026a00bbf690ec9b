"""What raysweep takes for granted of Ray, as far as it shows without a cluster; a broken one is refused by name.

The rest, how Ray behaves, is proved by tests/test_ray_contract.py on running clusters of the versions below.
"""

import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray._common.utils
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from raysweep.errors import ClusterError

OLDEST = "2.54.0"
"""Below it Ray's dashboard takes requests to delete without asking who sends them: CVE-2026-27482, 2026."""
NEWEST = "2.60.0"
"""`make ray-contract` passed from the oldest to this one. What is newer is judged by its shape alone."""
PROVED = f"ray[default,tune]>={OLDEST},<={NEWEST}"

VARIABLES = (
    "RAY_AIR_NEW_OUTPUT",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS",
    "TUNE_DISABLE_SIGINT_HANDLER",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING",
    "TUNE_GLOBAL_CHECKPOINT_S",
    "TUNE_MAX_PENDING_TRIALS_PG",
)
"""What `raysweep.environment` sets for Tune; a name that Tune's source no longer holds has no effect."""


@dataclass(frozen=True)
class Shape:
    """The parts of Ray that raysweep builds on; without types, since a broken one may be anything."""

    version: str
    ray: Any
    tune: Any
    searcher: Any
    scheduler: Any
    fifo: Any
    trial: Any
    find_address_file: Any
    """Where `ray start` writes down its head's address; private, but there is no public way to ask."""
    source: str
    """The text of Tune's modules."""


@dataclass(frozen=True)
class Assumption:
    """One thing taken for granted; not to hold, or to raise for want of a name, is to be broken."""

    name: str
    holds: Callable[[Shape], bool]


def _knows(variable: str) -> Assumption:
    return Assumption(f"Tune knows the variable {variable}", lambda at: variable in at.source)


ASSUMPTIONS = (
    Assumption(f"it is {OLDEST} or newer", lambda at: _numbers(at.version) >= _numbers(OLDEST)),
    # The trial
    Assumption("Trainable.train takes nothing", lambda at: _counts(at.tune.Trainable.train, 1)),
    Assumption("Trainable.stop takes nothing", lambda at: _counts(at.tune.Trainable.stop, 1)),
    Assumption("Trainable.step takes nothing", lambda at: _counts(at.tune.Trainable.step, 1)),
    Assumption("Trainable.cleanup takes nothing", lambda at: _counts(at.tune.Trainable.cleanup, 1)),
    Assumption("Trainable.setup takes config", lambda at: _takes(at.tune.Trainable.setup, "config")),
    Assumption(
        "Trainable.default_resource_request takes the config",
        lambda at: _counts(at.tune.Trainable.default_resource_request, 1),
    ),
    Assumption("with_parameters takes a trainable and names", lambda at: _takes_any_name(at.tune.with_parameters)),
    Assumption("PlacementGroupFactory takes bundles", lambda at: _takes(at.tune.PlacementGroupFactory, "bundles")),
    Assumption(
        "a Trial has config and error_file", lambda at: "config" in at.source and at.trial.error_file is not None
    ),
    Assumption("a Trial leads to its actor", lambda at: "self.temporary_state.ray_actor = ray_actor" in at.source),
    # The searcher
    Assumption("Searcher.FINISHED is a string", lambda at: isinstance(at.searcher.FINISHED, str)),
    Assumption("Searcher.suggest takes trial_id", lambda at: _takes(at.searcher.suggest, "trial_id")),
    Assumption(
        "Searcher.on_trial_complete takes trial_id, result and error",
        lambda at: _takes(at.searcher.on_trial_complete, "trial_id", "result", "error"),
    ),
    Assumption("Searcher.save takes a path", lambda at: _counts(at.searcher.save, 2)),
    Assumption("Searcher.restore takes a path", lambda at: _counts(at.searcher.restore, 2)),
    # The scheduler
    Assumption(
        "TrialScheduler has CONTINUE and STOP",
        lambda at: at.scheduler.CONTINUE != at.scheduler.STOP and issubclass(at.fifo, at.scheduler),
    ),
    Assumption(
        "FIFOScheduler.on_trial_result takes controller, trial and result",
        lambda at: _counts(at.fifo.on_trial_result, 4),
    ),
    Assumption(
        "FIFOScheduler.on_trial_complete takes controller, trial and result",
        lambda at: _counts(at.fifo.on_trial_complete, 4),
    ),
    Assumption("FIFOScheduler.on_trial_add takes controller and trial", lambda at: _counts(at.fifo.on_trial_add, 3)),
    Assumption(
        "FIFOScheduler.on_trial_error takes controller and trial", lambda at: _counts(at.fifo.on_trial_error, 3)
    ),
    # The end, and the beat
    Assumption("Stopper is called with a trial's id and result", lambda at: _counts(at.tune.Stopper.__call__, 3)),
    Assumption("Stopper.stop_all takes nothing", lambda at: _counts(at.tune.Stopper.stop_all, 1)),
    Assumption(
        "Callback.on_step_end takes iteration and trials",
        lambda at: _takes(at.tune.Callback.on_step_end, "iteration", "trials"),
    ),
    # The settings
    Assumption("Tuner takes tune_config and run_config", lambda at: _takes(at.tune.Tuner, "tune_config", "run_config")),
    Assumption(
        "TuneConfig takes all that raysweep sets",
        lambda at: _takes(
            at.tune.TuneConfig,
            *("search_alg", "scheduler", "num_samples", "reuse_actors", "trial_name_creator", "trial_dirname_creator"),
        ),
    ),
    Assumption(
        "RunConfig takes all that raysweep sets",
        lambda at: _takes(
            at.tune.RunConfig,
            *("name", "storage_path", "stop", "callbacks", "checkpoint_config", "failure_config", "verbose"),
        ),
    ),
    Assumption(
        "CheckpointConfig takes checkpoint_frequency and checkpoint_at_end",
        lambda at: _takes(at.tune.CheckpointConfig, "checkpoint_frequency", "checkpoint_at_end"),
    ),
    Assumption("FailureConfig takes max_failures", lambda at: _takes(at.tune.FailureConfig, "max_failures")),
    *(_knows(variable) for variable in VARIABLES),
    # The cluster
    Assumption(
        "ray.init takes all that raysweep sets",
        lambda at: (
            _takes(
                at.ray.init,
                *(
                    "address",
                    "include_dashboard",
                    "dashboard_host",
                    "log_to_driver",
                    "logging_level",
                    "configure_logging",
                ),
            )
            and _takes_any_name(at.ray.init)
        ),
    ),
    Assumption("ray.cluster_resources takes nothing", lambda at: _counts(at.ray.cluster_resources, 0)),
    Assumption("ray.cancel takes force", lambda at: _takes(at.ray.cancel, "force")),
    Assumption("ray.wait takes timeout", lambda at: _takes(at.ray.wait, "timeout")),
    Assumption("ray.exceptions.RayError is an exception", lambda at: issubclass(at.ray.exceptions.RayError, Exception)),
    Assumption("ray start's note of its address can be found", lambda at: _counts(at.find_address_file, 1)),
)


def check(shape: Shape | None = None) -> None:
    """Look at the Ray that is installed, or at the given shape, in some milliseconds and without a cluster.

    Raises ClusterError that names what does not hold, the version found and those that were proved.
    """
    shape = shape or installed()
    broken = [assumption.name for assumption in ASSUMPTIONS if not _holds(assumption, shape)]
    if broken:
        raise ClusterError(
            f"Ray {shape.version} breaks what raysweep takes for granted: {', '.join(map(repr, broken))}; "
            f"install one that was proved: pip install '{PROVED}'"
        )


def installed() -> Shape:
    """The Ray of this process."""
    files = [module.__file__ for name, module in sys.modules.copy().items() if name.split(".")[:2] == ["ray", "tune"]]
    return Shape(
        version=ray.__version__,
        ray=ray,
        tune=tune,
        searcher=Searcher,
        scheduler=TrialScheduler,
        fifo=FIFOScheduler,
        trial=Trial,
        find_address_file=ray._common.utils.get_ray_address_file,
        source="".join(Path(file).read_text(encoding="utf-8") for file in files if file and file.endswith(".py")),
    )


def _holds(assumption: Assumption, shape: Shape) -> bool:
    try:
        return assumption.holds(shape)
    except (AttributeError, TypeError, ValueError):  # a name is gone, or is something else by now
        return False


def _takes(function: Callable[..., object], *names: str) -> bool:
    """Whether something can be called with these names."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return set(names) <= {p.name for p in inspect.signature(function).parameters.values() if p.kind in named}


def _takes_any_name(function: Callable[..., object]) -> bool:
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values())


def _counts(function: Callable[..., object], n_positional: int) -> bool:
    """Whether something must be called with so many arguments, whatever their names."""
    needed = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
    return n_positional == sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in needed)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
