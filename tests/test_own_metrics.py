"""Metrics that the user brings: found, tried before anything is spent, and made wherever the shipped ones are."""

import pickle
import re
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from scripted_sweep import evaluated, proposed, started

from raysweep import environment
from raysweep.baseline import TFIDF, predictions_of
from raysweep.config import load_config, to_yaml
from raysweep.config.identity import anchored, digests
from raysweep.config.load import parse
from raysweep.dataset import Splits
from raysweep.errors import ConfigError, Fault, InputError, JobFailed
from raysweep.frames import evaluations_table, trials_table
from raysweep.goal import Goal
from raysweep.jobs import JobSpec
from raysweep.preflight import make_ready
from raysweep.scoring import METRICS, Prediction, metrics_of, own_scores, score
from raysweep.state import fold
from raysweep.task import Example, Message, OwnMetric, Task, TaskKind

STARS = Task(TaskKind.RATING, ("1", "2", "3", "4", "5"))
LIKELY = Prediction((0.0, 0.0, 0.1, 0.2, 0.7))

WITHIN_ONE = """
    def within_one(task, labels, predictions):
        places = [max(range(len(task.labels)), key=one.probabilities.__getitem__) for one in predictions]
        near = [abs(task.index(label) - place) <= 1 for label, place in zip(labels, places, strict=True)]
        return sum(near) / len(near)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module of that text into a folder of its own, and gives its name, which no other test has."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    folder = tmp_path / "metrics"
    folder.mkdir()
    name = f"own_{abs(hash(str(tmp_path)))}"

    def write(text=WITHIN_ONE):
        (folder / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")
        return name

    write.folder = folder
    yield write
    sys.modules.pop(name, None)


@pytest.fixture
def task(module):
    """A rating with one own metric, `own`, of the text that it is given."""

    def make(text=WITHIN_ONE, function="within_one", **known):
        metric = OwnMetric("own", f"{module(text)}:{function}", str(module.folder), **known)
        return replace(STARS, metrics=(metric,))

    return make


def with_metric(synthetic, module, text=WITHIN_ONE, **entry):
    name = module(text)
    entry = {"function": f"{name}:within_one", "folder": str(module.folder), "mode": "max"} | entry
    return synthetic | {"metrics": {"within_one": entry}}


def test_an_own_metric_is_scored_after_the_shipped_ones(task):
    made = task()

    found = score(made, ["5", "4", "3"], [LIKELY] * 3)

    assert (*metrics_of(STARS), "own") == metrics_of(made) == tuple(found)
    assert found["own"] == pytest.approx(2 / 3)


def test_its_function_gets_labels_even_where_the_trainer_has_indices(task):
    text = "def spelled(task, labels, predictions): return float(list(labels) == ['5', '1'])"

    assert 1.0 == score(task(text, "spelled"), [4, 0], [LIKELY] * 2)["own"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import numpy\ndef f(task, labels, predictions): return numpy.float32(0.5)", 0.5),
        ("def f(task, labels, predictions): return 2", 2.0),
        ("def f(task, labels, predictions): return None", None),
        ("def f(task, labels, predictions): return float('nan')", None),
        ("def f(task, labels, predictions): return -float('inf')", None),
    ],
)
def test_what_it_returns_becomes_a_finite_float_or_none(task, text, expected):
    assert expected == score(task(text, "f"), ["5"], [LIKELY])["own"]


@pytest.mark.parametrize(
    ("line", "words"),
    [("return 1 / 0", "ZeroDivisionError: division by zero"), ("return 'much'", "returned str 'much', not a number")],
)
def test_a_function_that_breaks_costs_its_own_value_only_and_the_log_says_why(task, caplog, line, words):
    found = score(task(f"def f(task, labels, predictions): {line}", "f"), ["5"], [LIKELY])

    assert (None, 1.0) == (found["own"], found["accuracy"])
    assert words in caplog.text
    assert "metrics.own" in caplog.text


def test_a_function_that_the_sweep_cannot_do_without_fails_the_trial_with_its_words(task):
    made = task("def f(task, labels, predictions): return {}[labels[0]]", "f", is_needed=True)

    with pytest.raises(JobFailed, match=r"metrics\.own: .* KeyError: '5'") as caught:
        score(made, ["5"], [LIKELY])

    assert Fault.PARAMS is caught.value.fault


def test_a_module_that_is_not_on_this_machine_is_said_and_not_taken_for_a_broken_function():
    made = replace(STARS, metrics=(OwnMetric("own", "nowhere_at_all:f", "/no/such/folder"),))

    with pytest.raises(ConfigError, match=r"metrics\.own: .*no module nowhere_at_all.*/no/such/folder"):
        own_scores(made, ["5"], [LIKELY])


def test_a_users_module_takes_no_installed_ones_place(module):
    (module.folder / "json.py").write_text("raise RuntimeError('the wrong json')", encoding="utf-8")

    made = replace(STARS, metrics=(OwnMetric("own", f"{module()}:within_one", str(module.folder)),))

    assert 1.0 == own_scores(made, ["5"], [LIKELY])["own"]
    assert str(module.folder) == sys.path[-1]


def test_a_task_travels_with_its_metrics_but_caches_do_not_tell_it_from_one_without(task):
    made = task()

    assert made == pickle.loads(pickle.dumps(made)) != STARS
    assert repr(STARS) == repr(made)


def test_the_baseline_has_it_on_both_splits(task):
    words = ("awful", "bad", "fair", "good", "great")
    rows = tuple(Example((Message("user", f"row {i} is {words[i % 5]}"),), str(i % 5 + 1)) for i in range(50))

    said = predictions_of(TFIDF, Splits(rows, rows, rows, "0" * 16), task(), seed=0)

    assert [1.0, 1.0] == [score(task(), [one.label for one in rows], said[split])["own"] for split in ("val", "test")]


def test_a_checked_sweep_knows_its_metric_and_its_direction(synthetic, module):
    synthetic = with_metric(synthetic, module, mode="min")
    synthetic |= {"objective": {"metric": "val_within_one"}}

    ready = make_ready(parse(synthetic, "test"))

    assert "val_within_one" in ready.capabilities.metrics
    assert Goal("val_within_one", "min") == ready.config.goal == ready.config.stopping_goal
    assert [True] == [metric.is_needed for metric in ready.task.metrics]


def test_a_metric_for_the_rungs_alone_is_needed_and_one_that_is_only_shown_is_not(synthetic, module):
    synthetic = with_metric(synthetic, module)
    synthetic["metrics"]["shown"] = synthetic["metrics"]["within_one"]
    synthetic["early_stopping"] |= {"metric": "val_within_one"}

    ready = make_ready(parse(synthetic, "test"))

    assert {"within_one": True, "shown": False} == {one.name: one.is_needed for one in ready.task.metrics}
    assert "max" == ready.config.stopping_goal.mode


@pytest.mark.parametrize(
    ("text", "change", "words"),
    [
        (WITHIN_ONE, {"function": "no_such_module:f"}, ["no module no_such_module", "neither installed nor in"]),
        ("x = 1", {}, ["holds no within_one", ".py"]),
        ("within_one = 3", {}, ["is 3", "cannot be called"]),
        ("import nothing_of_the_kind", {}, ["no module nothing_of_the_kind"]),
        ("def within_one(:", {}, ["cannot be imported", "SyntaxError"]),
        ("None.oops", {}, ["cannot be imported", "AttributeError"]),
        ("def within_one(labels): return 1.0", {}, ["within_one", "(labels)", "(task, labels, predictions)"]),
        ("def within_one(task, labels, predictions): return [1]", {}, ["returned list [1]", "float", "tried on"]),
        ("def within_one(task, labels, predictions): return True", {}, ["returned bool True"]),
        ("def within_one(task, labels, predictions): 1 / 0", {}, ["ZeroDivisionError", "None"]),
        (WITHIN_ONE, {"function": "within one"}, ["'within one'", "module:function"]),
        (WITHIN_ONE, {"function": "no-such-plugin"}, ["no-such-plugin", "raysweep.metrics"]),
        (WITHIN_ONE, {"mode": "upwards"}, ["mode", "upwards"]),
        (WITHIN_ONE, {"modus": "max"}, ["modus", "did you mean mode?"]),
    ],
)
def test_a_metric_that_cannot_work_is_refused_before_anything_is_spent(synthetic, module, text, change, words):
    with pytest.raises(InputError) as caught:
        make_ready(parse(with_metric(synthetic, module, text, **change), "test"))

    for word in ["metrics.within_one", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize("section", ["objective", "early_stopping"])
def test_a_metric_without_a_direction_can_be_shown_but_not_gone_by(synthetic, module, section):
    synthetic = with_metric(synthetic, module, mode=None)
    assert make_ready(parse(synthetic, "test"))

    synthetic.setdefault(section, {})["metric"] = "val_within_one"

    with pytest.raises(ConfigError, match=r"metrics\.within_one\.mode: missing"):
        parse(synthetic, "test")
    synthetic[section]["mode"] = "max"
    assert make_ready(parse(synthetic, "test"))


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("accuracy", "taken"),
        ("n_predicted_labels", "taken"),
        ("loss", "taken"),
        ("within-one", "underscores"),
        ("val_within", "call it within"),
    ],
)
def test_a_name_that_would_be_mistaken_is_refused(synthetic, name, word):
    synthetic |= {"metrics": {name: "anything:at_all"}}

    with pytest.raises(ConfigError, match=rf"metrics\.{name}: .*{word}"):
        parse(synthetic, "test")


def test_the_rows_that_a_function_is_tried_on_have_every_label(synthetic, module):
    text = """
        def within_one(task, labels, predictions):
            assert set(labels) == set(task.labels)
            assert {len(one.probabilities) for one in predictions} == {len(task.labels)}
            assert len(labels) == len(predictions)
            return 1.0
    """

    assert make_ready(parse(with_metric(synthetic, module, text), "test"))


def test_a_module_beside_the_settings_is_found_from_anywhere(synthetic, module, tmp_path, monkeypatch):
    path = module.folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(synthetic | {"metrics": {"near": f"{module()}:within_one"}}), encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    assert "near" in make_ready(load_config(path)).task.metrics[0].name


def test_a_module_in_the_working_directory_is_found(synthetic, module, monkeypatch):
    settings = parse(synthetic | {"metrics": {"near": f"{module()}:within_one"}}, "test")
    with pytest.raises(ConfigError, match="no module"):
        make_ready(settings)

    monkeypatch.chdir(module.folder)

    assert str(module.folder) == make_ready(settings).task.metrics[0].folder


def test_the_written_settings_find_it_from_another_working_directory(synthetic, module, tmp_path, monkeypatch):
    monkeypatch.chdir(module.folder)
    begun = anchored(parse(synthetic | {"metrics": {"near": f"{module()}:within_one"}}, "test"))
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(begun), encoding="utf-8")

    monkeypatch.chdir(tmp_path)
    again = load_config(path)

    assert digests(begun) == digests(again)
    assert make_ready(again).task.metrics == (OwnMetric("near", f"{module()}:within_one", str(module.folder)),)


def test_an_installed_packages_entry_point_is_a_metric_by_its_name(synthetic, module, monkeypatch):
    described = module.folder / "near_metrics-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: near-metrics\nVersion: 1.0\n", encoding="utf-8")
    points = f"[raysweep.metrics]\nwithin-one = {module()}:within_one\n"
    (described / "entry_points.txt").write_text(points, encoding="utf-8")
    monkeypatch.syspath_prepend(module.folder)

    ready = make_ready(parse(synthetic | {"metrics": {"near": "within-one"}}, "test"))

    assert (OwnMetric("near", "within-one"),) == ready.task.metrics
    assert 1.0 == score(ready.task, ["5"], [LIKELY])["near"]


def test_the_synthetic_trainer_makes_it_by_its_function(synthetic, module, tmp_path):
    ready = make_ready(parse(with_metric(synthetic, module), "test"))
    data = ready.trainer.prepare(ready.loaded.splits)
    spec = JobSpec("abcd1234", 0, 1, ready.complete(ready.space.default()), 0, tmp_path / "job", (0.5, 2.0))

    job = ready.trainer.submit(spec, data)
    first, last = (job.advance(5.0).evaluation.metrics["val_within_one"] for _ in range(2))

    assert 0 < first < last < 1


def test_the_lora_trainer_makes_it_while_it_trains_and_its_model_does_not_need_it(tmp_path, task):
    from engine_toys import TASK, refs, run_to_end, save_toy_model, spec, splits, trainer

    from raysweep.engine.quiet import quietly

    with quietly():
        plain = trainer(save_toy_model(tmp_path / "toy", "encoder"), tmp_path)
    made = replace(plain, task=replace(TASK, metrics=task().metrics))

    (evaluation,), end = run_to_end(made.submit(spec(tmp_path / "job", (1.0,)), refs()))

    rows = splits().validation
    answers = made.predict(end.model, rows)
    assert "val_own" in made.describe().metrics
    assert evaluation.metrics["val_own"] == score(made.task, [row.label for row in rows], answers)["own"]
    assert plain.predict(end.model, rows) == answers
    assert made.task.metrics[0].function not in (Path(end.model) / "raysweep_model.json").read_text(encoding="utf-8")


def test_the_tables_say_what_it_means():
    entries = [replace(started(), metrics={"own": "Off by one."}), proposed(0), evaluated(0, 1.0, 0.5)]
    entries.append(replace(entries[-1], epoch=2.0, metrics={"val_own": 0.5, "other_own": 1.0}))

    for table in (trials_table(fold(entries)), evaluations_table(fold(entries))):
        said = {name: table.schema.field(name).metadata[b"description"].decode() for name in table.column_names}
        assert "On the validation split: Off by one." == said["val_own"]
        assert f"On the validation split: {METRICS['mse'].help}" == said["val_mse"]
        assert "The trainer's metric other_own." == said["other_own"]


def test_the_documents_example_works(synthetic, module):
    page = (
        (Path(__file__).parent.parent / "docs" / "metrics.md").read_text(encoding="utf-8").partition("## Your own")[2]
    )
    code, settings = (re.search(rf"```{kind}\n(.*?)```", page, re.DOTALL)[1] for kind in ("python", "yaml"))
    synthetic |= yaml.safe_load(settings.replace("my_metrics", module(code)))
    synthetic["metrics"]["within_one"]["folder"] = str(module.folder)

    ready = make_ready(parse(synthetic, "test"))

    assert Goal("val_within_one", "max") == ready.config.goal
    assert 0.5 == score(ready.task, ["4", "3"], [LIKELY] * 2)["within_one"]
    assert score(ready.task, ["4"], [Prediction(None, value=3.0)])["within_one"] is None


@pytest.mark.ray
@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("ignore")
def test_a_sweep_ranks_and_stops_by_it_and_its_tables_explain_it(synthetic, module, monkeypatch):
    from pyarrow import parquet

    import raysweep
    from raysweep.sweep import Options, run_sweep

    environment.prepare_for_ray()
    monkeypatch.chdir(module.folder)  # where the workers, which have other working directories, must find it
    metric = {"function": f"{module()}:within_one", "mode": "max", "help": "Off by one at most."}
    synthetic |= {"metrics": {"within_one": metric}, "objective": {"metric": "val_within_one"}, "trials": 6}

    results = run_sweep(parse(synthetic, "test"), Options(cluster="local", dashboard=False))

    again = raysweep.load(results.folder)
    ended = again.trials.dropna(subset=["objective"])
    assert 6 == len(ended)
    assert list(ended.objective) == list(ended.val_within_one)
    assert "pruned" in set(ended.outcome)
    assert "val_within_one" in ended[ended.outcome == "pruned"].reason.iloc[0]
    completed = ended[ended.outcome == "completed"]
    assert completed.objective.max() == again.best.ended.objective
    known = {("majority", "val"), ("majority", "test"), ("tfidf", "val"), ("tfidf", "test"), ("best", "test")}
    assert known | {("ridge", "val"), ("ridge", "test")} == {
        (final.name, final.split) for final in again.finals if f"{final.split}_within_one" in final.metrics
    }
    for name in ("trials", "evaluations"):
        field = parquet.read_schema(results.folder / f"{name}.parquet").field("val_within_one")
        assert b"On the validation split: Off by one at most." == field.metadata[b"description"]
