"""What the host has no room for, who may call, and what survives a kill."""

import os
import re
import signal
import subprocess
import sys
import time

import openai
import pytest
from server_toys import MODEL, Place, admin, chats, client_of, raw, refused, supervised

from raysweep import environment
from raysweep.errors import RaysweepError
from raysweep.testing.server import running_server

MANUAL = ("--admin", "--clock", "manual", "--epoch-s", "10")


@pytest.fixture
def make(tmp_path):
    """Makes places with options of `raysweep serve`; their clocks are manual."""
    opened = []

    def place(*options):
        block = running_server(*MANUAL, *options, folder=tmp_path)
        server = block.__enter__()
        opened.append(block)
        return Place(client_of(server), MODEL, server)

    yield place
    for block in opened:
        block.__exit__(None, None, None)


def statuses(place):
    return [job.status for job in place.client.fine_tuning.jobs.list(limit=100).data][::-1]


def test_jobs_above_the_limit_wait_and_start_when_a_slot_is_free(make):
    place = make("--running", "2", "--queued", "5")
    for _ in range(4):
        place.create(method=supervised(n_epochs=1))
    place.pass_s(1)

    before = statuses(place)
    place.pass_s(10)

    assert ["running", "running", "queued", "queued"] == before
    assert ["succeeded", "succeeded", "running", "running"] == statuses(place)


def test_slots_are_taken_at_the_moment_they_become_free_however_late_one_looks(make):
    place = make("--running", "1")
    made = [place.create(method=supervised(n_epochs=1)).id for _ in range(3)]

    place.pass_s(1000)

    ends = [place.client.fine_tuning.jobs.retrieve(one).finished_at for one in made]
    assert [10, 10] == [ends[1] - ends[0], ends[2] - ends[1]]


def test_one_job_more_than_run_and_wait_is_answered_429(make):
    place = make("--running", "1", "--queued", "1")
    place.create()
    place.create()

    error = refused(place.create)

    assert isinstance(error, openai.RateLimitError)
    assert "active fine-tuning jobs" in error.message
    assert int(error.response.headers["retry-after"]) > 0


def test_the_daily_limit_is_answered_with_its_number_and_ends_with_the_day(make):
    place = make("--creates-per-day", "2", "--running", "9")
    place.create()
    place.create()

    error = refused(place.create)
    place.pass_s(86_400)

    assert "daily_rate_limit_exceeded" == error.code
    assert "maximum of 2 fine-tuning requests per day" in error.message
    assert place.create().id


def test_jobs_and_files_in_all_are_limited(make):
    place = make("--total-jobs", "1", "--total-files", "3", "--running", "9")
    place.create()
    file = place.upload(chats(12))

    jobs = refused(place.client.fine_tuning.jobs.create, model=MODEL, training_file=file)
    files = refused(place.upload, chats(12))

    assert ["quota_exceeded", "quota_exceeded"] == [jobs.code, files.code]


def test_calls_a_minute_are_limited_and_counted_down_in_the_headers(make):
    place = make("--requests-per-minute", "3")
    left = [raw(place.server, "GET", "/v1/models").headers["x-ratelimit-remaining-requests"] for _ in range(3)]

    error = refused(place.client.models.list)

    assert ["2", "1", "0"] == left
    assert (429, "rate_limit_exceeded", "requests") == (error.status_code, error.code, error.type)
    assert 60 == int(error.response.headers["retry-after"])


def test_the_server_counts_what_it_was_asked(make):
    place = make()
    for _ in range(3):
        place.client.models.list()

    assert 3 == admin(place.server, "GET", "calls")["GET /models"]


def test_a_kill_loses_nothing_and_running_jobs_are_where_the_clock_says(make):
    place = make("--running", "1")
    done = place.ended(place.create(method=supervised(n_epochs=1)).id)
    running, queued = place.create(), place.create()
    place.pass_s(4)
    before = place.log(running.id)

    place.server.kill()
    place.server.start()

    assert ["succeeded", "running", "queued"] == statuses(place)
    assert [event.id for event in before] == [event.id for event in place.log(running.id)]
    assert place.client.files.content(done.result_files[0]).read()
    assert done == place.client.fine_tuning.jobs.retrieve(done.id)
    answer = place.client.chat.completions.create(
        model=done.fine_tuned_model, messages=[{"role": "user", "content": "review number 1"}], temperature=0
    )
    assert answer.choices[0].message.content in "12345"
    assert ["succeeded", "succeeded"] == [place.ended(one.id).status for one in (running, queued)]
    steps = [event.data["step"] for event in place.log(running.id) if event.type == "metrics"]
    assert sorted(set(steps)) == steps


