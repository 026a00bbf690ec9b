import pytest

from raysweep.config.load import parse
from raysweep.errors import ConfigError, DataError, InputError
from raysweep.preflight import make_ready


def test_a_good_sweep_is_ready_with_complete_params(synthetic):
    ready = make_ready(parse(synthetic, "test"))

    params = ready.complete(ready.space.default())

    assert set(ready.capabilities.params) == set(params)
    assert (120, 40, 40) == tuple(
        len(split) for split in (ready.loaded.splits.train, ready.loaded.splits.validation, ready.loaded.splits.test)
    )


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("space.learning_rat", 0.1, ["space.learning_rat", "did you mean learning_rate?"]),
        ("space.rank", {"kind": "choice", "values": [8, 0]}, ["space.rank", "0", "1"]),
        ("space.rank", "eight", ["space.rank", "'eight'", "number"]),
        ("space.n_epochs", 0, ["space.n_epochs", "0"]),
        ("objective.metric", "val_f1_wighted", ["objective.metric", "val_f1_weighted"]),
        ("early_stopping.metric", "val_coverage", ["early_stopping.metric", "val_coverage"]),
        ("early_stopping.rungs", [2.0, 3.0], ["early_stopping.rungs", "2 epochs", "lower"]),
        ("trainer.faults", {1: "explode"}, ["trainer.faults.1", "'explode'", "setup"]),
        ("prompt.template", "no placeholder", ["prompt.template", "{prompt}"]),
        ("prompt.label_words", ["a", "b"], ["prompt.label_words", "5"]),
        ("space.label_words", {"kind": "choice", "values": [["a", "a", "b", "c", "d"]]}, ["space.label_words"]),
        (
            "space.system",
            {"kind": "branch", "branches": {"k": {"template": "no place"}, "s": {"template": "{prompt}"}}},
            ["branches.k.template", "{prompt}"],
        ),
        ("search", {"kind": "grid"}, ["learning_rate"]),
        ("data.source", "~nobody-of-that-name/x.csv", ["nobody-of-that-name"]),
        ("task.labels", ["1", "2", "3", "4", "5", "6"], ["6"]),
        ("task.values", [1.0, 2.0], ["values"]),
        ("data.prompt", "txet", ["txet", "text"]),
        ("data.source", "nowhere.csv", ["nowhere.csv"]),
        ("data.split.train", 1000, ["1000"]),
        ("on_interrupt", "leave", ["on_interrupt: leave", "synthetic", "live at no host", "set it to cancel"]),
    ],
)
def test_what_does_not_fit_is_refused_with_place_and_remedy(synthetic, path, value, words):
    *sections, name = path.split(".")
    place = synthetic
    for section in sections:
        place = place.setdefault(section, {})
    place[name] = value
    if path == "objective.metric":
        place["mode"] = "max"

    with pytest.raises(InputError) as caught:
        make_ready(parse(synthetic, "test"))

    for word in words:
        assert word in str(caught.value)


def test_a_label_that_the_task_lacks_is_a_data_error_by_line(synthetic):
    synthetic["task"]["labels"] = ["1", "2", "3", "4"]

    with pytest.raises(DataError, match=r"(?s)unknown_label.*line"):
        make_ready(parse(synthetic, "test"))


def test_labels_are_inferred_where_none_are_named(synthetic):
    synthetic["task"] = {"kind": "rating"}

    task = make_ready(parse(synthetic, "test")).task

    assert (("1", "2", "3", "4", "5"), (1, 2, 3, 4, 5)) == (task.labels, task.values)


def test_values_without_labels_are_refused(synthetic):
    synthetic["task"] = {"kind": "rating", "values": [1, 2]}

    with pytest.raises(ConfigError, match=r"task\.values"):
        make_ready(parse(synthetic, "test"))


def test_an_asset_that_is_not_fetched_is_refused_with_the_command(synthetic, tmp_path, monkeypatch):
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "empty"))
    synthetic["data"]["source"] = "asset:review-snippets"

    with pytest.raises(InputError, match="raysweep assets fetch review-snippets"):
        make_ready(parse(synthetic, "test"))
