"""Whole sweeps of the synthetic trainer through Ray: one cluster for all tests of this file."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml
from inline_runner import InlineRunner

import raysweep
from raysweep import encoding, environment, ledger
from raysweep.clock import RealClock
from raysweep.config.load import parse
from raysweep.entries import JobAccepted, TrialInterrupted
from raysweep.errors import ClusterError, RaysweepError, SweepFolderError
from raysweep.jobs import Outcome
from raysweep.steering import stop_trial
from raysweep.sweep import Options, resume_sweep, run_sweep
from raysweep.trainers.synthetic_host import Status, SyntheticHost
from raysweep.tuning.runner import Cluster

pytestmark = [pytest.mark.ray, pytest.mark.timeout(180), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def cluster():
    environment.prepare_for_ray()
    from raysweep.tuning.cluster import joined

    with joined("local", dashboard=False) as here:
        yield here


def outcomes(results):
    return {trial.number: trial.outcome for trial in results.state.trials.values()}


def test_a_sweep_leaves_everything_that_it_promises(cluster, synthetic):
    results = run_sweep(parse(synthetic, "test"))

    folder = results.folder
    again = raysweep.load(folder)
    assert 4 == len(again.trials)
    assert set(again.trials.outcome) <= {"completed", "pruned"}
    assert again.best is not None
    assert {"best", "majority", "ridge", "tfidf"} == {final.name for final in again.finals} - {"default"}
    assert {"config.yaml", "ledger.jsonl", "trials.parquet", "evaluations.parquet", "tensorboard", "jobs"} <= {
        path.name for path in folder.iterdir()
    }
    assert synthetic["name"] == yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))["name"]
    assert "all trials have ended" == again.state.ended.reason


def test_the_best_are_trained_again_after_the_search_through_ray_too(cluster, synthetic):
    synthetic |= {"final": {"top": 2, "replicas": 1, "baseline": False}, "early_stopping": {"kind": "none"}}

    found = run_sweep(parse(synthetic, "test"))

    assert [Outcome.COMPLETED] * 2 == [one.outcome for one in found.state.replicas]
    assert 4 == len(found.state.searched)
    assert 2 == found.ruling.winner.n_seeds == len(found.ruling.winner.tested)


def test_the_same_seed_gives_the_same_trials(cluster, synthetic):
    synthetic |= {"concurrency": 1, "search": {"kind": "hyperopt"}}

    first, second = (run_sweep(parse(synthetic, "test")) for _ in range(2))

    def objectives(results):
        return [(trial.params["learning_rate"], trial.ended.objective) for trial in results.state.trials.values()]

    assert objectives(first) == objectives(second)


def test_whatever_goes_wrong_in_a_trial_the_sweep_goes_on_and_says_so(cluster, synthetic):
    faults = {0: "setup", 1: "step", 2: "nan", 3: "kill", 4: "host", 5: "no_metric"}
    synthetic |= {"trials": 8, "trainer": {"kind": "synthetic", "faults": faults}, "early_stopping": {"kind": "none"}}
    synthetic |= {"retries": {"attempts": 2, "wait_s": 0.5}}

    results = run_sweep(parse(synthetic, "test"))

    errored, failed, completed = Outcome.ERRORED, Outcome.FAILED, Outcome.COMPLETED
    expected = {0: errored, 1: errored, 2: failed, 3: errored, 4: errored, 5: errored, 6: completed, 7: completed}
    assert expected == outcomes(results)
    reasons = {trial.number: trial.ended.reason for trial in results.state.trials.values()}
    assert {0: 2, 1: 2, 2: 1, 3: 2, 4: 2, 5: 1, 6: 1, 7: 1} == {
        trial.number: trial.attempts for trial in results.state.trials.values()
    }
    assert "scripted error in set-up" in reasons[0]
    assert "scripted error in a step" in reasons[1]
    assert "not a number" in reasons[2]
    assert "died" in reasons[3]
    assert "host" in reasons[4]
    assert "val_f1_weighted" in reasons[5]


def test_bad_data_stops_the_sweep(cluster, synthetic):
    synthetic |= {"trials": 8, "trainer": {"kind": "synthetic", "faults": {0: "data"}, "epoch_s": 1.0}}

    with pytest.raises(RaysweepError, match="mend the data"):
        run_sweep(parse(synthetic, "test"))

    (folder,) = Path(synthetic["runs_folder"]).iterdir()
    assert len(raysweep.load(folder).trials) <= 3
    assert "mend the data" in raysweep.load(folder).state.ended.reason


def test_a_stop_reaches_a_blocked_trial_within_two_seconds(cluster, synthetic):
    trainer = {"kind": "synthetic", "faults": {0: "block:30"}, "epoch_s": 2.0}
    synthetic |= {"trials": 2, "trainer": trainer, "target": 0.0, "early_stopping": {"kind": "none"}}

    results = run_sweep(parse(synthetic, "test"))

    assert {0: Outcome.CANCELLED, 1: Outcome.COMPLETED} == outcomes(results)
    cancelled = json.loads((results.folder / "jobs" / "trial_0000" / "cancelled.json").read_text(encoding="utf-8"))
    decided = results.state.trials[1].ended.at.timestamp()
    assert 0 <= cancelled["at"] - decided < 2


def test_a_pruned_trials_job_is_cancelled(cluster, synthetic):
    synthetic |= {"trials": 6, "trainer": {"kind": "synthetic", "epoch_s": 1.0}}

    results = run_sweep(parse(synthetic, "test"))

    pruned = [number for number, outcome in outcomes(results).items() if outcome is Outcome.PRUNED]
    assert pruned
    for number in pruned:
        assert (results.folder / "jobs" / f"trial_{number:04d}" / "cancelled.json").is_file()


def test_the_sweep_ends_when_its_time_is_up(cluster, synthetic):
    synthetic |= {"trials": 4, "time_s": 4.0, "trainer": {"kind": "synthetic", "epoch_s": 60.0}}

    results = run_sweep(parse(synthetic, "test"))

    assert {Outcome.CANCELLED} == set(outcomes(results).values())
    assert "time is up" in results.state.ended.reason


def test_a_sweep_that_no_machine_can_hold_is_refused(synthetic):
    class Tiny(InlineRunner):
        def joined(self):
            return nullcontext(Cluster("a tiny machine", 0.05, 0.0, None))

    with pytest.raises(ClusterError, match=r"takes 0.1 CPUs and 0 GPUs, the cluster has 0.05"):
        run_sweep(parse(synthetic, "test"), Options(runner=Tiny()))

    assert not Path(synthetic["runs_folder"]).exists()


def test_a_used_folder_is_refused_and_untouched(cluster, synthetic, tmp_path):
    folder = tmp_path / "used"
    run_sweep(parse(synthetic, "test"), Options(folder=folder))
    before = (folder / ledger.FILE_NAME).read_bytes()

    with pytest.raises(SweepFolderError, match="holds a sweep already"):
        run_sweep(parse(synthetic, "test"), Options(folder=folder))

    assert before == (folder / ledger.FILE_NAME).read_bytes()


def tune(tmp_path, settings, *words):
    """`raysweep tune` in a process and a cluster of its own."""
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    command = [sys.executable, "-m", "raysweep.cli", "tune", str(path), "--no-dashboard", *words]
    variables = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables)


def wait_for(condition, timeout_s=90.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_sweep_cleanly(synthetic, tmp_path, number, code):
    folder = tmp_path / "here"
    synthetic |= {"trials": 8, "trainer": {"kind": "synthetic", "epoch_s": 60.0}}
    process = tune(tmp_path, synthetic, "--cluster", "local", "--folder", str(folder), "--json")
    accepted = folder / ledger.FILE_NAME
    wait_for(lambda: accepted.is_file() and b"\n" in accepted.read_bytes())
    wait_for(lambda: sum(isinstance(e, JobAccepted) for e in ledger.read(folder)) == 2)

    process.send_signal(number)
    printed, errors = process.communicate(timeout=60)

    assert code == process.returncode, errors
    results = raysweep.load(folder)
    assert {Outcome.CANCELLED} == set(outcomes(results).values())
    assert number.name in results.state.ended.reason
    assert list(ledger.read(folder)) == [encoding.decode(line) for line in printed.splitlines()]
    for job in (folder / "jobs").iterdir():
        assert (job / "cancelled.json").is_file()


@pytest.mark.slow
def test_a_signal_leaves_jobs_at_their_host_where_it_is_told_to_and_a_resumed_sweep_adopts_them(
    cluster, synthetic, tmp_path
):
    folder, host = tmp_path / "here", SyntheticHost(tmp_path / "host", listing_lag_s=0.0)
    at_host = {"kind": "synthetic", "host": str(tmp_path / "host"), "epoch_s": 15.0}
    synthetic |= {"trials": 2, "trainer": at_host, "on_interrupt": "leave", "early_stopping": {"kind": "none"}}
    process = tune(tmp_path, synthetic, "--cluster", "local", "--folder", str(folder))
    wait_for(lambda: (folder / ledger.FILE_NAME).is_file() and (folder / ledger.FILE_NAME).read_bytes())
    wait_for(lambda: sum(isinstance(e, JobAccepted) for e in ledger.read(folder)) == 2)

    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=60)

    assert 130 == process.returncode, errors
    left = raysweep.load(folder).state
    assert [True, True] == [trial.is_left for trial in left.trials.values()]
    assert Status.CANCELLED not in {host.status(job) for job in host.listed(left.started.sweep_id)}
    assert "left running at the host: 2 jobs" in printed.strip().splitlines()[-1]
    found = resume_sweep(folder, (), Options())
    assert {Outcome.COMPLETED} == set(outcomes(found).values())
    assert 2 == len(list(host.listed(left.started.sweep_id)))
    assert [1, 1] == list(found.trials.attempts)


def test_an_address_where_nothing_answers_is_refused_at_once(synthetic, tmp_path):
    process = tune(tmp_path, synthetic, "--cluster", "127.0.0.1:1")

    _, errors = process.communicate(timeout=60)

    assert process.returncode == 2
    assert "127.0.0.1:1" in errors
    assert "ray start --head" in errors
    assert not Path(synthetic["runs_folder"]).exists()


def test_a_signal_after_the_search_ends_a_sweep_cleanly_too(synthetic, tmp_path):
    folder = tmp_path / "here"
    process = tune(tmp_path, synthetic, "--cluster", "local", "--folder", str(folder), "--quiet")
    ends = "TrialEnded"
    wait_for(lambda: (folder / ledger.FILE_NAME).is_file() and (folder / ledger.FILE_NAME).read_text().count(ends) == 4)

    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 143, errors
    assert raysweep.load(folder).state.ended.signal == "SIGTERM"


def test_a_reader_that_goes_away_does_not_end_a_sweep(synthetic, tmp_path):
    folder = tmp_path / "here"
    process = tune(tmp_path, synthetic, "--cluster", "local", "--folder", str(folder), "--view", "plain")

    process.stdout.readline()
    process.stdout.close()
    process.wait(timeout=90)

    assert raysweep.load(folder).state.ended.reason == "all trials have ended"


def test_a_waiting_trial_is_stopped_by_hand_at_once_also_while_nothing_else_runs(cluster, synthetic, tmp_path):
    folder = tmp_path / "run"
    synthetic |= {"trials": 1, "trainer": {"kind": "synthetic", "faults": {0: "host:1"}}, "retries": {"wait_s": 120}}

    def stop():
        for _ in range(600):
            entries = list(ledger.read(folder)) if (folder / ledger.FILE_NAME).is_file() else []
            if any(isinstance(entry, TrialInterrupted) for entry in entries):
                break
            time.sleep(0.05)
        began_s = time.monotonic()
        return stop_trial(folder, 0, RealClock()), time.monotonic() - began_s

    with ThreadPoolExecutor(1) as other:
        stopped = other.submit(stop)
        results = run_sweep(parse(synthetic, "test"), Options(folder=folder))
        said, took_s = stopped.result(30)

    assert "trial 0: cancelled, stopped by hand" == said
    assert took_s < 10
    assert {0: Outcome.CANCELLED} == outcomes(results)
