"""The append-only record of what a sweep began, spent and ended: JSON lines, fsynced, one writer, the driver."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from raysweep.entries import Entry, decode, encode
from raysweep.errors import DiskError, SweepFolderError

FILE_NAME = "ledger.jsonl"


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


def _disk_error(path: Path, error: OSError) -> DiskError:
    remedy = "free some space" if error.errno == errno.ENOSPC else "make it writable"
    return DiskError(f"{path}: {error.strerror or error}; {remedy}")
