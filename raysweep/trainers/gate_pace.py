"""How fast a gate may ask: requests and tokens by the minute, and a pause where the host asks for one."""

import threading

from raysweep.clock import Clock

BURST_S = 2.0
"""So many seconds' worth may go out at once."""


class Pace:
    """Lets so many units a minute through, evenly; thread-safe."""

    def __init__(self, per_minute: float, clock: Clock) -> None:
        self._per_s = per_minute / 60
        self._clock = clock
        self._lock = threading.Lock()
        self._free_at_s = clock.monotonic_s() - BURST_S
        self._held_until_s = 0.0

    def take(self, units: float = 1.0) -> None:
        """Wait until so many units may pass."""
        delay_s = self.delay_s(units)
        if delay_s > 0:
            self._clock.sleep_s(delay_s)

    def delay_s(self, units: float) -> float:
        """Seconds until the units may pass; they are taken already."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            begin_s = max(self._free_at_s, now_s - BURST_S)
            self._free_at_s = begin_s + units / self._per_s
            return max(self._free_at_s, self._held_until_s) - now_s

    def hold(self, seconds: float) -> None:
        """Let nothing through for so long."""
        with self._lock:
            self._held_until_s = max(self._held_until_s, self._clock.monotonic_s() + seconds)
