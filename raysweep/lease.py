"""Who holds a sweep's folder: an exclusive lock on its ledger is the truth, `lease.json` gives the holder's name.

The lock is flock's: the kernel frees it with its holder's death, so a lease beside a free lock is a dead one's. On a
network file system it is what that makes of it. NFS keeps it at the server, for all hosts, and may lose it with the
connection; others (sshfs, Lustre without its `flock` option) know it within one host only or not at all. There, see to
it that only one host drives a folder.
"""

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from raysweep.errors import DiskError, SweepFolderError

FILE_NAME = "lease.json"
NOBODY_KNOWN = "a process without a name"
_TRIES = 10
_BETWEEN_TRIES_S = 0.02
"""`is_locked` takes the lock for microseconds: whoever wants it in earnest must not be refused for that."""


@dataclass(frozen=True)
class Lease:
    """The name of a folder's holder."""

    host: str
    pid: int
    since: datetime

    @property
    def words(self) -> str:
        """The holder, for a person."""
        return f"process {self.pid} on host {self.host} since {self.since:%Y-%m-%d %H:%M:%S %Z}"


def own(since: datetime) -> Lease:
    """This process's lease, from a moment in UTC on."""
    return Lease(socket.gethostname(), os.getpid(), since)


def lock(descriptor: int, folder: Path) -> None:
    """Lock the folder's ledger for this process alone; raises SweepFolderError, with its name, where another has it.

    Raises DiskError on a file system without locks.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if not tries_left:
                raise SweepFolderError(
                    f"{folder}: another sweep is writing here: {words(folder) or NOBODY_KNOWN}; "
                    "wait for it, stop it, or choose another folder"
                ) from error
            time.sleep(_BETWEEN_TRIES_S)
        except OSError as error:
            raise _without_locks(folder, error) from error
        else:
            return


def is_locked(ledger: Path) -> bool:
    """Whether some process holds the ledger; looks, and holds it for no longer than that."""
    try:
        with ledger.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise _without_locks(ledger.parent, error) from error
        raise SweepFolderError(f"{ledger}: cannot be read ({error.strerror or error})") from error
    return False


def words(folder: Path) -> str | None:
    """Who left its lease in the folder, for a person; None where there is none."""
    lease = _read(folder)
    return lease.words if isinstance(lease, Lease) else lease


def write(folder: Path, lease: Lease) -> None:
    """Leave the lease in the folder: whole, or not at all; raises OSError."""
    made = folder / f"{FILE_NAME}.tmp"
    values = {"host": lease.host, "pid": lease.pid, "since": lease.since.isoformat()}
    made.write_text(json.dumps(values) + "\n", encoding="utf-8")
    made.replace(folder / FILE_NAME)


def remove(folder: Path, lease: Lease) -> None:
    """Take the lease away, if it is still that one; one that cannot be taken away is a dead one's from now on."""
    with contextlib.suppress(OSError):
        if _read(folder) == lease:
            (folder / FILE_NAME).unlink()


def _read(folder: Path) -> Lease | str | None:
    try:
        values = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        return Lease(str(values["host"]), int(values["pid"]), datetime.fromisoformat(values["since"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):  # torn by power loss: somebody's all the same
        return NOBODY_KNOWN


def _without_locks(folder: Path, error: OSError) -> DiskError:
    why = error.strerror or error
    return DiskError(f"{folder}: its file system cannot lock files ({why}); choose a folder on a disk of this machine")
