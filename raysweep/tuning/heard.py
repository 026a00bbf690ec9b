"""What a gate warns of, for drivers that are other processes: nobody reads the log of an actor."""

import logging
from collections import deque
from collections.abc import Sequence

KEPT = 100
"""Warnings; older ones are forgotten."""


class Heard(logging.Handler):
    """Keeps the latest warnings of a package's loggers."""

    def __init__(self, package: str = "raysweep") -> None:
        super().__init__(logging.WARNING)
        self._kept: deque[tuple[int, str]] = deque(maxlen=KEPT)
        logging.getLogger(package).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self._kept.append((_number(self._kept) + 1, record.getMessage()))

    def after(self, number: int) -> tuple[int, tuple[str, ...]]:
        """How many there have been, and those after the first `number`, as far as they are kept."""
        kept = list(self._kept)
        return _number(kept), tuple(words for place, words in kept if place > number)


def _number(kept: Sequence[tuple[int, str]]) -> int:
    return kept[-1][0] if kept else 0
