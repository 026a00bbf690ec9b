"""What the driver decides on each event of a sweep, and what it writes down; Ray is nowhere in here."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from raysweep.clock import Clock
from raysweep.entries import CancelRequested, Evaluated, JobAccepted, SweepEnded, TrialEnded, TrialProposed
from raysweep.errors import Fault, JobFailed, RaysweepError
from raysweep.goal import Goal
from raysweep.jobs import Evaluation, JobSpec, Outcome, Progress
from raysweep.recorder import Recorder
from raysweep.search.history import Done, History, Suggestion, Wait
from raysweep.search.prune import Pruner, Stop


@dataclass(frozen=True)
class Report:
    """What an actor says after a step."""

    job_id: str
    host: str
    progress: Progress | None = None
    """None in the first report of a job, which says only that it was accepted."""
    failure: JobFailed | None = None


@dataclass(frozen=True)
class Rules:
    """What a driver needs to know of its sweep."""

    goal: Goal
    stopping_goal: Goal
    sampled: tuple[str, ...]
    """Names of the params that vary."""
    target: float | None
    time_s: float | None


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
        self._rules = rules
        self._history = history
        self._pruner = pruner
        self._make_spec = make_spec
        self._recorder = recorder
        self._clock = clock
        self._began_s = clock.monotonic_s()
        self._specs: dict[int, JobSpec] = {}
        self.error: RaysweepError | None = None
        self.signal: str | None = None
        """The signal that ended the sweep, if one did."""
        self.end_reason: str | None = None
        """Why no further trial begins; None while there is none, and at a sweep's natural end."""

    def suggest(self) -> JobSpec | Wait | Done:
        """The next trial's spec, written down before anything else happens to it."""
        if self.is_over():
            return Done()
        suggestion = self._history.ask()
        if not isinstance(suggestion, Suggestion):
            return suggestion
        spec = self._make_spec(suggestion)
        self._specs[spec.trial] = spec
        sampled = tuple(name for name in self._rules.sampled if name in spec.params)
        self._recorder.record(
            TrialProposed(self._clock.now(), spec.trial, spec.attempt, spec.key, spec.params, sampled)
        )
        return spec

    def report(self, trial: int, report: Report) -> bool:
        """Take in what an actor says; whether its trial goes on."""
        state = self._recorder.state.trials[trial]
        if state.ended:
            return False
        if state.job is None and report.job_id:
            self._recorder.record(
                JobAccepted(self._clock.now(), trial, self._specs[trial].attempt, report.job_id, report.host)
            )
        if report.failure:
            self._fail(trial, report.failure)
            return False
        if report.progress is None:
            return True
        if report.progress.evaluation:
            self._evaluate(trial, report.progress.evaluation)
        if report.progress.is_final:
            self._complete(trial, report.progress)
            return False
        return not report.progress.evaluation or self._goes_on(trial, report.progress.evaluation)

    def lose(self, trial: int, reason: str) -> None:
        """The trial's actor died, or raised what no trainer should raise."""
        if not self._recorder.state.trials[trial].ended:
            self._end(trial, Outcome.ERRORED, reason)

    def is_over(self) -> bool:
        """Whether everything that still runs is to be stopped."""
        time_s = self._rules.time_s
        if self.end_reason is None and time_s is not None and self._clock.monotonic_s() - self._began_s >= time_s:
            self.stop(f"the time is up ({time_s:g} s)")
        return self.end_reason is not None

    def stop(self, reason: str) -> None:
        """Begin no further trial, and stop those that run; the first reason counts."""
        self.end_reason = self.end_reason or reason
        self._history.close()

    def interrupt(self, signal_name: str) -> None:
        """Stop because somebody said so; what would come after the search is left out."""
        self.signal = signal_name
        self.stop(f"interrupted by {signal_name}")

    def abort(self, error: RaysweepError) -> None:
        """Stop because the sweep itself cannot go on."""
        self.error = self.error or error
        self.stop(str(error))

    def close(self) -> None:
        """Write down the end of what still ran, and of a sweep that broke: every actor is gone by now."""
        reason = self.end_reason or "the sweep ended"
        try:
            for trial, state in self._recorder.state.trials.items():
                if not state.ended:
                    self._end(trial, Outcome.CANCELLED, reason)
            if self.error:
                self._recorder.record(SweepEnded(self._clock.now(), reason))
        except RaysweepError as error:
            self.abort(error)

    def _evaluate(self, trial: int, evaluation: Evaluation) -> None:
        metrics = {name: _finite(value) for name, value in evaluation.metrics.items()}
        self._recorder.record(
            Evaluated(
                self._clock.now(),
                trial,
                self._specs[trial].attempt,
                evaluation.epoch,
                evaluation.examples,
                evaluation.trained_tokens,
                metrics,
            )
        )
        value = metrics.get(self._rules.goal.metric)
        self._history.record(trial, math.nan if value is None else value, evaluation.epoch)

    def _goes_on(self, trial: int, evaluation: Evaluation) -> bool:
        value = _finite(evaluation.metrics.get(self._rules.stopping_goal.metric))
        budget = self._specs[trial].evaluate_at[-1]
        decision = self._pruner.decide(trial, evaluation.epoch, math.nan if value is None else value, budget)
        if not isinstance(decision, Stop):
            return True
        reason = f"{self._rules.stopping_goal.metric} {decision}"
        self._recorder.record(CancelRequested(self._clock.now(), trial, Outcome.PRUNED, reason))
        self._end(trial, Outcome.PRUNED, reason)
        return False

    def _complete(self, trial: int, progress: Progress) -> None:
        last = self._recorder.state.trials[trial].last
        objective = last.metrics.get(self._rules.goal.metric) if last else None
        if objective is None:
            reason = f"its last evaluation holds no {self._rules.goal.metric}"
            self._end(trial, Outcome.ERRORED, reason, model=progress.model)
            return
        self._end(trial, Outcome.COMPLETED, "", model=progress.model)
        target = self._rules.target
        if target is not None and self._rules.goal.reached(objective, target):
            self.stop(f"trial {trial} reached the target: {self._rules.goal.metric} {objective:.4g}")

    def _fail(self, trial: int, failure: JobFailed) -> None:
        outcome = Outcome.FAILED if failure.fault is Fault.PARAMS else Outcome.ERRORED
        self._end(trial, outcome, failure.reason)
        if failure.fault is Fault.DATA:
            self.abort(RaysweepError(f"trial {trial}: {failure.reason}; every trial would fail so: mend the data"))

    def _end(self, trial: int, outcome: Outcome, reason: str, *, model: str | None = None) -> None:
        self._history.end(trial, outcome)
        state = self._recorder.state.trials[trial]
        scored = outcome in (Outcome.COMPLETED, Outcome.PRUNED, Outcome.CANCELLED) and state.last is not None
        objective = state.last.metrics.get(self._rules.goal.metric) if scored and state.last else None
        self._recorder.record(
            TrialEnded(self._clock.now(), trial, outcome, reason, objective, model, state.trained_tokens)
        )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
