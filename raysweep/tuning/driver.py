"""What the driver decides on each event of a sweep, and what it writes down; Ray is nowhere in here."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from raysweep.clock import Clock
from raysweep.entries import (
    CancelRequested,
    Evaluated,
    JobAccepted,
    SweepEnded,
    TrialInterrupted,
    TrialProposed,
)
from raysweep.errors import Fault, JobFailed, RaysweepError
from raysweep.jobs import Evaluation, JobSpec, Outcome, Progress
from raysweep.recorder import Recorder
from raysweep.retries import Again, GiveUp, next_step
from raysweep.search.history import Done, History, Suggestion, Wait
from raysweep.search.prune import Decision, Pruner, Stop
from raysweep.tuning.report import Report
from raysweep.tuning.rules import Rules

_LOG = logging.getLogger(__name__)


class Driver:
    """Owns the sweep's history and ledger; told of every event, once, in one thread.

    An error that it cannot live with (a full disk) ends the sweep and is kept in `error`.
    """

    def __init__(
        self,
        rules: Rules,
        *,
        history: History,
        pruner: Pruner,
        make_spec: Callable[[Suggestion], JobSpec],
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self.rules = rules
        self.history = history
        self._pruner = pruner
        self.make_spec = make_spec
        self.recorder = recorder
        self._clock = clock
        self._began_s = clock.monotonic_s()
        state = recorder.state
        self._spent_s = state.elapsed_s(state.at) if state.at else 0.0
        self._live: dict[int, JobSpec] = {}
        self._waiting: dict[int, tuple[float, JobSpec]] = {}
        self.error: RaysweepError | None = None
        self.signal: str | None = None
        """The signal that ended the sweep, if one did."""
        self.end_reason: str | None = None
        """Why no further trial begins; None while there is none, and at a sweep's natural end."""

    def suggest(self) -> JobSpec | Wait | Done:
        """The next trial's spec, written down before anything else happens to it."""
        if self.is_over():
            return Done()
        due = [trial for trial, (due_s, _) in self._waiting.items() if due_s <= self._clock.monotonic_s()]
        if due and len(self._live) < self.rules.concurrency:
            return self._propose(self._waiting.pop(min(due))[1])
        suggestion = self.history.ask()
        if isinstance(suggestion, Suggestion):
            return self._propose(self.make_spec(suggestion))
        return Wait() if self._waiting or self._live else suggestion  # who runs may be lost, and tried again

    def take_up(self, spec: JobSpec, attempt: int, wait_s: float = 0.0) -> None:
        """Let a trial that holds a slot already be worked on again, after a wait, from where its record ends."""
        known = len(self.recorder.state.trials[spec.trial].evaluations)
        again = replace(spec, attempt=attempt, n_evaluations=known)
        self._waiting[spec.trial] = (self._clock.monotonic_s() + wait_s, again)

    def interrupt_trial(
        self, trial: int, fault: Fault | None, reason: str, *, is_job_over: bool, wait_s: float = 0.0
    ) -> None:
        """Write down that nobody works on the trial any more, and why; whoever says so has it taken up or ended."""
        now, attempt = self._clock.now(), self.recorder.state.trials[trial].attempt
        self.recorder.record(TrialInterrupted(now, trial, attempt, fault, reason, is_job_over, wait_s))

    def report(self, trial: int, report: Report) -> bool:
        """Take in what an actor says; whether its trial goes on."""
        if trial not in self._live:
            return False
        if self.recorder.state.trials[trial].job is None and report.job_id:
            attempt = self._live[trial].attempt
            self.recorder.record(JobAccepted(self._clock.now(), trial, attempt, report.job_id, report.host))
        if report.failure:
            self._fail(trial, report.failure, is_job_over=report.is_job_over or not self.rules.has_host)
            return False
        if report.progress is None:
            return True
        if report.progress.evaluation:
            self._evaluate(trial, report.progress.evaluation)
        if report.progress.is_final:
            self._complete(trial, report.progress)
            return False
        return not report.progress.evaluation or self._goes_on(trial, report.progress.evaluation)

    @property
    def live(self) -> tuple[int, ...]:
        """The trials that are worked on."""
        return tuple(self._live)

    def lose(self, trial: int, reason: str, fault: Fault | None = Fault.HOST) -> None:
        """The trial's actor is gone; its job may live on at its host. No fault: another one's took it along."""
        if trial in self._live:
            self._lose(trial, fault, reason, is_job_over=fault is None or not self.rules.has_host)

    def is_over(self) -> bool:
        """Whether everything that still runs is to be stopped."""
        time_s = self.rules.time_s
        driven_s = self._spent_s + self._clock.monotonic_s() - self._began_s
        if self.end_reason is None and time_s is not None and driven_s >= time_s:
            self.stop(f"the time is up ({time_s:g} s)")
        return self.end_reason is not None

    def stop(self, reason: str) -> None:
        """Begin no further trial, and stop those that run; the first reason counts."""
        self.end_reason = self.end_reason or reason
        self.history.close()

    def stop_trial(self, trial: int, outcome: Outcome, reason: str) -> None:
        """End a trial before its time; its actor, if it has one, is stopped at its next report."""
        self.recorder.record(CancelRequested(self._clock.now(), trial, outcome, reason))
        self.end_trial(trial, outcome, reason)

    def stop_at_target(self, trial: int, objective: float) -> None:
        """Stop if a completed trial's objective is good enough."""
        target = self.rules.target
        if target is not None and self.rules.goal.reached(objective, target):
            self.stop(f"trial {trial} reached the target: {self.rules.goal.metric} {objective:.4g}")

    def interrupt(self, signal_name: str) -> None:
        """Stop because somebody said so; what would come after the search is left out."""
        self.signal = signal_name
        self.recorder.hurry()
        self.stop(f"interrupted by {signal_name}")

    def abort(self, error: RaysweepError) -> None:
        """Stop because the sweep itself cannot go on."""
        self.error = self.error or error
        self.stop(str(error))

    def close(self) -> None:
        """Write down the end of what still ran, and of a sweep that broke: every actor is gone by now."""
        reason = self.end_reason or "the sweep ended"
        try:
            for trial, state in self.recorder.state.trials.items():
                if state.ended:
                    continue
                if state.stopping:  # the disk was full when it was decided
                    self.end_trial(trial, state.stopping.outcome, state.stopping.reason)
                else:
                    self.end_trial(trial, Outcome.CANCELLED, reason)
            if self.error:
                self.recorder.record(SweepEnded(self._clock.now(), reason))
        except RaysweepError as error:
            self.abort(error)

    def end_trial(self, trial: int, outcome: Outcome, reason: str, *, model: str | None = None) -> None:
        """Write the trial's end down; its slot is free."""
        self._live.pop(trial, None)
        self._waiting.pop(trial, None)
        self.history.end(trial, outcome)
        state, metric = self.recorder.state.trials[trial], self.rules.goal.metric
        self.recorder.record(state.end(self._clock.now(), outcome, reason, metric=metric, model=model))

    def _propose(self, spec: JobSpec) -> JobSpec:
        sampled = tuple(name for name in self.rules.sampled if name in spec.params)
        self.recorder.record(TrialProposed(self._clock.now(), spec.trial, spec.attempt, spec.key, spec.params, sampled))
        self._live[spec.trial] = spec
        return spec

    def _evaluate(self, trial: int, evaluation: Evaluation) -> None:
        last = self.recorder.state.trials[trial].last
        if last is not None and evaluation.epoch <= last.epoch:
            _LOG.warning("trial %d: its trainer repeats the evaluation at epoch %g; left out", trial, evaluation.epoch)
            return
        now, attempt, epoch = self._clock.now(), self._live[trial].attempt, evaluation.epoch
        metrics = {name: _finite(value) for name, value in evaluation.metrics.items()}
        seen = (evaluation.examples, evaluation.trained_tokens)
        self.recorder.record(Evaluated(now, trial, attempt, epoch, *seen, metrics))
        self.learn(trial, metrics, epoch)

    def _goes_on(self, trial: int, evaluation: Evaluation) -> bool:
        decision = self.judge(self._live[trial], evaluation.metrics, evaluation.epoch)
        if isinstance(decision, Stop):
            self.prune(trial, decision)
        return not isinstance(decision, Stop)

    def learn(self, trial: int, metrics: Mapping[str, float | None], epoch: float) -> None:
        """Let the search know of an evaluation."""
        self.history.record(trial, self.rules.goal.value_in(metrics), epoch)

    def judge(self, spec: JobSpec, metrics: Mapping[str, float | None], epoch: float) -> Decision:
        """What early stopping says of an evaluation."""
        value = self.rules.stopping_goal.value_in(metrics)
        return self._pruner.decide(spec.trial, epoch, value, spec.evaluate_at[-1])

    def prune(self, trial: int, decision: Stop) -> None:
        """End a trial as early stopping has it."""
        self.stop_trial(trial, Outcome.PRUNED, f"{self.rules.stopping_goal.metric} {decision}")

    def _complete(self, trial: int, progress: Progress) -> None:
        last = self.recorder.state.trials[trial].last
        objective = last.metrics.get(self.rules.goal.metric) if last else None
        if objective is None:
            reason = f"its last evaluation holds no {self.rules.goal.metric}"
            self.end_trial(trial, Outcome.ERRORED, reason, model=progress.model)
            return
        self.end_trial(trial, Outcome.COMPLETED, "", model=progress.model)
        self.stop_at_target(trial, objective)

    def _fail(self, trial: int, failure: JobFailed, *, is_job_over: bool) -> None:
        if failure.fault is Fault.PARAMS:
            self.end_trial(trial, Outcome.FAILED, failure.reason)
        elif failure.fault is Fault.DATA:
            self.end_trial(trial, Outcome.ERRORED, failure.reason)
            words = f"trial {trial}: {failure.reason}; every trial would fail so: mend the data and begin anew"
            self.abort(RaysweepError(words))
        elif failure.fault is Fault.ACCOUNT:
            self._lose(trial, None, failure.reason, is_job_over=is_job_over)
            self.abort(RaysweepError(f"trial {trial}: {failure.reason}"))
        else:
            self._lose(trial, failure.fault, failure.reason, is_job_over=is_job_over)

    def _lose(self, trial: int, fault: Fault | None, reason: str, *, is_job_over: bool) -> None:
        spec = self._live.pop(trial)
        faults = (*self.recorder.state.trials[trial].faults, fault) if fault else ()
        then = next_step(faults, reason, attempts=self.rules.attempts, wait_s=self.rules.wait_s)
        wait_s = then.wait_s if isinstance(then, Again) else 0.0
        self.interrupt_trial(trial, fault, reason, is_job_over=is_job_over, wait_s=wait_s)
        if isinstance(then, GiveUp):
            self.end_trial(trial, then.outcome, then.reason)
        else:
            self.take_up(spec, spec.attempt + 1 if is_job_over else spec.attempt, wait_s)


def _finite(value: float | None) -> float | None:
    """The value as a ledger can hold it: None where it is not a number."""
    return value if value is not None and math.isfinite(value) else None
