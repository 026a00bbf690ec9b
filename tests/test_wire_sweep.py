"""Whole sweeps at the local server: plain processes, the real SDK, HTTP over loopback."""

import pytest
from wire_toys import MODEL, call, export, jobs, keys, run, trainer

from raysweep.entries import CancelRequested, TrialEnded
from raysweep.errors import ConfigError, RaysweepError
from raysweep.jobs import Outcome
from raysweep.ledger import read
from raysweep.testing.server import fine_tuning_server

__all__ = ["fine_tuning_server"]
pytestmark = pytest.mark.timeout(120)


def outcomes(results):
    return {trial.number: trial.outcome for trial in results.state.trials.values()}


def test_a_sweep_prunes_at_the_server_and_scores_the_best(fine_tuning_server, monkeypatch, synthetic):
    server = fine_tuning_server("--epoch-s", "0.8")
    export(monkeypatch, server)

    results = run(server, synthetic, trials=8, concurrency=3)

    by_key = {job["metadata"]["raysweep_key"]: job["status"] for job in jobs(server)}
    for trial in results.state.trials.values():
        may_be = (
            {"succeeded"} if trial.outcome is Outcome.COMPLETED else {"cancelled", "succeeded"}
        )  # had finished first
        assert by_key.pop(trial.proposed.key) in may_be
    assert {} == by_key
    assert "cancelled" in {job["status"] for job in jobs(server)}
    assert {Outcome.COMPLETED, Outcome.PRUNED} == set(outcomes(results).values())
    best = results.state.best
    assert best.last.metrics["val_f1_weighted"] == best.ended.objective
    assert {"val_loss", "train_loss", "val_mse", "val_log_loss", "host_label_coverage"} <= best.last.metrics.keys()
    assert ["best"] == [final.name for final in results.state.finals]
    assert 2 == len(call(server, "/files?purpose=fine-tune")["data"])


def test_a_lost_create_is_adopted_and_never_made_twice(fine_tuning_server, monkeypatch, synthetic):
    lost = {"call": "POST /fine_tuning/jobs", "nth": [1, 3], "kind": "lost_reply"}
    server = fine_tuning_server("--epoch-s", "0.1", faults={"calls": [lost], "host": {"listing_lag_s": 1.0}})
    export(monkeypatch, server)

    results = run(server, synthetic, trainer=trainer(server, listing_lag_s=1.5), early_stopping={"kind": "none"})

    assert {Outcome.COMPLETED} == set(outcomes(results).values())
    assert sorted(trial.proposed.key for trial in results.state.trials.values()) == sorted(keys(server))
    assert 4 == results.luck.n_trials
    assert results.state.best.ended.objective == pytest.approx(results.luck.raw.value)


def test_a_model_that_was_shut_down_is_refused_before_anything_is_spent(fine_tuning_server, monkeypatch, synthetic):
    server = fine_tuning_server("--shutdown-date", "2026-01-01")
    export(monkeypatch, server)

    with pytest.raises(ConfigError, match=r"trainer\.model: .* was shut down on 2026-01-01"):
        run(server, synthetic)

    assert [] == jobs(server)


def test_a_model_that_will_be_shut_down_is_spoken_of(fine_tuning_server, monkeypatch, synthetic, caplog):
    server = fine_tuning_server("--shutdown-date", "2999-01-01", "--epoch-s", "0.1")
    export(monkeypatch, server)

    run(server, synthetic, trials=1)

    assert f"{MODEL} is shut down on 2999-01-01" in caplog.text


@pytest.mark.parametrize("filtered", ["ignored", "empty"])
def test_a_dead_filter_costs_no_second_job(fine_tuning_server, monkeypatch, synthetic, filtered):
    lost = {"call": "POST /fine_tuning/jobs", "nth": [2], "kind": "lost_reply"}
    server = fine_tuning_server("--epoch-s", "0.1", faults={"calls": [lost], "host": {"metadata_filter": filtered}})
    export(monkeypatch, server)

    results = run(server, synthetic, trials=3, early_stopping={"kind": "none"})

    assert {Outcome.COMPLETED} == set(outcomes(results).values())
    assert 3 == len(keys(server)) == len(set(keys(server)))


def test_a_wrong_key_is_refused_before_anything_is_spent(fine_tuning_server, monkeypatch, synthetic):
    server = fine_tuning_server()
    export(monkeypatch, server)
    monkeypatch.setenv("RAYSWEEP_TEST_HOST_KEY", "wrong-canary-key")

    with pytest.raises(ConfigError, match=r"trainer\.key_env") as caught:
        run(server, synthetic)

    assert "wrong-canary-key" not in str(caught.value)
    assert [] == jobs(server)


