"""Two sweeps at a host that keeps no more than 100 job records, beside records of somebody else: `make test-slow`."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from server_toys import chats, client_of, supervised
from test_paid_azure import DRIVER
from test_wire_azure import admin, section
from wire_toys import MODEL, export, sweep

from raysweep import results as loading
from raysweep.entries import TrialProposed
from raysweep.jobs import Outcome
from raysweep.ledger import read
from raysweep.testing.server import fine_tuning_server
from raysweep.trainers.hosted import KEY_TAG

__all__ = ["fine_tuning_server"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
MOST = 100
RAY_DRIVER = (
    "import json, sys, pathlib; from raysweep.config.load import parse; from raysweep.sweep import Options, run_sweep;"
    "run_sweep(parse(json.loads(sys.argv[1]), 'test'),"
    " Options(folder=pathlib.Path(sys.argv[2]), cluster=sys.argv[3], dashboard=False))"
)


@pytest.fixture
def full_host(fine_tuning_server, monkeypatch):
    """A server with somebody else's ended job and file."""
    server = fine_tuning_server(
        "--azure", "--admin", "--epoch-s", "2", "--running", "8", "--queued", "20", "--total-jobs", str(MOST)
    )
    export(monkeypatch, server)
    client = client_of(server)
    file = client.files.create(file=("theirs.jsonl", chats(40)), purpose="fine-tune").id
    body = {"trainingType": "standard", "seed": 1}
    made = client.fine_tuning.jobs.create(
        model=MODEL, training_file=file, method=supervised(n_epochs=1, batch_size=4), extra_body=body
    )
    client.fine_tuning.jobs.cancel(made.id)
    return server, client, made.id, file


def settings(server, synthetic):
    limits = {"running": 8, "queued": 20, "jobs": MOST, "requests_per_minute": 6000}
    return sweep(
        server,
        synthetic,
        trials=60,
        concurrency=5,
        trainer=section(server, limits=limits),
        objective={"metric": "val_loss", "mode": "min"},
        early_stopping={"kind": "asha", "rungs": [1.0, 2.0], "eta": 3},
        final={"test": False, "baseline": False},
    )


def test_two_sweeps_of_processes_fit_into_the_hosts_records(full_host, synthetic, tmp_path):
    folders = [tmp_path / name for name in ("one", "two")]
    words = json.dumps(settings(full_host[0], synthetic))

    drivers = [
        subprocess.Popen([sys.executable, "-c", DRIVER, words, str(folder), str(Path(__file__).parent)])
        for folder in folders
    ]
    codes = [driver.wait(timeout=800) for driver in drivers]

    assert [0, 0] == codes
    check(full_host, folders)


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")
def test_two_sweeps_on_one_cluster_fit_into_the_hosts_records(full_host, synthetic, tmp_path):
    import ray

    place = Path(tempfile.mkdtemp(prefix="rs", dir="/tmp"))  # Ray's sockets want a short path
    folders = [tmp_path / name for name in ("one", "two")]
    words = json.dumps(settings(full_host[0], synthetic))
    context = ray.init(address="local", include_dashboard=False, num_cpus=2, log_to_driver=False, _temp_dir=str(place))
    try:
        address = context.address_info["address"]
        drivers = [
            subprocess.Popen([sys.executable, "-c", RAY_DRIVER, words, str(folder), address]) for folder in folders
        ]
        codes = [driver.wait(timeout=800) for driver in drivers]
    finally:
        ray.shutdown()
    shutil.rmtree(place, ignore_errors=True)

    assert [0, 0] == codes
    check(full_host, folders)


def check(full_host, folders):
    """Both are done, nothing of others is gone, and nothing but records of theirs."""
    server, client, job, file = full_host
    states = [loading.load(folder).state for folder in folders]
    for state in states:
        assert 60 == len(state.trials)
        assert {trial.outcome for trial in state.trials.values()} <= {Outcome.COMPLETED, Outcome.PRUNED}
    listed = {one.id: one for one in client.fine_tuning.jobs.list(limit=100)}
    assert job in listed
    assert file in {one.id for one in client.files.list()}
    assert 90 < admin(server, "/admin/most")["jobs"] <= MOST
    keys = {one.metadata[KEY_TAG] for one in listed.values() if one.metadata}
    assert len(listed) - 1 == len(keys)
    assert keys <= {entry.key for folder in folders for entry in read(folder) if isinstance(entry, TrialProposed)}
    ended = [trial for state in states for trial in state.trials.values()]
    assert {trial.proposed.key for trial in ended if trial.outcome is Outcome.COMPLETED} <= keys
