"""The base model as a baseline: what it is told, what it answers, what it costs, and why it may not be asked."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from engine_toys import LABEL_WORDS, TASK, save_toy_model, spec, splits, trainer
from inline_runner import InlineRunner
from test_money_sweep import PRICES, check_every_entry
from transformers import AutoModelForCausalLM, AutoTokenizer
from wire_toys import MODEL, export, sweep

from raysweep import ledger, untuned
from raysweep.base_prices import base_prices_of
from raysweep.config import WireTrainer
from raysweep.config.load import parse
from raysweep.engine.quiet import quietly
from raysweep.entries import FinalReserved, FinalScored
from raysweep.errors import RaysweepError
from raysweep.forecast import Forecaster
from raysweep.preflight import make_ready
from raysweep.report.findings import Findings
from raysweep.report.from_run import read_run
from raysweep.report.statistics import given_threshold
from raysweep.sweep import Options, resume_sweep, run_sweep
from raysweep.task import Example, Message, Prompt, Task, TaskKind
from raysweep.testing.processes import ProcessRunner
from raysweep.testing.server import running_server
from raysweep.trainers.hosted import Answer, Question, Token
from raysweep.trainers.wire import WireTrainer as Trainer
from raysweep.trainers.wire_record import ModelNote
from raysweep.trainers.wire_untuned import untuned_question

STARS = Task(TaskKind.RATING, ("1", "2", "3"))
BASE_PRICES = {"base_input_usd_per_million": 5.0, "base_output_usd_per_million": 20.0}


def row(text: str, label: str = "1", *, system: str | None = None) -> Example:
    before = () if system is None else (Message("system", system),)
    return Example((*before, Message("user", text)), label)


ROWS = [row("very long indeed " * (1 + i % 7) + str(i), STARS.labels[i % 3]) for i in range(60)]


def test_examples_are_drawn_by_seed_alone_and_of_every_label_alike():
    shots = untuned.chosen_shots(ROWS, STARS, 2, seed=1)

    assert {"1": 2, "2": 2, "3": 2} == Counter(shot.label for shot in shots)
    assert {"1", "2", "3"} == {shot.label for shot in shots[:3]}  # the labels take turns
    assert shots == untuned.chosen_shots(ROWS, STARS, 2, seed=1)
    assert shots != untuned.chosen_shots(ROWS, STARS, 2, seed=2)
    assert () == untuned.chosen_shots(ROWS, STARS, 0, seed=1)


def test_examples_are_of_the_shorter_half():
    middle = sorted(len(one.messages[0].content) for one in ROWS)[len(ROWS) // 2]

    assert all(len(one.messages[0].content) <= middle for one in untuned.chosen_shots(ROWS, STARS, 5, seed=0))


def test_a_label_with_fewer_rows_gives_those_that_it_has():
    shots = untuned.chosen_shots([row("one", "1"), row("two", "2"), row("other", "2")], STARS, 2, seed=0)

    assert {"1": 1, "2": 2} == Counter(shot.label for shot in shots)


def test_a_chat_is_told_the_labels_and_the_examples_before_its_row():
    prompt = Prompt(template="Review: {prompt}", label_words=("bad", "fair", "good"))
    before = untuned.turns_of([row("soup", "3", system="Be brief.")], prompt, STARS)
    note = ModelNote("base", "", prompt, is_untuned=True, says="Answer with bad, fair or good.", before=before)

    with_system = untuned_question(Question((Message("system", "Be brief."), Message("user", "x")), 4), note)
    without = untuned_question(Question((Message("user", "x"),), 4), note)

    turns = [("user", "Review: soup"), ("assistant", "good"), ("user", "x")]
    assert [("system", "Be brief.\n\nAnswer with bad, fair or good."), *turns] == told(with_system)
    assert [("system", "Answer with bad, fair or good."), *turns] == told(without)
    assert not without.is_model_new  # one that the host does not know is no model that is still being loaded


def told(question: Question) -> list[tuple[str, str]]:
    return [(one.role, one.content) for one in question.messages]


def test_prices_of_base_models_are_their_own():
    found = base_prices_of("openai", MODEL, given={})

    assert (0.4, 1.6, 0.0) == (found.input, found.output, found.training)
    assert base_prices_of("openai", MODEL, given={"input": 9.0}).input == 9.0
    assert base_prices_of("openai", "gpt-9", given={}) is None
    assert base_prices_of("raysweep", "any", given={}, is_paid=False).is_free


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    with quietly():
        made = {family: save_toy_model(tmp_path_factory.mktemp(family), family) for family in ("encoder", "causal")}
        return made | {"long": save_toy_model(tmp_path_factory.mktemp("long"), "causal", max_position_embeddings=256)}


def by_hand(model: Path, text: str) -> torch.Tensor:
    """The label words' shares after the text, by plain transformers."""
    with quietly(), torch.no_grad():
        tokenizer, net = AutoTokenizer.from_pretrained(model), AutoModelForCausalLM.from_pretrained(model)
        logits = net(**tokenizer(text, return_tensors="pt")).logits[0, -1]
        words = [tokenizer(f" {word}", add_special_tokens=False)["input_ids"][0] for word in LABEL_WORDS]
    return logits[words].softmax(0)


