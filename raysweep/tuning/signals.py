"""SIGINT and SIGTERM turned into a clean end of a sweep."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

PATIENCE_S = 15.0
"""Tune gives actors 10 s to stop; a second signal before that is a nervous finger."""


def held_back() -> AbstractContextManager[None]:
    """SIGINT and SIGTERM wait in vain while the block runs: what it writes helps nobody as a half."""
    return signals(lambda name: None)


@contextmanager
def signals(on_signal: Callable[[str], None]) -> Iterator[None]:
    """SIGINT and SIGTERM end the sweep cleanly while the block runs: the first is told, and jobs are cancelled or left.

    More within the next seconds change nothing, since they could only hinder that; one after them raises
    KeyboardInterrupt. None of them makes a cancel of what the first one leaves. Only the main thread can catch signals;
    elsewhere nothing is changed. Enter it after the cluster was joined: Ray sets handlers of its own.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came_s: list[float] = []

    def handle(number: int, frame: FrameType | None) -> None:
        now_s = time.monotonic()
        if came_s and now_s - came_s[0] > PATIENCE_S:
            raise KeyboardInterrupt
        if not came_s:
            came_s.append(now_s)
            on_signal(signal.Signals(number).name)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
