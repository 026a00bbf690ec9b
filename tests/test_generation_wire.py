"""Free text at a host: the real trainer and SDK against our server, over HTTP."""

import csv

import pytest
from openai import OpenAI
from server_toys import admin
from wire_toys import KEY_ENV, MODEL, export, run, trainer

from raysweep import predictions
from raysweep.config import shipped_file
from raysweep.config.load import parse
from raysweep.errors import ConfigError
from raysweep.forecast import Forecaster
from raysweep.jobs import Outcome
from raysweep.preflight import make_ready
from raysweep.task import Example, Message
from raysweep.testing.server import fine_tuning_server
from raysweep.trainers.wire_grading import grade_of, question
from raysweep.writing import ModelGrader

__all__ = ["fine_tuning_server"]
pytestmark = pytest.mark.timeout(120)
PRICES = {"training_usd_per_million": 100.0, "input_usd_per_million": 10.0, "output_usd_per_million": 40.0}


@pytest.fixture
def generation(synthetic):
    """The shipped orders, as free text; 10 of 12 validation rows are written."""
    synthetic["task"] = {"kind": "generation", "max_new_tokens": 12, "scored_rows": 10}
    synthetic["data"] = {
        "source": "shipped:orders.csv",
        "prompt": "order",
        "completion": "ticket",
        "split": {"train": 100, "validation": 12, "test": 12},
    }
    return synthetic


def test_a_sweep_of_free_text_stops_by_the_hosts_loss_and_scores_what_models_write(
    fine_tuning_server, monkeypatch, generation
):
    server = fine_tuning_server("--admin", "--epoch-s", "0.2", "--running", "20")
    export(monkeypatch, server)

    found = run(server, generation, trials=4, objective={"metric": "val_token_f1"}, final={"baseline": True})

    outcomes = [trial.outcome for trial in found.state.trials.values()]
    assert {Outcome.COMPLETED, Outcome.PRUNED} >= set(outcomes)
    best = found.best.last.metrics
    assert best["val_token_f1"] == found.best.ended.objective > 0.5
    assert {"val_exact_match", "val_token_f1", "val_loss", "train_loss"} <= best.keys()
    assert not {"val_perplexity", "host_label_coverage"} & best.keys()
    assert best["val_loss"] is not None
    scored = {final.name: final.metrics for final in found.finals if final.split == "test"}
    assert {"best", "zero_shot", "few_shot", "commonest", "nearest"} == set(scored)
    final = scored["best"]
    assert (final["test_token_f1"] > 0.1, final["test_loss"]) == (True, None)  # the server knows no test row's answer
    n_completed = outcomes.count(Outcome.COMPLETED)
    assert (found.luck is None) == (n_completed == 1)
    assert found.luck is None or (found.luck.n_trials, found.luck.n_rows) == (n_completed, 10)
    kept = predictions.find(found.folder, predictions.Place("best", found.best.number, "test"))
    written = [one.text for one in kept.predictions]
    lines = shipped_file("orders.csv").read_text(encoding="utf-8").splitlines()
    tickets = {row["ticket"] for row in csv.DictReader(lines)}
    assert set(kept.labels) <= tickets
    assert set(written) <= tickets
    assert len(set(written)) > 5
    calls = admin(server, "GET", "calls")
    asked = sum(n for name, n in calls.items() if "chat/completions" in name)
    assert asked == 10 * outcomes.count(Outcome.COMPLETED) + 12 + 2 * (12 + 12)


def test_what_texts_may_cost_is_reserved_by_their_longest(fine_tuning_server, monkeypatch, generation):
    server = fine_tuning_server()
    export(monkeypatch, server)
    wire = trainer(server, prices=PRICES)
    settings = generation | {"trainer": wire, "objective": {"metric": "val_token_f1"}}
    settings |= {"space": {"n_epochs": 1}, "trials": 1, "early_stopping": {"kind": "none"}}
    settings |= {"evaluation": {"every_epochs": 1}}

    def most(**task):
        ready = make_ready(parse(settings | {"task": {"kind": "generation", **task}}, "test"))
        return Forecaster(ready, 1).forecast().dearest

    short, long, few = most(max_new_tokens=10), most(max_new_tokens=110), most(max_new_tokens=10, scored_rows=4)
    assert long.scoring_usd - short.scoring_usd == pytest.approx(12 * 100 * 40e-6)
    assert long.final_usd - short.final_usd == pytest.approx(12 * 100 * 40e-6)
    assert few.scoring_usd < short.scoring_usd / 2
    assert few.final_usd == short.final_usd


