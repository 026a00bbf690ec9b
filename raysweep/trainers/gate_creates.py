"""The creates that are under way: one a key at a time, and none for a sweep that has gone."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from raysweep.clock import Clock
from raysweep.trainers.host_errors import HostError, No

DISMISS_S = 75.0
"""How long a create that is under way is waited for; it may take a minute."""


@contextmanager
def unasked(key: str) -> Iterator[None]:
    """What comes before a create: whatever it fails with leaves no doubt whether the key's job was made."""
    try:
        yield
    except HostError as error:
        if not error.meaning.is_ambiguous:
            raise
        words = f"{error.wanted}: {error.words or error.no}"
        raise HostError(f"job {key}", No.NOT_ASKED, words, error.retry_after_s) from error


class Creates:
    """Who may make a job. `changed` is the gate's own lock."""

    def __init__(self, changed: threading.Condition, clock: Clock) -> None:
        self._changed = changed
        self._clock = clock
        self._keys: set[str] = set()
        self._dismissed: set[str | None] = set()

    @contextmanager
    def alone(self, key: str) -> Iterator[None]:
        """One create a key at a time, whoever asks."""
        with self._changed:
            while key in self._keys:
                self._changed.wait()
            self._keys.add(key)
        try:
            yield
        finally:
            with self._changed:
                self._keys.discard(key)
                self._changed.notify_all()

    def admit(self, sweep_id: str) -> None:
        """The sweep may have jobs made, also if it was dismissed before."""
        with self._changed:
            self._dismissed.discard(sweep_id)

    def dismiss(self, sweep_id: str | None) -> None:
        """None is made for the sweep any more, None: for any; returns when none is under way, or after a bound."""
        until_s = self._clock.monotonic_s() + DISMISS_S
        with self._changed:
            self._dismissed.add(sweep_id)
            while any(self.is_dismissed(key) for key in self._keys) and self._clock.monotonic_s() < until_s:
                self._changed.wait(1.0)

    def is_dismissed(self, key: str) -> bool:
        """Whether the key is a sweep's that has gone."""
        return None in self._dismissed or key.partition("-")[0] in self._dismissed
