"""A sweep's host and its ledger made to agree, on jobs and on money, as a session begins, goes on and ends."""

import logging
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from raysweep.billing import Price, settlements
from raysweep.clock import Clock
from raysweep.entries import JobAccepted
from raysweep.errors import RaysweepError
from raysweep.jobs import JobView, Trainer
from raysweep.reconcile import Reconciled, reconcile
from raysweep.recorder import Recorder

_LOG = logging.getLogger(__name__)

SETTLE_S = (0.0, 2.0, 10.0)
"""The waits before each try to settle things with a host that may not answer."""


@dataclass(frozen=True)
class Settlement:
    """Cancels what nobody owns, and settles what is over; what could not be done is logged and said in words."""

    trainer: Trainer
    sweep_id: str
    folder: Path
    recorder: Recorder
    clock: Clock
    price: Price

    def begin(self) -> None:
        """Before anything new is made at the host; raises RaysweepError where that fails for good.

        A further attempt beside a job that could not be cancelled would be paid twice.
        """
        problems: tuple[str, ...] = ()
        for wait_s in SETTLE_S:
            self.clock.sleep_s(wait_s)
            problems = self.go_on()
            if not problems:
                return
        raise RaysweepError(f"{'; '.join(problems)}; nothing new is made there before that is settled")

    def go_on(self) -> tuple[str, ...]:
        """Cancel the jobs of ended trials; those of the others stay."""
        return self._reconcile(is_over=False).problems

    def settle(self, listed: Sequence[JobView], unseen: Collection[str] = ()) -> None:
        """Write down what ended trials' jobs have cost, as far as the host has shown them to be over."""
        for settled in settlements(self.recorder.state, listed, unseen, self.price, self.clock.now()):
            self.recorder.record(settled)

    def finished(self) -> frozenset[str]:
        """The keys of jobs that have ended well, as far as the host says; none without one that answers."""
        if not self.trainer.describe().has_host:
            return frozenset()
        try:
            listed = tuple(self.trainer.jobs(self.sweep_id))
        except RaysweepError as error:
            _LOG.warning("%s: what has finished cannot be asked", error)
            return frozenset()
        return frozenset(job.key for job in listed if job.has_succeeded and not job.is_deployment)

    def end(self, *, is_left: bool, is_hurried: bool) -> tuple[str, ...]:
        """Nobody works on any trial any more: cancel every job, or leave those of unfinished trials running.

        What is left is written down, should its trial not have lived to tell of it. Nothing is left that a model
        answers from: nobody asks it, and it costs. A host that has not shown every cancelled job final is asked again
        for a while, unless somebody is in a hurry; what is owed then stays reserved.
        """
        try:
            done = self._confirmed(is_over=not is_left, is_hurried=is_hurried)
        except RaysweepError as error:  # the disk is full
            return (str(error),)
        if not is_left:
            return done.problems
        return self._let_go(done)

    def _confirmed(self, *, is_over: bool, is_hurried: bool) -> Reconciled:
        done = Reconciled()
        for wait_s in SETTLE_S:
            self.clock.sleep_s(wait_s)
            done = self._reconcile(is_over=is_over)
            if is_hurried or done.problems or not self.recorder.state.owed:
                break
        if owed_usd := self.recorder.state.owed_usd:
            _LOG.warning(
                "%.2f USD stay reserved: their host has not shown the jobs to be over; `raysweep reconcile %s` asks",
                owed_usd,
                self.folder,
            )
        return done

    def _let_go(self, done: Reconciled) -> tuple[str, ...]:
        problems = list(done.problems)
        for adopted in done.adopted:
            try:
                if adopted.job.is_deployment:
                    self.trainer.cancel(adopted.job.id)
                elif self.recorder.state.trials[adopted.trial].job is None:
                    self._accept(adopted.trial, adopted.job.id)
            except RaysweepError as error:
                problems.append(f"{adopted.job.id}: {error}")
        return tuple(problems)

    def _accept(self, trial: int, job_id: str) -> None:
        attempt = self.recorder.state.trials[trial].attempt
        self.recorder.record(JobAccepted(self.clock.now(), trial, attempt, job_id, socket.gethostname()))

    def _reconcile(self, *, is_over: bool) -> Reconciled:
        done = reconcile(self.trainer, self.sweep_id, lambda: self.recorder.state, self.clock, is_over=is_over)
        for cancelled in done.cancelled:
            _LOG.warning("job %s was cancelled at its host: %s", cancelled.job.id, cancelled.reason)
        for problem in done.problems:
            _LOG.error("%s; `raysweep reconcile %s` tries again", problem, self.folder)
        self.settle(done.listed, done.unseen)
        return done