def test_a_model_at_the_host_grades_every_text_and_its_cost_is_reserved(fine_tuning_server, monkeypatch, generation):
    server = fine_tuning_server("--admin", "--epoch-s", "0.1")
    export(monkeypatch, server)
    grader = {"model": MODEL, "prompt": "Is {answer} what {completion} says?", "scale": [0, 5]}
    prices = {"input_usd_per_million": 30.0, "output_usd_per_million": 60.0}
    generation["task"] |= {"grader": grader | prices}

    found = run(
        server,
        generation,
        trials=1,
        early_stopping={"kind": "none"},
        objective={"metric": "val_grade"},
        space={"n_epochs": 1},
        budget={"max_usd": 0.5},
    )

    kept = predictions.find(found.folder, predictions.Place("best", 0, "test"))
    grades = [one.grade for one in kept.predictions]
    with OpenAI(base_url=server.base_url, api_key=server.key) as client:
        for right, one in zip(kept.labels, kept.predictions, strict=True):
            asked = [{"role": "user", "content": f"Is {one.text} what {right} says?"}]
            said = client.chat.completions.create(model=MODEL, messages=asked, temperature=0, max_completion_tokens=8)
            number = float(said.choices[0].message.content.partition("x")[0])  # a ticket: it begins with a number
            assert one.grade == (number if number <= 5 else None)
    assert found.finals[0].metrics["test_grade"] == pytest.approx(sum(grades) / len(grades))
    assert found.best.ended.objective == found.best.last.metrics["val_grade"]
    calls = admin(server, "GET", "calls")
    assert sum(n for name, n in calls.items() if "chat/completions" in name) == 2 * (10 + 12) + 12
    assert 0 < found.state.finals_usd < found.state.spending.spent < 0.5


def test_a_grader_that_costs_money_needs_its_prices_at_a_paid_host(generation, monkeypatch):
    monkeypatch.setenv(KEY_ENV, "sk-none")
    generation["task"]["grader"] = {"model": "gpt-4.1"}
    generation["trainer"] = {"kind": "wire", "host": "openai", "model": MODEL, "key_env": KEY_ENV}
    generation |= {"space": {"n_epochs": 1}, "trials": 1, "early_stopping": {"kind": "none"}}
    generation |= {"objective": {"metric": "val_grade"}, "evaluation": {"every_epochs": 1}}

    with pytest.raises(ConfigError, match=r"task\.grader: nobody knows what gpt-4\.1 costs"):
        Forecaster(make_ready(parse(generation, "test")), 1).forecast()


def test_a_model_cannot_grade_where_there_is_no_host(generation):
    generation["task"]["grader"] = {"model": "gpt-4.1"}

    with pytest.raises(ConfigError, match=r"task\.grader: gpt-4\.1 is asked at the host of a wire trainer"):
        make_ready(parse(generation | {"objective": {"metric": "val_grade"}}, "test"))


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"model": "gpt-4.1", "prompt": "Good?"}, "has no {answer}"),
        ({"model": "gpt-4.1", "scale": [1, 0]}, "must ascend"),
        ({"model": "gpt-4.1", "function": "a:b"}, "function"),
    ],
)
def test_a_grader_that_cannot_grade_is_refused(generation, section, words):
    generation["task"]["grader"] = section

    with pytest.raises(ConfigError, match=words):
        parse(generation, "test")


@pytest.mark.parametrize(
    ("said", "grade"),
    [("0.5", 0.5), ("Grade: 1", 1.0), ("1/1", 1.0), ("7", None), ("-1", None), ("good", None), ("", None)],
)
def test_a_grade_is_the_first_number_of_the_reply_if_it_is_on_the_scale(said, grade):
    assert grade == grade_of(ModelGrader("m", "{answer}", 0.0, 1.0, 8), said)


def test_what_a_text_holds_is_no_place_to_be_filled():
    grader = ModelGrader("m", "{prompt} | {completion} | {answer} | {other}", 0.0, 1.0, 8)

    asked = question(grader, Example((Message("user", "p {answer}"),), "c {prompt}"), "a {completion}")

    assert "p {answer} | c {prompt} | a {completion} | {other}" == asked.messages[0].content
