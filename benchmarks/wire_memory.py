"""What a trial's Ray actor takes for a fine-tune at a host, beside an otherwise empty Tune actor on the same Ray.

    python benchmarks/wire_memory.py [--actors 3] [--rows 2000]

Each wire trial makes its job at a local server, follows it to its end and scores its model. USS is what a process
shares with nobody, and so what one more of it costs; PSS counts shared pages by the share; RSS counts them whole. Exits
with 1 where the median wire trial has more than 40 MB of USS or PSS above the median empty actor.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raysweep import environment

environment.prepare_for_ray()  # before Ray is imported

import ray  # noqa: E402
from ray import tune  # noqa: E402

from raysweep.config import WireTrainer as Settings  # noqa: E402
from raysweep.dataset import Splits  # noqa: E402
from raysweep.jobs import JobSpec  # noqa: E402
from raysweep.task import Example, Message, Task, TaskKind  # noqa: E402
from raysweep.testing.server import running_server  # noqa: E402
from raysweep.trainers import TrainerRecipe, make_trainer  # noqa: E402
from raysweep.tuning.actor import Trial, tune_config  # noqa: E402
from raysweep.tuning.gate_actor import kept  # noqa: E402
from raysweep.tuning.runner import Static  # noqa: E402

GOAL_MB = 40.0
KEY_ENV = "RAYSWEEP_BENCHMARK_KEY"
MODEL = "gpt-4.1-mini-2025-04-14"
TASK = Task(TaskKind.RATING, ("1", "2", "3", "4", "5"))
LINES = {"Rss:": "RSS", "Pss:": "PSS", "Private_Clean:": "USS", "Private_Dirty:": "USS"}
PROMPT = {"template": "{prompt}", "system": None, "label_words": ()}
STEPS = 120


class Empty(tune.Trainable):
    """Tune's actor, with nothing in it."""

    def step(self) -> dict[str, Any]:
        """Nothing."""
        return {"done": False}


class Still:
    """A ticker that nobody hears."""

    def tick(self) -> None:
        """Nothing."""


def memory_mb(pid: int) -> dict[str, float]:
    """RSS, PSS and USS of a process."""
    found = dict.fromkeys(("RSS", "PSS", "USS"), 0.0)
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        name, value = (*line.split(), "")[:2]
        if name in LINES:
            found[LINES[name]] += float(value) / 1024
    return found


def loaded(pid: int) -> list[str]:
    """The binary libraries that tell who was imported."""
    maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    return [name for name in ("sklearn", "scipy", "torch", "openai", "pandas", "pyarrow") if f"/{name}/" in maps]


def splits(n_rows: int) -> Splits:
    """Rows of about 700 characters, as reviews have; 70 % train, 20 % rank."""
    rows = [
        Example(
            (Message("user", f"review {number}: " + "the soup was cold and the waiter warm " * 18),),
            str(number % 5 + 1),
        )
        for number in range(n_rows)
    ]
    first, second = n_rows * 7 // 10, n_rows * 9 // 10
    return Splits(tuple(rows[:first]), tuple(rows[first:second]), tuple(rows[second:]), "0123456789abcdef")


@contextmanager
def actor(kind: type, config: Mapping[str, Any]) -> Iterator[tuple[Any, int]]:
    """A Tune actor and its process."""
    made = ray.remote(num_cpus=0)(kind).remote(config=config)
    pid = ray.get(made.get_auto_filled_metrics.remote())["pid"]
    yield made, pid
    ray.kill(made)


def empty() -> dict[str, float]:
    with actor(Empty, {}) as (made, pid):
        for _ in range(3):
            ray.get(made.train.remote())
        return memory_mb(pid)


def wire(static: Static, folder: Path, number: int) -> tuple[dict[str, float], dict[str, float]]:
    """While it watches its job, and once it has scored its model."""
    params = {"n_epochs": 2, "batch_size": 8, "learning_rate_multiplier": 2.0, "model": MODEL} | PROMPT
    spec = JobSpec("benchmrk", number, 1, params, 0, folder / f"trial_{number}", (1.0, 2.0))
    spec.folder.mkdir(parents=True)
    with actor(tune.with_parameters(Trial, static=static), tune_config(spec, (), {"cpus": 0, "gpus": 0})) as (
        made,
        pid,
    ):
        watching = None
        for _ in range(STEPS):
            result = ray.get(made.train.remote())
            failure = result["report"].failure if result.get("report") else None
            if failure:
                raise SystemExit(f"the trial failed: {failure}")
            progress = result["report"].progress
            watching = watching or (memory_mb(pid) if progress else None)
            if progress and progress.is_final:
                print(f"trial {number}: {len(progress.evaluation.metrics)} metrics; loaded: {', '.join(loaded(pid))}")
                return watching or {}, memory_mb(pid)
    raise SystemExit("the trial did not end")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--actors", type=int, default=3)
    parser.add_argument("--rows", type=int, default=2000)
    given = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {"empty": [], "watches": [], "has scored": []}
    with tempfile.TemporaryDirectory(prefix="rs", dir="/tmp") as scratch, running_server("--epoch-s", "1") as server:
        os.environ[KEY_ENV] = server.key
        settings = Settings(kind="wire", host="raysweep", base_url=server.base_url, key_env=KEY_ENV, model=MODEL)
        ray.init(address="local", include_dashboard=False, num_cpus=2, log_to_driver=False, _temp_dir=scratch)
        try:
            with kept(TrainerRecipe(settings, TASK), Still(), "benchmrk") as (recipe, _keeper):
                static = Static(recipe, make_trainer(recipe).prepare(splits(given.rows)))
                for number in range(given.actors):
                    found["empty"].append(empty())
                    watches, scored = wire(static, Path(scratch) / "jobs", number)
                    found["watches"].append(watches)
                    found["has scored"].append(scored)
        finally:
            ray.shutdown()
            time.sleep(1)  # its processes may still write into the scratch folder
    medians = {
        who: {name: statistics.median(one[name] for one in each) for name in each[0]} for who, each in found.items()
    }
    print(f"{'MB, median of ' + str(given.actors):>22}{'RSS':>8}{'PSS':>8}{'USS':>8}   USS from to")
    for who, median in medians.items():
        each = sorted(one["USS"] for one in found[who])
        print(f"{who:>22}" + "".join(f"{median[name]:8.1f}" for name in median) + f"   {each[0]:.1f} {each[-1]:.1f}")
    over = {name: medians["has scored"][name] - medians["empty"][name] for name in medians["empty"]}
    print(f"{'above an empty one':>22}" + "".join(f"{value:8.1f}" for value in over.values()))
    return 0 if max(over["USS"], over["PSS"]) <= GOAL_MB else 1


if __name__ == "__main__":
    sys.exit(main())
