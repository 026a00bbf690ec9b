"""The baselines that every sweep is held against."""

import math

import pytest

from raysweep import assets
from raysweep.baseline import MAJORITY, RIDGE, TFIDF, names_for, predictions_of
from raysweep.dataset import DataSettings, Splits, load
from raysweep.scoring import score
from raysweep.task import Example, Message, Task, TaskKind

OPINION = Task(TaskKind.CLASSIFICATION, ("no", "yes"))


def said(word: str, n: int) -> tuple[Example, ...]:
    label = "yes" if word == "lovely" else "no"
    return tuple(Example((Message("user", f"row {i} is {word}"),), label) for i in range(n))


def scored(name, splits, task):
    """Every metric of the baseline, by split."""
    said = predictions_of(name, splits, task, seed=0)
    rows = {"val": splits.validation, "test": splits.test}
    return {split: score(task, [one.label for one in rows[split]], said[split]) for split in rows}


def test_words_that_tell_the_labels_apart_are_learnt():
    rows = said("lovely", 20) + said("awful", 20)

    found = scored(TFIDF, Splits(rows, rows[::2], rows[1::2], "0" * 16), OPINION)

    assert (found["val"]["f1_weighted"], found["test"]["accuracy"]) == (1.0, 1.0)


def test_the_commonest_label_is_that_of_the_training_rows():
    splits = Splits(said("lovely", 3) + said("awful", 1), said("awful", 3), said("lovely", 1), "0" * 16)

    found = scored(MAJORITY, splits, OPINION)

    assert (found["val"]["accuracy"], found["test"]["accuracy"]) == (0.0, 1.0)
    assert found["test"]["log_loss"] == pytest.approx(-math.log(0.75))


def test_ridge_is_for_ratings_only_and_stays_between_the_lowest_and_the_highest():
    stars = Task(TaskKind.RATING, ("1", "2", "3"))
    rows = tuple(
        Example((Message("user", f"{'very ' * n}{word}"),), label)
        for n in range(5)
        for word, label in (("bad", "1"), ("fair", "2"), ("good", "3"))
    )
    splits = Splits(rows, rows, (Example((Message("user", "good good good not"),), "3"),), "0" * 16)

    values = [one.value for part in predictions_of(RIDGE, splits, stars, seed=0).values() for one in part]

    assert 1.0 <= min(values) < max(values) <= 3.0
    assert scored(RIDGE, splits, stars)["val"]["mse_expected"] < scored(MAJORITY, splits, stars)["val"]["mse_expected"]
    assert RIDGE in names_for(stars)
    assert RIDGE not in names_for(OPINION)


@pytest.mark.assets
def test_it_reaches_its_known_level_on_the_default_data():
    source = assets.path("review-snippets")
    settings = DataSettings(
        source=source, prompt="text", completion="label", group="group", sizes=(2000, 600, 1000), seed=0
    )
    loaded = load(settings, TaskKind.RATING)

    words, ridge = (scored(name, loaded.splits, loaded.task) for name in (TFIDF, RIDGE))

    assert words["val"]["f1_weighted"] == pytest.approx(0.41, abs=0.05)
    assert words["test"]["f1_weighted"] == pytest.approx(0.40, abs=0.05)
    assert words["test"]["mse_expected"] < words["test"]["mse"]
    assert ridge["test"]["mse_expected"] == pytest.approx(words["test"]["mse_expected"], abs=0.2)
