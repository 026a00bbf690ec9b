"""The processes of a driver under chaos: found by their mark, told apart, struck. Linux only, by /proc."""

import os
import random
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from raysweep.testing.chaos_driver import MARK
from raysweep.testing.chaos_schedule import Action

_SIGNALS = {Action.SIGINT: signal.SIGINT, Action.SIGTERM: signal.SIGTERM, Action.SIGKILL: signal.SIGKILL}
_POLL_S = 0.05


@dataclass(frozen=True)
class Process:
    """One that carries a mark."""

    pid: int
    parent: int
    name: str
    command: str

    @property
    def is_actor(self) -> bool:
        """Whether a trial runs in it."""
        return self.name.startswith(("trial_", "ray::Trial", "ray::_Inner")) or self.command.startswith("ray::_Inner.")

    @property
    def is_raylet(self) -> bool:
        """Whether it is what keeps a Ray node alive."""
        return self.command.split(" ")[0].endswith("/raylet")


def marked(mark: str) -> tuple[Process, ...]:
    """All living processes with this mark, by their numbers."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError, ValueError):  # it ended while it was looked at, or is somebody else's
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(_read(entry))
    return tuple(sorted(found, key=lambda process: process.pid))


def wait_for_none(mark: str, timeout_s: float, *, only_actors: bool = False) -> tuple[Process, ...]:
    """Those, or those in which trials run, that are still there after the time-out."""
    until_s = time.monotonic() + timeout_s
    while left := tuple(process for process in marked(mark) if process.is_actor or not only_actors):
        if time.monotonic() > until_s:
            return left
        time.sleep(_POLL_S)
    return ()


def kill(processes: Sequence[Process]) -> None:
    """SIGKILL to each that is still there."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


def strike(action: Action, driver: int, mark: str, dice: random.Random) -> bool:
    """Whether there was something to be struck."""
    if action in _SIGNALS:
        with suppress(ProcessLookupError):
            os.kill(driver, _SIGNALS[action])
            return True
        return False
    there = marked(mark)
    match action:
        case Action.ACTOR:
            actors = [process for process in there if process.is_actor]
            targets = [dice.choice(actors)] if actors else []
        case Action.NODE:
            targets = _node(there)
        case Action.HEAD:
            targets = [process for process in there if process.is_raylet]
        case _:
            targets = list(there)
    kill(targets)
    return bool(targets)


def _node(there: Sequence[Process]) -> list[Process]:
    """The raylet of a node that runs a trial."""
    parents = {process.parent for process in there if process.is_actor}
    return [process for process in there if process.is_raylet and process.pid in parents][:1]


def _read(entry: Path) -> Process:
    status = dict(line.split(":", 1) for line in (entry / "status").read_text(encoding="utf-8").splitlines())
    if status["State"].strip().startswith("Z"):
        raise ValueError("dead, but not yet forgotten")
    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return Process(int(entry.name), int(status["PPid"]), status["Name"].strip(), command)
