"""One fine-tune at a host: watched, told as evaluations at the ends of epochs, cancelled there."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from raysweep.clock import Clock
from raysweep.errors import Fault, JobFailed, RaysweepError
from raysweep.jobs import Evaluation, JobSpec, Progress
from raysweep.trainers import wire_record
from raysweep.trainers.host_errors import HostError, No, as_failure, fault_of_job
from raysweep.trainers.hosted import Gate, HostedJob, Look, Point
from raysweep.trainers.prompting import prompt_of
from raysweep.trainers.wire_begin import Beginning
from raysweep.trainers.wire_curve import Curve
from raysweep.trainers.wire_metrics import metrics_of, read_result
from raysweep.trainers.wire_record import End
from raysweep.trainers.wire_size import Size

_LOG = logging.getLogger(__name__)
WAIT_S = 0.5
"""Between two asks for a permit; a place in the queue is lost after half a minute of silence."""
PATIENT_LOOKS = 2
"""How often news of later steps comes before an epoch's missing loss is given up for its nearest."""
Made = TypeVar("Made")
Scorer = Callable[[str, Callable[[], bool]], Mapping[str, float | None]]
"""Metrics of the model that a note tells of; ends early, with none, where the second says so."""


class WireJob:
    """Watches a job; what is handed out is in the folder's record or comes again from the host."""

    def __init__(
        self, spec: JobSpec, gate: Gate, beginning: Beginning, *, size: Size, scorer: Scorer, clock: Clock
    ) -> None:
        """Touches the host not yet."""
        self._spec = spec
        self._gate = gate
        self._beginning = beginning
        self._size = size
        self._scorer = scorer
        self._clock = clock
        self._curve = Curve(n_epochs=round(spec.evaluate_at[-1]), n_train=size.n_train, batch_size=size.batch_size)
        self._n_told = spec.n_evaluations
        self._version, self._n_points, self._n_late = 0, 0, 0
        self._is_filled, self._is_read_out, self._status = False, False, ""
        self._end = beginning.record.end
        self.id = beginning.record.job_id
        self._stopped = threading.Event()
        self._is_left = False
        self._turn = threading.Lock()

    def begin(self) -> None:
        """Find, adopt or make the job, if that can be done at once. Raises JobFailed, or HostError."""
        if not self.id and not self._stopped.is_set():
            job = self._said(self._beginning.attempt)
            self.id = job.id if job else ""
            if job and self._stopped.is_set() and not self._is_left:
                self._gate.cancel(job.id)

    def advance(self, timeout_s: float) -> Progress:
        """Wait for the next epoch's end, the job's end, or the time-out."""
        with self._turn:
            until_s = self._clock.monotonic_s() + timeout_s
            while True:
                progress = self._step(until_s)
                if progress is not None:
                    return progress

    def cancel(self) -> None:
        """At the host; a job that has finished first is finished. One that cannot be reached is left to reconcile."""
        if self._end is not None:
            return
        self._stopped.set()
        try:
            job = self._gate.cancel(self.id) if self.id else None
        except RaysweepError as error:
            _LOG.warning("job %s could not be cancelled (%s); reconcile tries again", self.id, error)
            return
        if job is not None and job.has_succeeded:
            self._stopped.clear()
        elif job is not None and job.is_final:
            self._gate.release(job.id)

    def leave(self) -> None:
        """Watch it no longer: no job is begun and no model scored from now on; what there is goes on at the host."""
        self._is_left = True
        self._stopped.set()

    def _step(self, until_s: float) -> Progress | None:
        """One look; None where there is nothing to tell yet, and time is left."""
        if self._end is not None:
            return self._handed_out(self._end)
        left_s = max(0.0, until_s - self._clock.monotonic_s())
        told = None
        if self.id and not self._stopped.is_set():
            told = self._watch(left_s)
        elif not self._stopped.is_set():
            self.begin()
            self._stopped.wait(0 if self.id else min(left_s, WAIT_S))
        return told or (self._progress() if self._stopped.is_set() or not left_s else None)

    def _watch(self, timeout_s: float) -> Progress | None:
        try:
            look = self._look(timeout_s)
        except HostError as error:
            if error.no is No.NOT_FOUND:
                most_usd = self._size.bill.at_most_usd if self._size.bill else None  # nobody can say what it came to
                raise JobFailed(f"job {self.id} is not at its host any more", Fault.HOST, most_usd) from error
            raise as_failure(error) from error
        self._take_in(look)
        if self._stopped.is_set():
            return None
        lost = self._curve.diverged()
        is_pointless = lost is not None and not (look.job.is_final and not look.job.has_succeeded)
        if is_pointless:
            self._gate.cancel(self.id)
        evaluation = self._next()
        if evaluation is not None:
            return self._progress(evaluation)
        if lost and is_pointless:
            words = f"job {self.id}: {lost.words}: it has diverged, and was cancelled"
            raise JobFailed(words, Fault.PARAMS, self._usd())
        return self._said(lambda: self._ended(look.job)) if look.is_read_out else None

    def _look(self, timeout_s: float) -> Look:
        """One that waits for news only where all that is known is told."""
        wait_s = 0.0 if self._is_read_out or self._knows_next() else timeout_s
        return self._gate.watch(self.id, version=self._version, n_points=self._n_points, timeout_s=wait_s)

    def _knows_next(self) -> bool:
        if not self._has_more() or self._curve.diverged():
            return False
        return self._curve.end_of(self._spec.evaluate_at[self._n_told]) is not None

    def _take_in(self, look: Look) -> None:
        self._version, self._n_points, self._status = look.version, look.n_points, look.job.status
        self._curve.add(look.points)
        self._is_read_out = look.is_read_out
        if look.is_read_out:
            self._curve.settle()
        is_late = self._has_more() and self._curve.has_passed(self._spec.evaluate_at[self._n_told])
        self._n_late = self._n_late + 1 if is_late and look.points else self._n_late

    def _has_more(self) -> bool:
        """Whether an evaluation before the last is to come; the last comes with the end."""
        return self._n_told < len(self._spec.evaluate_at) - 1

    def _next(self, *, is_over: bool = False) -> Evaluation | None:
        if not self._has_more():
            return None
        epoch, lost = self._spec.evaluate_at[self._n_told], self._curve.diverged()
        end = self._curve.end_of(epoch)
        point = end or self._curve.nearest(epoch)
        if end is None and not is_over and (self._n_late < PATIENT_LOOKS or point is None):
            return None
        if lost and (point is None or point.step >= lost.step):
            return None
        self._n_told += 1
        self._n_late = 0
        return self._evaluation(epoch, point)

    def _ended(self, job: HostedJob) -> Progress | None:
        """A final job whose events are all read: what is still to be told of it, then its end."""
        if job.has_succeeded:
            self._fill(job)
        evaluation = self._next(is_over=job.has_succeeded)
        if evaluation is not None:
            return self._progress(evaluation)
        if job.has_succeeded:
            return self._complete(job)
        self._gate.release(job.id)
        usd = self._size.stopped_usd(self._usd(), job.trained_tokens)
        if job.error_code or job.has_failed:
            words = job.error or job.error_code or "the host does not say why"
            fault = fault_of_job(job.error_code, words)
            words = self._size.places.named(words, job.error_param) if fault is Fault.DATA else words
            usd = 0.0 if fault is Fault.DATA and not self._curve.last_step else usd  # refused before training
            raise JobFailed(f"job {job.id} failed at its host: {words}", fault, usd)
        lost = self._curve.diverged()  # cancelled for it, by a watcher whom nobody heard any more
        words = f"{lost.words}: it has diverged, and was cancelled" if lost else f"{job.status} at the host"
        raise JobFailed(f"job {job.id}: {words}", Fault.PARAMS if lost else Fault.HOST, usd)

    def _fill(self, job: HostedJob) -> None:
        """What the events left out, from the checkpoints and then from the result file."""
        ends = self._spec.evaluate_at
        for source in () if self._is_filled else (self._checkpoints, self._result):
            if all(self._curve.end_of(epoch) for epoch in ends):
                break
            self._curve.add(source(job), fill=True)
            self._curve.settle()
        self._is_filled = True

    def _checkpoints(self, job: HostedJob) -> Sequence[Point]:
        return self._gate.checkpoints(job.id)

    def _result(self, job: HostedJob) -> Sequence[Point]:
        return read_result(self._gate.result(job.result_files[0])) if job.result_files else ()

    def _complete(self, job: HostedJob) -> Progress | None:
        """Score the model, write the end down, and tell the last evaluation with it."""
        note = wire_record.save_model(self._spec.folder, job.model or "", self._spec.key, prompt_of(self._spec.params))
        scores = self._scorer(note, self._stopped.is_set)
        if self._stopped.is_set():
            return self._progress()
        evaluations = []
        for epoch in self._spec.evaluate_at:
            point = self._curve.end_of(epoch) or self._curve.nearest(epoch)
            evaluations.append(self._evaluation(epoch, point))
        tokens = max(job.trained_tokens or 0, evaluations[-1].trained_tokens)
        last = replace(evaluations[-1], trained_tokens=tokens, metrics={**evaluations[-1].metrics, **scores})
        usd = self._size.bill.whole_usd(job.trained_tokens) if self._size.bill else None
        self._end = End(note, tokens, (*evaluations[:-1], last), usd)
        record = replace(self._beginning.record, end=self._end)
        wire_record.save(self._spec.folder, record)
        self._gate.release(job.id)
        return None

    def _handed_out(self, end: End) -> Progress:
        """From the record; the host is not asked any more."""
        evaluation = end.evaluations[self._n_told] if self._n_told < len(end.evaluations) else None
        self._n_told += evaluation is not None
        is_final = self._n_told >= len(end.evaluations)
        epoch = self._spec.evaluate_at[-1] if is_final or evaluation is None else evaluation.epoch
        return Progress(epoch, end.trained_tokens, evaluation, is_final, end.model if is_final else None, end.usd)

    def _evaluation(self, epoch: float, point: Point | None) -> Evaluation:
        made = metrics_of(point or Point(0))
        return Evaluation(epoch, round(epoch * self._size.n_train), round(epoch * self._size.tokens), made)

    def _progress(self, evaluation: Evaluation | None = None) -> Progress:
        epoch = max(self._curve.epoch(), evaluation.epoch if evaluation else 0.0)
        return Progress(epoch, round(epoch * self._size.tokens), evaluation, usd=self._usd(epoch))

    def _usd(self, epoch: float = 0.0) -> float | None:
        """What it has cost so far, as far as its steps tell; before any, all of it unless it surely does not train."""
        bill, is_made = self._size.bill, bool(self.id)
        is_idle = self._status in bill.free_states if bill and is_made else not self._beginning.record.is_creating
        is_known = bool(epoch or self._curve.last_step or is_idle)
        return bill.so_far_usd(max(epoch, self._curve.epoch()), is_known=is_known) if bill else None

    def _said(self, call: Callable[[], Made]) -> Made:
        try:
            return call()
        except HostError as error:
            if error.no is No.FILE:
                error = HostError(error.wanted, error.no, self._size.places.named(error.words), error.retry_after_s)
            raise as_failure(error) from error
