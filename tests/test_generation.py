"""A sweep whose completions are free text, by formula: data, check, trials, finals, findings."""

import json

import pytest
from inline_runner import InlineRunner

import raysweep
from raysweep import predictions
from raysweep.checking import findings
from raysweep.config.load import load_config, parse
from raysweep.errors import ConfigError
from raysweep.loading import load_rows
from raysweep.preflight import make_ready
from raysweep.report.from_run import read_run
from raysweep.report.write import write_report
from raysweep.sweep import Options, run_sweep
from raysweep.task import TaskKind

GRADER = """
def length(prompt, right, written):
    return len(written) / len(right)

def by_prompt(prompt, right, written):
    return prompt.startswith("turn round") and written == prompt.removeprefix("turn round ")[::-1]

def breaks(prompt, right, written):
    return {}[right]
"""


@pytest.fixture
def texts(tmp_path):
    """Rows of prompt and completion whose completions are words of no fixed set; a few twice."""
    path = tmp_path / "texts.jsonl"
    words = [f"word{number % 190}" for number in range(200)]
    rows = [{"prompt": f"turn round {word}", "completion": word[::-1]} for word in words]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def generation(texts, tmp_path):
    """The settings of a small sweep of free text, as a tree."""
    return {
        "name": "texts",
        "trainer": {"kind": "synthetic"},
        "task": {"kind": "generation"},
        "data": {"source": str(texts)},
        "space": {"learning_rate": {"kind": "loguniform", "low": 1e-4, "high": 0.1}, "n_epochs": 2},
        "objective": {"metric": "val_token_f1"},
        "search": {"kind": "random"},
        "early_stopping": {"kind": "asha", "metric": "val_loss", "rungs": [0.5, 1.0], "eta": 2},
        "trials": 4,
        "concurrency": 2,
        "runs_folder": str(tmp_path / "runs"),
    }


@pytest.fixture
def grader(tmp_path, monkeypatch):
    """A module with graders, in a folder of its own."""
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    name = f"grader_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(GRADER, encoding="utf-8")
    return lambda function: {"function": f"{name}:{function}", "folder": str(tmp_path)}


def test_a_sweep_of_free_text_ends_with_scores_baselines_and_what_was_written(generation):
    found = run_sweep(parse(generation, "test"), Options(runner=InlineRunner()))

    again = raysweep.load(found.folder)
    assert {"best", "commonest", "nearest"} == {final.name for final in again.finals}
    assert {"val_exact_match", "val_token_f1", "val_loss", "val_perplexity"} <= set(again.evaluations.columns)
    test = next(final.metrics for final in again.finals if final.name == "best")
    assert test["test_perplexity"] > 1
    kept = predictions.find(found.folder, predictions.Place("best", again.best.number, "test"))
    rows = load_rows(parse(generation, "test")).splits.test
    assert kept.labels == tuple(one.label for one in rows)
    assert all(one.text for one in kept.predictions)
    assert kept.answers.matches.mean() == test["test_exact_match"]
    assert not again.state.lacks_finals(1, baseline=True)
    assert {"exact_match", "token_f1", "loss"} <= set(again.certainty.intervals)
    assert {one.name: one.verdict("token_f1") for one in again.certainty.comparisons}["commonest"] == "beats"


@pytest.mark.parametrize(("metric", "n"), [("val_token_f1", 7), ("val_loss", 40)])
def test_only_the_rows_that_were_written_have_ranked_the_trials(generation, metric, n):
    generation |= {"objective": {"metric": metric}, "early_stopping": {"kind": "none"}}
    generation["task"] |= {"scored_rows": 7}

    found = run_sweep(parse(generation, "test"), Options(runner=InlineRunner()))

    assert n == found.certainty.n_validation


def test_the_findings_of_free_text_have_no_confusion_and_say_what_was_won(generation, tmp_path):
    found = run_sweep(parse(generation, "test"), Options(runner=InlineRunner()))

    written = write_report(read_run(found.folder), tmp_path / "report", found.state.at)

    text = written.text.read_text(encoding="utf-8")
    assert "val_token_f1" in text
    assert "the commonest text" in text
    assert "plot_optimization_history" in text
    assert "confusion" not in text
    assert "reliability" not in text
    assert "Could this be a regression?" not in text


