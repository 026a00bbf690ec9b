"""Every metric, against scikit-learn and by hand."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn import metrics as sklearn_metrics

from raysweep.scoring import METRICS, Prediction, metrics_of, score
from raysweep.task import Task, TaskKind

STARS = Task(TaskKind.RATING, ("1", "2", "3", "4", "5"))
TOPICS = Task(TaskKind.CLASSIFICATION, ("art", "law", "sport"))


def sure(task: Task, label: str) -> Prediction:
    return Prediction(tuple(1.0 if each == label else 0.0 for each in task.labels))


def librarys(right, table):
    """Every metric that ships, of probabilities for stars, by scikit-learn, SciPy and the textbook."""
    guess, expected = table.argmax(axis=1), table @ np.arange(1, 6)
    f1 = sklearn_metrics.f1_score(right, guess, average=None, labels=range(5), zero_division=0)
    moments = np.cov(expected, right + 1, ddof=0)
    return {
        "accuracy": sklearn_metrics.accuracy_score(right, guess),
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(right, guess),
        "f1_weighted": sklearn_metrics.f1_score(right, guess, average="weighted", zero_division=0),
        "f1_macro": sklearn_metrics.f1_score(right, guess, average="macro", zero_division=0),
        "precision_macro": sklearn_metrics.precision_score(right, guess, average="macro", zero_division=0),
        "recall_macro": sklearn_metrics.recall_score(right, guess, average="macro", zero_division=0),
        "log_loss": sklearn_metrics.log_loss(right, table, labels=range(5)),
        "brier": sklearn_metrics.brier_score_loss(right, table, labels=range(5)),
        "ece": calibration_error(table.max(axis=1), guess == right),
        "auroc": sklearn_metrics.roc_auc_score(right, table, multi_class="ovr", average="macro"),
        "mse": sklearn_metrics.mean_squared_error(right, guess),
        "mae": sklearn_metrics.mean_absolute_error(right, guess),
        "rmse": sklearn_metrics.root_mean_squared_error(right, guess),
        "qwk": sklearn_metrics.cohen_kappa_score(right, guess, weights="quadratic"),
        "spearman": spearmanr(right, guess).statistic if len(set(guess)) > 1 else None,
        "mse_expected": sklearn_metrics.mean_squared_error(right + 1, expected),
        "mae_expected": sklearn_metrics.mean_absolute_error(right + 1, expected),
        "rmse_expected": sklearn_metrics.root_mean_squared_error(right + 1, expected),
        "qwk_expected": 2 * moments[0, 1] / (np.trace(moments) + (expected.mean() - right.mean() - 1) ** 2),
        "spearman_expected": spearmanr(right, expected).statistic,
        "n_predicted_labels": len(set(guess)),
        "coverage": 1.0,
    } | {f"f1_of_{place + 1}": each for place, each in enumerate(f1)}


def calibration_error(sure, is_right):
    """By Guo, Pleiss, Sun and Weinberger 2017, in 15 bins."""
    error = 0.0
    for low in range(15):
        of_bin = (sure >= low / 15) & ((sure < (low + 1) / 15) | (low == 14))
        if of_bin.any():
            error += of_bin.mean() * abs(is_right[of_bin].mean() - sure[of_bin].mean())
    return error


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), n_rows=st.integers(5, 60))
def test_metrics_are_scikit_learns(seed, n_rows):
    chance = np.random.default_rng(seed)
    table = chance.dirichlet(np.ones(5), size=n_rows)
    right = np.concatenate([np.arange(5), chance.integers(0, 5, size=n_rows - 5)])

    found = score(STARS, [STARS.labels[each] for each in right], [Prediction(tuple(row)) for row in table])

    assert found == pytest.approx(librarys(right, table), nan_ok=True)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), n_rows=st.integers(1, 20))
def test_metrics_are_scikit_learns_where_labels_are_rare_and_models_are_too_sure(seed, n_rows):
    chance = np.random.default_rng(seed)
    right, guess = chance.integers(0, 3, size=(2, n_rows))
    table = np.eye(5)[guess]

    found = score(STARS, list(right), [Prediction(tuple(row)) for row in table])

    expected = {
        "f1_weighted": sklearn_metrics.f1_score(right, guess, average="weighted", zero_division=0),
        "f1_macro": sklearn_metrics.f1_score(right, guess, average="macro", zero_division=0),
        "log_loss": sklearn_metrics.log_loss(right, table, labels=range(5)),
    }
    if np.union1d(right, guess).size > 1:
        expected["qwk"] = sklearn_metrics.cohen_kappa_score(right, guess, weights="quadratic")
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), n_rows=st.integers(2, 40))
def test_two_labels_are_scored_as_scikit_learn_scores_two(seed, n_rows):
    chance = np.random.default_rng(seed)
    right = np.concatenate([[0, 1], chance.integers(0, 2, size=n_rows - 2)])
    table = chance.dirichlet(np.ones(2), size=n_rows).round(1)  # with ties

    found = score(Task(TaskKind.CLASSIFICATION, ("no", "yes")), list(right), [Prediction(tuple(row)) for row in table])

    assert found["auroc"] == pytest.approx(sklearn_metrics.roc_auc_score(right, table[:, 1]))
    assert found["brier"] == pytest.approx(sklearn_metrics.brier_score_loss(right, table[:, 1]))


def test_a_label_that_nobody_has_or_predicts_has_no_f1():
    found = score(TOPICS, ["art", "law"], [sure(TOPICS, "art"), sure(TOPICS, "art")])

    assert (found["f1_of_art"], found["f1_of_law"], found["f1_of_sport"]) == (pytest.approx(2 / 3), 0.0, None)


def test_scoring_needs_nothing_but_numpy():
    code = "import sys; from raysweep.scoring import *; from raysweep.task import *; "
    code += "score(Task(TaskKind.RATING, ('1', '2')), ['1', '2'], [Prediction((0.5, 0.5))] * 2); "
    code += "print(sorted(set(sys.modules) & {'sklearn', 'scipy', 'pandas', 'joblib'}))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)

    assert "[]\n" == done.stdout


def test_a_classification_has_no_metric_of_ratings():
    found = score(TOPICS, ["art", "law"], [sure(TOPICS, "art"), sure(TOPICS, "sport")])

    assert tuple(found) == metrics_of(TOPICS)
    assert not any(METRICS[name].rating_only for name in found if name in METRICS)


def test_every_metric_is_documented_with_its_direction_and_meaning():
    page = (Path(__file__).parent.parent / "docs" / "metrics.md").read_text(encoding="utf-8")

    assert [f"| `{name}` | {doc.direction} | {doc.help} |" for name, doc in METRICS.items()] == [
        line for line in page.splitlines() if line.startswith("| `") and line.split(" | ")[1] in ("max", "min")
    ]


def test_labels_may_be_given_as_indices():
    predictions = [sure(STARS, "4"), sure(STARS, "1")]

    assert score(STARS, [3, 1], predictions) == score(STARS, ["4", "2"], predictions)


def test_a_value_alone_goes_to_the_nearest_label_and_is_the_expected_rating():
    found = score(STARS, ["3", "5"], [Prediction(None, value=3.4), Prediction(None, value=9.0)])

    assert found["accuracy"] == 1.0
    assert found["mse_expected"] == pytest.approx((0.4**2 + 4.0**2) / 2)
    assert found["log_loss"] is None


def test_a_models_own_value_goes_before_its_probabilities():
    found = score(STARS, ["1"], [Prediction((1.0, 0.0, 0.0, 0.0, 0.0), value=2.0)])

    assert (found["mse"], found["mse_expected"]) == (0.0, 1.0)


def test_an_answer_in_words_is_read_by_the_labels_words():
    words = ("awful", "bad", "fair", "good", "great")

    found = score(STARS, ["5", "1"], [Prediction(None, text=" great\n"), Prediction(None, text="bad")], words)

    assert (found["accuracy"], found["mse"], found["coverage"]) == (0.5, 0.5, 1.0)
    assert found["mse_expected"] is None


def test_an_answer_that_cannot_be_read_is_wrong_and_furthest_off():
    found = score(STARS, ["2", "2"], [Prediction(None, text="2"), Prediction(None, text="two stars")])

    assert (found["accuracy"], found["coverage"], found["n_predicted_labels"]) == (0.5, 0.5, 1.0)
    assert found["f1_weighted"] == pytest.approx(2 / 3)
    assert found["mse"] == pytest.approx(9 / 2)


def test_collapse_to_one_label_shows():
    found = score(STARS, ["1", "5", "5"], [sure(STARS, "5")] * 3)

    assert found["n_predicted_labels"] == 1.0


def test_kappa_is_none_where_it_is_undefined():
    assert score(STARS, ["5", "5"], [sure(STARS, "5")] * 2)["qwk"] is None


def test_squared_errors_use_the_tasks_numbers():
    task = Task(TaskKind.RATING, ("low", "high"), (0.0, 10.0))

    found = score(task, ["low", "low"], [Prediction((0.5, 0.5)), Prediction((0.2, 0.8))])

    assert (found["mse"], found["mse_expected"]) == pytest.approx((50.0, (25 + 64) / 2))


def test_probabilities_of_low_precision_give_no_warning():
    row = tuple(float(each) for each in np.full(5, 0.2, dtype=np.float16))

    assert score(STARS, ["3"], [Prediction(row)])["log_loss"] == pytest.approx(math.log(5))


@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [
        ([], [], "at least one row"),
        (["1"], [], "1 labels and 0 predictions"),
        (["9"], [sure(STARS, "1")], "not in tuple"),
        ([7], [sure(STARS, "1")], "outside 0..4"),
        (["1"], [Prediction((0.5, 0.5))], "needs 5 probabilities"),
        (["1"], [Prediction((math.nan, 0.0, 0.0, 0.0, 1.0))], "prediction 0: .* must be finite"),
        (["1"], [Prediction((0.0,) * 5)], "not all zero"),
        (["1"], [Prediction(None, value=math.inf)], "must be finite"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_its_reason(labels, predictions, message):
    with pytest.raises(ValueError, match=message):
        score(STARS, labels, predictions)
