"""Wrong keys, addresses, clocks and accounts: what is said names the thing, its value and the remedy."""

import json
import logging
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from wire_toys import KEY_ENV, MODEL, call, export, jobs, run, trainer

from raysweep.checking import findings
from raysweep.clock import RealClock, SimulatedClock
from raysweep.config import WireTrainer
from raysweep.config.load import parse
from raysweep.errors import ConfigError, RaysweepError
from raysweep.task import Example, Message
from raysweep.testing.server import fine_tuning_server
from raysweep.trainers.dialects import dialect_of
from raysweep.trainers.gate_client import WireClient
from raysweep.trainers.gate_files import Files
from raysweep.trainers.gate_time import HostTime
from raysweep.trainers.host_errors import HostError, No, as_input_error
from raysweep.trainers.hosted import HostedFile
from raysweep.trainers.wire_data import Places, check_rows

__all__ = ["fine_tuning_server"]
LOGIN = "<html><head><title>Corporate\n sign-in</title></head><body>Please sign in</body></html>"
NOWHERE = "http://127.0.0.1:9/v1"


@pytest.fixture
def answering():
    """Makes hosts that answer everything alike; the address of each."""
    hosts = []

    def make(status, kind, body, **headers):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response_only(status)
                for name, value in {"content-type": kind, "content-length": len(body), **headers}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *words):
                return None

        host = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        hosts.append(host)
        threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return f"http://127.0.0.1:{host.server_port}/v1"

    yield make
    for host in hosts:
        host.shutdown()
        host.server_close()


def client_at(url, clock=None):
    settings = WireTrainer(kind="wire", host="custom", base_url=url, model="m", key_env="MY_KEY")
    return WireClient(dialect_of(settings), "sk-canary", clock)


def said_of_a_model(url, clock=None):
    with pytest.raises(HostError) as caught:
        client_at(url, clock).model("m")
    return caught.value


@pytest.mark.parametrize(
    ("answer", "no", "words"),
    [
        ((200, "text/html", LOGIN), No.NOT_JSON, "answered 200, with a page: 'Corporate sign-in', in place of JSON"),
        ((407, "text/html", "<b>Sign in\nfirst</b>"), No.NOT_JSON, "answered 407, with a page: 'Sign in first'"),
        ((502, "text/plain", ""), No.NOT_JSON, "answered 502, with nothing, in place of JSON"),
        ((404, "text/html", "<title>404</title>"), No.NOT_JSON, "answered 404, with a page: '404'"),
        ((404, "application/json", '{"detail": "Not Found"}'), No.NOT_FOUND, "Not Found"),
        ((200, "application/json", ""), No.NOT_JSON, "JSON"),
        ((200, "application/json", "{}"), No.NOT_JSON, "describes no model"),
        ((403, "text/html", "<title>Blocked</title>"), No.FORBIDDEN, "answered 403, with a page: 'Blocked'"),
        ((401, "application/json", '{"error": {"message": "No."}}'), No.KEY, "No. (trainer.key_env is MY_KEY"),
    ],
)
def test_who_answers_in_a_hosts_place_is_quoted_with_the_address(answering, answer, no, words):
    url = answering(*answer)

    error = said_of_a_model(url)

    assert no is error.no
    assert words in str(error)
    assert f"trainer.base_url is {url}" in str(error)
    assert "canary" not in str(error)


@pytest.mark.parametrize("status", [200, 502])
@pytest.mark.parametrize("n_before", [91, 95])
def test_a_key_that_a_page_repeats_is_hidden_before_the_page_is_cut(answering, status, n_before):
    url = answering(status, "text/plain", "." * n_before + "sk-canary")

    assert "sk-" not in str(said_of_a_model(url))


@pytest.mark.parametrize(
    ("url", "words"), [(NOWHERE, "refused"), ("https://no-such-resource.invalid/openai/v1", "Connection error")]
)
def test_an_address_where_nobody_is_is_named(url, words):
    error = said_of_a_model(url)

    assert No.SILENT is error.no
    assert words in str(error)
    assert f"trainer.base_url is {url}" in str(error)
    assert "HTTPS_PROXY" in str(error)


