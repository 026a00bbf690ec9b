"""The wire trainer through Ray: trials reach their gate by a named actor, and know neither the SDK nor the key."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from wire_toys import export, keys, sweep

from raysweep.config.load import parse
from raysweep.jobs import Outcome
from raysweep.sweep import Options, run_sweep
from raysweep.testing.server import fine_tuning_server

__all__ = ["fine_tuning_server"]
WATCHER = """
import sys
import ray
ray_modules = set(sys.modules)
from raysweep.config import WireTrainer
from raysweep.trainers import TrainerRecipe, make_trainer
from raysweep.trainers.gate_link import SocketLink
from raysweep.tuning.actor import Trial
from raysweep.tuning.gate_actor import RayLink
from raysweep.testing.toy_data import TOY_SPLITS, TOY_TASK
settings = WireTrainer(kind="wire", host="raysweep", base_url="http://127.0.0.1:9/v1", model="m")
for link in (RayLink("gate"), SocketLink("/nowhere", b"word")):
    trainer = make_trainer(TrainerRecipe(settings, TOY_TASK, link))
    trainer.describe()
    link.connect()
print(*sorted({"openai", "httpx2", "torch", "transformers"} & (set(sys.modules) - ray_modules)))
"""


def test_a_trial_that_watches_a_job_loads_neither_the_sdk_nor_torch():
    done = subprocess.run([sys.executable, "-c", WATCHER], capture_output=True, text=True, timeout=60, check=True)

    assert "\n" == done.stdout


@pytest.mark.ray
@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("ignore")
def test_a_sweep_runs_through_ray_and_leaves_the_key_nowhere(fine_tuning_server, monkeypatch, synthetic):
    import ray

    server = fine_tuning_server("--epoch-s", "0.5")
    export(monkeypatch, server)
    place = Path(tempfile.mkdtemp(prefix="rs", dir="/tmp"))  # Ray's sockets want a short path
    ray.init(address="local", include_dashboard=False, num_cpus=2, log_to_driver=False, _temp_dir=str(place))
    try:
        results = run_sweep(parse(sweep(server, synthetic, trials=5, concurrency=3), "test"), Options())
        actors = ray.util.list_named_actors(all_namespaces=True)
    finally:
        ray.shutdown()

    outcomes = [trial.outcome for trial in results.state.trials.values()]
    assert set(outcomes) <= {Outcome.COMPLETED, Outcome.PRUNED}
    assert results.best is not None
    assert ["best"] == [final.name for final in results.state.finals]
    assert sorted(trial.proposed.key for trial in results.state.trials.values()) == sorted(keys(server))
    assert [True] == [one["name"].startswith("gate-raysweep-") for one in actors if one["namespace"] == "raysweep"]
    files = [path for folder in (results.folder, place) for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [] == [path for path in files if server.key.encode() in path.read_bytes()]
    shutil.rmtree(place, ignore_errors=True)
