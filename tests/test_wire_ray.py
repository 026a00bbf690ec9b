"""The wire trainer through Ray: trials reach their gate by a named actor, and know neither the SDK nor the key."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from wire_toys import KEY_ENV, MODEL, export, keys, sweep

from raysweep.config import WireTrainer
from raysweep.config.load import parse
from raysweep.jobs import Outcome
from raysweep.sweep import Options, run_sweep
from raysweep.testing.server import fine_tuning_server
from raysweep.testing.toy_data import TOY_TASK
from raysweep.trainers import TrainerRecipe
from raysweep.trainers.gate_link import served

__all__ = ["fine_tuning_server"]
WATCHER = """
import sys
import ray
from ray import tune
ray_modules = set(sys.modules)
from raysweep.config import WireTrainer
from raysweep.jobs import JobSpec
from raysweep.trainers import TrainerRecipe
from raysweep.tuning.actor import Trial
from raysweep.tuning.gate_actor import RayLink
from raysweep.tuning.runner import Static
from raysweep.tuning.work import Work, is_last
from raysweep.testing.toy_data import TOY_SPLITS, TOY_TASK
from raysweep.jobs import DataRefs
from raysweep.trainers.gate_link import SocketLink
from pathlib import Path
RayLink("gate").connect()
url, model, folder, address, word = sys.argv[1:]
settings = WireTrainer(kind="wire", host="raysweep", base_url=url, model=model)
recipe = TrainerRecipe(settings, TOY_TASK, SocketLink(address, bytes.fromhex(word)))
params = {"n_epochs": 1, "batch_size": 4, "model": model, "template": "{prompt}", "system": None, "label_words": ()}
spec = JobSpec("abcdefgh", 0, 1, params, 0, Path(folder), (1.0,))
work = Work(spec, Static(recipe, DataRefs("0123456789abcdef", TOY_SPLITS)))
while not is_last(report := work.step()):
    pass
if report.failure:
    raise report.failure
print(sorted(report.progress.evaluation.metrics)[-1])
heavy = {"openai", "httpx2", "torch", "transformers", "sklearn", "scipy", "joblib", "hyperopt", "rich", "tensorboardX"}
print(*sorted(heavy & (set(sys.modules) - ray_modules)))
"""


def test_a_trial_that_has_scored_its_model_has_loaded_neither_the_sdk_nor_what_scores_elsewhere(
    fine_tuning_server, monkeypatch, tmp_path
):
    server = fine_tuning_server("--epoch-s", "0.2")
    export(monkeypatch, server)
    settings = WireTrainer(kind="wire", host="raysweep", base_url=server.base_url, key_env=KEY_ENV, model=MODEL)

    with served(TrainerRecipe(settings, TOY_TASK)) as recipe:
        link = recipe.gate
        words = [server.base_url, MODEL, str(tmp_path / "trial"), link.address, link.word.hex()]
        done = subprocess.run(
            [sys.executable, "-c", WATCHER, *words], capture_output=True, text=True, timeout=60, check=False
        )

    assert ("val_spearman_expected\n\n", 0) == (done.stdout, done.returncode), done.stderr


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
