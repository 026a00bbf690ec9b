"""Sweeps of the paid path at Azure's form of the wire, at length: `make test-slow`.

The real azure-identity gets its tokens from an identity service on this machine. Tokens live 61 s at the server, and
the service says 300 s: azure-core refreshes a token five minutes before its end, less up to a minute of jitter, so that
each is used for up to a minute and dies for good a second after the last call that it may go with.
"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from identity_service import identity_service
from test_wire_azure import admin, with_tokens
from wire_toys import export, run, sweep

from raysweep import results as loading
from raysweep.config import WireTrainer
from raysweep.entries import TrialInterrupted
from raysweep.jobs import Outcome
from raysweep.ledger import read
from raysweep.testing.chaos_processes import MARK, kill, marked
from raysweep.testing.server import fine_tuning_server
from raysweep.trainers.gate import open_gate

__all__ = ["fine_tuning_server"]
DRIVER = (
    "import json, sys, pathlib; sys.path.insert(0, sys.argv[3]); from wire_toys import runner;"
    "from raysweep.config.load import parse; from raysweep.sweep import Options, run_sweep;"
    "run_sweep(parse(json.loads(sys.argv[1]), 'test'), Options(folder=pathlib.Path(sys.argv[2]), runner=runner()))"
)
SCORED = {"objective": {"metric": "val_mse"}, "early_stopping": {"kind": "none"}}


def azure(server, n):
    """Whose models are all scored, with so many deployments at once; the server itself would take ten."""
    return with_tokens(server, score="all", limits={"deployments": n, "requests_per_minute": 6000})


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_trials_are_scored_by_three_deployments_while_tokens_die(fine_tuning_server, synthetic, monkeypatch):
    server = fine_tuning_server(
        "--azure", "--admin", "--no-keys", "--token-ttl-s", "61", "--deploy-s", "5", "--epoch-s", "9", "--running", "3"
    )
    export(monkeypatch, server)
    with identity_service(server, monkeypatch, said_s=300) as service:
        began_s = time.monotonic()
        found = run(server, synthetic, trials=20, concurrency=6, trainer=azure(server, 3), **SCORED)
        took_s = time.monotonic() - began_s
        left = open_gate(WireTrainer(**with_tokens(server))).deployments()

    calls = admin(server, "/admin/calls")
    assert [Outcome.COMPLETED] * 20 == [trial.outcome for trial in found.state.trials.values()]
    assert [1] * 20 == [trial.attempt for trial in found.state.trials.values()]
    assert all(trial.last.metrics["val_mse"] == trial.ended.objective for trial in found.state.trials.values())
    assert 3 == admin(server, "/admin/most")["deployments"]
    assert [] == list(left)
    assert took_s > 3 * 61
    assert 10 < len(service.tokens) < sum(calls.values()) / 10


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_deployments_that_a_killed_driver_left_are_found_by_reconcile(
    fine_tuning_server, synthetic, monkeypatch, tmp_path
):
    server = fine_tuning_server("--azure", "--admin", "--no-keys", "--deploy-s", "2", "--epoch-s", "0.1")
    export(monkeypatch, server)
    folder = tmp_path / "run"
    settings = sweep(server, synthetic, trials=4, trainer=azure(server, 2), **SCORED)
    words = [sys.executable, "-c", DRIVER, json.dumps(settings), str(folder), str(Path(__file__).parent)]
    with identity_service(server, monkeypatch):
        gate = open_gate(WireTrainer(**with_tokens(server)))
        with subprocess.Popen(words) as driver:
            wait_for(lambda: len(gate.deployments()) == 2)
            driver.send_signal(signal.SIGKILL)
        left = {one.name for one in gate.deployments()}

        kept = reconcile(folder)
        still = {one.name for one in gate.deployments()}
        deleted = reconcile(folder, "--cancel")
        gone = gate.deployments()

    assert 2 == len(left)
    assert left == still
    assert all(f"kept deployment:{name}: trial" in kept for name in left)
    assert all(f"cancelled deployment:{name}: nobody goes on with trial" in deleted for name in left)
    assert [] == list(gone)


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_trial_that_is_killed_while_its_model_is_deployed_leaves_no_deployment(
    fine_tuning_server, synthetic, monkeypatch, tmp_path
):
    server = fine_tuning_server("--azure", "--admin", "--no-keys", "--deploy-s", "2", "--epoch-s", "0.1")
    export(monkeypatch, server)
    folder = tmp_path / "run"
    monkeypatch.setenv(MARK, tmp_path.name)
    settings = sweep(server, synthetic, trials=2, trainer=azure(server, 1), **SCORED)
    words = [sys.executable, "-c", DRIVER, json.dumps(settings), str(folder), str(Path(__file__).parent)]
    with identity_service(server, monkeypatch):
        gate = open_gate(WireTrainer(**with_tokens(server)))
        with subprocess.Popen(words) as driver:
            wait_for(lambda: len(gate.deployments()) == 1)
            kill(process for process in marked(tmp_path.name) if process.is_actor)
            code = driver.wait(timeout=60)
        left = gate.deployments()

    state = loading.load(folder).state
    assert 0 == code
    assert {Outcome.COMPLETED} == {trial.outcome for trial in state.trials.values()}
    assert any(isinstance(entry, TrialInterrupted) for entry in read(folder))
    assert 1 == admin(server, "/admin/most")["deployments"]
    assert [] == list(left)


def reconcile(folder, *words):
    """What `raysweep reconcile` says."""
    command = [sys.executable, "-m", "raysweep.cli", "reconcile", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def wait_for(is_so, timeout_s=90.0):
    until_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < until_s
        time.sleep(0.05)
