"""Sweeps without Ray: each trial in a process of its own, as `ProcessRunner` runs them."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from raysweep.config.load import parse
from raysweep.entries import TrialInterrupted
from raysweep.errors import RaysweepError
from raysweep.jobs import Outcome
from raysweep.sweep import Options, run_sweep
from raysweep.testing.nursery import Nursery
from raysweep.testing.processes import ProcessRunner

NO_STOPPING = {"kind": "none"}
NO_BASELINE = {"baseline": False}
pytestmark = pytest.mark.timeout(120)


def run(synthetic, runner=None, **changes):
    settings = synthetic | {"final": NO_BASELINE, "retries": {"attempts": 2, "wait_s": 0.1}} | changes
    return run_sweep(parse(settings, "test"), Options(runner=runner or ProcessRunner()))


def outcomes(results):
    return {trial.number: trial.outcome for trial in results.state.trials.values()}


def wait_until(is_so, timeout_s=20.0):
    until_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def is_alive(pid):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


def test_a_sweep_runs_to_its_end_and_its_best_is_scored(synthetic):
    results = run(synthetic, early_stopping=NO_STOPPING)

    assert dict.fromkeys(range(4), Outcome.COMPLETED) == outcomes(results)
    assert {4} == {len(trial.evaluations) for trial in results.state.trials.values()}
    assert ["best"] == [final.name for final in results.state.finals]
    assert {trial.job.host for trial in results.state.trials.values()} == {os.uname().nodename}


def test_a_pruned_trial_makes_no_evaluation_more(synthetic):
    threshold = {"kind": "threshold", "rungs": [1.0], "values": [0.99]}

    results = run(synthetic, early_stopping=threshold, trainer={"kind": "synthetic", "epoch_s": 0.1})

    assert {Outcome.PRUNED} == set(outcomes(results).values())
    assert {1.0} == {trial.last.epoch for trial in results.state.trials.values()}
    assert 4 == len(list(results.folder.glob("jobs/*/cancelled.json")))


def test_whatever_goes_wrong_in_a_trial_the_sweep_goes_on(synthetic):
    faults = {0: "setup", 1: "nan", 2: "kill", 3: "kill:1"}

    results = run(synthetic, trainer={"kind": "synthetic", "faults": faults}, early_stopping=NO_STOPPING, trials=5)

    expected = [Outcome.ERRORED, Outcome.FAILED, Outcome.ERRORED, Outcome.COMPLETED, Outcome.COMPLETED]
    assert dict(enumerate(expected)) == outcomes(results)
    assert "its process died" in results.state.trials[2].ended.reason
    assert 2 == results.state.trials[3].attempts
    assert all(isinstance(one, TrialInterrupted) for one in results.state.trials[3].interruptions)


def test_a_stop_reaches_a_busy_trial(synthetic):
    """Trial 0 reaches the target while trial 1 has a minute to go."""
    space = {"learning_rate": 1e-3, "n_epochs": {"kind": "choice", "values": [0.5, 100]}}
    points = {"kind": "random", "points": [{"n_epochs": 0.5}, {"n_epochs": 100}], "default_first": False}
    trainer = {"kind": "synthetic", "epoch_s": 1.0}
    began_s = time.monotonic()

    results = run(
        synthetic, space=space, search=points, trainer=trainer, target=0.0, trials=2, early_stopping=NO_STOPPING
    )

    assert {0: Outcome.COMPLETED, 1: Outcome.CANCELLED} == outcomes(results)
    assert (results.folder / "jobs" / "trial_0001" / "cancelled.json").is_file()
    assert time.monotonic() - began_s < 40


def test_a_trial_that_never_answers_does_not_hold_up_the_end(synthetic):
    trainer = {"kind": "synthetic", "faults": {1: "block:100"}}

    runner = ProcessRunner(stop_s=0.5)

    results = run(synthetic, runner, trainer=trainer, target=0.0, trials=2, early_stopping=NO_STOPPING)

    assert {0: Outcome.COMPLETED, 1: Outcome.CANCELLED} == outcomes(results)


def test_a_model_that_cannot_be_scored_is_said_to_be_so(synthetic):
    runner = ProcessRunner()
    from raysweep.preflight import make_ready
    from raysweep.tuning.runner import Resources, Static

    ready = make_ready(parse(synthetic, "test"))
    static = Static(ready.recipe, ready.trainer.prepare(ready.loaded.splits))
    ask = partial(runner.predict, static, Resources(1, 0), "nowhere", ready.loaded.splits.test, ticker=_Nobody())

    with runner.joined(), pytest.raises(RaysweepError, match="FileNotFoundError"):
        ask(is_stopped=lambda: False)


class _Nobody:
    def tick(self):
        pass


def _say(words, link):
    link.send(words)
    link.recv()


def _be_a_driver(link):
    nursery = Nursery()
    child = nursery.spawn(partial(_sleep, "sleeper"), "sleeper")
    link.send((child.pid, nursery._process.pid))
    time.sleep(60)


def _sleep(words, link):
    from raysweep.testing.nursery import die_with

    die_with(link)
    time.sleep(60)


def test_children_and_their_nursery_die_with_their_maker():
    nursery = Nursery()
    driver = nursery.spawn(_be_a_driver, "driver")
    pids = driver.link.recv()
    assert all(map(is_alive, pids))

    driver.kill()

    wait_until(lambda: not any(map(is_alive, pids)))
    nursery.close()


def test_a_nursery_that_was_killed_is_replaced():
    nursery = Nursery()
    first = nursery.spawn(partial(_say, "one"), "first")
    os.kill(nursery._process.pid, signal.SIGKILL)
    nursery._process.wait()

    second = nursery.spawn(partial(_say, "two"), "second")

    assert ("one", "two") == (first.link.recv(), second.link.recv())
    for child in (first, second):
        child.kill()
        child.link.close()
    nursery.close()


def test_a_childs_death_is_heard_by_its_maker():
    nursery = Nursery()
    child = nursery.spawn(partial(_say, "here"), "child")
    assert "here" == child.link.recv()

    child.kill()

    with pytest.raises((EOFError, ConnectionResetError)):
        child.link.recv()
    child.link.close()
    nursery.close()


def test_a_job_at_a_host_whose_watcher_broke_down_is_taken_up_and_not_made_anew(synthetic, tmp_path):
    trainer = {"kind": "synthetic", "faults": {1: "step:1"}, "host": str(tmp_path / "host"), "epoch_s": 0.3}

    results = run(synthetic, trainer=trainer, early_stopping=NO_STOPPING, retries={"wait_s": 0.1})

    broken = results.state.trials[1]
    assert Outcome.COMPLETED is broken.outcome
    assert ["host: RuntimeError: scripted error in a step"] == [one.words for one in broken.interruptions]
    assert 1 == broken.attempts
    assert not (tmp_path / "host" / "cancels").exists()
