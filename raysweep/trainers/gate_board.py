"""What a gate knows of its host's jobs; no calls, no clock, no locks of its own."""

import random
from collections.abc import Container, Iterable
from dataclasses import dataclass, field

from raysweep.trainers.dialects import Dialect
from raysweep.trainers.gate_pulse import Pulse, Steps
from raysweep.trainers.hosted import HostedJob, Look, Point

TOLD_S = 3600.0
"""So long after a job's end nobody waits for it any more, at whatever gate."""
WATCHED_S = 60.0
"""Nobody has asked for so long: nobody watches any more."""


@dataclass
class Card:
    """One job."""

    job: HostedJob
    pulse: Pulse
    version: int = 1
    points: list[Point] = field(default_factory=list)
    events: set[str] = field(default_factory=set)
    steps: Steps = field(default_factory=Steps)
    asked_at_s: float = float("-inf")
    known_since_s: float = 0.0
    is_read_out: bool = False
    """Whether its events were read after its end."""
    is_released: bool = False

    def look(self, n_points: int) -> Look:
        """What somebody who knows so many points has not seen."""
        is_read_out = self.job.is_final and self.is_read_out
        return Look(self.job, self.version, tuple(self.points[n_points:]), len(self.points), is_read_out)


class Board:
    """Cards by id. Whoever calls holds the gate's lock."""

    def __init__(self, dialect: Dialect, dice: random.Random) -> None:
        self._dialect = dialect
        self._dice = dice
        self._cards: dict[str, Card] = {}

    def card(self, job_id: str) -> Card | None:
        """The card of a job that is known."""
        return self._cards.get(job_id)

    def by_key(self, key: str) -> HostedJob | None:
        """The job of this key: one that is not final before one that is."""
        found = [card.job for card in self._cards.values() if card.job.key == key]
        return min(found, key=lambda job: (job.is_final, job.created_at_s), default=None)

    def put(self, job: HostedJob, now_s: float) -> bool:
        """Take in what the host says of a job; whether that is news. Nothing takes a job back from its end."""
        card = self._cards.get(job.id)
        if card is None:
            pulse = Pulse(self._dialect.polls, self._dice, now_s)
            self._cards[job.id] = Card(job, pulse, known_since_s=now_s)
            return True
        if card.job == job or (card.job.is_final and not job.is_final):
            return False
        card.job = job
        card.version += 1
        card.pulse.hurry(now_s)
        return True

    def add_points(
        self, card: Card, points: Iterable[tuple[str, Point | None]], now_s: float, *, is_after_end: bool
    ) -> None:
        """Take in what a look at its events gave; `is_after_end`: it was final when they were asked for."""
        n_points, n_events, was_read_out = len(card.points), len(card.events), card.is_read_out
        for event_id, point in points:
            if event_id in card.events:
                continue
            card.events.add(event_id)
            if point:
                card.points.append(point)
                card.steps.add(point, now_s)
        card.is_read_out = is_after_end
        card.version += len(card.points) > n_points or card.is_read_out != was_read_out
        ends_s = card.steps.seconds_to_epoch(card.job.n_epochs)
        card.pulse.looked(now_s, is_new=len(card.events) > n_events, expected_s=ends_s)

    def forget(self, job_id: str) -> None:
        """The host has deleted it."""
        self._cards.pop(job_id, None)

    def release(self, job_id: str) -> None:
        """Nobody needs its record any more."""
        if job_id in self._cards:
            self._cards[job_id].is_released = True

    def watched(self, now_s: float) -> list[Card]:
        """Those that somebody waits for."""
        return [card for card in self._cards.values() if card.asked_at_s > now_s - WATCHED_S]

    def to_read(self, now_s: float) -> list[Card]:
        """Watched jobs whose events may tell something new by now."""
        return [card for card in self.watched(now_s) if self._has_news(card) and card.pulse.due_s <= now_s]

    def next_read_s(self, now_s: float) -> float:
        """When the next events are due."""
        due = [card.pulse.due_s for card in self.watched(now_s) if self._has_news(card)]
        return min(due, default=float("inf"))

    def missing(self, listed: Iterable[HostedJob], asked_at_s: float) -> list[Card]:
        """Watched jobs that go on but are not in a list which was asked for then and should hold them."""
        ids = {job.id for job in listed}
        watched = self.watched(asked_at_s)
        return [card for card in watched if not card.job.is_final and self._is_left_out(card, ids, asked_at_s)]

    def drop_unlisted(self, listed: Iterable[HostedJob], asked_at_s: float) -> None:
        """Forget what others have deleted: whatever nobody watches and a whole list of then should hold.

        A list that was filtered is none.
        """
        ids = {job.id for job in listed}
        watched = {card.job.id for card in self.watched(asked_at_s)}
        for card in tuple(self._cards.values()):
            if card.job.id not in watched and self._is_left_out(card, ids, asked_at_s):
                self.forget(card.job.id)

    @property
    def n_active(self) -> int:
        """Jobs that are not final, others' too."""
        return sum(not card.job.is_final for card in self._cards.values())

    @property
    def n_jobs(self) -> int:
        """All that are known."""
        return len(self._cards)

    def spare(self, today_s: float) -> list[HostedJob]:
        """Ended jobs of sweeps, without a model, whose record nobody needs any more, the oldest first."""
        ended = [card for card in self._cards.values() if card.job.is_final and not card.job.has_succeeded]
        spare = [card.job for card in ended if card.job.key and _is_spare(card, today_s)]
        return sorted(spare, key=lambda job: job.created_at_s)

    def _is_left_out(self, card: Card, ids: Container[str], asked_at_s: float) -> bool:
        """Not because the list lags behind, or was asked for before the job was known."""
        return card.job.id not in ids and asked_at_s - card.known_since_s > self._dialect.lag_s

    def _has_news(self, card: Card) -> bool:
        if card.job.is_final:
            return not card.is_read_out
        return card.job.status not in self._dialect.waiting_states


def _is_spare(card: Card, today_s: float) -> bool:
    """Released by its trial; one of an earlier sweep has told whoever wanted to know."""
    ended_s = card.job.finished_at_s
    return card.is_released or (ended_s is not None and ended_s < today_s - TOLD_S)
