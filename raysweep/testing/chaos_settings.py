"""The settings of the sweeps that chaos strikes: small, quick, and the same in every run."""

import random
from collections.abc import Mapping
from pathlib import Path

from raysweep.testing.chaos_schedule import Pruning, Sweep

_WORDS = (
    ("awful", "boring", "dreadful", "dull"),
    ("poor", "weak", "thin", "flat"),
    ("fair", "decent", "plain", "usual"),
    ("good", "lively", "clever", "warm"),
    ("superb", "brilliant", "moving", "splendid"),
)
_THINGS = ("plot", "cast", "music", "ending", "camera", "script", "pace", "sound", "actor", "scene")
BASE_SECTIONS = ("trainer", "task", "data", "space")
"""What somebody else's settings replace, for a trainer that needs data or params of its own."""


def settings(
    sweep: Sweep, trainer: str, *, data: Path, host: Path, base: Mapping[str, object] | None = None
) -> dict[str, object]:
    """A sweep's settings as a tree. `host` is the folder of a host, should the sweep have one."""
    made: dict[str, object] = {
        "name": f"chaos {sweep.number}",
        "trainer": _trainer(sweep, trainer, host),
        "task": {"kind": "rating", "labels": ["1", "2", "3", "4", "5"]},
        "data": {"source": str(data), "prompt": "text", "completion": "stars"},
        "space": {"learning_rate": {"kind": "loguniform", "low": 1e-5, "high": 1e-2}, "n_epochs": _epochs(trainer)},
        "evaluation": {"every_epochs": 0.5},
    }
    made |= {name: base[name] for name in BASE_SECTIONS if base and name in base}
    search = {"kind": "hyperopt", "ordered": True} if sweep.search == "hyperopt" else {"kind": "random"}
    made |= {
        "search": search,
        "early_stopping": _early_stopping(sweep.pruning, trainer),
        "trials": sweep.n_trials,
        "concurrency": sweep.concurrency,
        "seed": sweep.seed,
        "retries": {"attempts": 8, "wait_s": 0.2},  # more than a schedule's strikes can use up
        "final": {"baseline": False},
    }
    return made


def write_reviews(path: Path, n_rows: int = 120) -> Path:
    """A CSV of rows whose words tell their stars; the same rows each time."""
    dice = random.Random(0)
    lines = ["text,stars"]
    for row in range(n_rows):
        label = row % len(_WORDS)
        said = ", ".join(f"{dice.choice(_WORDS[label])} {dice.choice(_THINGS)}" for _ in range(3))
        lines.append(f'"{said}, number {row}",{label + 1}')
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _epochs(trainer: str) -> float:
    return 2 if trainer == "synthetic" else 1.5


def _trainer(sweep: Sweep, trainer: str, host: Path) -> dict[str, object]:
    if trainer == "lora":
        return {"kind": "lora", "model": "minilm-l6", "device": "cpu", "max_length": 32, "max_bad_evaluations": 99}
    if trainer != "synthetic":
        return {"kind": trainer}
    made: dict[str, object] = {"kind": "synthetic", "epoch_s": 0.2}
    if sweep.has_failure:
        made["faults"] = {1: "nan"}
    if sweep.has_host:
        made |= {"host": str(host), "listing_lag_s": 0.1}
    return made


def _early_stopping(pruning: Pruning, trainer: str) -> dict[str, object]:
    match pruning:
        case Pruning.NONE:
            return {"kind": "none"}
        case Pruning.THRESHOLD:
            worst = [1.9, 1.2] if trainer == "synthetic" else [1.62, 1.58]
            return {"kind": "threshold", "metric": "val_log_loss", "rungs": [0.5, 1.0], "values": worst}
        case Pruning.ASHA:
            return {"kind": "asha", "rungs": [0.5, 1.0], "eta": 2}
