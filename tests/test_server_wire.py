"""The wire's promises, asked with the real SDK: of our server, and of a live host where one is named."""

import base64
import json
import math

import openai
import pytest
from server_toys import MODEL, Place, chats, client_of, live_settings, raw, refused, supervised

from raysweep.testing.server import running_server


@pytest.fixture(scope="module")
def ours():
    """Our server alone, with a manual clock: for what a live host cannot be brought to do, or does otherwise."""
    options = ("--admin", "--clock", "manual", "--epoch-s", "10", "--validation-s", "5", "--running", "50")
    with running_server(*options) as server, client_of(server) as client:
        yield Place(client, MODEL, server)


@pytest.fixture(scope="module")
def live():
    """A live host, where the environment names one."""
    found = live_settings()
    if found is None:
        pytest.skip("RAYSWEEP_LIVE_BASE_URL, RAYSWEEP_LIVE_API_KEY and RAYSWEEP_LIVE_MODEL name no live host")
    with openai.OpenAI(base_url=found[0], api_key=found[1], max_retries=0) as client:
        yield Place(client, found[2])


@pytest.fixture(scope="module", params=["ours", pytest.param("live", marks=pytest.mark.live)])
def place(request):
    """A host under test."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def trained(place):
    """A job that has succeeded."""
    made = place.create(suffix="done", seed=7, metadata={"kind": "trained"}, n_rows=42)
    return place.ended(made.id)


def test_the_first_line_is_a_base_url_on_loopback(ours):
    assert ours.server.base_url.startswith("http://127.0.0.1:")
    assert ours.server.base_url.endswith("/v1")


def test_a_call_without_a_key_or_with_a_wrong_one_is_answered_401(place):
    wrong = refused(place.client.with_options(api_key="sk-wrong").models.list)

    assert isinstance(wrong, openai.AuthenticationError)
    assert wrong.code == "invalid_api_key"


def test_the_key_is_taken_as_bearer_and_as_api_key(ours):
    by_bearer = raw(ours.server, "GET", "/v1/models")
    by_name = raw(ours.server, "GET", "/v1/models", headers={"api-key": ours.server.key})
    without = raw(ours.server, "GET", "/v1/models", headers={})

    assert [200, 200, 401] == [by_bearer.status_code, by_name.status_code, without.status_code]
    assert {"message", "type", "param", "code"} == without.json()["error"].keys()


def test_every_answer_has_the_headers_of_the_wire(ours):
    for path in ("/v1/models", "/v1/fine_tuning/jobs/ftjob-none"):
        headers = raw(ours.server, "GET", path).headers

        assert headers["x-request-id"].startswith("req_")
        assert headers["openai-processing-ms"].isdigit()
        assert {"x-ratelimit-limit-requests", "x-ratelimit-remaining-tokens"} <= headers.keys()


def test_an_unknown_url_is_answered_with_the_error_shape(ours):
    answer = raw(ours.server, "GET", "/v1/nothing")

    assert 404 == answer.status_code
    assert "unknown_url" == answer.json()["error"]["code"]


def test_an_upload_can_be_looked_at_listed_read_and_deleted(place):
    content = chats(12)
    expires = {"anchor": "created_at", "seconds": 3600}

    file = place.client.files.create(file=("mine.jsonl", content), purpose="fine-tune", expires_after=expires)

    assert (file.object, file.filename, file.purpose) == ("file", "mine.jsonl", "fine-tune")
    assert (len(content), file.created_at + 3600) == (file.bytes, file.expires_at)
    assert file.id == place.client.files.retrieve(file.id).id
    assert file.id in [one.id for one in place.client.files.list(purpose="fine-tune", limit=5).data]
    assert content == place.client.files.content(file.id).read()
    assert place.client.files.delete(file.id).deleted
    assert 404 == refused(place.client.files.retrieve, file.id).status_code


def test_a_file_that_is_not_jsonl_is_refused(place):
    error = refused(place.client.files.create, file=("rows.csv", b"a,b"), purpose="fine-tune")

    assert isinstance(error, openai.BadRequestError)


@pytest.mark.parametrize("how", ["expired", "deleted"])
def test_a_file_that_goes_while_its_job_waits_fails_the_job(how):
    options = ("--admin", "--clock", "manual", "--epoch-s", "10", "--queue-s", "5000")
    with running_server(*options) as server, client_of(server) as client:
        waiting = Place(client, MODEL, server)
        expires = {"anchor": "created_at", "seconds": 3600}
        file = client.files.create(file=("mine.jsonl", chats(12)), purpose="fine-tune", expires_after=expires)
        made = client.fine_tuning.jobs.create(model=MODEL, training_file=file.id)
        if how == "deleted":
            client.files.delete(file.id)

        waiting.pass_s(5000)
        failed = waiting.ended(made.id)

    assert ("failed", "training_file") == (failed.status, failed.error.param)
    assert "No such File object" in failed.error.message


def test_nulls_are_taken_for_what_is_absent(place):
    file = place.upload(chats(12))
    absent = dict.fromkeys(("validation_file", "suffix", "seed", "metadata", "method", "integrations"))

    made = place.client.fine_tuning.jobs.create(model=place.model, training_file=file, **absent)

    assert made.seed is not None
    assert (None, "auto") == (made.validation_file, made.hyperparameters.n_epochs)
    place.client.fine_tuning.jobs.cancel(made.id)


def test_a_running_job_has_neither_checkpoints_nor_a_result_nor_a_model(ours):
    made = ours.create()
    ours.pass_s(10)

    running = ours.client.fine_tuning.jobs.retrieve(made.id)

    assert ("running", None, []) == (running.status, running.fine_tuned_model, running.result_files)
    assert [] == ours.client.fine_tuning.jobs.checkpoints.list(made.id).data
    assert running.finished_at is None
    assert running.trained_tokens is None


def test_an_expired_file_is_gone(ours):
    expires = {"anchor": "created_at", "seconds": 3600}
    file = ours.client.files.create(file=("mine.jsonl", chats(12)), purpose="fine-tune", expires_after=expires)

    ours.pass_s(3600)

    assert 404 == refused(ours.client.files.retrieve, file.id).status_code


def test_files_come_in_pages_newest_first(place):
    made = [place.upload(chats(10)) for _ in range(3)]

    listed = [one.id for one in place.client.files.list(limit=2)]
    page = place.client.files.list(limit=2)

    assert made[::-1] == listed[:3]
    assert page.has_more
    assert 2 == len(page.data)


@pytest.mark.parametrize("path", ["files", "fine_tuning/jobs"])
def test_an_unknown_cursor_is_refused_rather_than_answered_with_page_one(place, trained, path):
    error = refused(place.client.get, f"/{path}?after=nothing-of-ours", cast_to=object)

    assert error.status_code in (400, 404)


def test_a_create_is_echoed_and_its_auto_becomes_numbers(place, trained):
    method = supervised(n_epochs=2, batch_size="auto")
    made = place.create(method=method, suffix="mine", seed=3, metadata={"a": "1"})

    assert "fine_tuning.job" == made.object
    assert ("mine", 3, {"a": "1"}) == (made.model_extra["user_provided_suffix"], made.seed, made.metadata)
    assert (2, "auto") == (made.hyperparameters.n_epochs, made.hyperparameters.batch_size)
    assert made.fine_tuned_model is None
    assert not made.result_files
    assert isinstance(trained.hyperparameters.learning_rate_multiplier, float)
    assert trained.hyperparameters.batch_size == trained.method.supervised.hyperparameters.batch_size
    place.client.fine_tuning.jobs.cancel(made.id)


def test_a_healthy_job_has_an_empty_error_object(ours):
    made = ours.create()

    body = raw(ours.server, "GET", f"/v1/fine_tuning/jobs/{made.id}").json()

    assert {} == body["error"]
    assert "validating_files" == body["status"]


def test_the_old_form_of_hyperparameters_is_still_taken(place):
    made = place.create(method=None, hyperparameters={"n_epochs": 1, "batch_size": 2})

    assert 1 == made.method.supervised.hyperparameters.n_epochs
    place.client.fine_tuning.jobs.cancel(made.id)


def test_two_forms_that_contradict_each_other_are_refused(ours):
    error = refused(ours.create, method=supervised(n_epochs=1), hyperparameters={"n_epochs": 2})

    assert 400 == error.status_code


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"method": supervised(n_epochs=51)}, "n_epochs", "integer_above_max_value"),
        ({"method": supervised(batch_size=0)}, "batch_size", "integer_below_min_value"),
        ({"method": supervised(n_epochs=1.5)}, "n_epochs", "invalid_type"),
        ({"method": supervised(learning_rate_multiplier=0)}, "learning_rate_multiplier", "decimal_below_min_value"),
        ({"method": supervised(lora_r=8)}, "lora_r", "unknown_parameter"),
        ({"suffix": "x" * 65}, "suffix", "string_above_max_length"),
        ({"extra_body": {"trainingType": "developer"}}, "trainingType", "unknown_parameter"),
    ],
)
def test_a_field_that_does_not_fit_is_refused_by_name(place, fields, param, code):
    error = refused(place.create, **fields)

    assert isinstance(error, openai.BadRequestError)
    assert error.param.endswith(param)
    assert error.code == code or place.server is None  # a host's codes are not documented


def test_what_cannot_be_tuned_is_refused_at_once(place):
    file = place.upload(chats(12))
    create = place.client.fine_tuning.jobs.create

    assert 400 == refused(create, model="no-such-model", training_file=file).status_code
    assert refused(create, model=place.model, training_file="file-none").status_code in (400, 404)


def test_a_bad_file_fails_the_job_only_after_the_create(place):
    made = place.create(n_rows=5, n_validation=0)

    failed = place.ended(made.id)

    assert ("failed", "invalid_n_examples") == (failed.status, failed.error.code)
    assert "training_file" == failed.error.param
    assert "error" == place.log(made.id)[-1].level


def test_metadata_filters_the_list(place, trained):
    jobs = place.client.fine_tuning.jobs

    found = [job.id for job in jobs.list(metadata={"kind": "trained"})]

    assert trained.id in found
    assert not list(jobs.list(metadata={"kind": "trained", "other": "1"}))
    assert trained.id not in [job.id for job in jobs.list(extra_query={"metadata": "null"}, limit=100).data]


def test_jobs_come_in_pages_newest_first(ours):
    made = [ours.create(metadata={"paged": "yes"}).id for _ in range(3)]

    listed = [job.id for job in ours.client.fine_tuning.jobs.list(limit=2, metadata={"paged": "yes"})]

    assert made[::-1] == listed


def test_a_job_goes_through_the_states_in_order(ours):
    made = ours.create(n_rows=40)
    seen = [made.status]
    for wait_s in (5, 10, 10):
        ours.pass_s(wait_s)
        seen.append(ours.client.fine_tuning.jobs.retrieve(made.id).status)

    assert ["validating_files", "running", "running", "succeeded"] == seen


def test_a_running_job_says_when_it_will_have_finished(ours):
    made = ours.create()
    ours.pass_s(6)

    running = ours.client.fine_tuning.jobs.retrieve(made.id)
    done = ours.ended(made.id)

    assert "running" == running.status
    assert running.estimated_finish == done.finished_at


def test_events_are_newest_first_and_tell_the_whole_story(place, trained):
    page = place.client.fine_tuning.jobs.list_events(trained.id, limit=3)
    log = place.log(trained.id)

    messages = [event.message for event in log if event.type == "message"]
    assert page.data[0].id == log[-1].id
    assert messages[0].startswith("Created fine-tuning job")
    assert messages[1].startswith("Validating training file")
    assert "Files validated, moving job to queued state" in messages
    assert any("usage policies" in event.message for event in log)
    assert "The job has successfully completed" == messages[-1]


def test_metrics_have_the_wires_cadence(place, trained):
    metrics = [event.data for event in place.log(trained.id) if event.type == "metrics"]
    metrics.sort(key=lambda data: data["step"])
    n_steps = metrics[0]["total_steps"]

    assert list(range(1, n_steps + 1)) == [data["step"] for data in metrics]
    with_sample = [data["step"] for data in metrics if "valid_loss" in data]
    with_all = [data["step"] for data in metrics if "full_valid_loss" in data]
    assert [*range(10, n_steps, 10), n_steps] == with_sample
    assert [n_steps // 2, n_steps] == with_all
    assert all(math.isfinite(data["train_loss"]) for data in metrics)


def test_events_without_a_validation_file_have_no_validation_keys(ours):
    job = ours.ended(ours.create(n_validation=0).id)

    keys = {key for event in ours.log(job.id) if event.type == "metrics" for key in event.data}

    assert {"step", "total_steps", "train_loss", "train_mean_token_accuracy"} == keys


def test_checkpoints_end_with_the_model_and_have_names_of_their_own(place, trained):
    found = list(place.client.fine_tuning.jobs.checkpoints.list(trained.id))

    names = [one.fine_tuned_model_checkpoint for one in found]
    assert trained.fine_tuned_model == names[0]
    assert ":ckpt-step-" in names[1]
    assert trained.fine_tuned_model not in names[1]
    assert found[0].step_number > found[1].step_number
    assert found[1].metrics.full_valid_loss is not None


def test_no_more_than_three_epochs_leave_checkpoints(ours):
    job = ours.ended(ours.create(method=supervised(n_epochs=5, batch_size=4)).id)

    steps = [one.step_number for one in ours.client.fine_tuning.jobs.checkpoints.list(job.id)]

    assert [50, 40, 30] == steps


def test_the_result_file_is_there_after_success_and_is_base64(place, trained):
    text = base64.b64decode(place.client.files.content(trained.result_files[0]).read()).decode()

    lines = text.strip().split("\n")
    assert "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy" == lines[0]
    assert "fine-tune-results" == place.client.files.retrieve(trained.result_files[0]).purpose
    assert lines[1].startswith("1,")


def test_trained_tokens_are_those_of_the_file_times_epochs(ours):
    one = ours.ended(ours.create(method=supervised(n_epochs=1)).id)
    three = ours.ended(ours.create(method=supervised(n_epochs=3)).id)

    assert 3 * one.trained_tokens == three.trained_tokens


def test_a_model_answers_after_success_and_not_before(place, trained):
    ask = {"messages": [{"role": "user", "content": "review number 3"}], "max_completion_tokens": 1, "temperature": 0}

    answer = place.client.chat.completions.create(model=trained.fine_tuned_model, **ask)
    error = refused(place.client.chat.completions.create, model=trained.fine_tuned_model + "x", **ask)

    assert answer.choices[0].message.content
    assert (404, "model_not_found") == (error.status_code, error.code)


def test_a_chat_gives_the_likeliest_tokens_with_their_chances(place, trained):
    answer = place.client.chat.completions.create(
        model=trained.fine_tuned_model,
        messages=[{"role": "user", "content": "review number 3"}],
        temperature=0,
        max_completion_tokens=1,
        logprobs=True,
        top_logprobs=20,
    )

    token = answer.choices[0].logprobs.content[0]
    top = [one.logprob for one in token.top_logprobs]
    assert 20 == len(top)
    assert sorted(top, reverse=True) == top
    assert token.token == token.top_logprobs[0].token
    assert sum(math.exp(one) for one in top) <= 1.0 + 1e-6
    assert {"1", "2", "3", "4", "5"} <= {one.token.strip() for one in token.top_logprobs}


def test_more_than_twenty_top_tokens_are_refused_and_so_are_any_without_logprobs(place):
    ask = {"model": place.model, "messages": [{"role": "user", "content": "hello"}]}
    create = place.client.chat.completions.create

    assert 400 == refused(create, **ask, logprobs=True, top_logprobs=21).status_code
    assert 400 == refused(create, **ask, top_logprobs=5).status_code


@pytest.mark.parametrize("field", [{"stream": True}, {"stop": ["a"]}, {"top_p": 0.5}, {"n": 2}])
def test_a_chat_that_asks_for_what_is_not_there_is_refused_not_answered_wrongly(ours, field):
    ask = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}

    assert 400 == refused(ours.client.chat.completions.create, **ask, **field).status_code
    assert ours.client.chat.completions.create(**ask, stream=False, top_p=1, n=1).choices


def test_a_better_job_makes_better_answers(ours):
    def share_right(multiplier):
        job = ours.ended(ours.create(method=supervised(n_epochs=3, learning_rate_multiplier=multiplier)).id)
        right = 0
        for number in range(1000, 1020):
            answer = ours.client.chat.completions.create(
                model=job.fine_tuned_model,
                messages=[{"role": "user", "content": f"review number {number}"}],
                temperature=0,
            )
            right += answer.choices[0].message.content == str(number % 5 + 1)
        return right / 20

    assert share_right(1.8) > share_right(0.01) + 0.2


def test_a_model_can_be_looked_at_and_deleted(ours):
    job = ours.ended(ours.create().id)
    base = ours.client.models.retrieve(MODEL)

    assert job.fine_tuned_model == ours.client.models.retrieve(job.fine_tuned_model).id
    assert base.shutdown_date is None
    assert ours.client.models.delete(job.fine_tuned_model).deleted
    assert 404 == refused(ours.client.models.retrieve, job.fine_tuned_model).status_code


def test_a_host_that_closes_down_says_so_of_its_models():
    with running_server("--shutdown-date", "2031-05-01") as server, client_of(server) as client:
        assert "2031-05-01" == client.models.retrieve(MODEL).shutdown_date


@pytest.mark.parametrize("wait_s", [0, 5, 15])
def test_a_cancel_takes_effect_at_once_and_again_changes_nothing(ours, wait_s):
    made = ours.create()
    ours.pass_s(wait_s)

    first = ours.client.fine_tuning.jobs.cancel(made.id)
    again = ours.client.fine_tuning.jobs.cancel(made.id)

    assert ["cancelled", "cancelled"] == [first.status, again.status]
    assert first.finished_at == again.finished_at
    assert first.fine_tuned_model is None


def test_a_paused_job_can_be_cancelled(ours):
    made = ours.create()
    ours.pass_s(10)
    ours.client.fine_tuning.jobs.pause(made.id)

    cancelled = ours.client.fine_tuning.jobs.cancel(made.id)

    assert ("cancelled", None) == (cancelled.status, cancelled.fine_tuned_model)


def test_a_cancel_after_success_is_refused_and_changes_nothing(place, trained):
    error = refused(place.client.fine_tuning.jobs.cancel, trained.id)

    assert error.status_code in (400, 404, 409)
    assert "succeeded" == place.client.fine_tuning.jobs.retrieve(trained.id).status


def test_a_pause_leaves_a_model_that_answers_and_a_resume_goes_on(ours):
    made = ours.create(method=supervised(n_epochs=2, batch_size=4))
    ours.pass_s(10)
    step = max(event.data["step"] for event in ours.log(made.id) if event.type == "metrics")

    paused = ours.client.fine_tuning.jobs.pause(made.id)
    checkpoint = ours.client.fine_tuning.jobs.checkpoints.list(made.id).data[0]
    answer = ours.client.chat.completions.create(
        model=checkpoint.fine_tuned_model_checkpoint, messages=[{"role": "user", "content": "review number 1"}]
    )
    ours.pass_s(100)
    resumed = ours.client.fine_tuning.jobs.resume(made.id)
    done = ours.ended(made.id)

    assert "paused" == paused.status
    assert step == checkpoint.step_number
    assert answer.choices[0].message.content
    assert resumed.status in ("queued", "running")
    steps = [event.data["step"] for event in ours.log(made.id) if event.type == "metrics"]
    assert ("succeeded", list(range(1, 21))) == (done.status, steps)


def test_only_a_running_job_can_be_paused_and_only_a_paused_one_resumed(ours):
    made = ours.create()

    assert 400 == refused(ours.client.fine_tuning.jobs.pause, made.id).status_code
    assert 400 == refused(ours.client.fine_tuning.jobs.resume, made.id).status_code


def test_an_idempotency_key_makes_one_job_and_refuses_another_body(ours):
    file = ours.upload(chats(12))
    ask = {"model": MODEL, "training_file": file, "extra_headers": {"Idempotency-Key": "k-1"}}
    create = ours.client.fine_tuning.jobs.create

    first, second = create(**ask, suffix="a"), create(**ask, suffix="a")

    assert first.id == second.id
    assert 409 == refused(create, **ask, suffix="b").status_code


def test_an_unknown_job_is_answered_404(place):
    error = refused(place.client.fine_tuning.jobs.retrieve, "ftjob-none")

    assert isinstance(error, openai.NotFoundError)


def test_a_tuned_model_can_be_tuned_further(ours):
    first = ours.ended(ours.create(suffix="one").id)
    file = ours.upload(chats(12))

    again = ours.client.fine_tuning.jobs.create(model=first.fine_tuned_model, training_file=file, suffix="two")

    assert ours.ended(again.id).fine_tuned_model.startswith(f"ft:{MODEL}:raysweep:two:")


def test_a_body_that_is_no_json_is_refused(ours):
    answer = raw(ours.server, "POST", "/v1/fine_tuning/jobs", content=b"{nonsense")

    assert 400 == answer.status_code
    assert "JSON" in answer.json()["error"]["message"]


def test_the_key_is_in_nothing_that_the_server_leaves(ours):
    place = ours.server.folder
    found = [path for path in place.rglob("*") if path.is_file() and ours.server.key.encode() in path.read_bytes()]

    assert [] == found
    assert ours.server.key not in repr(ours.server)
    assert ours.server.key not in json.dumps(raw(ours.server, "GET", "/admin/faults").json())
