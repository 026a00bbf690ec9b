"""What the driver decides on each event of a sweep, and what it writes down; Ray is nowhere in here."""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from raysweep import entries
from raysweep.clock import Clock
from raysweep.errors import Fault, JobFailed, RaysweepError
from raysweep.jobs import Evaluation, JobSpec, Outcome, Progress
from raysweep.recorder import Recorder
from raysweep.retries import Again, GiveUp, next_step
from raysweep.search.history import Done, History, Suggestion, Wait
from raysweep.search.prune import Decision, Pruner, Stop
from raysweep.search.replicas import Replicas
from raysweep.tuning.purse import Means, Purse
from raysweep.tuning.report import Report, finite
from raysweep.tuning.rules import Rules
from raysweep.tuning.turns import Turns

_LOG = logging.getLogger(__name__)


class Driver:
    """Owns the sweep's history and ledger; told of every event, once, in one thread.

    An error that it cannot live with (a full disk) ends the sweep and is kept in `error`.
    """

    def __init__(
        self,
        rules: Rules,
        *,
        history: History | Replicas,
        pruner: Pruner,
        make_spec: Callable[[Suggestion], JobSpec],
        recorder: Recorder,
        clock: Clock,
        means: Means | None = None,
    ) -> None:
        self.rules = rules
        self.history = history
        self.pruner = pruner
        self.make_spec = make_spec
        self.recorder = recorder
        self.purse = Purse(means or Means(), recorder, rules.has_host)
        self._clock = clock
        self._began_s = clock.monotonic_s()
        state = recorder.state
        self._spent_s = state.elapsed_s(state.at) if state.at else 0.0
        self._live: dict[int, JobSpec] = {}
        self._turns = Turns(history, make_spec, self.purse, clock)
        self.error: RaysweepError | None = None
        self.signal: str | None = None
        """The signal that ended the sweep, if one did."""
        self.is_leaving = False
        """Whether the jobs of the trials that are worked on are to be let go of, not cancelled."""
        self.end_reason: str | None = None
        """Why no further trial begins; None while there is none, and at a sweep's natural end."""

    def suggest(self) -> JobSpec | Wait | Done:
        """The next trial's spec, written down before anything else happens to it."""
        answer = Done() if self.is_over() else self._turns.next(len(self._live), self.rules.concurrency)
        if isinstance(answer, str):
            self.stop(answer)
            return Done()
        return self._propose(answer) if isinstance(answer, JobSpec) else answer

    def take_up(self, spec: JobSpec, attempt: int, wait_s: float = 0.0) -> None:
        """Let a trial that holds a slot already be worked on again, after a wait, from where its record ends."""
        known = len(self.recorder.state.trials[spec.trial].evaluations)
        self._turns.take_up(replace(spec, attempt=attempt, n_evaluations=known), wait_s)

    def interrupt_trial(
        self, trial: int, fault: Fault | None, reason: str, *, is_job_over: bool, wait_s: float = 0.0
    ) -> None:
        """Write down that nobody works on the trial any more, and why; whoever says so has it taken up or ended."""
        now, attempt = self._clock.now(), self.recorder.state.trials[trial].attempt
        usd = self.purse.settle(trial) if is_job_over else None
        self.purse.forget(trial)
        self.recorder.record(entries.TrialInterrupted(now, trial, attempt, fault, reason, is_job_over, wait_s, usd))

    def report(self, trial: int, report: Report) -> bool:
        """Take in what an actor says; whether its trial goes on."""
        if trial not in self._live:
            return False
        if self.recorder.state.trials[trial].job is None and report.job_id:
            attempt = self._live[trial].attempt
            self.recorder.record(entries.JobAccepted(self._clock.now(), trial, attempt, report.job_id, report.host))
        if report.failure:
            self._fail(trial, report.failure, is_job_over=report.is_job_over or not self.rules.has_host)
            return False
        if report.progress is None:
            return True
        self.purse.see(self._live[trial], report.progress)
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
            self.purse.forget(trial)  # what its job did since, or does until a cancel takes effect, nobody has seen
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
        self.recorder.record(entries.CancelRequested(self._clock.now(), trial, outcome, reason))
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
        self.is_leaving = self.rules.leaves_jobs and self.end_reason is None
        self.stop(f"interrupted by {signal_name}")

    def abort(self, error: RaysweepError) -> None:
        """Stop because the sweep itself cannot go on."""
        self.error = self.error or error
        self.is_leaving = False
        self.stop(str(error))

    def close(self, finished: Collection[str] = ()) -> None:
        """Write down the end of what still ran, was left, or has `finished`, by its key; every actor is gone by now."""
        reason = self.end_reason or "the sweep ended"
        try:
            mine = [one for one in self.recorder.state.trials.values() if not one.ended and self.rules.owns(one)]
            for trial, state in [(one.number, one) for one in mine]:
                if state.stopping:  # the disk was full when it was decided
                    self.end_trial(trial, state.stopping.outcome, state.stopping.reason)
                elif state.may_have_job and (self.is_leaving or state.proposed.key in finished):
                    why = entries.LEFT_RUNNING if self.is_leaving else entries.FINISHED_FIRST
                    self.interrupt_trial(trial, None, why, is_job_over=False)
                else:
                    self.end_trial(trial, Outcome.CANCELLED, reason)
            if self.error:
                self.recorder.record(entries.SweepEnded(self._clock.now(), reason))
        except RaysweepError as error:
            self.abort(error)

    def end_trial(self, trial: int, outcome: Outcome, reason: str, *, model: str | None = None) -> None:
        """Write the trial's end down, and what its last attempt has cost; its slot is free."""
        self._live.pop(trial, None)
        self._turns.drop(trial)
        state, metric = self.recorder.state.trials[trial], self.rules.goal.metric
        if self.rules.owns(state):  # a replica is stopped by hand while the search goes on
            self.history.end(trial, outcome)
        end = state.end(self._clock.now(), outcome, reason, metric=metric, model=model)
        self.recorder.record(replace(end, is_settled=self.purse.is_settled(trial), usd=self.purse.settle(trial)))

    def _propose(self, spec: JobSpec) -> JobSpec:
        sampled = tuple(name for name in self.rules.sampled if name in spec.params)
        now, usd, of = self._clock.now(), self.purse.reservation(spec), self.rules.replica_of(spec.trial)
        begun = (now, spec.trial, spec.attempt, spec.key, spec.params, sampled, usd, spec.seed, of)
        self.recorder.record(entries.TrialProposed(*begun))
        self.purse.begin(spec)
        self._live[spec.trial] = spec
        return spec

    def _evaluate(self, trial: int, evaluation: Evaluation) -> None:
        last = self.recorder.state.trials[trial].last
        if last is not None and evaluation.epoch <= last.epoch:
            _LOG.warning("trial %d: its trainer repeats the evaluation at epoch %g; left out", trial, evaluation.epoch)
            return
        now, attempt, epoch = self._clock.now(), self._live[trial].attempt, evaluation.epoch
        metrics, seen = finite(evaluation.metrics), (evaluation.examples, evaluation.trained_tokens)
        self.recorder.record(entries.Evaluated(now, trial, attempt, epoch, *seen, metrics))
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
        return self.pruner.decide(spec.trial, epoch, value, spec.evaluate_at[-1])

    def prune(self, trial: int, decision: Stop) -> None:
        """End a trial as early stopping has it."""
        self.stop_trial(trial, Outcome.PRUNED, f"{self.rules.stopping_goal.metric} {decision}")

    def _complete(self, trial: int, progress: Progress) -> None:
        last = self.recorder.state.trials[trial].last
        objective = last.metrics.get(self.rules.goal.metric) if last else None
        if objective is None:
            reason = f"its last evaluation holds no {self.rules.goal.metric}"
            self.end_trial(trial, Outcome.ERRORED, reason, model=progress.model)
        else:
            self.end_trial(trial, Outcome.COMPLETED, "", model=progress.model)
            self.stop_at_target(trial, objective)

    def _fail(self, trial: int, failure: JobFailed, *, is_job_over: bool) -> None:
        self.purse.hear(trial, failure, is_job_over=is_job_over)
        if failure.fault is Fault.PARAMS:
            self.end_trial(trial, Outcome.FAILED, failure.reason)
        elif failure.fault is Fault.DATA:
            self.end_trial(trial, Outcome.ERRORED, failure.reason)
            then = "every trial would fail so: mend the data and begin anew"
            self.abort(RaysweepError(f"trial {trial}: {failure.reason}; {then}"))
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
