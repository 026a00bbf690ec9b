"""What Weights & Biases keeps offline, read back record by record: it is what `wandb sync` sends."""

import json
import struct
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from inline_runner import Died, InlineRunner
from scripted_sweep import METRICS, ended, evaluated, finals, proposed, started, sweep, whole_trial

from raysweep.config.load import parse
from raysweep.errors import ConfigError
from raysweep.jobs import Outcome
from raysweep.state import fold
from raysweep.sweep import Options, resume_sweep, run_sweep

wandb = pytest.importorskip("wandb")
from wandb.proto import wandb_internal_pb2  # noqa: E402  # after the skip

from raysweep.views.follower import Follower  # noqa: E402
from raysweep.views.wandb import WandbTracker, recorder  # noqa: E402

BLOCK, HEAD = 32768, struct.Struct("<IHB")


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_PROJECT", "WANDB_DIR", "WANDB_API_KEY", "WANDB_RUN_ID", "WANDB_RUN_GROUP"):
        monkeypatch.delenv(name, raising=False)
    yield
    wandb.teardown()


def records(path):
    """Of LevelDB's log format, which these files have: blocks, each chunk with checksum, length and kind."""
    content, place, whole = path.read_bytes(), 7, b""
    while place + HEAD.size <= len(content):
        if BLOCK - place % BLOCK < HEAD.size:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = HEAD.unpack_from(content, place)
        whole += content[place + HEAD.size : place + HEAD.size + length]
        place += HEAD.size + length
        if kind in (1, 4):  # full, last
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


class Told:
    """One run's record: all its files together."""

    def __init__(self, paths):
        made = [one for path in sorted(paths) for one in records(path)]
        self.run = next(one.run for one in made if one.HasField("run"))
        self.config = {one.key: json.loads(one.value_json) for one in self.run.config.update}
        history = [one.history for one in made if one.HasField("history")]
        self.rows = [_items(one.item) for one in history]
        self.steps = [one.step.num for one in history]
        self.summary = {}
        for one in made:
            if one.HasField("summary"):
                self.summary |= _items(one.summary.update)
        self.exits = [one.exit.exit_code for one in made if one.HasField("exit")]


def _items(items):
    return {one.key or one.nested_key[0]: json.loads(one.value_json) for one in items}


def told(folder):
    wandb.teardown()  # waits until all files are whole
    by_id = {}
    for path in folder.glob("wandb/offline-run-*/run-*.wandb"):
        by_id.setdefault(path.stem.removeprefix("run-"), []).append(path)
    return {name: Told(paths) for name, paths in by_id.items()}


def follow(folder, entries, leave=True):
    tracker, state = WandbTracker(folder), fold(entries)
    tracker.follow(state)
    if leave:
        tracker.leave(state)
    return tracker


def test_a_trial_is_a_run_of_the_sweeps_group_with_every_metric_by_examples(tmp_path):
    follow(tmp_path, [started(), *whole_trial(0, 0.5)])

    trial, whole = told(tmp_path)["abcd1234-0000"], told(tmp_path)["abcd1234"]
    assert {"abcd1234"} == {trial.run.run_group, whole.run.run_group}
    assert ("trial", "sweep") == (trial.run.job_type, whole.run.job_type)
    assert {"reviews"} == {trial.run.project, whole.run.project}
    assert {"learning_rate": 0.001, "rank": 8, "epochs": 3} == {
        name: value for name, value in trial.config.items() if name != "_wandb"
    }
    assert [1000, 2000, 3000, 4000, 5000, 6000] == trial.steps
    assert all({*METRICS, "epoch", "trained_tokens"} <= set(row) for row in trial.rows)
    assert "completed" == trial.summary["outcome"]
    assert [0] == trial.exits


def test_the_outcome_is_told_in_its_words(tmp_path):
    outcomes = {0: Outcome.PRUNED, 1: Outcome.FAILED, 2: Outcome.ERRORED, 3: Outcome.CANCELLED}
    trials = [one for trial, outcome in outcomes.items() for one in (proposed(trial), ended(trial, outcome))]

    follow(tmp_path, [started(), *trials])

    found = {told(tmp_path)[f"abcd1234-{trial:04d}"].exits[0] for trial in (0, 3)}
    assert ({0}, [1], [1]) == (found, *(told(tmp_path)[f"abcd1234-{trial:04d}"].exits for trial in (1, 2)))
    assert "errored" == told(tmp_path)["abcd1234-0002"].summary["outcome"]


