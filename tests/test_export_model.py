"""The winner's folder: what a hub's own library reads of its card, and that plain libraries load it."""

import json
import random
import re
from dataclasses import replace

import pytest
import torch
from engine_toys import TASK, run_to_end, save_toy_model, spec, splits, trainer
from engine_toys import refs as toy_refs
from huggingface_hub import ModelCard
from report_toys import write_ledger
from scripted_sweep import at, ended, evaluated, proposed, started

from raysweep import predictions
from raysweep.catalogue import ASSETS
from raysweep.cli import main
from raysweep.engine.quiet import quietly
from raysweep.entries import FinalScored
from raysweep.export.base import base_of
from raysweep.jobs import Outcome
from raysweep.ledger import Ledger
from raysweep.predictions import Kept, Place
from raysweep.results import load
from raysweep.scoring import Prediction


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A toy encoder, the folder of a model that was tuned from it, and its trainer."""
    home = tmp_path_factory.mktemp("tuned")
    with quietly():
        base = save_toy_model(home / "base", "encoder")
    work = trainer(base, home)
    _, end = run_to_end(work.submit(spec(home / "job", (1.0,)), toy_refs()))
    return base, end.model, work


def sweep(folder, model, *, is_tested=True):
    """A sweep of two trials, whose second has won with this model; its predictions of 200 test rows are kept."""
    entries = [started()]
    for trial, value in ((0, 0.4), (1, 0.5)):
        entries += [proposed(trial), evaluated(trial, 3.0, value)]
        entries += [replace(ended(trial, objective=value), model=model if trial else "gone")]
    if is_tested:
        dice, labels = random.Random(0), tuple(TASK.labels[row % 3] for row in range(200))
        said = [
            Prediction(tuple(0.8 if one == label and dice.random() < 0.7 else 0.1 for one in TASK.labels))
            for label in labels
        ]
        said = [Prediction(tuple(share / sum(one.probabilities) for share in one.probabilities)) for one in said]
        predictions.keep(folder, Place("best", 1, "test"), Kept(TASK, labels, tuple(said), 100))
        entries += [
            FinalScored(at(20), "best", 1, "test", {"test_f1_weighted": 0.7, "test_accuracy": 0.71, "test_ece": None})
        ]
    return write_ledger(folder, entries)


@pytest.fixture
def exported(tuned, tmp_path, capsys):
    folder = sweep(tmp_path / "abcd1234", tuned[1])
    assert 0 == main(["export", str(folder), "--to", "hf"])
    return folder / "exports" / "hf"


def test_a_hubs_library_reads_the_card(exported):
    data = ModelCard.load(exported / "README.md").data

    assert "peft" == data.library_name
    assert {"raysweep", "lora"} == set(data.tags)
    assert "reviews-abcd1234" == data.model_name
    results = {one.metric_name.partition(" ")[0]: one for one in data.eval_results}
    assert {"f1_weighted", "accuracy"} <= set(results)
    found = results["f1_weighted"]
    assert ("f1", 0.7, "test") == (found.metric_type, found.metric_value, found.dataset_split)
    assert "private-" + "f" * 16 == found.dataset_type
    assert re.fullmatch(r"f1_weighted \(95 % interval 0\.\d+ to 0\.\d+\)", found.metric_name)


def test_the_card_says_what_a_reader_has_to_know(exported):
    text = (exported / "README.md").read_text(encoding="utf-8")

    for words in (
        "A LoRA adapter of base, the best of 2 trials by val_f1_weighted (max).",
        "The base model's licence is not known here",
        "| learning_rate (searched) | `0.002` |",
        "`" + "f" * 16 + "`",
        "200 test rows, which ranked no trial; 100 validation rows chose",
        "Labels: `1`, `2`, `3`",
        "chosen by its validation score among 2 completed trials",
    ):
        assert words in text


def test_plain_libraries_load_the_folder_by_the_snippet_of_its_card(exported, tuned):
    base, model, work = tuned
    (snippet,) = re.findall(r"```python\n(.*?)```", (exported / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    path = exported / "raysweep_model.json"
    assert str(base) not in path.read_text() + (exported / "adapter_config.json").read_text()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_path": str(base)}))  # as the card says
    names = {}

    exec(snippet, names)  # the card's own code
    rows = splits().validation
    ours = torch.tensor([one.probabilities for one in work.predict(model, rows)])
    with quietly():
        predict = names["load"](str(exported))
        plain = torch.stack([predict(row.messages[0].content) for row in rows])

    assert float((ours - plain).abs().max()) <= 1e-4


def test_an_export_is_made_anew_but_nothing_of_others_is_replaced(exported, tmp_path, capsys):
    folder = exported.parent.parent
    (exported / "old.txt").write_text("old")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")

    assert 0 == main(["export", str(folder), "--to", "hf"])
    assert 2 == main(["export", str(folder), "--to", "hf", "--out", str(tmp_path / "mine")])

    assert not (exported / "old.txt").exists()
    assert ["notes.txt"] == [one.name for one in (tmp_path / "mine").iterdir()]
    assert "holds something already; choose another --out" in capsys.readouterr().err


def test_a_file_and_the_working_directory_are_no_folders_for_a_model(exported, tmp_path, monkeypatch, capsys):
    folder = exported.parent.parent
    (tmp_path / "model.zip").write_text("mine")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")

    assert 2 == main(["export", str(folder), "--to", "hf", "--out", str(tmp_path / "model.zip")])
    assert 2 == main(["export", str(folder), "--to", "hf", "--out", "."])
    assert 0 == main(["export", str(folder), "--to", "hf", "--out", "model"])

    assert "holds something already" in (said := capsys.readouterr().err)
    assert "is the working directory; give --out a folder below it" in said
    assert "mine" == (tmp_path / "model.zip").read_text()
    assert (tmp_path / "empty" / "model" / "README.md").is_file()


def test_a_winner_at_a_host_is_a_card_that_names_it(tmp_path):
    folder = sweep(tmp_path / "abcd1234", "ft:gpt-4o-mini:me::abc", is_tested=False)
    n_trials = len(load(folder).state.trials)
    with Ledger(folder) as ledger:  # replicas are no trials of the search
        for entry in (replace(proposed(10_001), replica_of=1), replace(ended(10_001, objective=0.5), model="m")):
            ledger.append(entry)

    assert 0 == main(["export", str(folder), "--to", "hf", "--out", str(tmp_path / "out"), "--name", "mine"])

    assert ["README.md"] == [one.name for one in (tmp_path / "out").iterdir()]
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    data = ModelCard(text).data
    assert "The model `ft:gpt-4o-mini:me::abc` at its host" in text
    assert "It was not scored on a test split" in text
    assert f"the best of {n_trials} trials by" in text
    assert (None, None) == (data.library_name, data.base_model)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([started(), proposed(0), ended(0, Outcome.FAILED)], "no trial has completed with a model"),
        (
            [started(), proposed(0), evaluated(0, 1.0, 0.5), replace(ended(0, objective=0.5), model="/gone/model")],
            "is gone",
        ),
    ],
)
def test_where_there_is_no_winners_model_that_is_said(tmp_path, capsys, entries, words):
    folder = write_ledger(tmp_path / "abcd1234", entries)

    assert 2 == main(["export", str(folder), "--to", "hf"])
    assert words in capsys.readouterr().err
    assert not (folder / "exports").exists()


def test_a_model_of_another_kind_is_refused_and_not_taken_for_a_hosts(tmp_path, capsys):
    (tmp_path / "model.json").write_text("{}")
    folder = sweep(tmp_path / "abcd1234", str(tmp_path / "model.json"), is_tested=False)

    assert 2 == main(["export", str(folder), "--to", "hf"])
    assert "no adapter of the local trainer and lives at no host" in capsys.readouterr().err


def test_the_base_model_and_its_licence_are_told_where_they_are_known(tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# Mine\n")

    assert ("sentence-transformers/all-MiniLM-L6-v2", "apache-2.0") == (
        base_of("minilm-l6", "/cache").hub,
        base_of("minilm-l6", "/cache").licence,
    )
    assert "four bits" in base_of("smollm2-135m", "/cache").note
    local = base_of(str(tmp_path), str(tmp_path))
    assert (tmp_path.name, None, "mit") == (local.name, local.hub, local.licence)
    assert ("org/name", None) == (base_of("org/name", "org/name").hub, base_of("org/name", "org/name").licence)
    assert all(bool(one.hub) == bool(one.licence) for one in ASSETS.values())