@pytest.mark.parametrize("n_shots", [0, 1])
def test_a_causal_model_scores_the_label_words_after_examples_and_row(models, tmp_path, n_shots):
    data, work = splits(), trainer(models["long"], tmp_path)
    params = spec(tmp_path, template="Review : {prompt} it is").params
    shots = untuned.chosen_shots(data.train, TASK, n_shots, seed=0)

    assert "" == work.why_not_untuned(params, shots)
    answers = work.predict(work.untuned(params, shots, tmp_path / "base"), data.test)

    words = dict(zip(TASK.labels, LABEL_WORDS, strict=True))
    before = "".join(f"Review : {one.messages[0].content} it is {words[one.label]}\n\n" for one in shots)
    for example, answer in zip(data.test, answers, strict=True):
        wanted = by_hand(models["long"], f"{before}Review : {example.messages[0].content} it is")
        assert answer.probabilities == pytest.approx(wanted.tolist(), abs=1e-4)


def test_a_chat_gets_examples_as_earlier_turns(models, tmp_path):
    data, work = splits(is_chat=True), trainer(models["long"], tmp_path)
    params = spec(tmp_path).params
    shots = untuned.chosen_shots(data.train, TASK, 1, seed=0)

    answers = work.predict(work.untuned(params, shots, tmp_path / "base"), data.test)

    words = dict(zip(TASK.labels, LABEL_WORDS, strict=True))
    turns = "".join(f"user : {one.messages[0].content} assistant : {words[one.label]} " for one in shots)
    wanted = by_hand(models["long"], f"{turns}user : {data.test[0].messages[0].content} it is")
    assert answers[0].probabilities == pytest.approx(wanted.tolist(), abs=1e-4)


def test_examples_that_do_not_fit_the_model_are_not_told(models, tmp_path):
    work, params = trainer(models["causal"], tmp_path, max_length=30), spec(tmp_path).params

    why = work.why_not_untuned(params, untuned.chosen_shots(splits().train, TASK, 5, seed=0))

    assert "has room for 64" in why
    assert "" == work.why_not_untuned(params, ())


def test_an_encoder_has_no_words_and_its_sweep_says_so(models, synthetic, tmp_path):
    synthetic |= {
        "trainer": {"kind": "lora", "model": str(models["encoder"]), "device": "cpu", "max_bad_evaluations": 99},
        "space": {"learning_rate": {"kind": "loguniform", "low": 1e-3, "high": 1e-2}, "n_epochs": 1, "layers": 1},
        "early_stopping": {"kind": "none"},
        "trials": 1,
    }

    found = run_sweep(parse(synthetic, "test"), Options(folder=tmp_path / "run", runner=InlineRunner()))

    assert {"best", "majority", "ridge", "tfidf"} == {final.name for final in found.finals}
    assert "all trials have ended" == found.state.ended.reason
    said = [sentence for sentence in sure(found.folder) if "base model" in sentence]
    assert 1 == len(said)
    assert "not asked zero-shot or few-shot" in said[0]
    assert "is an encoder and has no words to answer with" in said[0]


