"""How sure a metric is."""

import time

import numpy as np
import pytest

from raysweep.scoring import Prediction, metrics_of, read, read_texts, score
from raysweep.scoring.intervals import Bootstrap, differences, intervals
from raysweep.task import Task, TaskKind

STARS = Task(TaskKind.RATING, ("1", "2", "3", "4", "5"))
FEW = Bootstrap(seed=1, n_resamples=2000, n_by_example=400)


def answers(n, seed, skill=2.0, task=STARS, labels_seed=0):
    """Of a model that gives probabilities; the same examples for the same n."""
    right = np.random.default_rng(labels_seed).integers(0, len(task.labels), size=n)
    chance = np.random.default_rng(seed)
    logits = chance.normal(size=(n, len(task.labels))) + skill * np.eye(len(task.labels))[right]
    table = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    predictions = [Prediction(tuple(row)) for row in table]
    return list(right), predictions, read(task, list(right), predictions)


def test_every_shipped_metric_has_an_interval_around_its_value():
    right, predictions, given = answers(300, seed=1)

    found = intervals(STARS, given, FEW)

    assert set(metrics_of(STARS)) == set(found)
    values = score(STARS, right, predictions)
    assert {name: one.value for name, one in found.items()} == pytest.approx(values)
    spread = {name for name, one in found.items() if one.low < one.value < one.high}
    assert set(found) - spread <= {"n_predicted_labels", "coverage", "ece"}  # ece: resamples are less calibrated


def test_intervals_are_those_of_drawing_the_examples_one_by_one():
    right, predictions, given = answers(200, seed=2)
    chance = np.random.default_rng(3)
    drawn = []
    for _ in range(600):
        rows = chance.integers(0, 200, size=200)
        drawn.append(score(STARS, [right[row] for row in rows], [predictions[row] for row in rows]))

    found = intervals(STARS, given, Bootstrap(seed=4, n_resamples=5000, n_by_example=2000))

    for name, one in found.items():
        values = np.array([each[name] for each in drawn], dtype=np.float64)
        tolerance = 0.35 * values.std() + 1e-9
        assert (one.low, one.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=tolerance), name


def test_the_same_seed_gives_the_same_intervals():
    _, _, given = answers(100, seed=5)

    assert intervals(STARS, given, FEW) == intervals(STARS, given, FEW)


def test_a_model_does_not_differ_from_itself():
    _, _, given = answers(100, seed=6)

    found = differences(STARS, given, given, FEW)

    assert {(one.value, one.low, one.high) for one in found.values()} == {(0.0, 0.0, 0.0)}


def test_a_paired_comparison_is_surer_than_two_intervals():
    right, _, first = answers(400, seed=7, skill=2.0)
    same = np.exp(np.log(first.probabilities) * 0.5 + 0.1 * np.eye(5)[first.right])
    second = read(STARS, right, [Prediction(tuple(row)) for row in same])

    found = differences(STARS, first, second, FEW)["accuracy"]

    alone = [intervals(STARS, each, FEW)["accuracy"] for each in (first, second)]
    assert found.high - found.low < 0.6 * max(one.high - one.low for one in alone)
    assert found.value == pytest.approx(alone[0].value - alone[1].value)


def test_a_better_model_is_seen_to_be_better():
    _, _, good = answers(400, seed=8, skill=3.0)
    _, _, bad = answers(400, seed=9, skill=1.0)

    found = differences(STARS, good, bad, FEW)

    assert found["accuracy"].low > 0 > found["log_loss"].high
    assert not found["accuracy"].holds_zero


def test_models_that_answered_to_other_examples_are_not_compared():
    _, _, one = answers(50, seed=1)
    _, _, other = answers(50, seed=1, labels_seed=2)

    with pytest.raises(ValueError, match="same examples"):
        differences(STARS, one, other, FEW)


