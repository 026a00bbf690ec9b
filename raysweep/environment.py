"""The one place that reads or sets environment variables."""

import os
import sys
from pathlib import Path

SERVER_KEY = "RAYSWEEP_SERVER_API_KEY"
"""Holds the key that `raysweep serve` lets calls in with."""


SECRETS = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")
"""How variables that hold secrets are called."""


def cache_folder() -> Path:
    """Where assets and caches live: $RAYSWEEP_CACHE, else ~/.cache/raysweep."""
    chosen = os.environ.get("RAYSWEEP_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else Path.home() / ".cache" / "raysweep"


def config_folder() -> Path:
    """Where what raysweep knows for its user lives: $XDG_CONFIG_HOME/raysweep, else ~/.config/raysweep."""
    chosen = os.environ.get("XDG_CONFIG_HOME")
    return (Path(chosen) if chosen else Path.home() / ".config") / "raysweep"


def server_key() -> str | None:
    """The key of the local server, where one is set."""
    return os.environ.get(SERVER_KEY) or None


def with_server_key(key: str) -> dict[str, str]:
    """This process's variables but other services' secrets, for a child that is a local server with that key."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().endswith(SECRETS)}
    return {**kept, SERVER_KEY: key}


def mark(name: str, value: str) -> None:
    """Give this process's children a variable by which they can be told from everybody else's."""
    os.environ[name] = value


def secret(name: str) -> str | None:
    """The value of the variable that the settings name for a key, without blanks around it; None where there is none.

    A line's end that came along from a file would be an illegal header, and its complaint would show the key.
    """
    return os.environ.get(name, "").strip() or None


def ray_address() -> str | None:
    """The cluster that $RAY_ADDRESS names, if it names one."""
    return os.environ.get("RAY_ADDRESS") or None


def mlflow_run_id() -> str | None:
    """The run of MLflow within which this process was started, as in a job of Azure ML."""
    return os.environ.get("MLFLOW_RUN_ID") or None


def mlflow_experiment_id() -> str | None:
    """The experiment of MLflow that was chosen by its id."""
    return os.environ.get("MLFLOW_EXPERIMENT_ID") or None


def mlflow_experiment_name() -> str | None:
    """The experiment of MLflow that was chosen by its name."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or None


def prepare_for_mlflow() -> None:
    """Have MLflow's client try each request once and print nothing, unless its own variables say otherwise.

    By itself it tries for minutes, logs each try, and makes a run twice whose creation was not answered; and where a
    run ends it prints its address, with the password that MLFLOW_TRACKING_URI may hold.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")


def wandb_project() -> str | None:
    """The project of Weights & Biases that was chosen."""
    return os.environ.get("WANDB_PROJECT") or None


def wandb_folder() -> str | None:
    """Where Weights & Biases was told to keep its files."""
    return os.environ.get("WANDB_DIR") or None


def prepare_for_ray() -> None:
    """Set what Ray and Tune read when they are imported; call it before the first `import ray`.

    What the user has set of his own is kept; what raysweep's rules rest on is not up for choice.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if "ray" not in sys.modules:  # Ray's core reads it at import: a change after that splits driver and cluster
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    # On Linux too: else Ray takes the machine's own address for 127.0.0.1, and every port listens to the whole network.
    # A cluster that is joined keeps its addresses.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # our own view owns the terminal
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # we write TensorBoard and tables ourselves
    os.environ["TUNE_DISABLE_STRICT_METRIC_CHECKING"] = "1"  # heartbeats carry no objective
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # ours hears SIGTERM too, and says why the sweep ended
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "86400"  # the ledger is the truth; Tune's snapshots only cost


def stage_trials(concurrency: int) -> None:
    """Let Tune hold as many trials ready as run at once; read when a sweep starts. Without it, it stages one."""
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(concurrency)
