"""The wire trainer through Ray: trials reach their gate by a named actor, and know neither the SDK nor the key."""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from wire_toys import KEY_ENV, MODEL, export, keys, plant, sweep, trainer

from raysweep.config import WireTrainer
from raysweep.config.load import parse
from raysweep.jobs import Outcome
from raysweep.sweep import Options, run_sweep
from raysweep.testing.server import fine_tuning_server
from raysweep.testing.toy_data import TOY_TASK
from raysweep.trainers import TrainerRecipe
from raysweep.trainers.gate_link import served
from raysweep.trainers.hosted import JobRequest
from raysweep.tuning import gate_actor

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


class Nobody:
    """Has nothing to do."""

    def tick(self):
        pass


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")
def test_what_the_gate_warns_of_is_told_where_the_sweep_was_started(fine_tuning_server, monkeypatch, caplog):
    """The host keeps as many jobs as it may, and none of them is ours to delete."""
    import ray

    server = fine_tuning_server("--total-jobs", "1")
    export(monkeypatch, server)
    monkeypatch.setattr(gate_actor, "KEEP_S", 0.2)
    file, _ = plant(server)
    request = JobRequest("sweep001", "sweep001-0-1", MODEL, file, file, "trial", 7, {"n_epochs": 1})
    ray.init(address="local", include_dashboard=False, num_cpus=2, log_to_driver=False)
    try:
        settings = WireTrainer(**trainer(server, limits={"jobs": 1}))
        with gate_actor.kept(TrainerRecipe(settings, TOY_TASK), Nobody()) as (recipe, keeper):
            made = recipe.gate.connect().create(request)
            until_s = time.monotonic() + 20
            while "its limit" not in caplog.text and time.monotonic() < until_s:
                keeper.tick()
                time.sleep(0.05)
    finally:
        ray.shutdown()

    assert made is None
    assert "the host keeps 1 jobs, its limit: trials wait" in caplog.text
