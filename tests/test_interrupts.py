"""What an interrupt does to jobs at a host: real signals, the real SDK at the local server, trials in processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from inline_runner import InlineRunner
from rich.console import Console
from wire_toys import export, jobs, keys, run, runner, sweep

from raysweep import hosting, ledger, results
from raysweep.cli import main
from raysweep.clock import RealClock
from raysweep.config.load import parse
from raysweep.entries import CancelRequested, Evaluated, JobAccepted
from raysweep.jobs import Outcome
from raysweep.steering import reconcile_run, stop_trial
from raysweep.sweep import Options, resume_sweep, run_sweep
from raysweep.testing.server import fine_tuning_server
from raysweep.trainers.synthetic_host import Status, SyntheticHost
from raysweep.views.summary import summary

__all__ = ["fine_tuning_server"]
pytestmark = pytest.mark.timeout(120)
ACTIVE = {"validating_files", "queued", "running"}
LEAVE = {"on_interrupt": "leave", "early_stopping": {"kind": "none"}}


class Finger:
    """Presses Ctrl-C when the count-th entry of a kind is on disk."""

    def __init__(self, kind, count, number=signal.SIGINT):
        self.kind, self.left, self.number, self.setting = kind, count, number, None

    def __call__(self, setting):
        self.setting = setting
        return self

    def show(self, entry, state):
        self.left -= isinstance(entry, self.kind)
        if self.left == 0 and isinstance(entry, self.kind):
            os.kill(os.getpid(), self.number)

    def tick(self):
        pass

    def close(self, state):
        pass


def interrupted(server, synthetic, finger, **changes):
    options = Options(runner=runner(), make_view=finger)
    return run_sweep(parse(sweep(server, synthetic, **changes), "test"), options)


def statuses(server):
    return {int(job["metadata"]["raysweep_key"].split("-")[1]): job["status"] for job in jobs(server)}


def test_left_jobs_go_on_at_the_server_and_a_resumed_sweep_takes_them_up(fine_tuning_server, monkeypatch, synthetic):
    server = fine_tuning_server("--epoch-s", "1.0")
    export(monkeypatch, server)

    left = interrupted(server, synthetic, Finger(Evaluated, 1), trials=3, concurrency=2, **LEAVE)

    assert "SIGINT" == left.state.ended.signal
    assert "interrupted by SIGINT; 2 jobs go on at the host" == left.state.ended.reason
    assert [True, True] == [trial.is_left for trial in left.state.trials.values()]
    assert "cancelled" not in statuses(server).values()
    before = {job["id"] for job in jobs(server)}
    assert ["left running"] * 2 == [row.trial for row in hosting.rows(left.folder)]

    found = resume_sweep(left.folder, (), Options(runner=runner()))

    assert {Outcome.COMPLETED} == {trial.outcome for trial in found.state.trials.values()}
    assert 3 == len(keys(server)) == len(set(keys(server)))
    assert before < {job["id"] for job in jobs(server)}
    assert [1] * 3 == list(found.trials.attempts)
    told = [(one.trial, one.epoch) for one in ledger.read(found.folder) if isinstance(one, Evaluated)]
    assert sorted(told) == [(trial, epoch) for trial in range(3) for epoch in (1.0, 2.0, 3.0)]


def test_replicas_that_are_left_go_on_while_the_search_is_extended(fine_tuning_server, monkeypatch, synthetic):
    server = fine_tuning_server("--epoch-s", "0.7")
    export(monkeypatch, server)
    again = {"final": {"top": 1, "replicas": 2, "baseline": False}}

    finger = Finger(Evaluated, 2 * 3 + 1)  # the first of a replica
    left = interrupted(server, synthetic, finger, trials=2, concurrency=2, **LEAVE | again)

    assert [True, True] == [one.is_left for one in left.state.replicas]
    assert "interrupted by SIGINT; 2 jobs go on at the host" == left.state.ended.reason
    before = {job["id"] for job in jobs(server)}

    found = resume_sweep(left.folder, ["trials=3"], Options(runner=runner()))

    assert {Outcome.COMPLETED} == {trial.outcome for trial in found.state.trials.values()}
    assert {"succeeded"} == set(statuses(server).values())
    assert before < {job["id"] for job in jobs(server)}
    assert len(found.state.trials) == len(keys(server)) == len(set(keys(server)))
    assert {1} == set(found.trials.attempts)


def test_what_a_left_job_has_made_is_not_pruned(fine_tuning_server, monkeypatch, synthetic):
    server = fine_tuning_server("--epoch-s", "0.5")
    export(monkeypatch, server)
    folder = interrupted(server, synthetic, Finger(JobAccepted, 2), trials=2, concurrency=2, **LEAVE).folder
    until_s = time.monotonic() + 20
    while {*statuses(server).values()} != {"succeeded"} and time.monotonic() < until_s:
        time.sleep(0.2)

    assert 0 == main(["jobs", str(folder), "--prune"])
    found = resume_sweep(folder, (), Options(runner=runner()))

    assert {Outcome.COMPLETED} == {trial.outcome for trial in found.state.trials.values()}
    assert 2 == len(keys(server))


def test_by_default_an_interrupt_cancels_every_job(fine_tuning_server, monkeypatch, synthetic):
    server = fine_tuning_server("--epoch-s", "5")
    export(monkeypatch, server)

    found = interrupted(server, synthetic, Finger(JobAccepted, 2, signal.SIGTERM), trials=3, concurrency=2)

    assert {Outcome.CANCELLED} == {trial.outcome for trial in found.state.trials.values()}
    assert {0: "cancelled", 1: "cancelled"} == statuses(server)


def test_a_pruned_trials_job_is_cancelled_whatever_an_interrupt_leaves(fine_tuning_server, monkeypatch, synthetic):
    server = fine_tuning_server("--epoch-s", "3")
    export(monkeypatch, server)
    stopping = {"kind": "threshold", "metric": "val_loss", "mode": "min", "rungs": [1.0], "values": [0.0]}

    finger = Finger(CancelRequested, 1)  # between the decision and the cancel
    found = interrupted(server, synthetic, finger, trials=3, concurrency=3, **LEAVE | {"early_stopping": stopping})

    decided = [one.trial for one in ledger.read(found.folder) if isinstance(one, CancelRequested)]
    assert {"cancelled"} == {statuses(server)[trial] for trial in decided}
    assert {Outcome.PRUNED} == {found.state.trials[trial].outcome for trial in decided}
    assert "SIGINT" == found.state.ended.signal


def test_an_end_of_its_own_leaves_no_job(fine_tuning_server, monkeypatch, synthetic):
    faults = {"jobs": [{"kind": "stuck_queue", "where": {"raysweep_key": "*-0001-*"}}]}
    server = fine_tuning_server("--epoch-s", "0.3", faults=faults)
    export(monkeypatch, server)

    found = run(server, synthetic, trials=2, concurrency=2, target=0.01, **LEAVE)

    assert Outcome.CANCELLED is found.state.trials[1].outcome
    assert "cancelled" == statuses(server)[1]


def test_what_was_left_can_be_cancelled_by_whoever_comes_later(fine_tuning_server, monkeypatch, synthetic, capsys):
    server = fine_tuning_server("--epoch-s", "60")
    export(monkeypatch, server)
    folder = interrupted(server, synthetic, Finger(JobAccepted, 2), trials=2, concurrency=2, **LEAVE).folder
    assert {*statuses(server).values()} <= ACTIVE

    assert 0 == main(["reconcile", str(folder)])
    kept = capsys.readouterr().out.splitlines()
    assert 0 == main(["reconcile", str(folder), "--cancel"])
    cancelled = capsys.readouterr().out.splitlines()

    assert ["kept ftjob", "kept ftjob"] == [line[:10] for line in kept[:2]]
    assert f"raysweep resume {folder}" in kept[2] and f"raysweep reconcile {folder} --cancel" in kept[2]
    assert ["cancelled ftjob"] * 2 == [line[:15] for line in cancelled]
    assert {0: "cancelled", 1: "cancelled"} == statuses(server)
    states = results.load(folder).state.trials.values()
    assert [(False, ())] * 2 == [(trial.is_left, trial.faults) for trial in states]


@pytest.mark.assets
def test_to_leave_what_ends_with_its_process_is_refused_by_check(capsys):
    assert 2 == main(["check", "default", "on_interrupt=leave"])

    said = capsys.readouterr().err
    assert "on_interrupt: leave: the jobs of this lora trainer live at no host" in said
    assert "set it to cancel" in said


def test_the_last_line_says_what_goes_on_what_it_costs_and_how_to_end_it(fine_tuning_server, monkeypatch, synthetic):
    server = fine_tuning_server("--epoch-s", "5")
    export(monkeypatch, server)
    prices = {"training_usd_per_million": 25.0, "input_usd_per_million": 0.0, "output_usd_per_million": 0.0}
    section = sweep(server, synthetic)["trainer"] | {"prices": prices}
    paid = {"trainer": section, "budget": {"max_usd": 5.0}}
    finger = Finger(JobAccepted, 2)

    left = interrupted(server, synthetic, finger, trials=3, concurrency=2, **LEAVE, **paid)

    accounts = [trial.account for trial in left.state.trials.values()]
    assert all(account.open_usd for account in accounts)
    assert left.state.spending.reserved == pytest.approx(sum(account.open_usd for account in accounts))
    assert 0 == left.state.spending.spent
    console = Console(width=1000, no_color=True)
    with console.capture() as printed:
        console.print(summary(left.state, finger.setting, 1000))
    line = printed.get().strip().splitlines()[-1]
    assert line.startswith("left running at the host: 2 jobs, which cost money (")
    assert f"raysweep resume {left.folder}" in line
    assert f"raysweep reconcile {left.folder} --cancel" in line
    reconcile_run(left.folder, RealClock(), is_over=True)
    assert 0 == results.load(left.folder).state.spending.reserved


DYING = """
import os, sys, json
from pathlib import Path
from inline_runner import InlineRunner
from raysweep.config.load import parse
from raysweep.entries import Evaluated
from raysweep.sweep import Options, run_sweep
class View:
    def show(self, entry, state):
        if isinstance(entry, Evaluated):
            os._exit(9)
    def tick(self): ...
    def close(self, state): ...
