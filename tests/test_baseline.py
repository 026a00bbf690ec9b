"""The baseline that every sweep is held against."""

import pytest

from raysweep import assets
from raysweep.baseline import tfidf
from raysweep.dataset import DataSettings, Splits, load
from raysweep.task import Example, Message, Task, TaskKind

OPINION = Task(TaskKind.CLASSIFICATION, ("no", "yes"))


def said(word: str, n: int) -> tuple[Example, ...]:
    label = "yes" if word == "lovely" else "no"
    return tuple(Example((Message("user", f"row {i} is {word}"),), label) for i in range(n))


def test_words_that_tell_the_labels_apart_are_learnt():
    rows = said("lovely", 20) + said("awful", 20)

    metrics = tfidf(Splits(rows, rows[::2], rows[1::2], "0" * 16), OPINION, seed=0)

    assert (metrics["val_f1_weighted"], metrics["test_accuracy"]) == (1.0, 1.0)


@pytest.mark.assets
def test_it_reaches_its_known_level_on_the_default_data():
    source = assets.path("review-snippets")
    settings = DataSettings(
        source=source, prompt="text", completion="label", group="group", sizes=(2000, 600, 1000), seed=0
    )
    loaded = load(settings, TaskKind.RATING)

    metrics = tfidf(loaded.splits, loaded.task, seed=0)

    assert metrics["val_f1_weighted"] == pytest.approx(0.41, abs=0.05)
    assert metrics["test_f1_weighted"] == pytest.approx(0.40, abs=0.05)
    assert metrics["test_mse_expected"] < metrics["test_mse"]
