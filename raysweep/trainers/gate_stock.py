"""When a gate counts anew what its host has: others make jobs too, and delete records."""

from raysweep.clock import Clock

STOCK_S = 600.0
"""How long the count is believed."""
FULL_STOCK_S = 15.0
"""The same where the host keeps as many jobs as it may: another gate may have made room."""
TELL_S = 600.0
"""How long after it was said that the host is full it is said once more."""


class Stock:
    """The age of the count."""

    def __init__(self, cap: int | None, clock: Clock) -> None:
        self._cap = cap
        self._clock = clock
        self._counted_at_s: float | None = None
        self._told_at_s: float | None = None

    def is_due(self, n_jobs: int) -> bool:
        """Whether to count anew, where so many are known."""
        is_full = self._cap is not None and n_jobs >= self._cap
        patience_s = FULL_STOCK_S if is_full else STOCK_S
        return self._counted_at_s is None or self._clock.monotonic_s() - self._counted_at_s >= patience_s

    def counted(self) -> bool:
        """All jobs were counted just now; whether that was for the first time."""
        is_first, self._counted_at_s = self._counted_at_s is None, self._clock.monotonic_s()
        return is_first

    def is_telling(self) -> bool:
        """Whether to say that the host is full: the first time, and every ten minutes that it still is."""
        now_s = self._clock.monotonic_s()
        is_due = self._told_at_s is None or now_s - self._told_at_s >= TELL_S
        self._told_at_s = now_s if is_due else self._told_at_s
        return is_due