config = parse(json.loads(sys.argv[1]), "test")
run_sweep(config, Options(folder=Path(sys.argv[2]), runner=InlineRunner(), make_view=lambda setting: View()))
"""


class Looking(InlineRunner):
    """Looks at the host before any trial is worked on."""

    def __init__(self, host):
        super().__init__()
        self.host, self.seen = host, []

    def run_trials(self, driver, static, resources, **others):
        self.seen = [self.host.status(job) for job in self.host.listed("*")]
        super().run_trials(driver, static, resources, **others)


def test_a_job_whose_prune_its_driver_did_not_live_to_see_is_cancelled_at_once(synthetic, tmp_path):
    settings = synthetic | {
        "trainer": {"kind": "synthetic", "host": str(tmp_path / "host"), "epoch_s": 1.0},
        "early_stopping": {"kind": "threshold", "metric": "val_log_loss", "rungs": [0.5], "values": [0.0]},
        "space": synthetic["space"] | {"n_epochs": 100},
        "final": {"baseline": False},
        "trials": 1,
    }
    folder, tests = tmp_path / "dead", str(Path(__file__).parent)
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", DYING, json.dumps(settings), str(folder)]
    assert 9 == subprocess.run(command, check=False, timeout=50, env=variables).returncode
    looking = Looking(SyntheticHost(tmp_path / "host", listing_lag_s=0.0))

    found = resume_sweep(folder, (), Options(runner=looking))

    assert Outcome.PRUNED is found.state.trials[0].outcome
    assert [Status.CANCELLED] == looking.seen


class Late(Finger):
    """Presses Ctrl-C as soon as a job of the server has succeeded."""

    def __init__(self, server):
        super().__init__(Evaluated, -1)
        self.server, self.is_done = server, False

    def tick(self):
        if not self.is_done and "succeeded" in statuses(self.server).values():
            self.is_done = True
            os.kill(os.getpid(), signal.SIGINT)


def test_a_job_that_finished_before_ctrl_c_is_taken_up_and_not_paid_again(fine_tuning_server, monkeypatch, synthetic):
    server = fine_tuning_server("--epoch-s", "0.3", faults={"jobs": [{"kind": "model_missing", "missing_s": 8}]})
    export(monkeypatch, server)

    stopped = interrupted(server, synthetic, Late(server), trials=1, early_stopping={"kind": "none"})
    resumed = resume_sweep(stopped.folder, options=Options(runner=runner()))

    assert stopped.state.trials[0].ended is None
    assert Outcome.COMPLETED is resumed.state.trials[0].outcome
    assert {0: "succeeded"} == statuses(server)
    assert 1 == len(jobs(server))


def test_ctrl_c_while_the_tables_are_written_leaves_none_of_them_half(synthetic, tmp_path, monkeypatch):
    write = results.write

    def interrupted(found):
        signal.raise_signal(signal.SIGINT)
        write(found)

    monkeypatch.setattr(results, "write", interrupted)
    done = run_sweep(parse(synthetic, "test"), Options(folder=tmp_path / "run", runner=InlineRunner()))

    assert results.are_written(done.folder)
    assert done.state.ended is not None

    for name in (results.TRIALS_FILE, results.EVALUATIONS_FILE):
        (done.folder / name).unlink()
    again = resume_sweep(done.folder, (), Options(runner=InlineRunner()))  # finished: only its tables are missing

    assert again.state == done.state
    assert results.are_written(done.folder)


def test_ctrl_c_while_the_tables_of_a_stopped_trial_are_written_leaves_none_of_them_half(
    synthetic, tmp_path, monkeypatch
):
    def interrupt(driver):
        if any(trial.evaluations for trial in driver.recorder.state.trials.values()) and not driver.signal:
            driver.interrupt("SIGINT")

    halted = run_sweep(
        parse(synthetic, "test"), Options(folder=tmp_path / "run", runner=InlineRunner(on_step=interrupt))
    )
    number = next(trial.number for trial in halted.state.trials.values() if trial.can_go_on)
    write = results.write

    def interrupted(found):
        signal.raise_signal(signal.SIGINT)
        write(found)

    monkeypatch.setattr(results, "write", interrupted)
    stop_trial(halted.folder, number, RealClock())

    assert results.are_written(halted.folder)
