"""The settings of the sweeps that chaos strikes: small, quick, and the same in every run."""

import random
from collections.abc import Mapping
from pathlib import Path

from raysweep.testing.chaos_misfortune import LAG_S
from raysweep.testing.chaos_money import PRICES, budget_usd
from raysweep.testing.chaos_schedule import WIRE, Pruning, Sweep

_WORDS = (
    ("awful", "boring", "dreadful", "dull"),
    ("poor", "weak", "thin", "flat"),
    ("fair", "decent", "plain", "usual"),
    ("good", "lively", "clever", "warm"),
    ("superb", "brilliant", "moving", "splendid"),
)
_THINGS = ("plot", "cast", "music", "ending", "camera", "script", "pace", "sound", "actor", "scene")
WIRE_MODEL = "gpt-4.1-mini-2025-04-14"
BASE_SECTIONS = ("trainer", "task", "data", "space")
"""What somebody else's settings replace, for a trainer that needs data or params of its own."""


def settings(
    sweep: Sweep, trainer: str, *, data: Path, host: str, base: Mapping[str, object] | None = None
) -> dict[str, object]:
    """A sweep's settings as a tree. `host` is where a host is, should the sweep have one: a folder, a URL."""
    made: dict[str, object] = {
        "name": f"chaos {sweep.number}",
        "trainer": _trainer(sweep, trainer, host),
        "task": {"kind": "rating", "labels": ["1", "2", "3", "4", "5"]},
        "data": {"source": str(data), "prompt": "text", "completion": "stars"},
        "space": _space(trainer),
        "evaluation": {"every_epochs": 1.0 if trainer == WIRE else 0.5},
    }
    made |= {"budget": {"max_usd": budget_usd(sweep)}} if trainer == WIRE else {}
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


def _space(trainer: str) -> dict[str, object]:
    rate, low, high = ("learning_rate_multiplier", 0.05, 50) if trainer == WIRE else ("learning_rate", 1e-5, 1e-2)
    n_epochs = 2 if trainer in ("synthetic", WIRE) else 1.5
    fixed = {"batch_size": 8} if trainer == WIRE else {}
    return {rate: {"kind": "loguniform", "low": low, "high": high}, "n_epochs": n_epochs, **fixed}


def _trainer(sweep: Sweep, trainer: str, host: str) -> dict[str, object]:
    if trainer == "lora":
        return {"kind": "lora", "model": "minilm-l6", "device": "cpu", "max_length": 32, "max_bad_evaluations": 99}
    if trainer == WIRE:
        at = {"base_url": host, "model": WIRE_MODEL, "listing_lag_s": LAG_S}
        return {"kind": WIRE, "host": "raysweep", **at, "prices": PRICES}
    if trainer != "synthetic":
        return {"kind": trainer}
    made: dict[str, object] = {"kind": "synthetic", "epoch_s": 0.2}
    if sweep.has_failure:
        made["faults"] = {1: "nan"}
    if sweep.has_host:
        made |= {"host": host, "listing_lag_s": 0.1}
    return made


def _early_stopping(pruning: Pruning, trainer: str) -> dict[str, object]:
    if trainer == WIRE and pruning is not Pruning.NONE:
        judged = {"kind": "asha", "eta": 2} if pruning is Pruning.ASHA else {"kind": "threshold", "values": [0.6]}
        return {**judged, "metric": "val_loss", "rungs": [1.0]}
    match pruning:
        case Pruning.NONE:
            return {"kind": "none"}
        case Pruning.THRESHOLD:
            worst = [1.9, 1.2] if trainer == "synthetic" else [1.62, 1.58]
            return {"kind": "threshold", "metric": "val_log_loss", "rungs": [0.5, 1.0], "values": worst}
        case Pruning.ASHA:
            return {"kind": "asha", "rungs": [0.5, 1.0], "eta": 2}
