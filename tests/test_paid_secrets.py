"""Keys and tokens are in nothing that a sweep through Ray leaves or shows, whatever befell it: `make test-slow`."""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from identity_service import WORD, identity_service
from test_wire_azure import admin, section, with_tokens
from wire_toys import export, sweep

from raysweep.testing.chaos_processes import MARK, kill, marked
from raysweep.testing.server import fine_tuning_server

__all__ = ["fine_tuning_server"]
FOREIGN = "sk-canary-of-another-host"
DRIVER = """
import json, pathlib, sys, threading, time
import ray
from raysweep.config.load import parse
from raysweep.errors import RaysweepError
from raysweep.sweep import Options, run_sweep
from ray.util import state
settings, folder, place, shown = json.loads(sys.argv[1]), *map(pathlib.Path, sys.argv[2:])
context = ray.init(address="local", include_dashboard=True, dashboard_port=0, num_cpus=2, log_to_driver=True,
    _temp_dir=str(place))
def look():
    dashboard = f"http://{context.dashboard_url}"
    kinds = (state.list_actors, state.list_workers, state.list_tasks, state.list_runtime_envs, state.list_jobs)
    while True:
        time.sleep(1)
        for kind in kinds:
            try:
                said = [repr(one) for one in kind(address=dashboard, detail=True, limit=1000)]
            except Exception as error:
                print(f"{kind.__name__}: {error}", file=sys.stderr)
            else:
                with (shown / kind.__name__).open("a") as file:
                    file.write(chr(10).join(said))
threading.Thread(target=look, daemon=True).start()
try:
    run_sweep(parse(settings, "test"), Options(folder=folder))
except RaysweepError as error:
    print(f"the sweep said: {error}", file=sys.stderr)
ray.shutdown()
"""


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(600)
@pytest.mark.parametrize("identity", ["key", "entra"])
def test_no_key_and_no_token_is_left_or_shown_after_faults_of_all_kinds(
    fine_tuning_server, synthetic, monkeypatch, tmp_path, identity
):
    keyless = ("--no-keys", "--token-ttl-s", "60") if identity == "entra" else ()
    server = fine_tuning_server("--azure", "--admin", "--epoch-s", "1", *keyless)
    place = Path(tempfile.mkdtemp(prefix="rs", dir="/tmp"))  # Ray's sockets want a short path
    for name in ("run", "shown", "home", "cache", "tmp"):
        (tmp_path / name).mkdir()
    export(monkeypatch, server)
    for name, value in {"OPENAI_API_KEY": FOREIGN, "HOME": "home", "RAYSWEEP_CACHE": "cache", "TMPDIR": "tmp"}.items():
        monkeypatch.setenv(name, value if value == FOREIGN else str(tmp_path / value))
    monkeypatch.setenv(MARK, tmp_path.name)
    trainer = section(server) if identity == "key" else with_tokens(server, score="all")
    metric = "val_loss" if identity == "key" else "val_mse"
    settings = sweep(
        server,
        synthetic,
        trials=8,
        trainer=trainer,
        objective={"metric": metric, "mode": "min"},
        final={"test": False, "baseline": False},
    )
    words = [sys.executable, "-c", DRIVER, json.dumps(settings), str(tmp_path / "run"), str(place)]
    with identity_service(server, monkeypatch) as service:
        with (tmp_path / "said").open("wb") as said:
            driver = subprocess.Popen([*words, str(tmp_path / "shown")], stdout=said, stderr=said)
        try:
            wait_for(lambda: "Evaluated" in ledger(tmp_path), driver)
            kill(process for process in marked(tmp_path.name) if process.is_actor)
            wait_for(lambda: "TrialInterrupted" in ledger(tmp_path), driver)
            storm(server)
            driver.wait(timeout=240)
        finally:
            kill(marked(tmp_path.name))
            driver.wait(timeout=10)

    secrets = [server.key, FOREIGN, WORD, *service.tokens]
    files = [path for top in (tmp_path, place, server.folder) for path in top.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert "Incorrect API key provided: ***" in (tmp_path / "said").read_text()
    assert {"ledger.jsonl", "list_actors", "list_workers", "list_runtime_envs", "raylet.out", "gcs_server.out"} <= names
    assert any("tfevents" in name for name in names)
    assert "GateHost" in (tmp_path / "shown" / "list_actors").read_text()
    contents = {path: path.read_bytes() for path in files}
    assert [] == [path for path, found in contents.items() if any(secret.encode() in found for secret in secrets)]
    shutil.rmtree(place, ignore_errors=True)


def storm(server):
    """From now on every call about jobs is refused by a host that repeats what it was sent."""
    answer = {"kind": "answer", "status": 401, "message": "Incorrect API key provided: {key}"}
    admin(server, "/admin/faults", "PUT", {"calls": [{"call": "* /fine_tuning/*", **answer}]})


def ledger(folder):
    path = folder / "run" / "ledger.jsonl"
    return path.read_text() if path.exists() else ""


def wait_for(is_so, driver, timeout_s=240.0):
    until_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < until_s
        assert driver.poll() is None
        time.sleep(0.1)
