"""Who may make the next job: within the account's limits, fair between sweeps, first come first served within one."""

import threading
from collections import deque
from dataclasses import dataclass

from raysweep.clock import Clock
from raysweep.trainers.dialects import Limits
from raysweep.trainers.host_errors import No

LEASE_S = 30.0
"""Whoever has not asked again for so long is dead, and its place is given away."""
DAY_S = 24 * 3600.0
TURN_S = {No.DAILY: 1800.0, No.ACTIVE: 15.0, No.RATE: 10.0, No.FILE_PENDING: 2.0, No.FILE_GONE: 0.0}
"""How long no job is made after a host said that it has no place, unless it says how long itself."""


@dataclass
class _Ticket:
    sweep_id: str
    key: str
    number: int
    asked_at_s: float


class Permits:
    """Places for jobs that are not final. The caller says how many the host has; grants in flight are counted here."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._tickets: dict[str, _Ticket] = {}
        self._granted: dict[str, float] = {}
        self._served: dict[str, int] = {}
        self._made_at_s: deque[float] = deque()
        self._n_asked = 0
        self._closed_until_s = 0.0

    def ask(self, sweep_id: str, key: str, *, n_active: int, n_jobs: int) -> bool:
        """Whether the key's job may be made now: then `made` or `give_back` must follow.

        `n_active`: jobs at the host that are not final, others' too; `n_jobs`: all that it keeps. Asking again keeps
        the place in the queue; whoever stops asking loses it.
        """
        with self._lock:
            now_s = self._clock.monotonic_s()
            self._n_asked += 1
            ticket = self._tickets.setdefault(key, _Ticket(sweep_id, key, self._n_asked, now_s))
            ticket.asked_at_s = now_s
            self._forget_dead(now_s)
            n_free = self._n_free(now_s, n_active, n_jobs)
            if key not in self._next(n_free):
                return False
            del self._tickets[key]
            self._granted[key] = now_s
            self._served[sweep_id] = self._served.get(sweep_id, 0) + 1
            return True

    def made(self, key: str) -> None:
        """The job exists, and counts among the host's from now on."""
        with self._lock:
            self._granted.pop(key, None)
            self._made_at_s.append(self._clock.monotonic_s())

    def give_back(self, key: str) -> None:
        """No job was made."""
        with self._lock:
            self._granted.pop(key, None)

    def count_earlier(self, ages_s: list[float]) -> None:
        """Jobs that were made before this gate existed, by their age."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            self._made_at_s = deque(sorted([now_s - age_s for age_s in ages_s] + list(self._made_at_s)))

    def close(self, seconds: float) -> None:
        """The host itself has said that there is no place: grant nothing for so long."""
        with self._lock:
            self._closed_until_s = max(self._closed_until_s, self._clock.monotonic_s() + seconds)

    def _n_free(self, now_s: float, n_active: int, n_jobs: int) -> int:
        if now_s < self._closed_until_s:
            return 0
        limits, n_granted = self._limits, len(self._granted)
        free = [limits.active - n_active - n_granted]
        if limits.jobs is not None:
            free.append(limits.jobs - n_jobs - n_granted)
        if limits.creates_per_day is not None:
            while self._made_at_s and self._made_at_s[0] <= now_s - DAY_S:
                self._made_at_s.popleft()
            free.append(limits.creates_per_day - len(self._made_at_s) - n_granted)
        return max(0, min(free))

    def _next(self, n_free: int) -> set[str]:
        """The keys whose turn it is: the sweep that was served least first, then by age."""
        served = dict(self._served)
        waiting = sorted(self._tickets.values(), key=lambda ticket: ticket.number)
        chosen: set[str] = set()
        while waiting and len(chosen) < n_free:
            first = min(waiting, key=lambda ticket: (served.get(ticket.sweep_id, 0), ticket.number))
            waiting.remove(first)
            chosen.add(first.key)
            served[first.sweep_id] = served.get(first.sweep_id, 0) + 1
        return chosen

    def _forget_dead(self, now_s: float) -> None:
        dead = [key for key, ticket in self._tickets.items() if ticket.asked_at_s <= now_s - LEASE_S]
        for key in dead:
            del self._tickets[key]
        sweeps = {ticket.sweep_id for ticket in self._tickets.values()}
        newest = max((self._served.get(sweep, 0) for sweep in sweeps), default=0)
        for sweep in sweeps:  # a sweep that comes late does not catch up on all that others were given before
            self._served.setdefault(sweep, newest)