def test_the_sweeps_run_has_the_best_so_far_and_the_winners_test_scores(tmp_path):
    state = fold([*sweep(), *finals()])

    follow(tmp_path, [*sweep(), *finals()])

    whole, test = told(tmp_path)["abcd1234"], next(one for one in state.finals if one.trial is not None)
    assert state.best.ended.objective == whole.rows[-1]["best_val_f1_weighted"]
    assert str(state.best.number) == whole.summary["best_trial"]
    winner = told(tmp_path)[f"abcd1234-{test.trial:04d}"]
    for name, value in test.metrics.items():
        assert value == whole.rows[-1][name] == winner.summary[name]


def test_the_sweeps_run_has_its_end_and_a_later_session_without_news_makes_none(tmp_path):
    for _ in range(2):
        follow(tmp_path, [*sweep(), *finals()])

    assert "all trials were made" == told(tmp_path)["abcd1234"].summary["end"]
    assert 1 == len(list(tmp_path.glob("wandb/offline-run-*-abcd1234")))


def test_the_end_is_told_where_no_number_changes_with_it(tmp_path):
    *before, end = [*sweep(), *finals()]
    tracker = follow(tmp_path, before, leave=False)

    state = fold([*before, end])
    tracker.follow(state)
    tracker.leave(state)

    whole = told(tmp_path)["abcd1234"]
    assert "all trials were made" == whole.summary["end"]
    assert 1 == len(whole.rows)


def test_another_session_tells_nothing_twice(tmp_path):
    before = [started(), *whole_trial(0, 0.5), proposed(1), evaluated(1, 0.5, 0.2)]
    follow(tmp_path, before)

    follow(tmp_path, [*before, evaluated(1, 1.0, 0.3), ended(1, Outcome.PRUNED, 0.3)])

    found = told(tmp_path)
    assert [1000, 2000] == found["abcd1234-0001"].steps
    assert 1 == len(list(tmp_path.glob("wandb/offline-run-*-0000")))


def test_a_whole_sweep_is_followed_through_a_death(tmp_path, synthetic):
    synthetic["recorders"] = ["wandb"]
    folder = tmp_path / "one"
    with pytest.raises(Died):
        run_sweep(parse(synthetic, "test"), Options(folder=folder, runner=InlineRunner(n_steps=5)))

    found = resume_sweep(folder, options=Options(runner=InlineRunner()))

    runs = told(folder)
    assert {found.state.sweep_id, *(f"{found.state.sweep_id}-{one:04d}" for one in range(4))} == set(runs)
    for number, trial in found.state.trials.items():
        run = runs[f"{found.state.sweep_id}-{number:04d}"]
        assert [one.examples for one in trial.evaluations] == run.steps
        assert trial.outcome == run.summary["outcome"]


@pytest.fixture
def online(tmp_path, monkeypatch):
    """With a key, at a server that is yet to be named."""
    wandb.teardown()
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    return lambda url: monkeypatch.setenv("WANDB_BASE_URL", url)


class Refusing(BaseHTTPRequestHandler):
    """Knows nobody."""

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b'{"errors": [{"message": "user is not logged in"}]}'
        self.send_response(401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_a_key_that_the_server_refuses_is_refused_before_the_start(online, tmp_path):
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        online(f"http://127.0.0.1:{server.server_port}")

        with pytest.raises(ConfigError, match="user is not logged in; `wandb login`"):
            recorder(tmp_path)
        wandb.teardown()
        server.shutdown()


@pytest.mark.slow  # wandb's client tries for 15 s
def test_a_server_that_does_not_answer_does_not_keep_a_sweep_from_beginning(online, tmp_path, caplog):
    online("http://127.0.0.1:9")

    assert isinstance(recorder(tmp_path), Follower)
    assert "wandb does not answer, and is told later what it missed" in caplog.text


def test_where_nobody_has_logged_in_the_sweep_is_refused_and_nobody_is_asked(tmp_path, monkeypatch):
    wandb.teardown()
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    with pytest.raises(ConfigError, match="nobody has logged in; `wandb login`, or set WANDB_MODE=offline"):
        recorder(tmp_path)
