"""Sweeps in which most trials break: they end, no slot is lost, and the proposer hears what is documented."""

import itertools
import math
import time

import pytest

from raysweep.clock import SimulatedClock
from raysweep.goal import Goal
from raysweep.jobs import Outcome
from raysweep.search.history import History, told
from raysweep.search.propose import make_proposer
from raysweep.search.prune import Asha, NoPruning, Rungs
from raysweep.search.simulate import Curve, CurvePoint, simulate
from raysweep.space import Choice, LogUniform, Space

GOAL = Goal("f1", "max")
SPACE = Space({"lr": LogUniform("loguniform", 1e-5, 1e-1), "rank": Choice("choice", (4, 8, 16))})
N_TRIALS = 200
N_POINTS = 6
BUDGET = N_POINTS / 2

SETUP, STEP, KILLED, FINE = "fails in setup", "fails in a step", "its actor is killed", "completes"
TURNS = (SETUP, STEP, KILLED, FINE)


def fate(number):
    """What happens to a trial, and how many evaluations it has before that."""
    kind = TURNS[number % len(TURNS)]
    n_evaluations = {SETUP: 0, STEP: number // 4 % N_POINTS, KILLED: number // 4 % N_POINTS, FINE: N_POINTS}[kind]
    return kind, n_evaluations


def curve_of(number, params):
    kind, n_evaluations = fate(number)
    best = 0.5 - 0.1 * math.log10(params["lr"] / 1e-3) ** 2
    points = tuple(
        CurvePoint(params["rank"], place / 2, best * (1 - 0.5**place), place * 1000) for place in range(1, N_POINTS + 1)
    )
    if kind == FINE:
        return Curve(points)
    outcome = Outcome.ERRORED if kind == KILLED else Outcome.FAILED
    return Curve(points[:n_evaluations], outcome, ends_after_s=3.0, budget=BUDGET)


class Listener:
    """A proposer that writes down what another one is told."""

    def __init__(self, proposer):
        self._proposer = proposer
        self.told = {}

    def ask(self, number):
        return self._proposer.ask(number)

    def adopt(self, number, params):
        self._proposer.adopt(number, params)

    def tell(self, number, loss):
        assert number not in self.told, "a trial is told at most once"
        self.told[number] = loss
        self._proposer.tell(number, loss)


class Witness(History):
    """A history that writes down in which order trials ended, and with what."""

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.n_most = 0
        self.ends = []
        self.losses = {}

    def ask(self):
        answer = super().ask()
        self.n_most = max(self.n_most, len(self.running))
        return answer

    def record(self, number, value, resource):
        self.losses.setdefault(number, []).append(GOAL.loss(value))
        super().record(number, value, resource)

    def end(self, number, outcome):
        self.ends.append((number, outcome))
        super().end(number, outcome)


def sweep(kind, pruner, *, curves=None, workers=4):
    listener = Listener(make_proposer(kind, SPACE, seed=0, n_trials=N_TRIALS))
    history = Witness(listener, GOAL, n_trials=N_TRIALS, concurrency=4)
    numbers = itertools.count()
    result = simulate(
        history,
        pruner,
        curves or (lambda params: curve_of(next(numbers), params)),
        workers=workers,
        clock=SimulatedClock(),
    )
    return result, history, listener.told


def expected_to_be_told(history):
    """The documented rule, applied to the ends in their order; where no worst loss is known yet, once it is."""
    worst, owed, found = None, [], {}
    for number, outcome in history.ends:
        known = [*history.losses.get(number, []), *([] if worst is None else [worst])]
        worst = max(known, default=None)
        owed.append((number, outcome))
        for waiting, how in list(owed):
            loss = told(how, history.losses.get(waiting, []), worst)
            if loss is not None or how is Outcome.ERRORED:
                found[waiting] = loss
                owed.remove((waiting, how))
    return found


@pytest.mark.parametrize("kind", ["random", "hyperopt", "optuna"])
def test_two_hundred_trials_that_break_in_turn_lose_no_slot(kind):
    result, history, told_of = sweep(kind, Asha(Rungs((0.5, 1.5)), GOAL, eta=2))

    assert [trial.number for trial in result.trials] == list(range(N_TRIALS))
    assert history.running == ()
    assert history.n_most == 4
    assert set(told_of) == set(range(N_TRIALS))
    assert told_of == expected_to_be_told(history)
    assert {trial.outcome for trial in result.trials} == {
        Outcome.COMPLETED,
        Outcome.PRUNED,
        Outcome.FAILED,
        Outcome.ERRORED,
    }


def test_every_trial_ends_as_its_fate_says_where_nobody_prunes():
    result, _, told_of = sweep("random", NoPruning())

    for trial in result.trials:
        kind, n_evaluations = fate(trial.number)
        assert len(trial.values) == n_evaluations
        assert trial.outcome is {FINE: Outcome.COMPLETED, KILLED: Outcome.ERRORED}.get(kind, Outcome.FAILED)
        assert trial.tokens == n_evaluations * 1000
        assert trial.ended_s - trial.started_s == n_evaluations * trial.params["rank"] + (0 if kind == FINE else 3)
        if kind == FINE:
            assert told_of[trial.number] == -trial.values[-1]
        if kind == KILLED:
            assert told_of[trial.number] is None


def test_slots_are_never_idle_while_trials_remain():
    result, _, _ = sweep("random", NoPruning())

    assert result.idle_share < 0.02


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.ERRORED])
@pytest.mark.parametrize("kind", ["random", "hyperopt", "optuna"])
def test_a_sweep_in_which_every_trial_fails_in_setup_ends_too(kind, outcome):
    result, history, told_of = sweep(kind, NoPruning(), curves=lambda params: Curve((), outcome, ends_after_s=1.0))

    assert [trial.outcome for trial in result.trials] == [outcome] * N_TRIALS
    assert history.running == ()
    assert set(told_of.values()) == (set() if outcome is Outcome.FAILED else {None})
    assert result.wall_s == N_TRIALS / 4


def test_a_trial_that_breaks_after_a_rung_can_be_stopped_at_it_first():
    values = iter([0.9, 0.8, 0.1])

    def curves(params):
        return Curve((CurvePoint(1.0, 0.5, next(values, 0.5), 10),), Outcome.FAILED, ends_after_s=9.0, budget=BUDGET)

    result, _, _ = sweep("random", Asha(Rungs((0.5,)), GOAL, eta=2), curves=curves, workers=1)

    assert [trial.outcome for trial in result.trials[:3]] == [Outcome.FAILED, Outcome.PRUNED, Outcome.PRUNED]
    assert [trial.ended_s - trial.started_s for trial in result.trials[:3]] == [10, 1, 1]


def test_a_curve_that_neither_measures_nor_ends_is_refused():
    with pytest.raises(ValueError, match="a curve without points never ends; give it ends_after_s"):
        sweep("random", NoPruning(), curves=lambda params: Curve(()))


def test_broken_trials_cost_no_time_to_simulate():
    began_s = time.process_time()

    sweep("random", Asha(Rungs((0.5, 1.5)), GOAL, eta=2))

    assert time.process_time() - began_s < 1
