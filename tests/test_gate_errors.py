"""One table says what a host's no means."""

import pickle
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from raysweep import environment
from raysweep.config import WireTrainer
from raysweep.errors import ConfigError, DataError, Fault, JobFailed
from raysweep.trainers.dialects import dialect_of
from raysweep.trainers.gate_client import WireClient
from raysweep.trainers.gate_identity import Pass
from raysweep.trainers.host_errors import MEANINGS, HostError, No, as_failure, as_input_error, fault_of_job, kind_of

DOCS = Path(__file__).parent.parent / "docs" / "operations.md"
SAID = [
    (401, "invalid_api_key", "Incorrect API key provided", No.KEY),
    (403, "training_not_available", "OpenAI is winding down the fine-tuning platform", No.CLOSED),
    (403, "", "you have no access", No.FORBIDDEN),
    (402, "", "payment required", No.CREDIT),
    (429, "insufficient_quota", "You exceeded your current quota", No.CREDIT),
    (429, "daily_rate_limit_exceeded", "the maximum of 8 fine-tuning requests per day", No.DAILY),
    (429, "rate_limit_exceeded", "Rate limit reached for requests", No.RATE),
    (429, "slow_down", "", No.RATE),
    (429, "", "You have too many active fine-tuning jobs", No.ACTIVE),
    (400, "", "The maximum number of concurrent fine-tune jobs has been reached", No.ACTIVE),
    (400, "", "File 'file-1' is still being processed and is not ready to be used", No.FILE_PENDING),
    (400, "", "No such File object: file-1", No.FILE_GONE),
    (400, "invalid_training_file", "Line 3 is no chat", No.FILE),
    (400, "", "Model x is not available for fine-tuning or does not exist.", No.MODEL),
    (400, "", "The specified base model does not support fine-tuning", No.MODEL),
    (404, "model_not_found", "", No.MODEL),
    (404, "SubscriptionNotFound", "The subscription 'x' could not be found.", No.RESOURCE),
    (404, "ResourceGroupNotFound", "Resource group 'g' could not be found.", No.RESOURCE),
    (404, "ResourceNotFound", "The Resource was not found", No.RESOURCE),
    (404, "DeploymentNotFound", "", No.MODEL),
    (404, "fine_tune_not_found", "Could not find fine tune: ftjob-1", No.NOT_FOUND),
    (400, "integer_above_max_value", "Invalid 'n_epochs'", No.PARAMS),
    (409, "conflict", "", No.CONFLICT),
    (408, "", "", No.BROKEN),
    (500, "", "", No.BROKEN),
    (503, "server_is_overloaded", "", No.BROKEN),
    (302, "", "<html>", No.NOT_JSON),
]


@pytest.mark.parametrize(("status", "code", "words", "no"), SAID)
def test_what_hosts_say_is_understood(status, code, words, no):
    assert no == kind_of(status, code, words)


def test_every_kind_has_a_meaning_and_a_row_for_people():
    documented = DOCS.read_text(encoding="utf-8")

    assert set(No) == set(MEANINGS)
    for no in No:
        assert f"| `{no}` |" in documented, no


def test_a_create_is_asked_again_only_where_no_job_can_have_been_made():
    assert {No.BROKEN, No.SILENT, No.NOT_JSON} == {no for no, meaning in MEANINGS.items() if meaning.is_ambiguous}
    assert not any(meaning.is_wait and meaning.is_ambiguous for meaning in MEANINGS.values())


@pytest.mark.parametrize(
    ("no", "fault", "input_error"),
    [
        (No.KEY, Fault.ACCOUNT, ConfigError),
        (No.CLOSED, Fault.ACCOUNT, ConfigError),
        (No.FILE, Fault.DATA, DataError),
        (No.PARAMS, Fault.PARAMS, ConfigError),
    ],
)
def test_whose_fault_it_was_goes_with_the_failure(no, fault, input_error):
    error = HostError("job a", no, "the host's words")

    failure = as_failure(error)

    assert isinstance(failure, JobFailed)
    assert fault == failure.fault
    assert "the host's words" in str(failure)
    assert isinstance(as_input_error(error), input_error)


def test_a_host_out_of_reach_says_nothing_of_the_job():
    error = HostError("job a", No.SILENT, "timed out", 3.0)

    assert as_failure(error) is error
    again = pickle.loads(pickle.dumps(error))
    assert (error.args, str(error), 3.0) == (again.args, str(again), again.retry_after_s)


@pytest.mark.parametrize(
    ("code", "words", "fault"),
    [
        ("invalid_n_examples", "Training file has 5 example(s)", Fault.DATA),
        ("exceeded_quota", "", Fault.ACCOUNT),
        ("", "The model was blocked by our usage policies", Fault.PARAMS),
        ("", "loss became NaN", Fault.PARAMS),
        ("server_error", "something broke", Fault.HOST),
        ("", "", Fault.HOST),
    ],
)
def test_whose_fault_a_failed_job_is(code, words, fault):
    assert fault == fault_of_job(code, words)


@pytest.mark.parametrize("end", ["\n", "\r\n", " "])
def test_a_line_end_behind_a_key_is_no_part_of_it(monkeypatch, end):
    monkeypatch.setenv("SOME_KEY", f"sk-canary{end}")

    assert "sk-canary" == environment.secret("SOME_KEY")


def test_a_host_that_repeats_the_key_is_not_quoted_with_it():
    by_key = Pass('sk-"canary"\\9')
    by_token = Pass(lambda: "token-canary")

    assert "canary" not in by_key.clean("illegal: " + repr('Bearer sk-"canary"\\9'))
    assert "canary" not in by_token.clean("you sent 'Authorization: Bearer token-canary', which")


def test_what_goes_to_this_machine_passes_no_proxy(monkeypatch):
    proxied = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self):
            proxied.append(self.headers["Authorization"])
            self.send_error(502)

        def log_message(self, *words):
            return None

    with HTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.server_port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        settings = WireTrainer(kind="wire", host="custom", base_url="http://127.0.0.1:9/v1", model="m")
        client = WireClient(dialect_of(settings), "sk-canary")
        with pytest.raises(HostError):
            client.model("m")
        proxy.shutdown()

    assert [] == proxied