def test_a_job_whose_files_were_lost_with_the_server_fails(make):
    place = make()
    made = place.create()
    place.pass_s(4)

    place.server.kill()
    for path in (place.server.folder / "state" / "files").iterdir():
        path.unlink()
    place.server.start()

    failed = place.client.fine_tuning.jobs.retrieve(made.id)
    assert ("failed", "server_error") == (failed.status, failed.error.code)


def test_an_idempotency_key_is_remembered_over_a_kill(make):
    place = make()
    ask = {"model": MODEL, "training_file": place.upload(chats(12)), "extra_headers": {"Idempotency-Key": "k"}}
    first = place.client.fine_tuning.jobs.create(**ask)

    place.server.kill()
    place.server.start()

    assert first.id == place.client.fine_tuning.jobs.create(**ask).id


def test_two_servers_do_not_share_a_state_folder(make, tmp_path):
    make()

    with pytest.raises(RaysweepError, match="another server uses it"), running_server(folder=tmp_path):
        pass


def test_a_real_clock_needs_no_calls_to_go_on(tmp_path):
    with running_server("--epoch-s", "0.05", folder=tmp_path) as server, client_of(server) as client:
        made = Place(client, MODEL, server).create(method=supervised(n_epochs=1, batch_size=20))
        until_s = time.monotonic() + 10
        job = client.fine_tuning.jobs.retrieve(made.id)
        while job.status != "succeeded" and time.monotonic() < until_s:
            job = client.fine_tuning.jobs.retrieve(made.id)

        assert "succeeded" == job.status


def test_a_cancel_is_seen_within_two_seconds(tmp_path):
    with running_server("--epoch-s", "60", folder=tmp_path) as server, client_of(server) as client:
        made = Place(client, MODEL, server).create()
        began_s = time.monotonic()

        client.fine_tuning.jobs.cancel(made.id)
        status = client.fine_tuning.jobs.retrieve(made.id).status

        assert "cancelled" == status
        assert time.monotonic() - began_s < 2


def test_the_server_does_not_start_without_a_key():
    variables = {name: value for name, value in os.environ.items() if name != environment.SERVER_KEY}

    ended = subprocess.run(
        [sys.executable, "-m", "raysweep.cli", "serve"],
        env=variables,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert 2 == ended.returncode
    assert "RAYSWEEP_SERVER_API_KEY: not set" in ended.stderr
    assert "" == ended.stdout


def test_a_busy_port_is_said_in_one_line(make):
    place = make()
    port = place.server.base_url.rpartition(":")[2].partition("/")[0]

    ended = subprocess.run(
        [sys.executable, "-m", "raysweep.cli", "serve", "--port", port],
        env=environment.with_server_key("k"),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert 2 == ended.returncode
    assert "cannot listen there" in ended.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--running", "0"], "--running 0: must be at least 1"),
        (["--epoch-s", "0"], "--epoch-s 0: must be above 0"),
        (["--clock", "manual"], "without --admin"),
        (["--engine", "lora", "--model", "nothing"], "neither a folder nor a bundled model"),
        (["--engine", "lora", "--model", "."], "not a causal model's folder"),
        (["--faults", "nothing.yaml"], "cannot be read as faults"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_before_anything_starts(options, words, tmp_path):
    with pytest.raises(RaysweepError, match=re.escape(words)), running_server(*options, folder=tmp_path):
        pass


def test_a_signal_ends_the_server_in_peace(tmp_path):
    with running_server(folder=tmp_path) as server:
        os.kill(server.pid, signal.SIGTERM)
        server.stop()

        assert "Traceback" not in server.stderr.read_text()


def test_the_testing_server_loads_neither_ray_nor_torch():
    code = "import sys, raysweep.testing.server; print([name for name in ('ray', 'torch') if name in sys.modules])"

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)

    assert "[]" == ended.stdout.strip()
