"""What a gate warns of, for drivers that are other processes: nobody reads the log of an actor."""

import logging
from collections import deque

KEPT = 100
"""Warnings; older ones are forgotten."""


class Heard(logging.Handler):
    """Keeps the latest warnings of a package's loggers."""

    def __init__(self, package: str = "raysweep") -> None:
        super().__init__(logging.WARNING)
        self._kept: deque[tuple[int, str]] = deque(maxlen=KEPT)
        self._n = 0
        logging.getLogger(package).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self._n += 1
        self._kept.append((self._n, record.getMessage()))

    def after(self, number: int) -> tuple[int, tuple[str, ...]]:
        """How many there have been, and those after the first `number`, as far as they are kept."""
        return self._n, tuple(words for place, words in list(self._kept) if place > number)