def test_a_missing_key_names_its_variable(fine_tuning_server, monkeypatch, synthetic):
    server = fine_tuning_server()
    monkeypatch.delenv("RAYSWEEP_TEST_HOST_KEY", raising=False)

    with pytest.raises(ConfigError, match="the variable RAYSWEEP_TEST_HOST_KEY is not set"):
        run(server, synthetic)


def test_a_base_model_that_the_host_does_not_know_is_refused_at_first(fine_tuning_server, monkeypatch, synthetic):
    server = fine_tuning_server()
    export(monkeypatch, server)

    with pytest.raises(ConfigError, match=r"gpt-nobody.*choose a trainer\.model"):
        run(server, synthetic, trainer=trainer(server, model="gpt-nobody"))


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ({"training_available": False}, "this host trains no more for this account"),
        ({"out_of_credit": True}, "add credit at the host"),
    ],
)
def test_what_no_trial_can_help_stops_the_sweep(fine_tuning_server, monkeypatch, synthetic, host, words):
    server = fine_tuning_server(faults={"host": host})
    export(monkeypatch, server)

    with pytest.raises(RaysweepError, match=words):
        run(server, synthetic)

    assert [] == jobs(server)


def test_rows_that_the_host_refuses_stop_the_sweep_with_its_words(fine_tuning_server, monkeypatch, synthetic):
    server = fine_tuning_server(faults={"jobs": [{"kind": "validation_failure", "nth": [1]}]})
    export(monkeypatch, server)

    with pytest.raises(RaysweepError, match="Line 1: the example was blocked"):
        run(server, synthetic, concurrency=1)

    assert 1 == len(jobs(server))


def test_a_lost_training_is_told_up_to_where_it_was_lost(fine_tuning_server, monkeypatch, synthetic):
    server = fine_tuning_server("--epoch-s", "0.05", faults={"jobs": [{"kind": "nan_loss", "at": 0.5}]})
    export(monkeypatch, server)

    results = run(server, synthetic, trials=1, early_stopping={"kind": "none"})

    assert {0: Outcome.FAILED} == outcomes(results)
    assert [1.0] == [one.epoch for one in results.state.trials[0].evaluations]


@pytest.mark.parametrize(
    ("fault", "ending"),
    [
        ({"kind": "nan_loss"}, (Outcome.FAILED, "the training loss is nan")),
        ({"kind": "safety_block"}, (Outcome.FAILED, "usage polic")),
        ({"kind": "server_error"}, (Outcome.COMPLETED, "")),
        ({"kind": "unknown_status"}, (Outcome.COMPLETED, "")),
        ({"kind": "events", "how": "duplicated"}, (Outcome.COMPLETED, "")),
        ({"kind": "events", "how": "shuffled"}, (Outcome.COMPLETED, "")),
        ({"kind": "events", "how": "missing"}, (Outcome.COMPLETED, "")),
        ({"kind": "model_missing", "missing_s": 1.5}, (Outcome.COMPLETED, "")),
    ],
)
def test_each_fault_of_a_job_ends_as_it_should(fine_tuning_server, monkeypatch, synthetic, fault, ending):
    outcome, words = ending
    server = fine_tuning_server("--epoch-s", "0.2", faults={"jobs": [{"nth": [1], **fault}]})
    export(monkeypatch, server)

    results = run(server, synthetic, trials=2, concurrency=1, early_stopping={"kind": "none"})

    assert {0: outcome, 1: Outcome.COMPLETED} == outcomes(results)
    assert words in (results.state.trials[0].ended.reason or "")
    told = [one.metrics["val_loss"] is not None for one in results.state.trials[1].evaluations]
    assert [True, True, True] == told
    assert all(one.metrics["val_loss"] is not None for one in results.state.trials[0].evaluations)


def test_a_failed_job_has_told_its_evaluations_whatever_the_order_of_its_events(
    fine_tuning_server, monkeypatch, synthetic
):
    faults = [{"kind": "safety_block"}, {"kind": "events", "how": "shuffled"}]
    server = fine_tuning_server("--epoch-s", "0.5", faults={"jobs": faults})
    export(monkeypatch, server)

    results = run(server, synthetic, trials=2, concurrency=2, early_stopping={"kind": "none"})

    assert {Outcome.FAILED} == set(outcomes(results).values())
    for trial in results.state.trials.values():
        told = [(one.epoch, one.metrics["val_loss"] is not None) for one in trial.evaluations]
        assert [(1.0, True), (2.0, True)] == told


