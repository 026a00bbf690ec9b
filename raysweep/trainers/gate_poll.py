"""How a gate learns what becomes of its jobs: one list for a whole sweep, and events of those alone that may tell more.

One thread looks for all who wait, so that a slow host holds nobody up; it ends when nobody waits any more.
"""

import logging
import random
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from raysweep.errors import Fault
from raysweep.trainers.dialects import Dialect
from raysweep.trainers.gate_board import Board, Card
from raysweep.trainers.gate_calls import Calls
from raysweep.trainers.gate_client import WireClient
from raysweep.trainers.gate_pulse import Pulse
from raysweep.trainers.host_errors import HostError, No
from raysweep.trainers.hosted import KEY_TAG, SWEEP_TAG, HostedJob, Look, Point

PATIENCE_S = 300.0
"""So long a host may be out of reach before the trials that wait for it are told."""
_LOG = logging.getLogger(__name__)


class Poller:
    """Waits for news of jobs, and fetches it when it is due."""

    def __init__(
        self,
        dialect: Dialect,
        client: WireClient,
        calls: Calls,
        board: Board,
        changed: threading.Condition,
    ) -> None:
        self._dialect = dialect
        self._client = client
        self._calls = calls
        self._board = board
        self._changed = changed
        self._clock = calls.clock
        self._trusts_filter = dialect.metadata_filter
        self._pulse = Pulse(dialect.polls, random.Random(), self._clock.monotonic_s())
        self._is_closed = False
        self._thread: threading.Thread | None = None
        self._lost_at_s: float | None = None
        self._lost: HostError | None = None

    def watch(self, job_id: str, *, version: int, n_points: int, timeout_s: float) -> Look:
        """Wait until there is more than the asker knows, or the time is up. Raises HostError for a lost host."""
        until_s = self._clock.monotonic_s() + timeout_s
        self._know(job_id)
        while True:
            with self._changed:
                now_s = self._clock.monotonic_s()
                card = self._card(job_id)
                card.asked_at_s = now_s
                if card.version > version or len(card.points) > n_points or now_s >= until_s:
                    self._raise_lost(now_s)
                    return card.look(n_points)
                self._start()
                self._changed.wait(max(0.001, until_s - now_s))

    def close(self) -> None:
        """Look no more; whoever waits is told what is known."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def hurry(self) -> None:
        """There is a new job: look soon."""
        with self._changed:
            self._pulse.hurry(self._clock.monotonic_s() + self._dialect.polls.shortest_s)
            self._changed.notify_all()

    def search(self, key: str, *, thorough: bool) -> None:
        """Look for a key's job at the host; what is found is on the board then."""
        if self._trusts_filter and not thorough:
            self._put(self._calls.again(lambda: self._client.jobs({KEY_TAG: key})))
        else:
            self.stock()

    def stock(self) -> Sequence[HostedJob]:
        """Everything that the host lists; what it should list and does not is forgotten, if nobody waits for it."""
        asked_at_s = self._clock.monotonic_s()
        jobs = self._calls.again(self._client.jobs)
        self._put(jobs)
        with self._changed:
            self._board.drop_unlisted(jobs, asked_at_s)
        return jobs

    def _know(self, job_id: str) -> None:
        with self._changed:
            is_known = self._board.card(job_id) is not None
        if not is_known:
            self._put([self._calls.again(lambda: self._client.job(job_id))])

    def _card(self, job_id: str) -> Card:
        card = self._board.card(job_id)
        if card is None:
            raise HostError(f"job {job_id}", No.NOT_FOUND, "it was deleted at the host")
        return card

    def _start(self) -> None:
        if self._thread is None and not self._is_closed:
            self._thread = threading.Thread(target=self._run, name="poll", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                now_s = self._clock.monotonic_s()
                if self._is_closed or not self._board.watched(now_s):
                    self._thread = None
                    return
                wait_s = self._due_s(now_s) - now_s
                if wait_s > 0:
                    self._changed.wait(wait_s)
            if wait_s <= 0:
                self._look()

    def look_when_due(self) -> float:
        """One round if it is due by now, and when the next is; for whoever moves the clock by hand: no thread."""
        with self._changed:
            now_s = self._clock.monotonic_s()
            is_due = self._due_s(now_s) <= now_s
        if is_due:
            self._look()
        with self._changed:
            return self._due_s(self._clock.monotonic_s())

    def _due_s(self, now_s: float) -> float:
        return min(self._pulse.due_s, self._board.next_read_s(now_s))

    def _look(self) -> None:
        """One round: the list if it is due, then events. A host that does not answer is tried again later."""
        try:
            if self._pulse.due_s <= self._clock.monotonic_s():
                self._read_list()
            self._read_events()
            self._lost_at_s, self._lost = None, None
        except HostError as error:
            self._note_lost(error)
        except Exception as error:  # noqa: BLE001  # the thread's border: were it to die, every trial would wait for ever
            self._note_lost(HostError("a look at the jobs", No.NOT_JSON, f"{type(error).__name__}"))

    def _note_lost(self, error: HostError) -> None:
        if self._is_closed:  # the client was closed under its last call
            return
        _LOG.warning("%s", error)
        with self._changed:
            now_s = self._clock.monotonic_s()
            self._lost_at_s = now_s if self._lost_at_s is None else self._lost_at_s
            self._lost = _of_host(error)
            self._pulse.looked(now_s, is_new=False)
            for card in self._board.to_read(now_s):
                card.pulse.looked(now_s, is_new=False)
            self._changed.notify_all()

    def _raise_lost(self, now_s: float) -> None:
        if self._lost is None or self._lost_at_s is None:
            return
        if not self._lost.meaning.is_transient or now_s - self._lost_at_s > PATIENCE_S:
            raise self._lost

    def _read_list(self) -> None:
        with self._changed:
            asked_at_s = self._clock.monotonic_s()
            sweeps = {card.job.sweep_id for card in self._board.watched(asked_at_s)}
        listed: list[HostedJob] = []
        if self._trusts_filter and "" not in sweeps:
            for sweep_id in sorted(sweeps):
                listed += self._calls.again(partial(self._client.jobs, {SWEEP_TAG: sweep_id}))
        else:
            listed += self._calls.again(self._client.jobs)
        is_new = self._put(listed)
        self._find_missing(listed, asked_at_s)
        self._pulse.looked(self._clock.monotonic_s(), is_new=is_new)

    def _find_missing(self, listed: Sequence[HostedJob], asked_at_s: float) -> None:
        """A job that the list should hold: deleted, or the filter does not work."""
        with self._changed:
            missing = self._board.missing(listed, asked_at_s)
        for card in missing:
            try:
                found = self._calls.again(partial(self._client.job, card.job.id))
            except HostError as error:
                if error.no is not No.NOT_FOUND:
                    raise
                found = replace(card.job, status="deleted", is_final=True, error="it was deleted at the host")
            else:
                if self._trusts_filter:
                    _LOG.warning("the host's list leaves out job %s: its metadata filter is not used", found.id)
                self._trusts_filter = False
            self._put([found])

    def _read_events(self) -> None:
        with self._changed:
            cards = [(card, card.job.is_final) for card in self._board.to_read(self._clock.monotonic_s())]
        for card, is_final in cards:
            new = self._new_points(card, to_the_end=is_final and not card.job.has_succeeded)
            with self._changed:
                self._board.add_points(card, new, self._clock.monotonic_s(), is_after_end=is_final)
                self._changed.notify_all()

    def _new_points(self, card: Card, *, to_the_end: bool) -> Sequence[tuple[str, Point | None]]:
        """`to_the_end`: all events, of a job whose curve nothing else tells: a host may list them in no order."""
        if not self._dialect.has_metric_events:
            points = self._calls.again(lambda: self._client.checkpoints(card.job.id))
            return [(repr(point), point) for point in points]
        known: frozenset[str] = frozenset() if to_the_end else frozenset(card.events)

        def is_enough(new: Sequence[Point]) -> bool:
            return not to_the_end and card.steps.is_enough(new, n_epochs=card.job.n_epochs)

        try:
            return self._calls.again(lambda: self._client.events(card.job.id, known, is_enough))
        except HostError as error:
            if error.no is not No.NOT_FOUND:
                raise
            return ()

    def _put(self, jobs: Sequence[HostedJob]) -> bool:
        with self._changed:
            now_s = self._clock.monotonic_s()
            is_new = sum(self._board.put(job, now_s) for job in jobs) > 0  # each of them
            self._changed.notify_all()
        return is_new


def _of_host(error: HostError) -> HostError:
    """A refused look, as one that fails for a while: it says nothing of a trial's params, nor that its job is gone."""
    if error.meaning.is_transient or error.meaning.fault is Fault.ACCOUNT:
        return error
    return HostError(error.wanted, No.BROKEN, error.words or error.no, error.retry_after_s)
