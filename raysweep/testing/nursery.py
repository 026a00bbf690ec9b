"""Processes that start in milliseconds: forked from one that has loaded what they need, and dead when their maker is.

Each child has a link to its maker. When the link breaks because the maker died, the child kills itself; when it breaks
because the child died, the maker reads EOFError. The nursery itself ends with its maker too.
"""

import importlib
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

START_S = 60.0
"""The longest that a child's first word is waited for: the nursery may still be loading modules."""
EXIT_S = 5.0

Task = Callable[[Connection], None]
"""What a child does; picklable. It may send and receive, and ends when this returns."""


@dataclass(frozen=True)
class Child:
    """A process that a nursery forked."""

    link: Connection
    pid: int

    def kill(self) -> None:
        """SIGKILL; nothing for one that has gone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class Nursery:
    """Forks children that run tasks. Not to be used by two threads at once."""

    def __init__(self, modules: Sequence[str] = ()) -> None:
        """`modules` are loaded before the first child is forked; returns at once."""
        self._modules = tuple(modules)
        self._start()

    def spawn(self, task: Task, name: str) -> Child:
        """A child that has begun with the task; `name` is what `ps` shows, cut at 15 letters.

        A nursery that was killed is replaced. Raises ChildProcessError where none comes to life.
        """
        if self._process.poll() is not None:
            self.close()
            self._start()
        mine, theirs = socket.socketpair()
        link = Connection(mine.detach())
        try:
            with theirs:  # closed here at once: else nobody would hear that a nursery died with it in its hands
                socket.send_fds(self._control, [b"+"], [theirs.fileno()])
            link.send((task, name))
            if not link.poll(START_S):
                raise ChildProcessError(f"{name}: no child came to life within {START_S:g} s")
            return Child(link, link.recv())
        except (EOFError, OSError) as error:
            link.close()
            raise ChildProcessError(f"{name}: its process could not be made: {error!r}") from error

    def close(self) -> None:
        """No further children; those that live go on."""
        self._control.close()
        try:
            self._process.wait(EXIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-c", "from raysweep.testing.nursery import tend; tend()"]
            # In a session of its own, so that a Ctrl-C at the terminal is its maker's alone.
            self._process = subprocess.Popen(command, stdin=theirs.fileno(), start_new_session=True)
        link = Connection(os.dup(self._control.fileno()))
        with link, suppress(OSError):  # one that was killed already makes no child, and whoever asks for one hears it
            link.send((list(sys.path), self._modules))


def tend() -> None:
    """What the nursery's process does until its maker has gone; its standard input is the line to it."""
    control = socket.socket(fileno=os.dup(0))
    _read_nothing()
    first = Connection(os.dup(control.fileno()))
    try:
        sys.path[:], modules = first.recv()
    except EOFError:
        return
    first.close()
    for module in modules:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a child ended: the kernel may forget it
    while True:
        try:
            _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        except ConnectionResetError:
            return
        if not descriptors:
            return
        if os.fork() == 0:
            control.close()
            _live(descriptors[0])
        os.close(descriptors[0])


def die_with(link: Connection) -> None:
    """Kill this process as soon as its maker has gone; the link then carries nothing towards this process."""
    threading.Thread(target=_watch, args=(link,), daemon=True, name="maker").start()


def die() -> None:
    """End this process at once, as if by SIGKILL from outside."""
    os.kill(os.getpid(), signal.SIGKILL)


def _watch(link: Connection) -> None:
    with suppress(EOFError, OSError):
        while True:
            link.recv()
    die()


def _read_nothing() -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _live(descriptor: int) -> None:
    """A child's whole life; never returns."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        link = Connection(descriptor)
        task, name = link.recv()
        with suppress(OSError):  # only Linux has it, and only people look at it
            Path("/proc/self/comm").write_text(name, encoding="utf-8")
        link.send(os.getpid())
        task(link)
        code = 0
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else 1
    except BaseException:  # noqa: BLE001  # nothing may run on into the nursery's own loop
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