def sure(folder: Path) -> tuple[str, ...]:
    return Findings(read_run(folder), given_threshold(None)).sure


def test_a_trainer_that_cannot_is_not_asked(synthetic, tmp_path):
    found = run_sweep(parse(synthetic, "test"), Options(folder=tmp_path / "run", runner=InlineRunner()))

    assert not {"zero_shot", "few_shot"} & {final.name for final in found.finals}
    assert {} == untuned.find(found.folder)


@pytest.fixture(scope="module")
def server():
    with running_server("--epoch-s", "0.2", "--running", "50") as one:
        yield one


@pytest.fixture
def paid(server, synthetic, monkeypatch):
    """Two trials at a host that costs money, with baselines."""
    export(monkeypatch, server)
    settings = sweep(server, synthetic, trials=2, early_stopping={"kind": "none"}, final={}, budget={"max_usd": 20.0})
    settings["trainer"]["prices"] = PRICES | BASE_PRICES
    return settings


def run(settings, tmp_path):
    return run_sweep(parse(settings, "test"), Options(folder=tmp_path / "run", runner=ProcessRunner()))


@pytest.mark.timeout(120)
def test_at_a_host_it_is_reserved_asked_billed_and_compared(paid, tmp_path):
    found = run(paid, tmp_path)

    scored = {(one.name, one.split): one for one in found.finals if one.name in ("zero_shot", "few_shot")}
    assert {(name, split) for name in ("zero_shot", "few_shot") for split in ("val", "test")} == scored.keys()
    assert scored["few_shot", "test"].usd > 2 * scored["zero_shot", "test"].usd > 0
    entries = list(ledger.read(found.folder))
    reserved = {(one.name, one.split): one.usd for one in entries if isinstance(one, FinalReserved)}
    assert all(one.usd == reserved[place] for place, one in scored.items())
    state = check_every_entry(found.folder, 20.0)
    assert state.finals_usd == pytest.approx(sum(one.usd or 0 for one in entries if isinstance(one, FinalScored)))
    compared = {one.name: one.differences for one in found.certainty.comparisons}
    assert {"zero_shot", "few_shot", "majority", "tfidf"} <= compared.keys()
    assert "accuracy" in compared["few_shot"]
    said = " ".join(sure(found.folder))
    assert f"The base model zero-shot is {MODEL} without a fine-tune." in said
    assert "told 1 training row of each label before every row" in said

    again = resume_sweep(found.folder, ["trials=3"], Options(runner=ProcessRunner()))
    asked = [one.name for one in ledger.read(again.folder) if isinstance(one, FinalReserved)]
    assert {"zero_shot": 2, "few_shot": 2} == {name: n for name, n in Counter(asked).items() if name.endswith("shot")}


class Refusing(ProcessRunner):
    """A host that fails whoever asks the base model."""

    def predict(self, static, resources, model, *rest, **more):
        if "shot" in model:
            raise RaysweepError("the host is out of order")
        return super().predict(static, resources, model, *rest, **more)


@pytest.mark.timeout(120)
def test_what_a_failing_host_left_unasked_is_asked_by_a_later_session(paid, tmp_path):
    paid |= {"trials": 1, "final": {"shots": 0}}
    failed = run_sweep(parse(paid, "test"), Options(folder=tmp_path / "run", runner=Refusing()))
    assert "zero_shot" not in {one.name for one in failed.finals}
    assert "the host is out of order" in " ".join(sure(failed.folder))

    found = resume_sweep(failed.folder, (), Options(runner=ProcessRunner()))

    assert {"val", "test"} == {one.split for one in found.finals if one.name == "zero_shot"}
    assert "not asked" not in " ".join(sure(found.folder))
    assert "zero_shot" in {one.name for one in found.certainty.comparisons}
    assert found == resume_sweep(failed.folder, (), Options(runner=Refusing()))