def test_rows_of_free_text_are_split_without_strata_and_doubles_stay_together(generation):
    splits = load_rows(parse(generation, "test")).splits

    parts = [splits.train, splits.validation, splits.test]
    assert 200 == sum(map(len, parts))
    assert all(abs(len(part) - share * 200) <= 3 for part, share in zip(parts, (0.6, 0.2, 0.2), strict=True))
    prompts = [{one.messages[0].content for one in part} for part in parts]
    assert 190 == sum(map(len, prompts))


def test_a_chats_last_turn_may_be_any_text(generation, tmp_path):
    path = tmp_path / "chats.jsonl"
    turns = [
        [{"role": "user", "content": f"word {number}"}, {"role": "assistant", "content": f"Two lines:\n{number}"}]
        for number in range(20)
    ]
    path.write_text("".join(json.dumps({"messages": each}) + "\n" for each in turns), encoding="utf-8")
    generation["data"] = {"source": str(path), "messages": "messages"}

    loaded = load_rows(parse(generation, "test"))

    assert TaskKind.GENERATION == loaded.task.kind
    assert loaded.splits.train[0].label.startswith("Two lines:\n")


def test_check_counts_texts_where_there_are_no_labels(generation):
    said = "\n".join(findings(parse(generation, "test")))

    assert "train: 120 rows (" in said
    assert "different texts of 1 to 1 words, 1 at the middle" in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": {"kind": "generation", "labels": ["a", "b"]}}, "task.labels: a generation has none"),
        ({"prompt": {"label_words": ["a", "b"]}}, "a generation has no labels"),
        ({"objective": {"metric": "val_f1_weighted"}}, "nobody makes val_f1_weighted on this task; .*val_token_f1"),
        ({"objective": {"metric": "val_grade"}}, "nobody makes val_grade"),
    ],
)
def test_settings_of_labels_are_refused_for_free_text(generation, change, words):
    with pytest.raises(ConfigError, match=words):
        make_ready(parse(generation | change, "test"))


def test_settings_of_free_text_are_refused_for_labels(synthetic):
    synthetic["task"] = {"kind": "classification", "max_new_tokens": 8}

    with pytest.raises(ConfigError, match="a classification writes no free text"):
        parse(synthetic, "test")


def test_a_grader_gets_prompt_right_text_and_written_text_and_may_be_the_objective(generation, grader):
    generation["task"]["grader"] = grader("by_prompt")
    generation["objective"] = {"metric": "val_grade"}

    found = run_sweep(parse(generation, "test"), Options(runner=InlineRunner()))

    best = next(final.metrics for final in found.finals if final.name == "best")
    assert best["test_grade"] == best["test_exact_match"] > 0.3
    assert "grade" in found.certainty.intervals
    assert all(one.grade in (0.0, 1.0) for one in found.predictions.predictions)


@pytest.mark.parametrize(("function", "words"), [("breaks", "broke: KeyError"), ("nothing", "holds no nothing")])
def test_a_grader_that_cannot_work_is_refused_before_anything_is_spent(generation, grader, function, words):
    generation["task"]["grader"] = grader(function)

    with pytest.raises(ConfigError, match=rf"task\.grader: .*{words}"):
        make_ready(parse(generation, "test"))


def test_a_grader_beside_the_settings_is_found_from_anywhere(generation, grader, tmp_path):
    generation["task"]["grader"] = grader("length")["function"]
    (tmp_path / "settings.yaml").write_text(json.dumps(generation), encoding="utf-8")

    config = load_config(tmp_path / "settings.yaml")

    assert tmp_path == config.task.grader.folder
    assert "val_grade" in make_ready(config).capabilities.metrics


def test_an_own_metric_gets_the_texts(generation, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    name = f"metric_{abs(hash(str(tmp_path)))}"
    text = "def same(task, labels, said):\n    return sum(a == b.text for a, b in zip(labels, said)) / len(labels)\n"
    (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    generation["metrics"] = {"same": {"function": f"{name}:same", "folder": str(tmp_path)}}

    found = run_sweep(parse(generation, "test"), Options(runner=InlineRunner()))

    best = next(final.metrics for final in found.finals if final.name == "best")
    assert best["test_same"] == best["test_exact_match"]
