"""The host's time of day: this machine's clock may be wrong, and what a host says of times is said by its own."""

import logging
import threading
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from raysweep.clock import Clock

_LOG = logging.getLogger(__name__)
SLACK_S = 60.0
"""Clocks that are no further apart are right: a date has whole seconds, and an answer takes its time."""


class HostTime:
    """Learns from the dates of answers. Thread-safe: one number is replaced by another."""

    def __init__(self, clock: Clock, host: str) -> None:
        """`host`: who is spoken of in a warning."""
        self._clock = clock
        self._host = host
        self._warned = threading.Lock()  # held for good once the warning is out
        self._ahead_s = 0.0

    def heard(self, headers: Mapping[str, str]) -> None:
        """An answer has come; one without a date, or with a broken one, says nothing."""
        try:
            date = parsedate_to_datetime(headers["date"])
        except (KeyError, ValueError):
            return
        ahead_s = ((date if date.tzinfo else date.replace(tzinfo=UTC)) - self._clock.now()).total_seconds()
        self._ahead_s = ahead_s if abs(ahead_s) > SLACK_S else 0.0
        if self._ahead_s and self._warned.acquire(blocking=False):
            _LOG.warning("%s; set it, as tokens and certificates depend on it", self.words)

    def now_s(self) -> float:
        """The moment as a timestamp, by the host."""
        return self._clock.now().timestamp() + self._ahead_s

    @property
    def words(self) -> str:
        """What is wrong with this machine's clock; empty where it is right."""
        if not self._ahead_s:
            return ""
        side = "behind" if self._ahead_s > 0 else "ahead of"
        return f"this machine's clock is {_span(abs(self._ahead_s))} {side} that of {self._host}"


def _span(seconds: float) -> str:
    for unit_s, unit in ((86_400.0, "days"), (3600.0, "hours")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.1f} {unit}"
    return f"{seconds / 60:.0f} minutes"
