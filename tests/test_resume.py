"""Going on with a sweep: what is kept, what is refused, and that a refusal changes nothing. No Ray."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from inline_runner import Died, InlineRunner

from raysweep import ledger, results
from raysweep.clock import RealClock, SimulatedClock
from raysweep.config.load import parse
from raysweep.entries import SCHEMA_VERSION, Evaluated, FinalScored, SweepResumed, TrialProposed
from raysweep.errors import ConfigError, RaysweepError, SweepFolderError
from raysweep.hosting import prune, rows
from raysweep.jobs import Outcome
from raysweep.ledger import Ledger
from raysweep.steering import reconcile_run, stop_trial
from raysweep.sweep import Options, resume_sweep, run_sweep

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture
def settings(synthetic):
    quick = {"retries": {"attempts": 2, "wait_s": 0}, "final": {"baseline": False}}
    return synthetic | {"early_stopping": {"kind": "none"}} | quick


def begin(settings, tmp_path, n_steps=None, **options):
    """A sweep in a folder of its own; its driver dies after so many steps."""
    folder = tmp_path / f"run_{len(list(tmp_path.iterdir()))}"
    runner = InlineRunner(n_steps)
    try:
        run_sweep(parse(settings, "test"), Options(folder=folder, runner=runner, **options))
    except Died:
        return die(folder)
    return folder


def begin_apart(settings, folder, n_steps):
    """A sweep whose driver is another process, and dies without a last word."""
    command = [sys.executable, str(Path(__file__).with_name("inline_runner.py")), json.dumps(settings), str(folder)]
    assert 9 == subprocess.run([*command, str(n_steps)], check=False, timeout=60).returncode
    return folder


def die(folder):
    """What a dead driver leaves: it wrote nothing after its last report."""
    lines = (folder / ledger.FILE_NAME).read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if b'"the sweep ended"' not in line]
    (folder / ledger.FILE_NAME).write_bytes(b"".join(kept))
    return folder


def go_on(folder, *overrides, **runner):
    return resume_sweep(folder, overrides, Options(runner=InlineRunner(**runner)))


def table(folder):
    frame = results.load(folder).trials
    apart = ["attempts", "interruptions", "job_id", "host", "started_at", "ended_at", "duration_s", "model"]
    return json.loads(frame.drop(columns=apart).to_json())


def snapshot(folder):
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("n_steps", [0, 1, 3, 6, 9, 14])
def test_a_sweep_whose_driver_died_ends_as_an_undisturbed_one(settings, tmp_path, n_steps):
    undisturbed = table(begin(settings, tmp_path))

    folder = begin(settings, tmp_path, n_steps)
    found = go_on(folder)

    assert undisturbed == table(folder)
    assert "all trials have ended" == found.state.ended.reason
    entries = list(ledger.read(folder))
    assert 1 == sum(isinstance(entry, SweepResumed) for entry in entries)
    rows = [(entry.trial, entry.epoch) for entry in entries if isinstance(entry, Evaluated)]
    assert len(rows) == len(set(rows))


def test_a_driver_may_die_again_and_again(settings, tmp_path):
    undisturbed = table(begin(settings, tmp_path))
    folder = begin(settings, tmp_path, 5)

    for n_steps in (2, 5, 1, 4):
        with pytest.raises(Died):
            go_on(folder, n_steps=n_steps)
        die(folder)
    go_on(folder)

    assert undisturbed == table(folder)


def test_an_interrupted_sweep_goes_on(settings, tmp_path):
    undisturbed = table(begin(settings, tmp_path))
    folder = tmp_path / "interrupted"
    seen = []

    def interrupt(driver):
        seen.append(driver)
        if len(seen) == 7:
            driver.interrupt("SIGINT")

    run_sweep(parse(settings, "test"), Options(folder=folder, runner=InlineRunner(on_step=interrupt)))
    assert Outcome.CANCELLED in {trial.outcome for trial in results.load(folder).state.trials.values()}

    go_on(folder)

    assert undisturbed == table(folder)


def test_a_finished_sweep_is_left_alone_and_can_be_given_more_trials(settings, tmp_path):
    longer = table(begin(settings | {"trials": 7}, tmp_path))
    folder = begin(settings, tmp_path)
    before = snapshot(folder)

    assert 4 == len(go_on(folder).state.trials)
    assert before == snapshot(folder)

    found = go_on(folder, "trials=7")
    assert longer == table(folder)
    assert 7 == found.state.n_trials
    with pytest.raises(ConfigError, match="has made 7 already"):
        go_on(folder, "trials=6")


def test_finals_are_scored_once(settings, tmp_path):
    folder = begin(settings | {"final": {"baseline": True}}, tmp_path)

    go_on(folder, "trials=5")

    names = [(final.name, final.split) for final in results.load(folder).finals]
    assert len(names) == len(set(names))


def test_baselines_that_are_asked_for_afterwards_are_made(settings, tmp_path):
    folder = begin(settings | {"final": {"baseline": False}}, tmp_path)
    before = [final.name for final in results.load(folder).finals]

    go_on(folder, "final.baseline=true")
    after = results.load(folder).finals
    go_on(folder, "final.baseline=true")

    assert "majority" not in before
    assert {("majority", "val"), ("majority", "test")} <= {(final.name, final.split) for final in after}
    assert after == results.load(folder).finals


def test_a_host_that_fails_twice_in_three_is_tried_again(settings, tmp_path):
    settings["trainer"] = {"kind": "synthetic", "faults": {1: "host:1", 2: "host"}}

    folder = begin(settings, tmp_path)

    trials = results.load(folder).trials.set_index("trial")
    assert ["completed", "completed", "errored", "completed"] == list(trials.outcome)
    assert [1, 2, 2, 1] == list(trials.attempts)
    assert "host: scripted failure" in trials.interruptions[1]
    assert "attempt 2 of 2" in trials.reason[2]


def test_a_run_that_is_not_there_is_refused_with_those_that_are(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_sweep(parse(settings, "test"), Options(folder=tmp_path / "runs" / "abc", runner=InlineRunner()))

    with pytest.raises(SweepFolderError, match="abd: no sweep's folder, and no id of one in runs; there: abc"):
        go_on("abd")

    assert 4 == len(go_on("abc").trials)


def test_a_moved_run_is_refused_and_a_link_to_it_is_not(settings, tmp_path):
    folder = begin(settings, tmp_path, 5)
    moved = folder.rename(tmp_path / "moved")
    before = snapshot(moved)

    with pytest.raises(SweepFolderError, match=f"was made in {folder}"):
        go_on(moved)

    assert before == snapshot(moved)
    folder.symlink_to(moved)
    assert 4 == len(go_on(moved).trials)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda tree: tree["space"]["learning_rate"].update(high=0.2), "space"),
        (lambda tree: tree.update(seed=9), "seed"),
        (lambda tree: tree.update(name="other"), "name"),
        (lambda tree: tree["trainer"].update(noise=0.5), "trainer"),
        (lambda tree: tree.update(objective={"metric": "val_accuracy"}), "objective"),
    ],
)
def test_other_settings_are_refused_by_name_and_nothing_is_changed(settings, tmp_path, change, named):
    folder = begin(settings, tmp_path, 5)
    path = folder / "config.yaml"
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(tree)
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    before = snapshot(folder)

    with pytest.raises(SweepFolderError, match=f"{named} changed since the sweep began"):
        go_on(folder)

    assert before == snapshot(folder)


def test_an_override_of_what_the_results_rest_on_is_refused(settings, tmp_path):
    folder = begin(settings, tmp_path, 5)

    with pytest.raises(ConfigError, match="start a new sweep"):
        go_on(folder, "space.learning_rate.high=0.2")


def test_other_rows_are_refused(settings, tmp_path, reviews_csv):
    folder = begin(settings, tmp_path, 5)
    reviews_csv.write_text(reviews_csv.read_text(encoding="utf-8").replace("number 7,", "number seven,"))
    before = snapshot(folder)

    with pytest.raises(SweepFolderError, match="data's fingerprint"):
        go_on(folder)

    assert before == snapshot(folder)


def test_a_run_of_a_newer_version_is_refused(settings, tmp_path):
    folder = begin(settings, tmp_path, 5)
    first, *_ = ledger.read(folder)
    (folder / ledger.FILE_NAME).unlink()
    with Ledger(folder) as newer:
        newer.append(dataclasses.replace(first, schema_version=SCHEMA_VERSION + 1))
    before = snapshot(folder)

    with pytest.raises(SweepFolderError, match="upgrade raysweep"):
        go_on(folder)

    assert before == snapshot(folder)


def test_a_run_that_a_living_driver_holds_is_refused_by_its_holders_name(settings, tmp_path):
    folder = begin(settings, tmp_path, 5)

    with Ledger(folder), pytest.raises(SweepFolderError, match=f"process {os.getpid()} .*drives this sweep"):
        go_on(folder)

    assert 4 == len(go_on(folder).trials)


def test_a_dead_holders_run_is_taken_over(settings, tmp_path):
    folder = begin(settings, tmp_path, 5)
    code = "import os, sys, pathlib; from raysweep.ledger import Ledger; Ledger(pathlib.Path(sys.argv[1])); os._exit(9)"
    assert 9 == subprocess.run([sys.executable, "-c", code, str(folder)], check=False, timeout=30).returncode

    assert 4 == len(go_on(folder).trials)


def test_a_cut_last_line_is_repaired(settings, tmp_path):
    undisturbed = table(begin(settings, tmp_path))
    folder = begin(settings, tmp_path, 9)
    path = folder / ledger.FILE_NAME
    path.write_bytes(path.read_bytes()[:-20])

    go_on(folder)

    assert undisturbed == table(folder)


def test_a_sweep_goes_on_from_another_working_directory(settings, tmp_path, monkeypatch, reviews_csv):
    monkeypatch.chdir(tmp_path)
    settings["data"]["source"] = reviews_csv.name
    folder = begin(settings, tmp_path, 5)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    assert 4 == len(go_on(folder).trials)


def test_the_time_of_all_sessions_counts_and_more_can_be_given(settings, tmp_path):
    settings |= {"time_s": 0.3, "trainer": {"kind": "synthetic", "epoch_s": 0.2}}
    folder = begin(settings, tmp_path)
    assert "time is up" in results.load(folder).state.ended.reason

    with pytest.raises(ConfigError, match="give it more"):
        go_on(folder)

    found = go_on(folder, "time_s=60")
    assert {Outcome.COMPLETED} == {trial.outcome for trial in found.state.trials.values()}


def test_a_trial_is_stopped_by_hand_while_its_driver_lives(settings, tmp_path):
    folder = tmp_path / "live"
    seen = []

    def ask(driver):
        seen.append(driver)
        if len(seen) == 3:
            with pytest.raises(RaysweepError, match="did not stop trial 0"):  # for the driver waits here
                stop_trial(folder, 0, SimulatedClock())
            (folder / "requests" / "stop_0000").touch()

    found = run_sweep(parse(settings, "test"), Options(folder=folder, runner=InlineRunner(on_step=ask)))

    ended = found.state.trials[0].ended
    assert (Outcome.CANCELLED, "stopped by hand") == (ended.outcome, ended.reason)
    assert {1, 2, 3} == {trial.number for trial in found.state.trials.values() if trial.outcome is Outcome.COMPLETED}
    with pytest.raises(ConfigError, match="has ended already"):
        stop_trial(folder, 0, RealClock())


def test_a_trial_is_stopped_by_hand_where_no_driver_lives_and_stays_so(settings, tmp_path):
    folder = begin(settings, tmp_path, 5)

    assert "no driver was alive" in stop_trial(folder, 0, RealClock())

    found = go_on(folder)
    assert Outcome.CANCELLED is found.state.trials[0].outcome
    assert Outcome.COMPLETED is found.state.trials[1].outcome
    with pytest.raises(ConfigError, match="there are 0 to 3"):
        stop_trial(folder, 44, RealClock())


def test_jobs_at_a_host_are_adopted_under_their_own_keys(settings, tmp_path):
    settings["trainer"] = {"kind": "synthetic", "host": str(tmp_path / "host"), "epoch_s": 2.0}
    folder = begin_apart(settings, tmp_path / "dead", 2)

    done = reconcile_run(folder, RealClock())
    assert (0, 2) == (len(done.cancelled), len(done.adopted))
    found = go_on(folder)

    keys = [entry.key for entry in ledger.read(folder) if isinstance(entry, TrialProposed)]
    assert {f"{found.state.started.sweep_id}-{trial:04d}-1" for trial in range(4)} == set(keys)
    assert {Outcome.COMPLETED} == {trial.outcome for trial in found.state.trials.values()}


def test_what_a_dead_sweep_left_at_a_host_can_be_cancelled(settings, tmp_path):
    settings["trainer"] = {"kind": "synthetic", "host": str(tmp_path / "host"), "epoch_s": 60.0}
    folder = begin_apart(settings, tmp_path / "dead", 2)

    with Ledger(folder), pytest.raises(ConfigError, match="drives this sweep"):
        reconcile_run(folder, RealClock(), is_over=True)
    assert 2 == len(reconcile_run(folder, RealClock(), is_over=True).cancelled)
    assert () == reconcile_run(folder, RealClock(), is_over=True).cancelled


def test_models_stay_where_they_were(settings, tmp_path):
    folder = begin(settings, tmp_path, 9)

    found = go_on(folder)

    assert all(Path(trial.ended.model).exists() for trial in found.state.trials.values())


def test_a_trial_that_used_up_its_attempts_goes_on_where_more_are_allowed_now(settings, tmp_path):
    settings["trainer"] = {"kind": "synthetic", "faults": {1: "host:3"}}
    undisturbed = table(begin(settings | {"trainer": {"kind": "synthetic"}}, tmp_path))
    folder = begin(settings, tmp_path)
    assert Outcome.ERRORED is results.load(folder).state.trials[1].outcome
    before = snapshot(folder)

    go_on(folder)
    assert before == snapshot(folder)
    go_on(folder, "retries.attempts=3")
    assert Outcome.ERRORED is results.load(folder).state.trials[1].outcome
    found = go_on(folder, "retries.attempts=4")

    assert undisturbed == table(folder)
    assert 4 == found.state.trials[1].attempts
    assert 3 == found.trials.interruptions[1].count("host: scripted failure")
    assert 3 == len(found.state.trials[1].interruptions)
    assert before != snapshot(folder)
    assert 4 == len(go_on(folder, "retries.attempts=4").trials)


def test_each_attempt_is_explained_also_those_that_a_signal_or_a_dead_driver_cost(settings, tmp_path):
    folder = tmp_path / "interrupted"

    def interrupt(driver):
        driver.interrupt("SIGTERM")

    run_sweep(parse(settings, "test"), Options(folder=folder, runner=InlineRunner(on_step=interrupt)))
    with pytest.raises(Died):
        go_on(folder, n_steps=3)
    die(folder)
    found = go_on(folder)

    trials = found.trials.set_index("trial")
    assert "interrupted by SIGTERM; its driver died" == trials.interruptions[0]
    assert list(trials.attempts) == [one.count(";") + 2 if one else 1 for one in trials.interruptions]


def test_a_cancel_that_somebody_asked_for_is_not_the_hosts_fault(settings, tmp_path):
    settings["trainer"] = {"kind": "synthetic", "host": str(tmp_path / "host"), "epoch_s": 1.0}
    folder = begin_apart(settings, tmp_path / "dead", 2)
    assert 2 == len(reconcile_run(folder, RealClock(), is_over=True).cancelled)

    found = go_on(folder)

    assert {Outcome.COMPLETED} == {trial.outcome for trial in found.state.trials.values()}
    assert ["its job was cancelled by hand"] * 2 == list(found.trials.interruptions[:2])
    assert [2, 2, 1, 1] == list(found.trials.attempts)
    assert () == found.state.trials[0].faults


def test_a_grid_that_is_exhausted_is_finished_and_more_trials_find_nothing_to_do(settings, tmp_path):
    settings["space"] = {"n_epochs": 2, "dropout": {"kind": "choice", "values": [0.0, 0.1]}}
    folder = begin(settings | {"search": {"kind": "grid"}, "trials": 9}, tmp_path)
    before = snapshot(folder)

    assert 2 == len(go_on(folder).trials)

    assert before == snapshot(folder)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trails=10", "trails=10: no such setting; did you mean trials?"),
        ("other_run", "other_run: settings are written key=value"),
        ("seed=7", "start a new sweep"),
        ("trials=many", "with trials=many: trials: "),
    ],
)
def test_a_wrong_override_is_named_itself(settings, tmp_path, override, message):
    folder = begin(settings, tmp_path, 5)

    with pytest.raises(ConfigError) as caught:
        go_on(folder, override)

    assert message in str(caught.value)


def test_reconcile_without_its_settings_says_that_they_are_gone(settings, tmp_path):
    folder = begin(settings, tmp_path, 5)
    (folder / "config.yaml").unlink()

    with pytest.raises(SweepFolderError, match=r"config\.yaml: not there"):
        reconcile_run(folder, RealClock())


def signalled(settings, folder, when):
    """A sweep to which SIGINT comes as soon as an entry fits."""
    drivers = []
    view, runner = Signals(when, drivers), InlineRunner(on_step=drivers.append)
    return run_sweep(parse(settings, "test"), Options(folder=folder, runner=runner, make_view=lambda setting: view))


class Signals:
    def __init__(self, when, drivers):
        self.when, self.drivers = when, drivers

    def show(self, entry, state):
        if self.when(entry):
            self.drivers[-1].interrupt("SIGINT")

    def tick(self):
        return None

    def close(self, state):
        return None


def test_a_signal_that_comes_when_all_is_done_has_interrupted_nothing(settings, tmp_path):
    found = signalled(settings, tmp_path / "late", lambda entry: isinstance(entry, FinalScored))

    assert ("all trials have ended", None) == (found.state.ended.reason, found.state.ended.signal)
    before = snapshot(found.folder)
    go_on(found.folder)
    assert before == snapshot(found.folder)


def test_what_a_signal_left_unscored_is_scored_when_the_sweep_goes_on(settings, tmp_path):
    settings["final"] = {"baseline": True}
    found = signalled(settings, tmp_path / "half", lambda entry: isinstance(entry, FinalScored))
    assert "SIGINT" == found.state.ended.signal
    assert ["best"] == [final.name for final in found.finals]

    found = go_on(found.folder)

    assert {"best", "majority", "ridge", "tfidf"} == {final.name for final in found.finals}
    assert found.state.ended.signal is None


def test_a_copied_folder_is_refused_whatever_is_asked_of_it(settings, tmp_path):
    folder = begin(settings, tmp_path, 5)
    copied = Path(shutil.copytree(folder, tmp_path / "copied"))
    before = snapshot(copied)

    for ask in (
        lambda: stop_trial(copied, 0, RealClock()),
        lambda: reconcile_run(copied, RealClock()),
        lambda: reconcile_run(copied, RealClock(), is_over=True),
        lambda: rows(copied),
        lambda: list(prune(copied)),
        lambda: go_on(copied),
    ):
        with pytest.raises(SweepFolderError, match=f"was made in {folder}"):
            ask()

    assert before == snapshot(copied)


def test_the_time_until_somebody_stops_a_trial_of_a_dead_sweep_does_not_count(settings, tmp_path):
    folder = begin(settings, tmp_path, 5)
    driven_s = results.load(folder).state
    driven_s = driven_s.elapsed_s(driven_s.at)
    later = SimulatedClock(elapsed_s=100_000, start=RealClock().now())

    stop_trial(folder, 0, later)

    state = results.load(folder).state
    assert driven_s == pytest.approx(state.elapsed_s(state.at))


def test_a_killed_sweep_whose_time_is_up_is_refused_too(settings, tmp_path):
    settings["trainer"] = {"kind": "synthetic", "epoch_s": 0.2}
    folder = begin(settings, tmp_path, 5)
    before = snapshot(folder)

    with pytest.raises(ConfigError, match="give it more"):
        go_on(folder, "time_s=0.01")

    assert before == snapshot(folder)


def test_a_folder_without_its_ledger_says_so_and_a_ledgers_path_means_its_sweep(settings, tmp_path):
    folder = begin(settings, tmp_path, 5)

    assert 4 == len(go_on(folder / ledger.FILE_NAME).trials)

    (folder / ledger.FILE_NAME).unlink()
    with pytest.raises(SweepFolderError, match=r"its ledger\.jsonl is gone"):
        go_on(folder)


def test_a_trial_that_waited_when_its_sweep_ended_has_lost_no_attempt(settings, tmp_path):
    settings |= {"trainer": {"kind": "synthetic", "faults": {0: "host:1"}}, "retries": {"wait_s": 60}}

    def interrupt(driver):
        if any(trial.is_waiting for trial in driver.recorder.state.trials.values()):
            driver.interrupt("SIGTERM")

    folder = tmp_path / "waiting"
    run_sweep(parse(settings, "test"), Options(folder=folder, runner=InlineRunner(on_step=interrupt)))
    found = go_on(folder)

    assert 2 == found.state.trials[0].attempts
    assert "host: scripted failure of the host" == found.trials.interruptions[0]