def test_storms_are_waited_out(fine_tuning_server, monkeypatch, synthetic):
    storm = [
        {"call": "GET /fine_tuning/jobs", "nth": [2, 3, 4], "kind": "answer", "status": 503},
        {
            "call": "POST /fine_tuning/jobs",
            "nth": [1],
            "kind": "answer",
            "status": 429,
            "code": "rate_limit_exceeded",
            "retry_after_s": 1,
        },
        {"call": "GET /fine_tuning/jobs/*/events", "nth": [2, 3], "kind": "not_json", "status": 502},
        {"call": "POST /chat/completions", "nth": [2, 5], "kind": "answer", "status": 500},
        {"call": "POST /files", "nth": [1], "kind": "lost_call"},
    ]
    server = fine_tuning_server("--epoch-s", "0.2", faults={"calls": storm})
    export(monkeypatch, server)

    results = run(server, synthetic, trials=2, early_stopping={"kind": "none"})

    assert {Outcome.COMPLETED} == set(outcomes(results).values())
    assert 2 == len(keys(server)) == len(set(keys(server)))


def test_a_cancel_reaches_the_server_within_two_seconds(fine_tuning_server, monkeypatch, synthetic):
    server = fine_tuning_server("--epoch-s", "0.5")
    export(monkeypatch, server)
    threshold = {"kind": "threshold", "metric": "val_loss", "mode": "min", "rungs": [1.0], "values": [0.0]}

    results = run(server, synthetic, trials=10, concurrency=3, early_stopping=threshold)

    decided = {one.trial: one.at.timestamp() for one in read(results.folder) if isinstance(one, CancelRequested)}
    finished = {int(job["metadata"]["raysweep_key"].split("-")[1]): job["finished_at"] for job in jobs(server)}
    late_s = sorted(finished[trial] - at for trial, at in decided.items())  # the server tells whole seconds
    assert 10 == len(late_s)
    assert late_s[-1] < 2


def test_the_key_stands_nowhere_in_the_sweep(fine_tuning_server, monkeypatch, synthetic, caplog):
    wrong = {"call": "GET /fine_tuning/jobs/*/events", "nth": [1], "kind": "not_json", "status": 502}
    server = fine_tuning_server(
        "--epoch-s", "0.1", faults={"calls": [wrong], "jobs": [{"kind": "nan_loss", "nth": [1]}]}
    )
    export(monkeypatch, server)

    results = run(server, synthetic)

    files = [path for path in results.folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert [] == [path for path in files if server.key.encode() in path.read_bytes()]
    assert server.key not in caplog.text


def test_a_trial_that_finished_before_its_cancel_left_its_model(fine_tuning_server, monkeypatch, synthetic):
    server = fine_tuning_server("--epoch-s", "0.4", faults={"jobs": [{"kind": "finishes_before_cancel"}]})
    export(monkeypatch, server)
    threshold = {"kind": "threshold", "metric": "val_loss", "mode": "min", "rungs": [1.0], "values": [0.0]}

    results = run(server, synthetic, trials=2, early_stopping=threshold)

    ended = [one.outcome for one in read(results.folder) if isinstance(one, TrialEnded)]
    assert [Outcome.PRUNED, Outcome.PRUNED] == ended
    assert ["succeeded", "succeeded"] == [job["status"] for job in jobs(server)]


def test_words_for_labels_are_read_on_the_test_split_too_where_a_host_gives_no_probabilities(
    fine_tuning_server, monkeypatch, synthetic
):
    server = fine_tuning_server("--epoch-s", "0.1")
    export(monkeypatch, server)
    silent = trainer(server, top_logprobs=0)
    prompt = {"label_words": ["bad", "poor", "fair", "good", "fine"]}

    found = run(server, synthetic, trainer=silent, prompt=prompt, trials=1, early_stopping={"kind": "none"})

    best = next(one.metrics for one in found.finals if one.name == "best")
    assert found.best.last.metrics["val_accuracy"] > 0.2
    assert best["test_accuracy"] > 0  # the server knows no test row's answer
    assert 1.0 == best["test_coverage"]
    assert found.certainty.intervals["accuracy"].value == best["test_accuracy"]
    assert {"1", "2", "3", "4", "5"} >= {one.text for one in found.predictions.predictions}
