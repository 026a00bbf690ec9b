"""The append-only record of what a sweep began, spent and ended: JSON lines, fsynced, one writer, the driver."""

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from raysweep.dimensions import Params, as_param
from raysweep.errors import DiskError, SweepFolderError
from raysweep.jobs import Outcome

SCHEMA_VERSION = 1
"""Of the entries below; written into the first one."""

FILE_NAME = "ledger.jsonl"


@dataclass(frozen=True)
class SweepStarted:
    """A sweep began; always the first entry."""

    at: datetime
    sweep_id: str
    name: str
    metric: str
    """The objective's."""
    mode: str
    """Whether `max` or `min` of it is better."""
    trials: int
    """How many the sweep may make."""
    data_fingerprint: str
    raysweep_version: str
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class TrialProposed:
    """The intent to run a trial; on disk before its actor exists."""

    at: datetime
    trial: int
    attempt: int
    key: str
    params: Params
    """Complete: sampled, fixed and the trainer's defaults."""
    sampled: tuple[str, ...]
    """Names of the params that the space gave."""
    reserved_usd: float | None = None


@dataclass(frozen=True)
class JobAccepted:
    """The trainer took the job."""

    at: datetime
    trial: int
    attempt: int
    job_id: str
    host: str
    """The machine that owns it."""


@dataclass(frozen=True)
class Evaluated:
    """One evaluation, exactly once."""

    at: datetime
    trial: int
    attempt: int
    epoch: float
    examples: int
    trained_tokens: int
    metrics: Mapping[str, float | None]


@dataclass(frozen=True)
class CancelRequested:
    """The driver decided to stop a trial before its end."""

    at: datetime
    trial: int
    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class TrialEnded:
    """The trial is over; nothing more is spent on it."""

    at: datetime
    trial: int
    outcome: Outcome
    reason: str
    """Empty for a completed trial."""
    objective: float | None
    """The last evaluation's; None for one that failed or errored, or had none."""
    model: str | None
    trained_tokens: int
    usd: float | None = None


@dataclass(frozen=True)
class FinalScored:
    """A model was scored after the search, on a split that ranked no trial."""

    at: datetime
    name: str
    """`best` or `tfidf`."""
    trial: int | None
    split: str
    metrics: Mapping[str, float | None]


@dataclass(frozen=True)
class SweepEnded:
    """The sweep is over; always the last entry of a session."""

    at: datetime
    reason: str
    signal: str | None = None
    """The signal that ended it, `SIGINT` or `SIGTERM`; None for an end of its own."""


Entry = SweepStarted | TrialProposed | JobAccepted | Evaluated | CancelRequested | TrialEnded | FinalScored | SweepEnded
_KINDS: Mapping[str, type[Entry]] = {
    kind.__name__: kind
    for kind in (
        SweepStarted,
        TrialProposed,
        JobAccepted,
        Evaluated,
        CancelRequested,
        TrialEnded,
        FinalScored,
        SweepEnded,
    )
}


class Ledger:
    """The open ledger of one sweep folder, held by one process at a time.

    Raises SweepFolderError where another process holds it, DiskError where the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        try:
            self._file = self.path.open("ab", buffering=0)  # unbuffered: nothing is left to fail in close
        except OSError as error:
            raise _disk_error(self.path, error) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise SweepFolderError(
                f"{folder}: another sweep is writing here; wait for it, or choose another folder"
            ) from error

    def append(self, entry: Entry) -> None:
        """Write one entry through to the disk; raises DiskError when it is full or gone."""
        line = memoryview(f"{encode(entry)}\n".encode())
        whole = self._file.tell()
        try:
            while line:
                line = line[self._file.write(line) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):  # a device that cannot be cut holds no torn line either
                self._file.truncate(whole)
            raise _disk_error(self.path, error) from error

    def close(self) -> None:
        """Let go of the folder; idempotent."""
        self._file.close()

    def __enter__(self) -> Self:
        """The open ledger itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


def read(folder: Path) -> Iterator[Entry]:
    """Every entry of a folder's ledger, in order; a last line that is not whole yet is left out.

    Raises SweepFolderError where there is none, or a line that is not an entry; the message names the line.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise SweepFolderError(f"{folder}: not a sweep's folder, it holds no {FILE_NAME}")
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith("\n"):
                return  # its writer is in the middle of it, or never came to its end
            try:
                yield decode(line)
            except (ValueError, KeyError, TypeError) as error:
                raise SweepFolderError(f"{path}, line {number}: not a ledger entry ({error})") from error


def encode(entry: Entry) -> str:
    """The entry as one line of JSON; raises ValueError for a number that is not finite."""
    return json.dumps({"entry": type(entry).__name__, **asdict(entry)}, default=_encode_value, allow_nan=False)


def decode(line: str) -> Entry:
    """The entry on a line; raises ValueError, KeyError or TypeError for anything else."""
    values = json.loads(line)
    if not isinstance(values, dict):
        raise TypeError("not an object")
    kind = _KINDS[values.pop("entry")]
    names = {field.name for field in fields(kind)}
    unknown = values.keys() - names
    if unknown:
        raise ValueError(f"unknown fields {sorted(unknown)}")
    if "at" in values:
        values["at"] = datetime.fromisoformat(values["at"])
    if "outcome" in values:
        values["outcome"] = Outcome(values["outcome"])
    if "params" in values:
        values["params"] = {name: as_param(value) for name, value in values["params"].items()}
    if "sampled" in values:
        values["sampled"] = tuple(values["sampled"])
    return kind(**values)


def _encode_value(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} cannot be written to the ledger")


def _disk_error(path: Path, error: OSError) -> DiskError:
    remedy = "free some space" if error.errno == errno.ENOSPC else "make it writable"
    return DiskError(f"{path}: {error.strerror or error}; {remedy}")
