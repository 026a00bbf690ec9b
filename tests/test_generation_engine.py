"""Free text by the local engine: what is trained on, what is written, against plain transformers."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from engine_toys import PARAMS, example, run_to_end, save_toy_model
from inline_runner import InlineRunner
from transformers import AutoModelForCausalLM, AutoTokenizer

from raysweep import assets, ranking, untuned
from raysweep.cli import main
from raysweep.clock import RealClock
from raysweep.config import LoraTrainer as LoraSettings
from raysweep.config.load import parse
from raysweep.dataset import Splits
from raysweep.engine.batches import Collator
from raysweep.engine.chat_tokens import ChatTokenizer
from raysweep.engine.family import Family
from raysweep.engine.model import load_backbone
from raysweep.engine.place import place_on
from raysweep.engine.quiet import quietly
from raysweep.engine.tokens import Encoding, Tokenizer
from raysweep.engine.untuned import base_model, stopped
from raysweep.engine.writer import Writer
from raysweep.errors import ConfigError, JobFailed
from raysweep.folder import known_settings
from raysweep.jobs import DataRefs, JobSpec
from raysweep.loading import load_rows
from raysweep.scoring import Prediction, score
from raysweep.scoring.selection import values_of
from raysweep.sweep import Options, run_sweep
from raysweep.task import Prompt, Task, TaskKind
from raysweep.trainers.lora import LoraTrainer
from raysweep.writing import Writing

TEXTS = Task(TaskKind.GENERATION, writing=Writing(max_new_tokens=5))
SAID = ("very poor film", "fair plot", "a fine cast")
FREE = {name: value for name, value in PARAMS.items() if name != "label_words"}


def row(number, *, is_chat=False):
    return replace(example(number, is_chat=is_chat), label=SAID[number % 3])


def rows(n_train=26, n_validation=12):
    made = tuple(row(number) for number in range(n_train + n_validation))
    return Splits(made[:n_train], made[n_train:], made[n_train:], f"texts{n_train}-{n_validation}")


@pytest.fixture(scope="module")
def causal(tmp_path_factory) -> Path:
    """The toy model with a token that ends a text."""
    with quietly():
        folder = save_toy_model(tmp_path_factory.mktemp("causal"), "causal")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.eos_token = "[PAD]"
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def make(causal, tmp_path):
    """A trainer of the toy model; settings and task may be others."""

    def made(task=TEXTS, **settings):
        section = LoraSettings.model_validate({"kind": "lora", "model": str(causal), "device": "cpu", **settings})
        return LoraTrainer(section, task, tmp_path / "cache", RealClock())

    return made


def spec(folder, evaluate_at=(1.0, 2.0), **params):
    return JobSpec("toysweep", 0, 0, {**FREE, **params}, 7, folder, evaluate_at)


def refs(data=None):
    data = data or rows()
    return DataRefs(data.fingerprint, data)


def test_loss_and_greedy_text_are_plain_transformers(causal):
    tokenizer = Tokenizer(Encoding(str(causal), Family.CAUSAL, TEXTS, Prompt(), 32))
    writer = Writer(load_backbone(causal, Family.CAUSAL, place_on("cpu", "float32")), TEXTS, tokenizer)
    made = tokenizer.rows([row(number) for number in range(9)])

    found = writer.predictions(Collator(made).batch(torch.arange(9)))
    texts = writer.write(made, None, lambda: None)

    with quietly():
        model = AutoModelForCausalLM.from_pretrained(causal)
    plain = AutoTokenizer.from_pretrained(causal)
    for number, (one, text) in enumerate(zip(found, texts, strict=True)):
        prompt = plain(row(number).messages[0].content).input_ids
        said = [*plain(SAID[number % 3]).input_ids, plain.eos_token_id]
        labels = torch.tensor([[-100] * len(prompt) + said])
        mean = model(input_ids=torch.tensor([prompt + said]), labels=labels).loss.item()
        assert (len(said), pytest.approx(mean * len(said), rel=1e-4)) == (one.n_tokens, one.loss)
        ids = torch.tensor([prompt])
        alone = model.generate(ids, max_new_tokens=5, do_sample=False, eos_token_id=0, pad_token_id=0)
        assert plain.decode(alone[0, len(prompt) :], skip_special_tokens=True).strip() == text


def test_a_model_learns_to_write_and_its_folder_writes_the_same(make, tmp_path):
    trainer = make()
    job = trainer.submit(spec(tmp_path / "job", (1.0, 8.0), learning_rate=0.05, layers="all", rank=8), refs())

    evaluations, last = run_to_end(job)

    first, final = (one.metrics for one in evaluations)
    assert final["val_loss"] < first["val_loss"] / 3
    assert final["val_perplexity"] < 2
    assert final["val_exact_match"] > 0.6
    assert first.keys() == final.keys()
    again = trainer.predict(last.model, rows().validation)
    scores = score(TEXTS, [one.label for one in rows().validation], again)
    assert scores == pytest.approx({name: final[f"val_{name}"] for name in scores}, rel=1e-4)


def test_frozen_layers_that_are_cached_change_no_loss_and_no_text(make, tmp_path):
    with_cache, without = (
        run_to_end(make(prefix_cache_gb=size).submit(spec(tmp_path / f"job{size}"), refs()))[0] for size in (1.0, 0)
    )

    assert list((tmp_path / "cache" / "prefix").glob("*.safetensors"))
    for ours, theirs in zip(with_cache, without, strict=True):
        assert theirs.metrics == pytest.approx(ours.metrics, rel=1e-3)


def test_a_job_goes_on_from_its_folder_to_the_same_end(make, tmp_path):
    whole, _ = run_to_end(make().submit(spec(tmp_path / "whole"), refs()))
    job = make().submit(spec(tmp_path / "parts"), refs())
    for _ in range(3):
        job.advance(0.0)
    job.cancel()
    job.advance(0.0)

    rest, _ = run_to_end(make().submit(spec(tmp_path / "parts"), refs()))

    assert whole[-1].metrics == pytest.approx(rest[-1].metrics)


def test_only_the_first_rows_are_written_and_all_have_a_loss(make, tmp_path):
    task = Task(TaskKind.GENERATION, writing=Writing(max_new_tokens=5, scored_rows=2))

    few, _ = run_to_end(make(task).submit(spec(tmp_path / "few"), refs()))
    one_row = rows(n_validation=2)
    two, _ = run_to_end(make().submit(spec(tmp_path / "two"), refs(one_row)))

    assert few[-1].metrics["val_token_f1"] == two[-1].metrics["val_token_f1"]
    assert few[-1].metrics["val_loss"] != two[-1].metrics["val_loss"]


def test_what_was_said_of_each_row_at_the_end_is_kept_and_gives_the_scores(make, tmp_path):
    task = Task(TaskKind.GENERATION, writing=Writing(max_new_tokens=5, scored_rows=5))
    evaluations, _ = run_to_end(make(task).submit(spec(tmp_path / "job", (1.0, 8.0), learning_rate=0.05), refs()))

    found, texts = ranking.find(tmp_path / "job")

    assert (5, 12) == (texts.n_with("token_f1"), texts.n_with("loss"))
    for name in ("exact_match", "token_f1", "loss", "perplexity"):
        assert evaluations[-1].metrics[f"val_{name}"] == pytest.approx(values_of(found, [texts], name)[0], rel=1e-5)


def test_no_more_tokens_are_trained_on_or_written_than_allowed(make):
    long = [replace(row(0), label="the film was very fine it is a plot")]

    shown = make().preview({**FREE}, long, 1)[0]

    assert "the film was very fine" == " ".join(token.text for token in shown if token.is_trained)
    assert not any(token.is_trained for token in shown[: -TEXTS.writing.max_new_tokens])


def test_an_end_is_trained_on_and_chats_go_through_the_template(make):
    shown = make().preview({**FREE}, [row(1, is_chat=True)], 1)[0]

    assert ["fair", "plot", "[PAD]"] == [token.text for token in shown if token.is_trained]
    assert ":" in [token.text for token in shown]


def test_tokens_of_texts_count(make):
    one, more = (make(replace(TEXTS, writing=Writing(n))).estimate(spec(Path("x")), refs()) for n in (1, 3))

    assert more.trained_tokens > one.trained_tokens


def test_a_cancel_is_heard_while_a_text_is_written(causal):
    tokenizer = Tokenizer(Encoding(str(causal), Family.CAUSAL, TEXTS, Prompt(), 32))
    writer = Writer(load_backbone(causal, Family.CAUSAL, place_on("cpu", "float32")), TEXTS, tokenizer)
    looks = []

    def check():
        looks.append(1)
        if len(looks) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        writer.write(tokenizer.rows([row(0)]), None, check)


def test_an_encoder_is_refused(tmp_path):
    with quietly():
        encoder = save_toy_model(tmp_path / "encoder", "encoder")
    section = LoraSettings.model_validate({"kind": "lora", "model": str(encoder), "device": "cpu"})

    with pytest.raises(ConfigError, match=r"task\.kind: .* is an encoder, which writes no text; .*smollm2-135m"):
        LoraTrainer(section, TEXTS, tmp_path).prepare(rows())


def test_label_words_are_refused(make, tmp_path):
    with pytest.raises(JobFailed, match="a generation has no labels"):
        make().submit(spec(tmp_path, label_words=("a", "b")), refs())


def test_an_answers_tokens_together_are_its_text(causal):
    tokenizer = ChatTokenizer(causal)
    tokens = AutoTokenizer.from_pretrained(causal)("the film was very fine").input_ids

    assert ["the", " film", " was", " very", " fine"] == tokenizer.pieces(tokens)


@pytest.mark.assets
def test_a_letter_of_several_tokens_stays_whole():
    tokenizer = ChatTokenizer(assets.path("smollm2-135m"))
    text = "two 🍕 for 日本"
    tokens = AutoTokenizer.from_pretrained(assets.path("smollm2-135m"))(text).input_ids

    assert text == "".join(tokenizer.pieces(tokens))
    assert "" in tokenizer.pieces(tokens)


@pytest.mark.parametrize("is_chat", [False, True])
def test_the_base_model_writes_too_and_after_examples_one_answer_only(make, tmp_path, is_chat):
    trainer = make()
    params = {**FREE, "template": "{prompt}", "system": None, "label_words": ()}
    shots = [row(number, is_chat=is_chat) for number in (1, 2)]
    asked = [row(number, is_chat=is_chat) for number in (3, 4)]

    alone = trainer.predict(trainer.untuned(params, (), tmp_path / "zero"), asked)
    told = trainer.predict(trainer.untuned(params, shots, tmp_path / "few"), asked)

    assert all(one.text is not None and one.loss > 0 for one in (*alone, *told))
    assert [one.n_tokens for one in alone] == [one.n_tokens for one in told] == [4, 3]
    assert [one.loss for one in alone] != [one.loss for one in told]


def test_an_untuned_text_ends_where_the_next_example_would_begin(make):
    shots = [row(1), row(2)]
    place = make()._place()

    told, chat = (base_model(place, Prompt(), one) for one in (shots, [row(1, is_chat=True)]))

    assert ("\n\n", "") == (told.stop, chat.stop)
    assert "the cast" == stopped(Prediction(None, text="the cast\n\nthe film"), told.stop).text


@pytest.fixture(scope="module")
def swept(causal, tmp_path_factory):
    """A sweep of two trials of the toy model, in this process."""
    home = tmp_path_factory.mktemp("swept")
    lines = [json.dumps({"prompt": one.messages[0].content, "completion": one.label}) for one in map(row, range(60))]
    (home / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    settings = {
        "trainer": {"kind": "lora", "model": str(causal), "device": "cpu", "max_length": 28},
        "task": {"kind": "generation", "max_new_tokens": 5},
        "data": {"source": str(home / "rows.jsonl"), "near_duplicates": "keep"},
        "space": {"learning_rate": {"kind": "choice", "values": [0.03, 0.05]}, "n_epochs": 6, "layers": "all"},
        "objective": {"metric": "val_token_f1"},
        "early_stopping": {"kind": "none"},
        "evaluation": {"every_epochs": 1},
        "trials": 2,
        "concurrency": 1,
    }
    return run_sweep(parse(settings, "test"), Options(runner=InlineRunner(), folder=home / "abcd1234"))


def test_a_local_sweep_scores_the_base_model_and_the_fine_tune_beats_it(swept):
    scored = {final.name: final.metrics for final in swept.finals if final.split == "test"}
    asked = untuned.find(swept.folder)

    assert {"best", "zero_shot", "few_shot", "commonest", "nearest"} == set(scored)
    assert scored["best"]["test_loss"] < scored["zero_shot"]["test_loss"]
    assert "beats" == {one.name: one.verdict("token_f1") for one in swept.certainty.comparisons}["zero_shot"]
    assert asked["few_shot"].sentence.endswith("told 1 training row before every row.")


def test_the_exported_winner_writes_as_its_card_says(swept, causal, tmp_path):
    assert 0 == main(["export", str(swept.folder), "--to", "hf", "--out", str(tmp_path / "winner")])

    card = (tmp_path / "winner" / "README.md").read_text(encoding="utf-8")
    assert "pipeline_tag: text-generation" in card
    assert "It knows the labels" not in card
    (snippet,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    names: dict = {}
    exec(snippet, names)
    description = tmp_path / "winner" / "raysweep_model.json"
    said = json.loads(description.read_text(encoding="utf-8")) | {"base_model_path": str(causal)}
    description.write_text(json.dumps(said), encoding="utf-8")
    asked = load_rows(known_settings(swept.folder, swept.state.started)).splits.test[:4]
    with quietly():
        write = names["load"](str(tmp_path / "winner"))
        texts = [write(one.messages[0].content) for one in asked]
    assert [one.text for one in swept.predictions.predictions[:4]] == texts


def test_two_sweeps_of_texts_compare(swept, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(swept.folder, tmp_path / "efgh5678")

    assert 0 == main(["compare", str(swept.folder), "efgh5678", "--out", "both"])

    assert "token_f1" in "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "both").glob("*.md"))
