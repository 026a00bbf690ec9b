"""Trials that fail in setup, in a step, by a killed actor, in turn, through Ray: the sweep ends and no slot is lost.

    python benchmarks/failing_trials.py [--trials 48]

Every sixth trial completes. Prints the outcomes and what a trial took; exits with 1 where the
sweep did not end by itself.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from raysweep.config.load import parse
from raysweep.sweep import Options, run_sweep

FAULTS = ("setup", "step", "kill", "host", "nan", None)


def settings(folder: Path, n_trials: int) -> dict[str, object]:
    rows = "\n".join(f"row number {row} of these,{row % 5 + 1}" for row in range(100))
    (folder / "rows.csv").write_text(f"text,stars\n{rows}\n", encoding="utf-8")
    faults = {trial: FAULTS[trial % len(FAULTS)] for trial in range(n_trials) if FAULTS[trial % len(FAULTS)]}
    return {
        "trainer": {"kind": "synthetic", "faults": faults},
        "task": {"kind": "rating", "labels": ["1", "2", "3", "4", "5"]},
        "data": {"source": str(folder / "rows.csv"), "prompt": "text", "completion": "stars"},
        "space": {"learning_rate": {"kind": "loguniform", "low": 1e-5, "high": 0.1}, "n_epochs": 2},
        "early_stopping": {"kind": "none"},
        "retries": {"attempts": 1},
        "trials": n_trials,
        "concurrency": 4,
        "final": {"test": False, "baseline": False},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=48)
    n_trials = parser.parse_args().trials
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        config = parse(settings(folder, n_trials), "failing")
        began_s = time.monotonic()
        found = run_sweep(config, Options("local", dashboard=False, folder=folder / "run"))
        took_s = time.monotonic() - began_s
    trials = found.state.trials
    counts = Counter(f"{FAULTS[number % len(FAULTS)]}: {trial.outcome}" for number, trial in trials.items())
    for words, number in sorted(counts.items()):
        print(f"{number:4d}  {words}")
    ended_well = found.state.ended is not None and found.state.ended.reason == "all trials have ended"
    print(f"{len(trials)} of {n_trials} trials ended in {took_s:.0f} s, {took_s / n_trials:.1f} s a trial")
    return 0 if ended_well and len(trials) == n_trials and all(trial.ended for trial in trials.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