@pytest.mark.timeout(120)
def test_where_nobody_knows_its_price_it_is_not_asked(paid, tmp_path):
    paid["trainer"]["prices"] = PRICES

    found = run(paid, tmp_path)

    assert {"best", "majority", "ridge", "tfidf"} == {final.name for final in found.finals}
    assert "all trials have ended" == found.state.ended.reason
    assert "nobody knows what" in " ".join(sure(found.folder))


def test_its_cost_is_part_of_the_plan_and_kept_back(paid):
    whole = Forecaster(make_ready(parse(paid, "test")), 2).forecast()
    zero = Forecaster(make_ready(parse(paid | {"final": {"shots": 0}}, "test")), 2).forecast()
    none = Forecaster(make_ready(parse(paid | {"final": {"baseline": False}}, "test")), 2).forecast()

    assert whole.base_usd > zero.base_usd > none.base_usd == 0
    assert whole.worst.usd == pytest.approx(none.worst.usd + whole.base_usd)
    assert whole.least_usd == pytest.approx(none.least_usd + whole.base_usd)


@pytest.mark.timeout(120)
def test_a_budget_that_is_just_enough_pays_for_it(paid, tmp_path):
    least = Forecaster(make_ready(parse(paid, "test")), 2).forecast().least_usd
    paid["budget"] = {"max_usd": least * 1.001}

    found = run(paid, tmp_path)

    check_every_entry(found.folder, least * 1.001)
    assert {"zero_shot", "few_shot"} <= {final.name for final in found.finals}
    assert found.state.ended.reason.startswith("the budget is used up: trial 1")


def test_at_azure_it_needs_a_deployment_of_the_users(paid):
    paid |= {"objective": {"metric": "val_loss"}, "final": {"test": False}}
    paid["trainer"] |= {
        "host": "azure",
        "score": "finalists",
        "prices": PRICES | BASE_PRICES | {"hosting_usd_per_hour": 0},
    }
    ready = make_ready(parse(paid, "test"))
    paid["trainer"]["base_deployments"] = {MODEL: "my-mini"}
    named = make_ready(parse(paid, "test"))

    assert "name yours in trainer.base_deployments" in ready.trainer.why_not_untuned(ready.defaults, ())
    assert "" == named.trainer.why_not_untuned(named.defaults, ())


class Host:
    """A gate that knows one deployment, and lets nobody make or delete any."""

    def __init__(self):
        self.asked = []

    def ask(self, model, questions):
        self.asked += [model] * len(questions)
        return [Answer("3", (Token("3", (("3", -0.1), ("1", -3.0))),)) for _ in questions]


def test_a_deployment_of_the_users_is_asked_and_left_as_it_is(tmp_path):
    settings = WireTrainer(
        kind="wire",
        host="azure",
        base_url="http://127.0.0.1:9/openai/v1/",
        model=MODEL,
        base_deployments={MODEL: "mine"},
    )
    host = Host()
    work = Trainer(settings, STARS, lambda: host)
    params = {name: doc.default for name, doc in work.describe().params.items()}

    answers = work.predict(work.untuned(params, ROWS[:3], tmp_path), ROWS[:5])

    assert ["mine"] * 5 == host.asked
    assert all(max(range(3), key=answer.probabilities.__getitem__) == 2 for answer in answers)


def test_what_was_kept_and_damaged_is_not_known(tmp_path):
    asked = untuned.Asked("base", 1, "key", ("val",))
    untuned.keep(tmp_path, {"few_shot": asked})

    assert {"few_shot": asked} == untuned.find(tmp_path)
    assert replace(asked, reason="no").sentence == "The base model was not asked few-shot: no."
    assert ("The base model was not asked zero-shot or few-shot: no.",) == untuned.sentences(
        {"zero_shot": replace(asked, n_shots=0, reason="no"), "few_shot": replace(asked, reason="no")}
    )
    (tmp_path / "predictions" / "untuned.json").write_text("{]")
    assert {} == untuned.find(tmp_path)
