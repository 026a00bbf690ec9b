"""Azure's way: both forms of URL, its words, deployments before answers, tokens in place of keys."""

import openai
import pytest
from openai import AzureOpenAI
from server_toys import MODEL, Place, admin, client_of, raw, refused

from raysweep.testing.server import running_server

ACCOUNT = "/subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/a/deployments"
VERSION = {"api-version": "2024-10-21"}
DEVELOPER = {"trainingType": "Developer"}


@pytest.fixture(scope="module")
def azure():
    """An Azure of our own, with a manual clock and room for two deployments."""
    options = ("--azure", "--admin", "--clock", "manual", "--epoch-s", "10", "--running", "50")
    with (
        running_server(*options, "--deployments", "2", "--deploy-s", "30", "--validation-s", "5") as server,
        client_of(server) as client,
    ):
        yield Place(client, MODEL, server)


@pytest.fixture(scope="module")
def trained(azure):
    """A job that has succeeded."""
    return azure.ended(azure.create(extra_body=DEVELOPER, suffix="rs-1").id)


def manage(azure, method, name="", **settings):
    """A call of the management route."""
    return raw(azure.server, method, f"{ACCOUNT}{name}", params=VERSION, **settings)


def order(model):
    return {
        "sku": {"name": "developertier", "capacity": 50},
        "properties": {"model": {"format": "OpenAI", "name": model, "version": "1"}},
    }


@pytest.fixture
def deployed(azure, trained):
    """The trained model's deployment, not there yet; gone after the test."""
    assert 201 == manage(azure, "PUT", "/d1", json=order(trained.fine_tuned_model)).status_code
    yield "d1"
    manage(azure, "DELETE", "/d1")


def test_the_base_url_is_that_of_the_undated_form(azure):
    assert azure.server.base_url.endswith("/openai/v1")


