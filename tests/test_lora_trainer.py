"""The local trainer as a sweep sees it: what it takes, refuses, leaves behind and predicts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from engine_toys import LABEL_WORDS, PARAMS, TASK, refs, run_to_end, save_toy_model, spec, splits, trainer
from snippet_plain_loading import load

from raysweep import assets, ranking
from raysweep.engine.params import param_docs
from raysweep.engine.quiet import quietly
from raysweep.errors import AssetError, ConfigError, Fault, JobFailed
from raysweep.scoring.selection import values_of
from raysweep.task import Task, TaskKind


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    with quietly():
        return {family: save_toy_model(tmp_path_factory.mktemp(family), family) for family in ("encoder", "causal")}


@pytest.mark.parametrize(
    ("family", "params"),
    [
        ("encoder", {}),
        ("encoder", {"target_modules": "qkvo+ffn", "layers": "all", "use_rslora": True}),
        ("causal", {"template": "Review : {prompt} it is"}),
        ("causal", {"label_words": ("very poor", "very fair", "fine film plot"), "target_modules": "all-linear"}),
    ],
)
def test_plain_transformers_and_peft_give_the_same_probabilities(models, family, params, tmp_path):
    work = trainer(models[family], tmp_path)
    _, end = run_to_end(work.submit(spec(tmp_path / "job", (3.0,), **params), refs()))
    rows = splits().validation

    ours = torch.tensor([one.probabilities for one in work.predict(end.model, rows)])
    with quietly():
        predict = load(end.model)
        plain = torch.stack([predict(row.messages[0].content) for row in rows])

    assert torch.equal(ours.argmax(1), plain.argmax(1))
    assert float((ours - plain).abs().max()) <= 1e-4


def test_a_regression_head_answers_in_the_tasks_own_numbers(models, tmp_path):
    work = trainer(models["encoder"], tmp_path)
    one = spec(tmp_path / "job", (1.0, 10.0), loss="squared_error", layers="all", target_modules="qkvo+ffn")

    evaluations, end = run_to_end(work.submit(one, refs()))
    answers = work.predict(end.model, splits().validation)
    with quietly():
        predict = load(end.model)

    assert evaluations[-1].metrics["val_mse_expected"] < min(0.5, evaluations[0].metrics["val_mse_expected"])
    assert evaluations[-1].metrics["val_log_loss"] is None
    assert all(answer.probabilities is None and 0 < answer.value < 4 for answer in answers)
    assert answers[0].value == pytest.approx(float(predict(splits().validation[0].messages[0].content)), abs=1e-4)


def test_a_finished_job_leaves_adapter_head_and_description(models, tmp_path):
    made, end = run_to_end(trainer(models["encoder"], tmp_path).submit(spec(tmp_path / "job", (0.5, 1.0)), refs()))

    folder = Path(end.model)
    task, answers = ranking.find(folder.parent)
    assert made[-1].metrics["val_accuracy"] == values_of(task, [answers], "accuracy")
    assert values_of(task, [answers], "log_loss") == pytest.approx(made[-1].metrics["val_log_loss"], abs=1e-5)
    names = {"adapter_config.json", "adapter_model.safetensors", "head.safetensors", "raysweep_model.json"}
    assert names <= {path.name for path in folder.iterdir()}
    assert json.loads((folder / "adapter_config.json").read_text())["layers_to_transform"] == [2, 3]
    assert {path.name for path in folder.parent.iterdir()} == {
        "model",
        "state.safetensors",
        "validation.npz",
        "job.lock",
    }


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"rank": 0}, "rank: 0 is not within 1 to 1024"),
        ({"rank": 2.5}, "rank: 2.5 is not a whole number"),
        ({"learning_rate": "high"}, "learning_rate: 'high' is not a number"),
        ({"learning_rat": 1e-3}, "learning_rat: the lora trainer takes no such param"),
        ({"layers": 9}, "layers: 9 is more than the model has: 4"),
        ({"layers": (1, 1)}, "list of distinct layer numbers"),
        ({"target_modules": ("nonsense",)}, "no linear module of a layer ends in 'nonsense'"),
        ({"target_modules": "kv"}, "target_modules: 'kv' is neither"),
        ({"lr_schedule": "cubic"}, "lr_schedule: 'cubic' is not one of linear, cosine, constant"),
        ({"template": "no place"}, "has no {prompt}"),
        ({"label_words": ("a", "b")}, "2 words for 3 labels"),
        ({"loss": "squared_error", "label_smoothing": 0.1}, "label_smoothing: only cross_entropy"),
    ],
)
def test_params_that_cannot_work_fail_the_job_with_a_reason(models, params, message, tmp_path):
    with pytest.raises(JobFailed) as caught:
        trainer(models["encoder"], tmp_path).submit(spec(tmp_path / "job", **params), refs()).advance(1.0)

    assert message in caught.value.reason
    assert caught.value.fault is Fault.PARAMS


def test_a_regression_head_on_a_causal_model_is_refused(models, tmp_path):
    job = trainer(models["causal"], tmp_path).submit(spec(tmp_path / "job", loss="squared_error"), refs())

    with pytest.raises(JobFailed, match="only an encoder gets"):
        job.advance(1.0)


def test_a_model_that_is_nowhere_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(ConfigError, match="neither a bundled model, nor a folder"):
        trainer(Path("no-such-model"), tmp_path).prepare(splits())
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"trainer\.model"):
        trainer(tmp_path / "empty", tmp_path).prepare(splits())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused_with_the_remedy(models, tmp_path):
    with pytest.raises(ConfigError, match=r"cuda was demanded.*set trainer\.device to auto or cpu"):
        trainer(models["encoder"], tmp_path, device="cuda").prepare(splits())


def test_describe_knows_every_param_and_loads_no_torch(models, tmp_path):
    code = "import sys, raysweep.trainers.lora; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    described = trainer(models["encoder"], tmp_path).describe()
    assert {*PARAMS, "loss", "n_epochs", "template"} <= described.params.keys()
    assert {"val_f1_weighted", "val_mse_expected", "train_loss"} <= described.metrics
    classes = Task(TaskKind.CLASSIFICATION, LABEL_WORDS)
    assert param_docs(classes)["loss"].values == ("cross_entropy",)
    assert "squared_error" in param_docs(TASK)["loss"].values


def test_an_estimate_counts_the_tokens_that_training_then_sees(models, tmp_path):
    work, one = trainer(models["causal"], tmp_path), spec(tmp_path / "job", (2.0,))

    _, end = run_to_end(work.submit(one, refs()))

    assert work.estimate(one, refs()).trained_tokens == end.trained_tokens
    assert work.estimate(one, refs()).usd is None


def test_rows_that_will_be_cut_are_told_before_anything_is_trained(models, tmp_path):
    n_rows = len(splits().train)
    lengths = trainer(models["causal"], tmp_path).token_lengths(PARAMS, splits().train)
    longest = max(8, min(lengths))

    whole, cut = (
        trainer(models["causal"], tmp_path, max_length=most).estimate(spec(tmp_path / "job"), refs()).warnings
        for most in (max(8, *lengths), longest)
    )

    assert whole == ()
    n_cut = sum(length > longest for length in lengths)
    assert n_cut
    assert f"{n_cut:,} of {n_rows:,} training rows" in cut[0]
    assert f"the longest {max(lengths):,}" in cut[0]


@pytest.mark.assets
def test_minilm_learns_and_plain_loading_agrees(tmp_path):
    try:
        model = assets.path("minilm-l6")
    except AssetError as error:
        pytest.skip(str(error))
    work = trainer(model, tmp_path)
    one = spec(tmp_path / "job", (1.0, 8.0), learning_rate=5e-3, layers=3, target_modules="qkvo")

    evaluations, end = run_to_end(work.submit(one, refs()))
    rows = splits().validation
    ours = torch.tensor([answer.probabilities for answer in work.predict(end.model, rows)])
    with quietly():
        predict = load(end.model)
        plain = torch.stack([predict(row.messages[0].content) for row in rows])

    assert evaluations[-1].metrics["val_accuracy"] > 0.9
    assert float((ours - plain).abs().max()) <= 1e-4
