"""The one client of a host and account: it paces, counts, polls once for all, and says no by one table.

A plain class. Trials of several sweeps share it: through a link from their own processes (`gate_link`, `tuning`).
"""

import logging
import random
import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import replace

from raysweep.clock import Clock, RealClock
from raysweep.config import WireTrainer
from raysweep.trainers.dialects import dialect_of
from raysweep.trainers.gate_answers import Answers
from raysweep.trainers.gate_azure import Deployer, deployer_of
from raysweep.trainers.gate_board import Board
from raysweep.trainers.gate_calls import Calls
from raysweep.trainers.gate_client import WireClient
from raysweep.trainers.gate_creates import Creates, unasked
from raysweep.trainers.gate_files import Files
from raysweep.trainers.gate_identity import SCOPE, Tokens, always, entra_token, key_of, refuse_place_holder
from raysweep.trainers.gate_pace import Pace
from raysweep.trainers.gate_permits import TURN_S, Permits
from raysweep.trainers.gate_poll import Poller
from raysweep.trainers.gate_stock import Stock
from raysweep.trainers.host_errors import HostError, No
from raysweep.trainers.hosted import Answer, Deployment, HostedJob, HostedModel, JobRequest, Look, Point, Question

_LOG = logging.getLogger(__name__)


def open_gate(settings: WireTrainer, *, key: str | None = None, tokens: Tokens = entra_token) -> "WireGate":
    """A gate of one's own. Raises ConfigError where the settings do not fit, or there is no key.

    `key`: the environment's where none is given; `tokens`: makes what makes tokens for a scope.
    """
    dialect = dialect_of(settings)
    refuse_place_holder(dialect)
    word = None if settings.identity == "entra" else key or key_of(dialect)
    made = tokens if word is None else always(word)
    client = WireClient(dialect, word or made(SCOPE))
    return WireGate(settings, client, deployer_of(settings, dialect, made), RealClock())