def test_a_create_is_answered_201_and_pending(azure):
    file = azure.upload(
        b"\n".join([b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}'] * 10)
    )

    response = azure.client.fine_tuning.jobs.with_raw_response.create(
        model=MODEL, training_file=file, extra_body=DEVELOPER
    )

    assert (201, "pending") == (response.http_response.status_code, response.parse().status)


def test_a_create_without_a_training_type_is_refused_in_misleading_words(azure):
    error = refused(azure.create)

    assert isinstance(error, openai.BadRequestError)
    assert "does not support fine-tuning" in error.message


def test_a_suffix_with_a_dot_is_refused(azure):
    assert "suffix" == refused(azure.create, extra_body=DEVELOPER, suffix="a.b").param


def test_events_are_oldest_first_and_results_are_plain(azure, trained):
    events = list(azure.client.fine_tuning.jobs.list_events(trained.id, limit=100))
    lines = azure.client.files.content(trained.result_files[0]).read().decode().split("\n")

    assert events[0].message.startswith("Created")
    assert lines[0].startswith("step,train_loss,train_mean_token_accuracy")
    assert "results.csv" == azure.client.files.retrieve(trained.result_files[0]).filename


def test_models_and_checkpoints_have_azures_names(azure, trained):
    names = [one.fine_tuned_model_checkpoint for one in azure.client.fine_tuning.jobs.checkpoints.list(trained.id)]

    assert trained.fine_tuned_model.startswith(f"{MODEL}.ft-")
    assert f"{trained.fine_tuned_model}:ckpt-step-10" == names[1]


def test_the_dated_form_answers_the_sdks_azure_class(azure, trained, deployed):
    azure.pass_s(30)
    root = azure.server.base_url.removesuffix("/openai/v1")
    with AzureOpenAI(azure_endpoint=root, api_key=azure.server.key, api_version="2024-10-21", max_retries=0) as client:
        job = client.fine_tuning.jobs.retrieve(trained.id)
        answer = client.chat.completions.create(
            model=deployed, messages=[{"role": "user", "content": "review number 1"}], max_tokens=1
        )

    assert trained.id == job.id
    assert answer.choices[0].message.content


def test_the_dated_form_demands_its_version(azure):
    assert 404 == raw(azure.server, "GET", "/openai/fine_tuning/jobs").status_code
    assert 200 == raw(azure.server, "GET", "/openai/fine_tuning/jobs", params=VERSION).status_code


def test_a_model_answers_only_once_it_is_deployed(azure, trained, deployed):
    ask = {"messages": [{"role": "user", "content": "review number 1"}]}
    chat = azure.client.chat.completions.create

    bare = refused(chat, model=trained.fine_tuned_model, **ask)
    early = refused(chat, model=deployed, **ask)
    creating = manage(azure, "GET", "/d1").json()["properties"]["provisioningState"]
    azure.pass_s(30)

    assert ["DeploymentNotFound"] * 2 == [bare.code, early.code]
    assert ["Creating", "Succeeded"] == [
        creating,
        manage(azure, "GET", "/d1").json()["properties"]["provisioningState"],
    ]
    assert chat(model=deployed, **ask).choices[0].message.content


def test_deployments_are_capped_listed_and_deleted(azure, trained, deployed):
    assert 201 == manage(azure, "PUT", "/d2", json=order(trained.fine_tuned_model)).status_code
    assert 200 == manage(azure, "PUT", "/d2", json=order(trained.fine_tuned_model)).status_code

    third = manage(azure, "PUT", "/d3", json=order(trained.fine_tuned_model))
    listed = [one["name"] for one in manage(azure, "GET").json()["value"]]

    assert (429, "QuotaExceeded") == (third.status_code, third.json()["error"]["code"])
    assert ["d1", "d2"] == listed
    assert [202, 204] == [manage(azure, "DELETE", "/d2").status_code for _ in range(2)]
    assert 404 == manage(azure, "GET", "/d2").status_code


def test_a_deployed_model_cannot_be_deleted(azure, trained, deployed):
    assert "conflict" == refused(azure.client.models.delete, trained.fine_tuned_model).code


def test_an_unknown_model_is_not_deployed(azure):
    assert 404 == manage(azure, "PUT", "/d4", json=order("nothing")).status_code


def test_the_management_route_takes_no_api_key(azure):
    answer = manage(azure, "GET", headers={"api-key": azure.server.key})

    assert 401 == answer.status_code


def test_a_job_that_has_ended_can_be_deleted_and_no_other(azure):
    running = azure.create(extra_body=DEVELOPER)

    early = raw(azure.server, "DELETE", f"/openai/v1/fine_tuning/jobs/{running.id}")
    azure.client.fine_tuning.jobs.cancel(running.id)
    deleted = raw(azure.server, "DELETE", f"/openai/v1/fine_tuning/jobs/{running.id}")

    assert [409, 204] == [early.status_code, deleted.status_code]
    assert 404 == refused(azure.client.fine_tuning.jobs.retrieve, running.id).status_code


def test_a_cancel_after_success_is_a_conflict(azure, trained):
    error = refused(azure.client.fine_tuning.jobs.cancel, trained.id)

    assert (409, "conflict") == (error.status_code, error.code)


def test_a_pause_and_a_resume_have_azures_words(azure):
    made = azure.create(extra_body=DEVELOPER)
    azure.pass_s(10)

    paused = azure.client.fine_tuning.jobs.pause(made.id)
    resumed = azure.client.fine_tuning.jobs.resume(made.id)

    assert "paused" == paused.status
    assert resumed.status in ("resuming", "running")
    assert "succeeded" == azure.ended(made.id).status


def test_a_minus_one_is_azures_auto(azure):
    made = azure.create(extra_body=DEVELOPER, method=None, hyperparameters={"n_epochs": -1, "batch_size": -1})

    assert "auto" == made.hyperparameters.n_epochs


def test_with_keys_disabled_only_tokens_will_do_and_not_for_long():
    options = ("--azure", "--admin", "--clock", "manual", "--no-keys", "--token-ttl-s", "60")
    with running_server(*options) as server, client_of(server) as client:
        place = Place(client, MODEL, server)
        token = admin(server, "POST", "token")["access_token"]
        bearer = client.with_options(api_key=token)

        assert 401 == refused(client.models.list).status_code
        assert bearer.models.list().data
        place.pass_s(60)
        assert 401 == refused(bearer.models.list).status_code