def test_a_proxy_that_wants_a_sign_in_is_quoted(answering, monkeypatch):
    class Proxy(BaseHTTPRequestHandler):
        def do_CONNECT(self):
            self.send_error(407, "Proxy Authentication Required")

        def log_message(self, *words):
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.server_port}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        error = said_of_a_model("https://no-such-resource.invalid/v1")
        proxy.shutdown()

    assert "407 Proxy Authentication Required" in str(error)
    assert "HTTPS_PROXY" in str(error)


def test_a_path_that_the_host_does_not_have_is_bad_input_before_the_start(answering):
    error = said_of_a_model(answering(404, "application/json", '{"detail": "Not Found"}'))

    assert isinstance(as_input_error(error), ConfigError)


def test_a_clock_that_is_wrong_is_spoken_of_once_and_with_a_refused_key(answering, caplog):
    date = format_datetime(datetime.now(UTC) + timedelta(hours=3), usegmt=True)
    client = client_at(answering(401, "application/json", '{"error": {"message": "expired"}}', date=date), RealClock())

    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with pytest.raises(HostError, match=r"expired.*this machine's clock is 3\.0 hours behind"):
                client.model("m")

    assert 1 == caplog.text.count("this machine's clock is 3.0 hours behind that of http://127.0.0.1")


@pytest.mark.parametrize("skew_s", [-7200, -20, 0, 20, 7200, 40 * 86_400])
def test_the_hosts_time_is_read_by_its_own_clock(skew_s):
    clock = SimulatedClock(1000.0)
    host = HostTime(clock, "host")

    host.heard({"date": format_datetime(clock.now() + timedelta(seconds=skew_s), usegmt=True)})
    clock.sleep_s(5)

    assert host.now_s() - clock.now().timestamp() == (skew_s if abs(skew_s) > 60 else 0)
    assert bool(host.words) is (abs(skew_s) > 60)


@pytest.mark.parametrize(
    "headers", [{}, {"date": ""}, {"date": "yesterday"}, {"date": "Mon, 99 Foo 2026 00:00:00 GMT"}]
)
def test_an_answer_without_a_date_says_nothing_of_the_clock(headers):
    clock = SimulatedClock()
    host = HostTime(clock, "host")

    host.heard(headers)

    assert clock.now().timestamp() == host.now_s()


def test_a_file_expires_by_the_hosts_clock():
    clock = SimulatedClock()
    client = client_at(NOWHERE, clock)
    files = Files(client, None, None, clock)
    file = HostedFile("file-1", "a", "processed", clock.now().timestamp() + 25 * 3600)

    before = files._is_alive(file)
    client.time.heard({"date": format_datetime(clock.now() + timedelta(hours=2), usegmt=True)})

    assert [True, False] == [before, files._is_alive(file)]


def test_jobs_of_today_are_counted_by_the_hosts_clock(fine_tuning_server, tmp_path):
    from raysweep.trainers.gate import WireGate
    from raysweep.trainers.hosted import JobRequest
    from raysweep.trainers.wire_data import ChatFile, uploaded

    server = fine_tuning_server("--epoch-s", "0.1")
    settings = WireTrainer(**trainer(server, limits={"creates_per_day": 1}))
    ahead = SimulatedClock(0.0, datetime.now(UTC) + timedelta(days=3))  # by it, all jobs are of another day
    rows = [
        {"messages": [{"role": "user", "content": f"r{n}"}, {"role": "assistant", "content": "1"}]} for n in range(20)
    ]
    file = ChatFile("a.jsonl", "\n".join(map(json.dumps, rows)).encode())
    made = []
    for number in range(2):
        client = WireClient(dialect_of(settings), server.key, ahead)
        gate = WireGate(settings, client, None, ahead)
        id_ = uploaded(file, gate)
        made.append(
            gate.create(JobRequest("sweep001", f"sweep001-{number:04d}-1", MODEL, id_, id_, "s", 7, {"n_epochs": 1}))
        )
        gate.close()

    assert [True, False] == [job is not None for job in made]