class WireGate:
    """Keeps every promise of `hosted.Gate`."""

    def __init__(self, settings: WireTrainer, client: WireClient, deployer: Deployer | None, clock: Clock) -> None:
        """Asks nothing yet."""
        self._dialect = dialect_of(settings)
        self._clock = clock
        self._client = client
        self._deployer = deployer
        self._calls = Calls(Pace(self._dialect.limits.requests_per_minute, clock), clock)
        self._answers = Answers(settings, self._client, self._calls, self._dialect.limits, clock)
        self._permits = Permits(self._dialect.limits, clock)
        self._changed = threading.Condition()
        self._board = Board(self._dialect, random.Random(time.time_ns()))
        self._poller = Poller(self._dialect, self._client, self._calls, self._board, self._changed)
        self._files = Files(self._client, self._calls, self._dialect.limits.files, clock)
        self._creates = Creates(self._changed, clock)
        self._stock = Stock(self._dialect.limits.jobs, clock)
        weakref.finalize(self, self._poller.close)  # whoever drops a gate, or ends, wants no news any more

    def close(self) -> None:
        """Ask the host for no news any more."""
        self._poller.close()

    def model(self, name: str) -> HostedModel:
        """A model that the host knows."""
        return self._calls.again(lambda: self._client.model(name))

    def file(self, name: str) -> str | None:
        """The id of a file of this name that can be trained on now."""
        return self._files.find(name)

    def upload(self, name: str, content: bytes) -> str:
        """The id of the one file of this name."""
        return self._files.upload(name, content)

    def find(self, sweep_id: str, key: str, *, thorough: bool) -> HostedJob | None:
        """The job that carries the key."""
        with self._changed:
            known = self._board.by_key(key)
        if known is None:
            self._poller.search(key, thorough=thorough)
            with self._changed:
                known = self._board.by_key(key)
        return known

    def create(self, request: JobRequest) -> HostedJob | None:
        """The one job of the request's key, or None while there is no permit."""
        with self._creates.alone(request.key):
            with self._changed:
                known = self._board.by_key(request.key)
            if known is not None:
                return known
            with unasked(request.key):
                self._take_stock()
            with self._changed:
                n_active, n_jobs = self._board.n_active, self._board.n_jobs
            if not self._permits.ask(request.sweep_id, request.key, n_active=n_active, n_jobs=n_jobs):
                with unasked(request.key):
                    self._make_room(n_jobs)
                return None
            if self._creates.is_dismissed(request.key):
                self._permits.give_back(request.key)
                return None
            return self._create(request)

    def admit(self, sweep_id: str) -> None:
        """The sweep may have jobs made, also if it was dismissed before."""
        self._creates.admit(sweep_id)

    def dismiss(self, sweep_id: str | None) -> None:
        """No job is made for the sweep any more; whoever asked may be dead, and his create still on its way."""
        self._creates.dismiss(sweep_id)

    def look_when_due(self) -> float:
        """Ask the host for news if they are due, and when they next are: for a clock that is moved by hand."""
        return self._poller.look_when_due()

    def watch(self, job_id: str, *, version: int, n_points: int, timeout_s: float) -> Look:
        """Wait until there is more than the asker knows, or the time is up."""
        return self._poller.watch(job_id, version=version, n_points=n_points, timeout_s=timeout_s)

    def cancel(self, job_id: str) -> HostedJob | None:
        """Stop a job and say what has become of it; it waits for no turn."""
        try:
            job: HostedJob | None = self._calls.again(lambda: self._client.cancel(job_id), paced=False)
        except HostError as error:
            if error.no not in (No.CONFLICT, No.PARAMS, No.NOT_FOUND):
                raise
            job = self._look_up(job_id)
        if job is not None:
            self._put(job)
        return job

    def jobs(self, sweep_id: str | None) -> Sequence[HostedJob]:
        """All of a sweep's jobs, without trust in the host's filter; None: everybody's."""
        return [job for job in self._poller.stock() if sweep_id in (None, job.sweep_id)]

    def checkpoints(self, job_id: str) -> Sequence[Point]:
        """The points of the checkpoints that were kept; none at a host that knows no checkpoints."""
        try:
            return self._calls.again(lambda: self._client.checkpoints(job_id))
        except HostError as error:
            if error.no is No.NOT_FOUND:
                return ()
            raise

    def result(self, file_id: str) -> bytes:
        """What a result file holds."""
        return self._calls.again(lambda: self._client.content(file_id))

    def ask(self, model: str, questions: Sequence[Question]) -> Sequence[Answer]:
        """A model's answers, in order."""
        return self._answers.ask(model, questions)

    def release(self, job_id: str) -> None:
        """Nobody needs the job's record any more."""
        with self._changed:
            self._board.release(job_id)

    def discard(self, kind: str, name: str) -> bool:
        """Delete something; False where the host does not let go of it."""
        if kind == "job" and not self._dialect.deletes_jobs:
            return False
        if kind == "deployment":
            return self._deployer is not None and self._deployer.delete(name)
        try:
            self._calls.again(lambda: self._client.delete(kind, name))
        except HostError as error:
            if error.no is No.CONFLICT:
                return False
            if error.no not in (No.NOT_FOUND, No.MODEL, No.FILE_GONE):
                raise
        with self._changed:
            self._board.forget(name)
        return True

    def deploy(self, name: str, model: str) -> Deployment | None:
        """The one deployment of this name; None while there is no place for it."""
        if self._deployer is None:
            return Deployment(model, model, is_ready=True)
        return self._deployer.deploy(name, model, self._dialect.limits.deployments)

    def deployments(self) -> Sequence[Deployment]:
        """All that the account has."""
        return self._deployer.all() if self._deployer else ()

    def _create(self, request: JobRequest) -> HostedJob | None:
        try:
            job = self._client.create(request)
        except HostError as error:
            self._permits.give_back(request.key)
            if not (error.meaning.is_wait or error.no is No.RATE):
                raise
            if error.no is No.FILE_GONE:
                self._files.forget()
            self._permits.close(TURN_S[error.no] if error.retry_after_s is None else error.retry_after_s)
            return None
        except BaseException:
            self._permits.give_back(request.key)
            raise
        job = replace(job, key=job.key or request.key, sweep_id=job.sweep_id or request.sweep_id)
        self._put(job)
        self._permits.made(request.key)
        self._poller.hurry()
        return job

    def _take_stock(self) -> None:
        """Count what the host has, others' jobs too: at first, and now and then; sooner where it is full."""
        with self._changed:
            n_jobs = self._board.n_jobs
        if not self._stock.is_due(n_jobs):
            return
        jobs = self._poller.stock()
        if self._stock.counted():
            self._permits.count_earlier([max(0.0, self._client.time.now_s() - job.created_at_s) for job in jobs])

    def _make_room(self, n_jobs: int) -> None:
        """Delete the oldest job that ended without a model and that nobody needs, where the host is full of them."""
        cap = self._dialect.limits.jobs
        if cap is None or n_jobs < cap:
            return
        with self._changed:
            spare = self._board.spare(self._client.time.now_s()) if self._dialect.deletes_jobs else []
        if spare:
            self.discard("job", spare[0].id)
        elif self._stock.is_telling():
            helps = "; `raysweep jobs RUN --prune` helps" if self._dialect.deletes_jobs else ""
            _LOG.warning("the host keeps %d jobs, its limit: trials wait%s", n_jobs, helps)

    def _look_up(self, job_id: str) -> HostedJob | None:
        try:
            return self._calls.again(lambda: self._client.job(job_id), paced=False)
        except HostError as error:
            if error.no in (No.NOT_FOUND, No.PARAMS):
                return None
            raise

    def _put(self, job: HostedJob) -> None:
        with self._changed:
            self._board.put(job, self._clock.monotonic_s())
            self._changed.notify_all()
