"""The one place where a call to a host is made again."""

from collections.abc import Callable
from typing import TypeVar

from raysweep.clock import Clock
from raysweep.trainers.gate_pace import Pace
from raysweep.trainers.host_errors import HostError, No

Made = TypeVar("Made")

TRIES = 5
FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 8.0
LONGEST_ASKED_S = 60.0
"""A host that asks for a longer wait than this is not waited for in here."""


class Calls:
    """Makes calls that may be made twice without harm. A create is never made through it."""

    def __init__(self, pace: Pace, clock: Clock) -> None:
        self._pace = pace
        self.clock = clock

    def again(self, call: Callable[[], Made], *, paced: bool = True) -> Made:
        """The call's answer; what may pass by itself is tried again, with growing waits. Raises the last HostError."""
        wait_s = FIRST_WAIT_S
        for _ in range(TRIES - 1):
            if paced:
                self._pace.take()
            try:
                return call()
            except HostError as error:
                asked_s = error.retry_after_s
                if not error.meaning.is_transient or (asked_s is not None and asked_s > LONGEST_ASKED_S):
                    raise
                if error.no is No.RATE and asked_s is not None:
                    self._pace.hold(asked_s)
                self.clock.sleep_s(wait_s if asked_s is None else asked_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        return call()
