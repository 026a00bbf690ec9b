"""Scripted misfortune: what each fault does to a client that speaks the real SDK."""

import math

import openai
import pytest
from server_toys import MODEL, Place, admin, chats, client_of, raw, refused, supervised

from raysweep.errors import ConfigError
from raysweep.server.faults import load_faults, parse_faults
from raysweep.testing.server import running_server


@pytest.fixture(scope="module")
def ours():
    """A server whose clock is manual, and whose faults are those of the test."""
    options = ("--admin", "--clock", "manual", "--epoch-s", "10", "--running", "200", "--queued", "200")
    with running_server(*options) as server, client_of(server) as client:
        yield Place(client, MODEL, server)


@pytest.fixture
def faulty(ours):
    """Scripts faults, for one test."""

    def script(**faults):
        admin(ours.server, "PUT", "faults", faults)
        return ours

    yield script
    admin(ours.server, "PUT", "faults", {})


def for_trial(kind, **settings):
    return {"kind": kind, "where": {"trial": kind}, **settings}


def test_a_lost_reply_leaves_a_job_that_nobody_was_told_of(faulty):
    place = faulty(calls=[{"call": "POST /fine_tuning/jobs", "nth": [1], "kind": "lost_reply"}])

    with pytest.raises(openai.APIConnectionError):
        place.create(metadata={"trial": "lost"})
    found = place.client.fine_tuning.jobs.list(metadata={"trial": "lost"}).data

    assert 1 == len(found)


def test_the_sdks_own_retry_after_a_lost_reply_makes_a_second_job(faulty):
    place = faulty(calls=[{"call": "POST /fine_tuning/jobs", "nth": [1], "kind": "lost_reply"}])
    file = place.upload(chats(12))

    client = place.client.with_options(max_retries=1)
    client.fine_tuning.jobs.create(model=MODEL, training_file=file, metadata={"trial": "doubled"})

    assert 2 == len(place.client.fine_tuning.jobs.list(metadata={"trial": "doubled"}).data)


def test_a_lost_call_leaves_nothing(faulty):
    place = faulty(calls=[{"call": "POST /fine_tuning/jobs", "nth": [1], "kind": "lost_call"}])

    with pytest.raises(openai.APIConnectionError):
        place.create(metadata={"trial": "unheard"})

    assert [] == place.client.fine_tuning.jobs.list(metadata={"trial": "unheard"}).data


def test_a_slow_create_has_made_its_job_when_the_client_gives_up(faulty):
    place = faulty(calls=[{"call": "POST /fine_tuning/jobs", "nth": [1], "kind": "slow", "slow_s": 2}])
    file = place.upload(chats(12))

    with pytest.raises(openai.APITimeoutError):
        place.client.with_options(timeout=0.3).fine_tuning.jobs.create(
            model=MODEL, training_file=file, metadata={"trial": "slow"}
        )

    assert 1 == len(place.client.fine_tuning.jobs.list(metadata={"trial": "slow"}).data)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 429, "code": "rate_limit_exceeded", "type": "requests"}, openai.RateLimitError),
        ({"status": 429, "code": "slow_down", "type": "rate_limit_error", "retry_after_s": 121}, openai.RateLimitError),
        ({"status": 503, "code": "server_is_overloaded"}, openai.InternalServerError),
        ({"status": 500}, openai.InternalServerError),
    ],
)
def test_a_storm_is_answered_by_the_script(faulty, fault, error):
    place = faulty(calls=[{"call": "GET /models*", "nth": [1, 2], "kind": "answer", **fault}])

    for _ in range(2):
        found = refused(place.client.models.list)

        assert isinstance(found, error)
        assert fault.get("code") == found.code
        if fault["status"] == 429:
            assert str(fault.get("retry_after_s", 1)) == found.response.headers["retry-after"]
    assert place.client.models.list().data


def test_a_proxys_page_is_answered_in_place_of_json(faulty):
    place = faulty(calls=[{"call": "GET /models/*", "kind": "not_json", "status": 502}])

    answer = raw(place.server, "GET", f"/v1/models/{MODEL}")

    assert (502, "text/html; charset=utf-8") == (answer.status_code, answer.headers["content-type"])


def test_a_stuck_queue_holds_a_job_until_it_is_cancelled(faulty):
    place = faulty(jobs=[for_trial("stuck_queue")])
    made = place.create(metadata={"trial": "stuck_queue"})

    place.pass_s(100_000)

    assert "queued" == place.client.fine_tuning.jobs.retrieve(made.id).status
    assert "cancelled" == place.client.fine_tuning.jobs.cancel(made.id).status


