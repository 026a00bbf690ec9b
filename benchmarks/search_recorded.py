"""Recorded learning curves as something to search: a pool of real runs, and a surrogate fitted to them.

131 runs of LoRA on MiniLM-L6 with 115 configurations drawn at random from `SPACE`; 16 were run again with another seed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from raysweep.goal import Goal
from raysweep.search.simulate import Curve, CurvePoint
from raysweep.space import Choice, LogUniform, Params, Space

FOLDER = Path(__file__).parent / "lora_curves"
GOAL = Goal("val_f1_weighted", "max")
SPACE = Space(
    {
        "learning_rate": LogUniform("loguniform", 3e-5, 5e-2),
        "rank": Choice("choice", (2, 4, 8, 16, 32)),
        "alpha_ratio": Choice("choice", (1, 2, 4)),
        "layers": Choice("choice", (1, 2, 3)),
        "targets": Choice("choice", ("qv", "qkvo", "all")),
        "batch_size": Choice("choice", (4, 8, 16, 32)),
        "dropout": Choice("choice", (0.0, 0.05, 0.1, 0.2)),
        "warmup": Choice("choice", (0.0, 0.06, 0.1, 0.2)),
        "weight_decay": Choice("choice", (0.0, 0.01, 0.1)),
    }
)


@dataclass(frozen=True)
class Run:
    """One recorded fine-tune."""

    params: Params
    curve: Curve
    test: float
    """The weighted F1 of its last model on the test split."""


def load_runs() -> tuple[Run, ...]:
    """All recorded runs within `SPACE`; two that trained six layers are not."""
    lines = [line for path in sorted(FOLDER.glob("*.jsonl")) for line in path.read_text().splitlines()]
    records = [json.loads(line) for line in lines]
    return tuple(_run(record) for record in records if record["top"] in (1, 2, 3))


def _run(record: Mapping[str, object]) -> Run:
    params: Params = {
        "learning_rate": record["lr"],
        "rank": record["r"],
        "alpha_ratio": record["alpha"] // record["r"],
        "layers": record["top"],
        "targets": record["tname"],
        "batch_size": record["bs"],
        "dropout": record["drop"],
        "warmup": record["warm"],
        "weight_decay": record["wd"],
    }
    return Run(SPACE.complete(params), _curve(record), record["test"]["f1"])


def _curve(record) -> Curve:
    points, before_s = [], 0.0
    for row in record["curve"]:
        tokens = round(record["tokens"] * row["epoch"] / record["epochs"])
        points.append(CurvePoint(row["t"] - before_s, row["epoch"], row["f1"], tokens))
        before_s = row["t"]
    return Curve(tuple(points))
