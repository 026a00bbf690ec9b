"""Every error that raysweep raises on purpose, as one tree.

RaysweepError            exit code 1: something failed while running
├── JobFailed            a job ended badly; `fault` says whose doing it was
├── DiskError            the sweep folder could not be written
└── InputError           exit code 2: refused before anything was spent
    ├── ConfigError      a setting: unknown, wrong type, out of range, contradictory
    ├── DataError        the user's rows or files
    ├── AssetError       bundled weights or data: missing, or not what was pinned
    ├── SweepFolderError the sweep folder is in use, missing or not a sweep's
    └── ClusterError     no Ray cluster at the given address, or one that cannot run the sweep

Keep every class picklable: errors cross process borders, so `__init__` passes its arguments to `super().__init__`.
"""

from enum import StrEnum


class RaysweepError(Exception):
    """Root of the tree; the command line prints its message without a traceback."""

    exit_code = 1


class Fault(StrEnum):
    """Whose fault it is that a job failed."""

    PARAMS = "params"
    """The trial's own hyperparameters: a result for the search, never retried."""
    HOST = "host"
    """The machine or the service: a further attempt may succeed."""
    MEMORY = "memory"
    """Memory ran out: the machine's doing at first, that of the params when it comes again."""
    DATA = "data"
    """The sweep's data: every trial would fail, so the sweep stops."""
    ACCOUNT = "account"
    """The account at the host (key, credit, right to train): all would fail, so the sweep stops, to be resumed."""
    UNKNOWN = "unknown"
    """Nobody knows whether a job was made: no further attempt without the user's word, so that none is paid twice."""


class JobFailed(RaysweepError):  # noqa: N818  # it says what happened to the job
    """A job ended badly.

    Args: the reason in words, then whose `Fault` it was, then what the job has cost where its trainer knows (USD).
    """

    def __init__(self, reason: str, fault: Fault, usd: float | None = None) -> None:
        super().__init__(reason, fault, usd)
        self.reason = reason
        self.fault = fault
        self.usd = usd

    def __str__(self) -> str:
        return f"{self.reason} (fault: {self.fault})"


class DiskError(RaysweepError):
    """The sweep folder could not be written; the message names the path and the remedy."""


class InputError(RaysweepError):
    """Bad input, refused before anything was spent or written."""

    exit_code = 2


class ConfigError(InputError):
    """A setting is unknown, of the wrong type, out of range or contradicts another."""


class DataError(InputError):
    """The data files cannot be read, or their rows break a rule."""


class AssetError(InputError):
    """An asset is missing, or its bytes are not those that were pinned."""


class SweepFolderError(InputError):
    """The sweep folder is in use, missing, or holds something else."""


class ClusterError(InputError):
    """No Ray cluster where one was asked for, or one that cannot run the sweep."""