def test_a_stuck_validation_holds_a_job(faulty):
    place = faulty(jobs=[for_trial("stuck_validation")])
    made = place.create(metadata={"trial": "stuck_validation"})

    place.pass_s(100_000)

    assert "validating_files" == place.client.fine_tuning.jobs.retrieve(made.id).status


def test_a_validation_failure_comes_after_an_untroubled_create(faulty):
    place = faulty(jobs=[for_trial("validation_failure", code="invalid_file_format", message="No.")])

    failed = place.ended(place.create(metadata={"trial": "validation_failure"}).id)

    assert ("failed", "invalid_file_format", "No.") == (failed.status, failed.error.code, failed.error.message)


def test_a_diverged_job_has_losses_that_are_no_numbers_from_there_on(faulty):
    place = faulty(jobs=[for_trial("nan_loss", at=0.5)])

    job = place.ended(place.create(metadata={"trial": "nan_loss"}, method=supervised(n_epochs=2, batch_size=4)).id)

    losses = [event.data["train_loss"] for event in place.log(job.id) if event.type == "metrics"]
    assert [math.isnan(loss) for loss in losses] == [step >= 10 for step in range(1, 21)]


def test_a_job_that_breaks_midway_fails_with_server_error(faulty):
    place = faulty(jobs=[for_trial("server_error", at=0.5)])

    job = place.ended(place.create(metadata={"trial": "server_error"}).id)

    assert ("failed", "server_error") == (job.status, job.error.code)
    assert "metrics" in [event.type for event in place.log(job.id)]


def test_a_safety_block_fails_a_job_whose_metrics_are_all_there(faulty):
    place = faulty(jobs=[for_trial("safety_block")])

    job = place.ended(place.create(metadata={"trial": "safety_block"}, method=supervised(n_epochs=2, batch_size=4)).id)

    assert ("failed", None) == (job.status, job.fine_tuned_model)
    assert "usage policies" in job.error.message
    assert 20 == sum(event.type == "metrics" for event in place.log(job.id))


def test_a_model_is_missing_for_a_while_after_success(faulty):
    place = faulty(jobs=[for_trial("model_missing", missing_s=5000)])
    job = place.ended(place.create(metadata={"trial": "model_missing"}).id)
    ask = {"model": job.fine_tuned_model, "messages": [{"role": "user", "content": "review number 1"}]}

    early = refused(place.client.chat.completions.create, **ask)
    place.pass_s(5000)

    assert (404, "model_not_found") == (early.status_code, early.code)
    assert place.client.chat.completions.create(**ask).choices


def test_a_job_can_finish_before_its_cancel(faulty):
    place = faulty(jobs=[for_trial("finishes_before_cancel")])
    made = place.create(metadata={"trial": "finishes_before_cancel"})
    place.pass_s(3)

    error = refused(place.client.fine_tuning.jobs.cancel, made.id)

    assert (400, "invalid_job_state") == (error.status_code, error.code)
    assert "succeeded" == place.client.fine_tuning.jobs.retrieve(made.id).status


def test_a_status_can_be_a_word_that_nobody_knows(faulty):
    place = faulty(jobs=[for_trial("unknown_status", status="hibernating")])
    made = place.create(metadata={"trial": "unknown_status"})
    place.pass_s(3)

    assert "hibernating" == place.client.fine_tuning.jobs.retrieve(made.id).status
    assert "succeeded" == place.ended(made.id).status


@pytest.mark.parametrize("how", ["duplicated", "missing", "shuffled"])
def test_events_can_be_torn_and_still_come_in_pages_that_end(faulty, how):
    place = faulty(jobs=[])
    made = place.create(metadata={"trial": "events"}, method=supervised(n_epochs=3, batch_size=4))
    place.ended(made.id)
    whole = [event.id for event in place.client.fine_tuning.jobs.list_events(made.id, limit=100)]

    place = faulty(jobs=[for_trial("events", how=how)])
    torn = [event.id for event in place.client.fine_tuning.jobs.list_events(made.id, limit=7)]

    match how:
        case "duplicated":
            assert len(torn) > len(whole)
            assert set(torn) == set(whole)
        case "missing":
            assert len(torn) < len(whole)
        case "shuffled":
            assert sorted(torn) == sorted(whole)
            assert torn != whole


def test_a_file_can_have_no_status(faulty):
    place = faulty(host={"file_status": "null"})

    assert place.client.files.create(file=("a.jsonl", chats(10)), purpose="fine-tune").status is None


