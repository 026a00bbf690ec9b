"""How good the best of many models is, from the rows that chose it."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest
from winner_simulation import Coins, Ratings, Regime, sweep
from winner_texts import GOALS, Writers

from raysweep.goal import Goal
from raysweep.scoring import Answers
from raysweep.scoring.selection import chosen, values_of
from raysweep.task import Task, TaskKind

STARS = Task(TaskKind.RATING, ("1", "2", "3"), (1.0, 2.0, 3.0))
ACCURACY = Goal("accuracy", "max")
ERROR = Goal("mse_expected", "min")


def rater(right, noise, dice):
    """A model that is off by so much, and sure of the label next to what it sees."""
    values = np.array(STARS.values)
    seen = values[right] + dice.normal(scale=noise, size=right.size)
    table = np.exp(-((values - seen[:, None]) ** 2) * 2)
    table /= table.sum(axis=1, keepdims=True)
    return Answers(right, table.argmax(axis=1), 3, values, table, table @ values)


def raters(noises, n=300, seed=0):
    dice = np.random.default_rng(seed)
    right = dice.integers(3, size=n)
    return [rater(right, noise, dice) for noise in noises]


def check(told, least_raw):
    """That a winner looks too good by so many points, that its corrected score does not, and that intervals hold."""
    raw, corrected = (100 * np.array(one) for one in ([one.raw for one in told], [one.corrected for one in told]))
    assert abs(raw.mean()) > least_raw
    assert abs(corrected.mean()) < 0.5 + 3 * corrected.std() / math.sqrt(len(told))
    least = 0.93 - 3 * math.sqrt(0.95 * 0.05 / len(told))
    for name in ("has_corrected", "has_test", "has_difference", "is_explained"):
        assert least < np.mean([getattr(one, name) for one in told]), name
    assert np.mean([one.has_raw for one in told]) < 0.9


@pytest.mark.parametrize(
    ("regime", "least_raw"), [(Regime("equal", 200, 0.0), 6.0), (Regime("plateau", 200, 0.5), 2.0)]
)
def test_the_winners_score_is_corrected_to_what_it_is_and_intervals_hold_the_truth(regime, least_raw):
    dice = np.random.default_rng(1)

    check([sweep(Coins(), regime, ACCURACY, dice) for _ in range(200)], least_raw)


def test_f1_and_errors_of_ratings_are_corrected_alike():
    goals = [Goal("f1_weighted", "max"), ERROR]
    world, dice = Ratings([goal.metric for goal in goals], n_all=50_000), np.random.default_rng(1)

    for goal in goals:
        check([sweep(world, Regime("plateau", 300, 0.0), goal, dice) for _ in range(40)], 2.0)


def test_scores_of_free_text_are_corrected_alike():
    dice = np.random.default_rng(1)

    for goal in GOALS:
        check([sweep(Writers(), Regime("plateau", 200, 0.0), goal, dice) for _ in range(15)], 2.0)


def test_rows_that_nobody_wrote_change_nothing():
    goal, task = Goal("token_f1", "max"), Writers.task
    few = Writers().answers(np.full(20, 0.6), 90, 0.0, np.random.default_rng(3))
    more = [
        replace(
            one,
            right=(*one.right, "x", "y"),
            **{
                name: np.append(getattr(one, name), [np.nan, np.nan])
                for name in ("matches", "overlaps", "losses", "n_tokens", "grades")
            },
        )
        for one in few
    ]

    found, of_all = chosen(task, few, goal), chosen(task, more, goal)

    assert (found.place, found.raw.value) == (of_all.place, of_all.raw.value)
    assert found.corrected.value == pytest.approx(of_all.corrected.value, abs=0.03)
    assert (90, 90) == (more[0].n_with("token_f1"), more[0].n_with("loss"))
    assert chosen(task, few, Goal("grade", "max")) is None
    with pytest.raises(ValueError, match="same examples"):
        chosen(task, [few[0], more[1]], goal)


def test_a_model_that_all_rows_prefer_owes_nothing_to_being_chosen():
    models = raters([0.05, 2.0, 2.0, 2.0])

    for goal in (ACCURACY, ERROR):
        found = chosen(STARS, models, goal)
        assert 0 == found.place
        assert found.raw.value == pytest.approx(found.corrected.value)
        assert (found.raw.low, found.raw.high) == pytest.approx((found.corrected.low, found.corrected.high))


@pytest.mark.parametrize("goal", [ACCURACY, ERROR, Goal("f1_weighted", "max"), Goal("auroc", "max")])
def test_the_best_of_many_alike_is_worth_less_than_its_score(goal):
    models = raters([0.8] * 40)

    found = chosen(STARS, models, goal)

    losses = values_of(STARS, models, goal.metric) * goal.loss(1.0)
    assert found.place == losses.argmin()
    assert goal.loss(found.raw.value) == pytest.approx(losses.min())
    assert losses.min() < goal.loss(found.corrected.value) < losses.max()
    assert found.corrected.low < found.corrected.value < found.corrected.high
    better, worse = ("high", "low") if goal.mode == "max" else ("low", "high")
    assert getattr(found.raw, better) == getattr(found.corrected, better)
    assert getattr(found.raw, worse) != getattr(found.corrected, worse)


def test_counts_and_examples_give_the_same():
    values = np.array(STARS.values)
    models = [replace(one, expected=values[one.predicted]) for one in raters([0.8] * 12)]

    by_counts, by_example = (chosen(STARS, models, Goal(name, "min")) for name in ("mse", "mse_expected"))

    assert by_counts.place == by_example.place
    assert by_counts.corrected.value == pytest.approx(by_example.corrected.value)


def test_models_with_and_without_probabilities_are_chosen_among():
    first, *others = raters([0.8] * 10)
    models = [replace(first, probabilities=None), *others]

    assert chosen(STARS, models, ACCURACY) is not None
    assert chosen(STARS, models, ERROR) is not None
    assert chosen(STARS, models, Goal("log_loss", "min")) is None


def test_one_model_alone_is_what_it_is():
    found = chosen(STARS, raters([0.8]), ACCURACY)

    assert found.raw == found.corrected


def test_a_metric_that_is_not_made_from_rows_has_no_correction():
    assert chosen(STARS, raters([0.8, 0.9]), Goal("host_loss", "min")) is None


def test_answers_to_other_rows_are_refused():
    with pytest.raises(ValueError, match="same examples"):
        chosen(STARS, [*raters([0.8]), *raters([0.8], seed=1)], ACCURACY)


def test_eighty_trials_of_two_thousand_rows_take_seconds():
    models = raters([0.8] * 83, n=2000)

    began = time.process_time()
    chosen(STARS, models, Goal("f1_weighted", "max"))
    chosen(STARS, models, ERROR)

    assert time.process_time() - began < 4
