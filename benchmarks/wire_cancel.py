"""From early stopping's decision to the host's word that the job is cancelled, in whole sweeps at a local server.

    python benchmarks/wire_cancel.py [--prunes 40] [--runner ray|processes|both] [--epoch-s 2]

The decision is the ledger's CancelRequested, written before the trial is told; the end is the job's `finished_at_s` in
the server's own store, which keeps fractions of a second. Both are of one machine's clock. A job that
had ended by itself before the decision is counted as too late to be cancelled. Exits with 1 where a pruned trial's job
went on, or the 95th percentile is 2 s or more.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from raysweep import environment

environment.prepare_for_ray()  # before Ray is imported

from raysweep.config.load import parse  # noqa: E402
from raysweep.jobs import Outcome  # noqa: E402
from raysweep.server.records import Job  # noqa: E402
from raysweep.server.store import Store  # noqa: E402
from raysweep.state import TrialState  # noqa: E402
from raysweep.sweep import Options, run_sweep  # noqa: E402
from raysweep.testing.processes import ProcessRunner  # noqa: E402
from raysweep.testing.server import Server, running_server  # noqa: E402

GOAL_S = 2.0
KEY_ENV = "RAYSWEEP_BENCHMARK_KEY"
CONCURRENCY = 6
MODULES = ("raysweep.trainers.wire",)
"""Loaded once for all processes of trials."""


def settings(server: Server, folder: Path, n_trials: int) -> dict[str, object]:
    """A sweep in which about half of the trials are pruned at their first rung."""
    rows = "\n".join(f"row number {row} of these,{row % 5 + 1}" for row in range(200))
    (folder / "rows.csv").write_text(f"text,stars\n{rows}\n", encoding="utf-8")
    return {
        "name": "cancel",
        "trainer": {
            "kind": "wire",
            "host": "raysweep",
            "base_url": server.base_url,
            "key_env": KEY_ENV,
            "model": "gpt-4.1-mini-2025-04-14",
            "score": "finalists",
            "limits": {"running": CONCURRENCY},
        },
        "task": {"kind": "rating", "labels": ["1", "2", "3", "4", "5"]},
        "data": {"source": str(folder / "rows.csv"), "prompt": "text", "completion": "stars"},
        "space": {"learning_rate_multiplier": {"kind": "loguniform", "low": 0.01, "high": 100.0}, "n_epochs": 6},
        "objective": {"metric": "val_loss", "mode": "min"},
        "search": {"kind": "random"},
        "early_stopping": {"kind": "asha", "metric": "val_loss", "mode": "min", "rungs": [1.0, 2.0, 4.0], "eta": 3},
        "evaluation": {"every_epochs": 1},
        "trials": n_trials,
        "concurrency": CONCURRENCY,
        "final": {"test": False, "baseline": False},
        "runs_folder": str(folder / "runs"),
    }


def measured(runner: str, n_trials: int, epoch_s: float) -> list[float]:
    """What each pruned trial of one sweep waited for its job's end."""
    with tempfile.TemporaryDirectory(prefix="rs", dir="/tmp") as scratch:
        place = Path(scratch)
        options = ("--epoch-s", str(epoch_s), "--running", str(CONCURRENCY))
        with running_server(*options, folder=place / "server") as server:
            os.environ[KEY_ENV] = server.key
            chosen = Options(runner=ProcessRunner(modules=MODULES)) if runner == "processes" else _ray(place)
            state = run_sweep(parse(settings(server, place, n_trials), "cancel"), chosen).state
        _leave_ray(runner)
        jobs = {job.id: job for job in _jobs(place / "server" / "state")}
        pruned = [trial for trial in state.trials.values() if trial.outcome is Outcome.PRUNED and trial.job]
        return [_wait_s(trial, jobs) for trial in pruned]


def _ray(place: Path) -> Options:
    import ray

    ray.init(address="local", include_dashboard=False, num_cpus=2, log_to_driver=False, _temp_dir=str(place / "ray"))
    return Options()


def _leave_ray(runner: str) -> None:
    if runner == "ray":
        import ray

        ray.shutdown()
        time.sleep(1)  # its processes may still write into the scratch folder


def _jobs(folder: Path) -> Sequence[Job]:
    store = Store(folder, "synthetic")
    try:
        return store.load(Job)
    finally:
        store.close()


def _wait_s(trial: TrialState, jobs: Mapping[str, Job]) -> float:
    """Below 0 where the job had ended before the decision, infinite where it went on."""
    if trial.job is None or trial.stopping is None or trial.last is None:
        raise SystemExit(f"trial {trial.number} was pruned without a job, a decision or an evaluation")
    job, decided_s = jobs[trial.job.job_id], trial.stopping.at.timestamp()
    if job.finished_at_s is None:
        return float("inf")
    return job.finished_at_s - decided_s


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so many are not above."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(share * 100) // 100) - 1)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prunes", type=int, default=40)
    parser.add_argument("--runner", choices=("ray", "processes", "both"), default="both")
    parser.add_argument("--epoch-s", type=float, default=2.0)
    given = parser.parse_args()
    is_good = True
    print(f"{'':>10}{'prunes':>8}{'too late':>10}{'p50':>8}{'p95':>8}{'most':>8}  s from decision to cancelled")
    for runner in ("ray", "processes") if given.runner == "both" else (given.runner,):
        found = measured(runner, given.prunes * 2, given.epoch_s)
        waits = [one for one in found if one >= 0]
        p50, p95 = statistics.median(waits), percentile(waits, 0.95)
        print(
            f"{runner:>10}{len(waits):8d}{len(found) - len(waits):10d}{p50:8.3f}{p95:8.3f}{max(waits):8.3f}", flush=True
        )
        is_good &= len(waits) >= given.prunes and p95 < GOAL_S and max(waits) < float("inf")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