def test_a_file_that_is_still_processed_cannot_be_trained_on(faulty):
    place = faulty(host={"file_processing_s": 60})
    file = place.client.files.create(file=("a.jsonl", chats(10)), purpose="fine-tune")

    early = refused(place.client.fine_tuning.jobs.create, model=MODEL, training_file=file.id)
    place.pass_s(60)

    assert "uploaded" == file.status
    assert "still being processed" in early.message
    assert "processed" == place.client.files.retrieve(file.id).status
    assert place.client.fine_tuning.jobs.create(model=MODEL, training_file=file.id).id


def test_the_list_can_lag(faulty):
    place = faulty(host={"listing_lag_s": 120})
    made = place.create(metadata={"trial": "lag"})
    listed = place.client.fine_tuning.jobs.list

    assert [] == listed(metadata={"trial": "lag"}).data
    assert made.id == place.client.fine_tuning.jobs.retrieve(made.id).id
    place.pass_s(119)
    assert [] == listed(metadata={"trial": "lag"}).data
    place.pass_s(1)
    assert [made.id] == [job.id for job in listed(metadata={"trial": "lag"}).data]


@pytest.mark.parametrize(("dead", "n_found"), [("ignored", 2), ("empty", 0)])
def test_the_metadata_filter_can_be_dead(faulty, dead, n_found):
    place = faulty(host={"metadata_filter": dead})
    mine, other = place.create(metadata={"trial": "f1"}), place.create(metadata={"trial": "f2"})

    found = [job.id for job in place.client.fine_tuning.jobs.list(metadata={"trial": "f1"}, limit=2).data]

    assert [other.id, mine.id][:n_found] == found


def test_a_host_can_train_no_more_or_want_money(faulty):
    closed = refused(faulty(host={"training_available": False}).create)
    broke = refused(faulty(host={"out_of_credit": True}).create)

    assert isinstance(closed, openai.PermissionDeniedError)
    assert "training_not_available" == closed.code
    assert (429, "insufficient_quota") == (broke.status_code, broke.code)


def test_a_host_can_give_no_metrics_but_checkpoints_oldest_events_first(faulty):
    place = faulty(host={"metric_events": False, "events_order": "oldest_first", "result_encoding": "plain"})
    job = place.ended(place.create(n_rows=40).id)

    log = list(place.client.fine_tuning.jobs.list_events(job.id))

    assert {"message", "moderation_checks"} == {event.type for event in log}
    assert log[0].message.startswith("Created")
    assert place.client.fine_tuning.jobs.checkpoints.list(job.id).data[0].metrics.full_valid_loss
    assert place.client.files.content(job.result_files[0]).read().startswith(b"step,")


@pytest.mark.parametrize(
    ("said", "expected"),
    [("object", {}), ("null", None), ("nulls", {"code": None, "message": None, "param": None})],
)
def test_a_healthy_job_can_have_any_of_the_errors_that_mean_none(faulty, said, expected):
    place = faulty(host={"healthy_error": said})
    made = place.create()

    assert expected == raw(place.server, "GET", f"/v1/fine_tuning/jobs/{made.id}").json()["error"]
    assert place.client.fine_tuning.jobs.retrieve(made.id).id == made.id


def test_events_can_come_in_bursts(faulty):
    place = faulty(host={"burst_s": 1000})
    now_s = admin(place.server, "POST", "clock", {"advance_s": 0})["now"]
    place.pass_s(1001 - now_s % 1000)
    made = place.create()
    seen = []
    for _ in range(11):
        place.pass_s(100)
        seen.append(len(place.log(made.id)))

    assert 2 == len(set(seen))
    assert 0 == seen[0]


def test_a_list_without_has_more_still_ends(faulty):
    place = faulty(host={"has_more": False})
    made = [place.create(metadata={"trial": "endless"}).id for _ in range(3)]

    listed = [job.id for job in place.client.fine_tuning.jobs.list(metadata={"trial": "endless"}, limit=2)]

    assert made[::-1] == listed


def test_a_script_is_read_from_a_file_at_the_start(tmp_path):
    script = {"calls": [{"call": "GET /models", "nth": [1], "kind": "answer", "status": 500}]}
    with running_server(folder=tmp_path, faults=script) as server, client_of(server) as client:
        assert 500 == refused(client.models.list).status_code

        server.kill()
        server.start()

        assert client.models.list().data  # that was the second: calls are counted over restarts


def test_an_unknown_fault_is_refused_with_its_place(tmp_path):
    path = tmp_path / "faults.yaml"
    path.write_text("jobs: [{kind: stuck_queue, nht: [1]}]")

    with pytest.raises(ConfigError, match=r"faults.yaml: jobs.0.*nht"):
        load_faults(path)
    with pytest.raises(ConfigError, match="sometimes"):
        parse_faults({"host": {"metadata_filter": "sometimes"}}, "sometimes.yaml")