def test_a_model_without_probabilities_has_intervals_of_what_it_can_give():
    predictions = [Prediction(None, text=word) for word in ("1", "2", "what?", "5")]

    found = intervals(STARS, read(STARS, ["1", "2", "3", "4"], predictions), FEW)

    assert {"accuracy", "mse", "coverage"} <= set(found)
    assert not {"log_loss", "mse_expected"} & set(found)


def test_ten_thousand_resamples_of_five_thousand_predictions_take_less_than_two_seconds():
    _, _, given = answers(5000, seed=10)
    before_s = time.process_time()

    intervals(STARS, given, Bootstrap(n_resamples=10_000, n_by_example=1))

    assert time.process_time() - before_s < 2


def test_intervals_of_95_percent_hold_the_truth_in_about_95_of_100_draws():
    truth = np.array([[0.7, 0.2, 0.1], [0.15, 0.7, 0.15], [0.1, 0.3, 0.6]]) / 3  # right by predicted label
    task = Task(TaskKind.RATING, ("1", "2", "3"))
    chance, drawn, held = np.random.default_rng(11), Bootstrap(n_resamples=1000), 0
    for _ in range(400):
        cells = chance.choice(9, size=500, p=truth.ravel())
        predictions = [Prediction(None, text=task.labels[cell % 3]) for cell in cells]
        found = intervals(task, read(task, [int(cell) // 3 for cell in cells], predictions), drawn)["accuracy"]
        held += found.low <= np.trace(truth) <= found.high

    assert 0.92 <= held / 400 <= 0.98


@pytest.mark.parametrize("n", [5, 60])
def test_answers_that_are_all_right_are_not_taken_for_a_model_that_is_always_right(n):
    right = [row % 5 for row in range(n)]
    found = intervals(STARS, read(STARS, right, [Prediction(tuple(np.eye(5)[one])) for one in right]), FEW)

    assert (1.0, pytest.approx(0.025 ** (1 / n)), 1.0) == (
        found["accuracy"].value,
        found["accuracy"].low,
        found["accuracy"].high,
    )
    assert found["accuracy"].low == pytest.approx(found["recall_macro"].low)
    assert found["f1_weighted"].low == pytest.approx(found["accuracy"].low, abs=0.01)
    assert (0.0, 0.0) == (found["mse"].value, found["mse"].low) < (0.0, found["mse"].high)
    assert found["qwk"].low < 1


@pytest.mark.parametrize(("written", "ends"), [("right", (0.025 ** (1 / 8), 1)), ("wrong", (0, 1 - 0.025 ** (1 / 8)))])
def test_texts_that_are_all_right_or_all_wrong_are_not_always_so(written, ends):
    said = [Prediction(None, text=written if row < 8 else None) for row in range(20)]  # 8 rows were written

    found = intervals(Task(TaskKind.GENERATION), read_texts(["right"] * 20, said), FEW)

    for name in ("exact_match", "token_f1"):
        assert ends == (pytest.approx(found[name].low), pytest.approx(found[name].high))


@pytest.mark.parametrize(("n", "is_tie"), [(1, True), (5, True), (6, False)])
def test_a_handful_of_rows_cannot_tell_two_models_apart(n, is_tie):
    right = [f"word {row}" for row in range(n)]
    better, worse = (read_texts(right, [Prediction(None, text=text) for text in said]) for said in (right, ["x"] * n))

    found = differences(Task(TaskKind.GENERATION), better, worse, FEW)["exact_match"]

    assert (1.0, is_tie) == (found.value, found.holds_zero)


def test_only_the_metrics_that_are_asked_for_are_drawn():
    _, _, first = answers(100, seed=1)
    _, _, second = answers(100, seed=2)
    few = Bootstrap(n_resamples=50, n_by_example=50, metrics=frozenset({"accuracy", "log_loss"}))

    assert {"accuracy", "log_loss"} == set(intervals(STARS, first, few)) == set(differences(STARS, first, second, few))