def test_a_line_of_an_uploaded_file_is_told_as_the_users_own():
    places = Places(("a.csv line 7", "a.csv line 9"), ("a.csv line 4",))

    assert "Line 2: bad [line 2 of the training file is a.csv line 9]" == places.named("Line 2: bad", "training_file")
    assert "a.csv line 4" in places.named("Line 1: bad", "validation_file")
    assert "a.csv line 4" in places.named("Validation file: line 1 is bad")
    assert "Line 3: bad" == places.named("Line 3: bad")
    assert "no such word" == places.named("no such word")


def test_an_empty_row_is_named_by_the_users_line():
    good = [Example((Message("user", "a"),), "1")] * 10
    bad = Example((Message("user", " "),), "1", place="reviews.csv line 12")

    with pytest.raises(Exception, match=r"reviews\.csv line 12: an empty message"):
        check_rows([*good, bad], good)


def test_a_row_that_the_host_refuses_is_named_by_its_line_in_the_users_file(
    fine_tuning_server, monkeypatch, synthetic, reviews_csv
):
    refusal = {"kind": "validation_failure", "message": "Line 3: the example was blocked"}
    server = fine_tuning_server(faults={"jobs": [refusal]})
    export(monkeypatch, server)

    with pytest.raises(RaysweepError, match=r"line 3 of the training file is reviews\.csv line (\d+)") as caught:
        run(server, synthetic, concurrency=1)

    line = int(str(caught.value).rpartition("line ")[2].split("]")[0])
    (job,) = jobs(server)
    sent = _content(server, job["training_file"]).splitlines()[2]
    assert reviews_csv.read_text().splitlines()[line - 1].split(",")[0] in sent


def _content(server, file):
    import urllib.request

    request = urllib.request.Request(f"{server.base_url}/files/{file}/content")
    request.add_header("Authorization", f"Bearer {server.key}")
    with urllib.request.urlopen(request, timeout=10) as reply:
        return reply.read().decode()


def test_a_model_that_is_known_and_cannot_be_tuned_stops_the_sweep_at_its_first_create(
    fine_tuning_server, monkeypatch, synthetic
):
    words = f"Model {MODEL} is not available for fine-tuning or does not exist."
    answer = {"call": "POST /fine_tuning/jobs", "kind": "answer", "status": 400, "message": words}
    server = fine_tuning_server(faults={"calls": [answer]})
    export(monkeypatch, server)

    with pytest.raises(RaysweepError, match=f"{MODEL} is not available.*choose a trainer.model"):
        run(server, synthetic, concurrency=1)

    assert [] == call(server, "/fine_tuning/jobs")["data"]


def test_check_refuses_a_budget_below_one_job(synthetic):
    prices = {f"{name}_usd_per_million": 100.0 for name in ("training", "input", "output")}
    section = {"kind": "wire", "host": "raysweep", "base_url": NOWHERE, "model": MODEL, "key_env": KEY_ENV}
    space = {"n_epochs": 2}
    settings = synthetic | {"trainer": section | {"prices": prices}, "space": space, "budget": {"max_usd": 0.01}}
    settings |= {"early_stopping": {"kind": "none"}, "evaluation": {"every_epochs": 1}}

    with pytest.raises(ConfigError, match=r"budget\.max_usd: 0\.01 USD is below one job"):
        list(findings(parse(settings, "test")))


def test_a_test_score_that_nobody_can_make_is_refused_before_the_start(synthetic):
    prices = {f"{name}_usd_per_million": 0.0 for name in ("training", "input", "output")}
    section = {"kind": "wire", "host": "azure", "base_url": NOWHERE, "model": MODEL, "prices": prices}
    settings = synthetic | {"trainer": section, "space": {"n_epochs": 2}, "objective": {"metric": "val_loss"}}
    settings |= {"early_stopping": {"kind": "none"}, "evaluation": {"every_epochs": 1}, "final": {"test": True}}

    with pytest.raises(ConfigError, match=r"final\.test: .*trainer\.azure.*final\.test=false"):
        list(findings(parse(settings, "test")))
