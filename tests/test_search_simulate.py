"""Sweeps in simulated time."""

import math
import time

import pytest

from raysweep.clock import SimulatedClock
from raysweep.goal import Goal
from raysweep.jobs import Outcome
from raysweep.search.history import History
from raysweep.search.propose import make_proposer
from raysweep.search.prune import Asha, NoPruning, Rungs
from raysweep.search.simulate import Curve, CurvePoint, simulate
from raysweep.space import Choice, LogUniform, Space

GOAL = Goal("f1", "max")
SPACE = Space({"lr": LogUniform("loguniform", 1e-5, 1e-1), "rank": Choice("choice", (4, 8, 16))})


def curve(params, outcome=Outcome.COMPLETED):
    best = 0.5 - 0.1 * math.log10(params["lr"] / 1e-3) ** 2
    points = [CurvePoint(params["rank"], epoch / 2, best * (1 - 0.5**epoch), epoch * 1000) for epoch in range(1, 7)]
    return Curve(tuple(points), outcome)


def sweep(kind="random", *, n_trials=30, workers=2, pruner=None, lag=None, curves=curve, concurrency=None):
    proposer = make_proposer(kind, SPACE, seed=0, n_trials=n_trials)
    history = History(proposer, GOAL, n_trials=n_trials, concurrency=concurrency or workers, lag=lag)
    return simulate(history, pruner or NoPruning(), curves, workers=workers, clock=SimulatedClock())


def test_without_pruning_every_trial_runs_to_its_end():
    result = sweep(n_trials=4, workers=2, curves=lambda params: curve({"lr": 1e-3, "rank": 10}))

    assert [trial.outcome for trial in result.trials] == [Outcome.COMPLETED] * 4
    assert [(trial.started_s, trial.ended_s) for trial in result.trials] == [(0, 60), (0, 60), (60, 120), (60, 120)]
    assert (result.tokens, result.wall_s, result.idle_share) == (4 * 6000, 120, 0)


def test_asha_saves_tokens_and_keeps_the_best():
    full, pruned = sweep(), sweep(pruner=Asha(Rungs((0.5, 1.5)), GOAL, eta=2))

    assert pruned.tokens < 0.6 * full.tokens
    assert {trial.outcome for trial in pruned.trials} == {Outcome.COMPLETED, Outcome.PRUNED}
    assert {len(trial.values) for trial in pruned.trials} == {1, 3, 6}
    best = max((trial for trial in pruned.trials if trial.outcome is Outcome.COMPLETED), key=lambda t: t.values[-1])
    assert best.params == max(full.trials, key=lambda trial: trial.values[-1]).params


@pytest.mark.parametrize("lag", [None, 3])
def test_the_same_sweep_twice_is_the_same(lag):
    results = [sweep("hyperopt", pruner=Asha(Rungs((0.5, 1.5)), GOAL), lag=lag) for _ in range(2)]

    assert results[0] == results[1]


def test_ordered_sweeps_wait():
    free, ordered = sweep(workers=4), sweep(workers=4, lag=3)

    assert ordered.idle_share > free.idle_share
    assert len(ordered.trials) == 30


def test_failures_end_with_the_curve_and_their_slots_come_back():
    result = sweep(curves=lambda params: curve(params, Outcome.FAILED if params["rank"] == 8 else Outcome.COMPLETED))

    assert len(result.trials) == 30
    assert {trial.outcome for trial in result.trials if trial.params["rank"] == 8} == {Outcome.FAILED}


def test_fewer_workers_than_slots_are_enough():
    assert len(sweep(n_trials=5, workers=1, concurrency=3).trials) == 5


def test_a_curve_without_points_is_refused():
    with pytest.raises(ValueError, match="a curve without points never ends"):
        sweep(curves=lambda params: Curve(()))


def test_two_hundred_trials_take_well_under_a_second():
    began_s = time.process_time()

    result = sweep(n_trials=200, workers=4, pruner=Asha(Rungs((0.5, 1.5)), GOAL))

    assert len(result.trials) == 200
    assert time.process_time() - began_s < 0.5
