"""Rungs and who goes on from them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.errors import ConfigError
from raysweep.goal import Goal
from raysweep.search.prune import Asha, Continue, NoPruning, Rungs, Stop, cutoff

ACCURACY = Goal("accuracy", "max")
LOSS = Goal("loss", "min")
BUDGET = 3.0


def asha(*levels, eta=2.0, goal=ACCURACY, **settings):
    return Asha(Rungs(levels), goal, eta=eta, **settings)


def went_on(pruner, values, resource=1.0):
    return [isinstance(pruner.decide(number, resource, value, BUDGET), Continue) for number, value in enumerate(values)]


def test_the_best_share_of_those_that_came_goes_on():
    assert went_on(asha(1.0, eta=3.0), [0.5, 0.4, 0.6, 0.55, 0.7, 0.65]) == [True, False, True, False, True, True]


def test_less_is_better_where_the_goal_says_so():
    assert went_on(asha(1.0, eta=2.0, goal=LOSS), [0.5, 0.6, 0.4]) == [True, False, True]


def test_the_first_arrivals_go_on():
    assert went_on(asha(1.0, eta=2.0, min_arrivals=4), [0.5, 0.4, 0.3, 0.2]) == [True, True, True, False]


def test_a_tie_with_the_cutoff_goes_on():
    assert went_on(asha(1.0, eta=3.0), [0.5, 0.5, 0.5, 0.4]) == [True, True, True, False]


def test_nan_is_the_worst():
    assert went_on(asha(1.0), [0.1, math.nan, 0.05, 0.2]) == [True, False, False, True]
    assert went_on(asha(1.0), [math.nan, 0.1, -5.0]) == [True, True, False]


def test_a_stop_says_where_and_why():
    pruner = asha(0.5, 1.0)
    pruner.decide(0, 0.5, 0.4, BUDGET)

    decision = pruner.decide(1, 0.5, 0.3, BUDGET)

    assert decision == Stop(rung=0.5, cutoff=0.4, value=0.3)
    assert str(decision) == "0.3 at rung 0.5, where 0.4 was needed"


def test_a_trial_is_judged_once_a_rung():
    pruner = asha(1.0)
    assert went_on(pruner, [0.2])

    for number, value in enumerate([0.9, 0.8], start=1):
        pruner.decide(number, 1.0, value, BUDGET)

    assert pruner.decide(0, 1.0, 0.2, BUDGET) == Continue()
    assert pruner.decide(0, 1.5, 0.2, BUDGET) == Continue()


def test_a_trial_that_was_stopped_stays_stopped():
    pruner = asha(1.0)
    went_on(pruner, [0.9, 0.1])

    again = pruner.decide(1, 2.0, 1.0, BUDGET)

    assert again == Stop(rung=1.0, cutoff=0.9, value=0.1)


def test_an_evaluation_after_a_rung_counts_for_it():
    pruner = asha(1.0)

    assert went_on(pruner, [0.9], resource=1.0)
    assert isinstance(pruner.decide(1, 1.4, 0.5, BUDGET), Stop)


def test_a_rung_that_was_jumped_over_never_judges():
    pruner = asha(1.0, 2.0)
    for number in range(3):
        pruner.decide(number, 1.0, 0.9, BUDGET)

    first = pruner.decide(7, 2.0, 0.3, BUDGET)
    again = pruner.decide(7, 2.0, 0.3, BUDGET)

    assert (first, again) == (Continue(), Continue())
    assert isinstance(pruner.decide(8, 2.0, 0.2, BUDGET), Stop)


def test_no_rung_is_reached_before_the_first():
    pruner = asha(1.0)
    went_on(pruner, [0.9])

    assert pruner.decide(1, 0.5, 0.0, BUDGET) == Continue()
    assert isinstance(pruner.decide(1, 1.0, 0.0, BUDGET), Stop)


def test_the_last_evaluation_is_not_judged_and_raises_nobodys_bar():
    pruner = asha(1.0)

    assert pruner.decide(0, BUDGET, 0.9, BUDGET) == Continue()
    assert went_on(pruner, [0.5, 0.6])[1]


def test_fractions_are_of_the_trials_own_budget():
    pruner = Asha(Rungs((1 / 3, 0.5), is_relative=True), ACCURACY, eta=2.0)

    assert pruner.rungs_for(6.0) == (2.0, 3.0)
    assert pruner.rungs_for(3.0) == (1.0, 1.5)
    pruner.decide(0, 2.0, 0.9, 6.0)
    assert isinstance(pruner.decide(1, 1.0, 0.5, 3.0), Stop)


def test_a_third_of_three_epochs_is_reached_after_one():
    pruner = Asha(Rungs((0.1 + 0.2,), is_relative=False), ACCURACY, eta=2.0)
    pruner.decide(0, 0.3, 0.9, BUDGET)

    assert isinstance(pruner.decide(1, 0.3, 0.5, BUDGET), Stop)


def test_absolute_rungs_beyond_a_short_trials_budget_are_none_of_its():
    assert asha(1.0, 2.0, 4.0).rungs_for(2.0) == (1.0,)


def test_without_pruning_everybody_goes_on():
    assert NoPruning().rungs_for(3.0) == ()
    assert NoPruning().decide(0, 1.0, math.nan, 3.0) == Continue()


@pytest.mark.parametrize(
    ("levels", "is_relative", "message"),
    [
        ((), False, "must be numbers above zero"),
        ((0.0, 1.0), False, "must be numbers above zero"),
        ((math.nan,), False, "must be numbers above zero"),
        ((2.0, 1.0), False, "must ascend"),
        ((1.0, 1.0), False, "must ascend"),
        ((0.5, 1.0), True, "1 is not below 1"),
    ],
)
def test_rungs_that_make_no_ladder_are_refused(levels, is_relative, message):
    with pytest.raises(ConfigError, match=message):
        Rungs(levels, is_relative=is_relative)


@pytest.mark.parametrize("settings", [{"eta": 1.0}, {"eta": math.nan}, {"min_arrivals": 1}])
def test_settings_that_would_stop_everybody_or_nobody_are_refused(settings):
    with pytest.raises(ConfigError):
        asha(1.0, **settings)


EVENTS = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from([0.5, 1.0, 1.7, 2.0, 3.0]), st.floats(0, 1) | st.just(math.nan)),
    max_size=40,
)


@given(events=EVENTS, cut=st.integers(0, 40))
def test_a_replayed_record_gives_the_same_decisions(events, cut):
    original, rebuilt = asha(0.5, 1.5), asha(0.5, 1.5)
    for number, resource, value in events[:cut]:
        original.decide(number, resource, value, BUDGET)
        rebuilt.decide(number, resource, value, BUDGET)

    rest = [repr(original.decide(*event, BUDGET)) for event in events[cut:]]

    assert [repr(rebuilt.decide(*event, BUDGET)) for event in events[cut:]] == rest


@given(losses=st.lists(st.floats(-1, 1), min_size=1, max_size=60), eta=st.floats(1.1, 6))
def test_the_cutoff_keeps_one_in_eta_and_always_the_best(losses, eta):
    kept = [loss for loss in losses if loss <= cutoff(losses, eta, 2)]

    assert min(losses) in kept
    assert (
        len(set(losses)) < len(losses) or len(losses) < 2 or len(kept) == max(1, math.floor(len(losses) / eta + 1e-9))
    )
