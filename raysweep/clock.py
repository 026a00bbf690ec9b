"""Time as a value that is passed in, so that a sweep can be simulated and tested without sleeping."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where time comes from."""

    def monotonic_s(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...

    def now(self) -> datetime:
        """The moment, aware, in UTC."""
        ...

    def sleep_s(self, seconds: float) -> None:
        """Let so much time pass."""
        ...


class RealClock:
    """The machine's own clock."""

    def monotonic_s(self) -> float:
        """Seconds since the machine started."""
        return time.monotonic()

    def now(self) -> datetime:
        """The moment, aware, in UTC."""
        return datetime.now(UTC)

    def sleep_s(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


@dataclass
class SimulatedClock:
    """A clock that stands still until `advance_to` is called."""

    elapsed_s: float = 0.0
    start: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic_s(self) -> float:
        """Simulated seconds since the start."""
        return self.elapsed_s

    def now(self) -> datetime:
        """The simulated moment, aware, in UTC."""
        return self.start + timedelta(seconds=self.elapsed_s)

    def sleep_s(self, seconds: float) -> None:
        """Move on, at once."""
        self.elapsed_s += seconds

    def advance_to(self, elapsed_s: float) -> None:
        """Move on; raises ValueError when asked to go back."""
        if elapsed_s < self.elapsed_s:
            raise ValueError(f"a clock does not go back: {elapsed_s} < {self.elapsed_s}")
        self.elapsed_s = elapsed_s
