"""The append-only record of what a sweep began, spent and ended: JSON lines, fsynced, one writer, the driver."""

import contextlib
import errno
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from raysweep import lease
from raysweep.clock import Clock, RealClock
from raysweep.entries import Entry
from raysweep.errors import DiskError, SweepFolderError
from raysweep.lines import Line, check, seal

FILE_NAME = "ledger.jsonl"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_GONE = (errno.ENOENT, errno.ESTALE, errno.EIO, errno.ENODEV, errno.ENXIO, errno.ENOTCONN, errno.EBADF)
"""After these a descriptor may never work again, even when the storage is back."""
_NO_DESCRIPTOR = -1


class Ledger:
    """The open ledger of one sweep folder, held by one process at a time; see `raysweep.lease` for network disks.

    What a crash left of a last line is taken out first; any other damage is refused, and then nothing is changed.
    Raises SweepFolderError where another process holds it or a line is damaged, DiskError where it cannot be written.
    """

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self.path = folder / FILE_NAME
        self.repaired: str | None = None
        """What was put right when it was opened; None where nothing was."""
        self.taken_over_from: str | None = None
        """The process that died while it held the folder; None where none did."""
        self.n_found = 0
        """How many entries it held when it was opened."""
        self._descriptor = _NO_DESCRIPTOR
        self._is_closed = False
        self._is_suspect = False
        self._has_lease = False
        self._size = 0
        self._crc = 0
        self._last = b""
        self._failed = b""
        self._lease = lease.own((clock or RealClock()).now())
        leave = weakref.WeakMethod(self._leave_to_parent)
        os.register_at_fork(after_in_child=lambda: (method := leave()) and method())
        try:
            self._open(os.O_CREAT)
            self.taken_over_from = lease.words(folder)
            self._leave_lease()
            self._take_stock()
        except OSError as error:
            self.close()
            raise _disk_error(self.path, error) from error
        except (SweepFolderError, DiskError):
            self.close()
            raise

    def append(self, entry: Entry) -> None:
        """Write one entry through to the disk; raises DiskError when that is full or gone, or the file was moved.

        The file is then as before, and `append` works again once the storage is back with the file as it was. Raises
        SweepFolderError where another process took the folder meanwhile.
        """
        if self._is_closed:
            raise ValueError(f"{self.path}: closed")
        line, crc = seal(entry, self._crc)
        try:
            self._find_again()
            self._write(line)
        except OSError as error:
            raise _disk_error(self.path, error) from error
        self._size, self._crc, self._last, self._failed = self._size + len(line), crc, line, b""

    def close(self) -> None:
        """Let go of the folder; idempotent."""
        if self._has_lease and not self._is_closed:
            lease.remove(self.path.parent, self._lease)  # first: once the lock is free it may be another's
        self._is_closed = True
        self._drop()

    def __enter__(self) -> Self:
        """The open ledger itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _open(self, flags: int) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | flags, 0o666)
        try:
            lease.lock(descriptor, self.path.parent)
        except (SweepFolderError, DiskError):
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def _leave_lease(self) -> None:
        lease.write(self.path.parent, self._lease)
        self._has_lease = True

    def _take_stock(self) -> None:
        size = os.fstat(self._descriptor).st_size
        last = None
        if size:  # a device has none, and would be read without an end
            with os.fdopen(self._descriptor, "rb", closefd=False) as stream:
                for line in check(stream, self.path):
                    last = line
        else:
            _sync_folder(self.path.parent)
        self._repair(size, last)
        if last:
            self.n_found = last.number
            self._crc = last.crc or 0
            self._size = last.end + (not last.has_newline)
            self._last = os.pread(self._descriptor, self._size - last.start, last.start)

    def _repair(self, size: int, last: Line | None) -> None:
        number, end = (last.number, last.end) if last else (0, 0)
        done = []
        if end < size:
            os.ftruncate(self._descriptor, end)
            done.append(f"after line {number} {size - end} bytes of a line that was cut short were taken out")
        if last and not last.has_newline:
            os.write(self._descriptor, b"\n")
            done.append(f"line {number} got its newline")
        if done:
            os.fsync(self._descriptor)
            self.repaired = f"{self.path}: {', '.join(done)}"

    def _find_again(self) -> None:
        """The file must be the one at its path, and as this object left it; opens it anew where it must."""
        there = self.path.stat()
        moved = DiskError(f"{self.path}: not as this sweep left it, another file or changed; put back what was there")
        if self._is_suspect or not self._is_open_at(there):
            self._drop()
            self._open(0)
            if not self._is_as_left():
                self._drop()
                raise moved
            self._leave_lease()
            self._is_suspect = False
        elif there.st_size != self._size and not self._is_as_left():
            raise moved

    def _is_open_at(self, there: os.stat_result) -> bool:
        try:
            return os.path.samestat(os.fstat(self._descriptor), there)
        except OSError:
            return False  # stale: the storage was gone meanwhile

    def _is_as_left(self) -> bool:
        """Whether it ends with the last line, whose checksum is of all before; what a failed write left is cut."""
        last = os.pread(self._descriptor, len(self._last), self._size - len(self._last))
        rest = os.pread(self._descriptor, len(self._failed) + 1, self._size)
        if last != self._last or not self._failed.startswith(rest):
            return False
        os.ftruncate(self._descriptor, self._size)
        return True

    def _write(self, line: bytes) -> None:
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fsync(self._descriptor)
        except OSError as error:
            self._failed = line
            self._is_suspect = error.errno in _GONE
            with contextlib.suppress(OSError):  # the next append finds what could not be cut now
                os.ftruncate(self._descriptor, self._size)
            raise

    def _leave_to_parent(self) -> None:
        """In a forked child: flock is the open file's, so that a child would go on holding it for a dead parent."""
        self._is_closed = True
        self._drop()

    def _drop(self) -> None:
        descriptor, self._descriptor = self._descriptor, _NO_DESCRIPTOR
        if descriptor != _NO_DESCRIPTOR:
            with contextlib.suppress(OSError):  # nothing is buffered: there is nothing left to lose
                os.close(descriptor)


def read(folder: Path) -> Iterator[Entry]:
    """Every entry of a folder's ledger, in order; a last line that is not whole yet is left out.

    Raises SweepFolderError where there is none, nothing was begun in it, it is a newer version's, or a line is damaged;
    then the message has the line's number and the remedy.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise SweepFolderError(f"{folder}: not a sweep's folder, it holds no {FILE_NAME}")
    line = None
    try:
        with path.open("rb") as stream:
            for line in check(stream, path):
                yield line.entry
    except OSError as error:
        raise SweepFolderError(f"{path}: cannot be read ({error.strerror or error}); make it readable") from error
    if line is None:
        raise SweepFolderError(
            f"{path}: has no whole first line, no sweep was begun in it; begin one in another folder"
        )


def holder(folder: Path) -> str | None:
    """Who holds the folder now, for a person; None where nobody does.

    Looks, and holds it for no longer than that. Raises SweepFolderError where the ledger cannot be read.
    """
    if not lease.is_locked(folder / FILE_NAME):
        return None
    return lease.words(folder) or lease.NOBODY_KNOWN


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # EINVAL: a file system that keeps no folders to sync
            raise
    finally:
        os.close(descriptor)


def _disk_error(path: Path, error: OSError) -> DiskError:
    remedy = "make it writable"
    if error.errno in _FULL:
        remedy = "free some space"
    elif error.errno in _GONE:
        remedy = "bring its folder back"
    return DiskError(f"{path}: {error.strerror or error}; {remedy}")
