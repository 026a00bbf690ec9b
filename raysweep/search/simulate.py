"""A sweep in simulated time: proposer, pruner and slots as in a real one, learning curves from a function."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass

from raysweep.clock import SimulatedClock
from raysweep.dimensions import Params
from raysweep.jobs import Outcome
from raysweep.search.history import Done, History, Suggestion, Wait
from raysweep.search.prune import Pruner, Stop


@dataclass(frozen=True)
class CurvePoint:
    """One evaluation of a simulated job."""

    duration_s: float
    """Since the evaluation before."""
    resource: float
    """In total, in the unit of the rungs."""
    value: float
    tokens: int
    """Trained in total."""


@dataclass(frozen=True)
class Curve:
    """A simulated job from its start to its own end."""

    points: tuple[CurvePoint, ...]
    outcome: Outcome = Outcome.COMPLETED
    """How it ends where nobody stops it."""
    ends_after_s: float | None = None
    """From its last point, or its start, to an end without an evaluation; None: it ends at its last point."""
    budget: float | None = None
    """Where it would end if nothing went wrong, in the unit of the rungs; None: at its last point."""

    @property
    def full_resource(self) -> float:
        """Its budget."""
        return self.points[-1].resource if self.budget is None else self.budget


@dataclass(frozen=True)
class SimulatedTrial:
    """What became of a trial."""

    number: int
    params: Params
    outcome: Outcome
    values: tuple[float, ...]
    """One an evaluation."""
    tokens: int
    started_s: float
    ended_s: float


@dataclass(frozen=True)
class Simulation:
    """What became of a sweep."""

    trials: tuple[SimulatedTrial, ...]
    """In the order of their numbers."""
    wall_s: float
    workers: int

    @property
    def tokens(self) -> int:
        """Trained by all trials."""
        return sum(trial.tokens for trial in self.trials)

    @property
    def idle_share(self) -> float:
        """The share of the workers' time in which they had no trial."""
        busy_s = sum(trial.ended_s - trial.started_s for trial in self.trials)
        return 1 - busy_s / (self.workers * self.wall_s) if self.wall_s else 0.0


@dataclass
class _Running:
    suggestion: Suggestion
    curve: Curve
    started_s: float
    n_done: int = 0

    def ended(self, outcome: Outcome, now_s: float) -> SimulatedTrial:
        points = self.curve.points[: self.n_done]
        return SimulatedTrial(
            number=self.suggestion.number,
            params=self.suggestion.params,
            outcome=outcome,
            values=tuple(point.value for point in points),
            tokens=points[-1].tokens if points else 0,
            started_s=self.started_s,
            ended_s=now_s,
        )


def simulate(
    history: History, pruner: Pruner, curves: Callable[[Params], Curve], *, workers: int, clock: SimulatedClock
) -> Simulation:
    """Runs the sweep to its end; sleeps nowhere. Of two events at the same time the trial that began first goes first.

    Raises ValueError when the history waits although no trial is running, or for a curve without points and end.
    """
    began_s = clock.monotonic_s()
    queue: list[tuple[float, int]] = []
    running: dict[int, _Running] = {}
    ended: list[SimulatedTrial] = []
    while True:
        for started in _start(history, curves, n_free=workers - len(running), now_s=clock.monotonic_s()):
            running[started.suggestion.number] = started
            heapq.heappush(queue, _next_event(started, clock.monotonic_s()))
        if not queue:
            break
        now_s, number = heapq.heappop(queue)
        clock.advance_to(now_s)
        trial = running[number]
        outcome = _advance(trial, history, pruner)
        if outcome is None:
            heapq.heappush(queue, _next_event(trial, now_s))
        else:
            history.end(number, outcome)
            ended.append(running.pop(number).ended(outcome, now_s))
    trials = tuple(sorted(ended, key=lambda trial: trial.number))
    return Simulation(trials, wall_s=clock.monotonic_s() - began_s, workers=workers)


def _start(history: History, curves: Callable[[Params], Curve], *, n_free: int, now_s: float) -> list[_Running]:
    started: list[_Running] = []
    while len(started) < n_free:
        answer = history.ask()
        match answer:
            case Suggestion():
                started.append(_Running(answer, curves(answer.params), now_s))
            case Wait():
                if not history.running:
                    raise ValueError("the history waits for a trial to end, but none is running")
                break
            case Done():
                break
    return started


def _next_event(trial: _Running, now_s: float) -> tuple[float, int]:
    following = trial.curve.points[trial.n_done :]
    delay_s = following[0].duration_s if following else trial.curve.ends_after_s
    if delay_s is None:
        raise ValueError(f"trial {trial.suggestion.number}: a curve without points never ends; give it ends_after_s")
    return now_s + delay_s, trial.suggestion.number


def _advance(trial: _Running, history: History, pruner: Pruner) -> Outcome | None:
    """The outcome when this event ended the trial, as the pruner or the curve wanted it."""
    if trial.n_done == len(trial.curve.points):
        return trial.curve.outcome
    point = trial.curve.points[trial.n_done]
    trial.n_done += 1
    history.record(trial.suggestion.number, point.value, point.resource)
    decision = pruner.decide(trial.suggestion.number, point.resource, point.value, trial.curve.full_resource)
    if trial.n_done == len(trial.curve.points) and trial.curve.ends_after_s is None:
        return trial.curve.outcome
    return Outcome.PRUNED if isinstance(decision, Stop) else None
