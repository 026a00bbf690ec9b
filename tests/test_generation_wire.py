"""Free text at a host: the real trainer and SDK against our server, over HTTP."""

import csv

import pytest
from server_toys import admin
from wire_toys import export, run, trainer

from raysweep import predictions
from raysweep.config import shipped_file
from raysweep.config.load import parse
from raysweep.forecast import Forecaster
from raysweep.jobs import Outcome
from raysweep.preflight import make_ready
from raysweep.testing.server import fine_tuning_server

__all__ = ["fine_tuning_server"]
pytestmark = pytest.mark.timeout(120)
PRICES = {"training_usd_per_million": 100.0, "input_usd_per_million": 10.0, "output_usd_per_million": 40.0}


@pytest.fixture
def generation(synthetic):
    """The shipped orders, as free text; 10 of 40 validation rows are written."""
    synthetic["task"] = {"kind": "generation", "max_new_tokens": 12, "scored_rows": 10}
    synthetic["data"] = {
        "source": "shipped:orders.csv",
        "prompt": "order",
        "completion": "ticket",
        "split": {"train": 100, "validation": 40, "test": 20},
    }
    return synthetic


def test_a_sweep_of_free_text_stops_by_the_hosts_loss_and_scores_what_models_write(
    fine_tuning_server, monkeypatch, generation
):
    server = fine_tuning_server("--admin", "--epoch-s", "0.2", "--running", "20")
    export(monkeypatch, server)

    found = run(server, generation, trials=4, objective={"metric": "val_token_f1"})

    outcomes = [trial.outcome for trial in found.state.trials.values()]
    assert {Outcome.COMPLETED, Outcome.PRUNED} >= set(outcomes)
    best = found.best.last.metrics
    assert best["val_token_f1"] == found.best.ended.objective > 0.5
    assert {"val_exact_match", "val_token_f1", "val_loss", "train_loss"} <= best.keys()
    assert not {"val_perplexity", "host_label_coverage"} & best.keys()
    assert best["val_loss"] is not None
    final = found.finals[0].metrics
    assert (final["test_token_f1"] > 0.1, final["test_loss"]) == (True, None)  # the server knows no test row's answer
    kept = predictions.find(found.folder, predictions.Place("best", found.best.number, "test"))
    written = [one.text for one in kept.predictions]
    lines = shipped_file("orders.csv").read_text(encoding="utf-8").splitlines()
    tickets = {row["ticket"] for row in csv.DictReader(lines)}
    assert set(kept.labels) <= tickets
    assert set(written) <= tickets
    assert len(set(written)) > 5
    calls = admin(server, "GET", "calls")
    asked = sum(n for name, n in calls.items() if "chat/completions" in name)
    assert asked == 10 * outcomes.count(Outcome.COMPLETED) + 20


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
    assert long.scoring_usd - short.scoring_usd == pytest.approx(40 * 100 * 40e-6)
    assert long.final_usd - short.final_usd == pytest.approx(20 * 100 * 40e-6)
    assert few.scoring_usd < short.scoring_usd / 5
    assert few.final_usd == short.final_usd
