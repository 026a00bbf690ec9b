"""Recorded learning curves as something to search: a pool of real runs, and a surrogate fitted to them.

131 runs of LoRA on MiniLM-L6 (three epochs, evaluated every half), their configurations drawn at random from `SPACE`;
16 of the 115 configurations were run again with another seed.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TypedDict

import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern, WhiteKernel

from raysweep.dimensions import Choice, LogUniform, Params
from raysweep.goal import Goal
from raysweep.search.coordinates import coordinate, interval, leaves
from raysweep.search.propose import Proposer
from raysweep.search.simulate import Curve, CurvePoint
from raysweep.space import Space

FOLDER = Path(__file__).parent / "lora_curves"
GOAL = Goal("val_f1_weighted", "max")
FULL_TOKENS = 156_651
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
LENGTHS = np.array([0.23, 0.92, 5.7, 1.25, 1.14, 0.94, 30.0, 30.0, 5.3])
"""How far apart two values must be to differ, in units of a dimension's width: a Gaussian process's length scales,
fitted to the final scores by marginal likelihood. The learning rate matters most, dropout and warm-up not at all."""
NOISE = 0.03
"""Of the same fit, as a share of the scores' variance."""


class Record(TypedDict):
    """One line of a file, as far as it is used."""

    lr: float
    r: int
    alpha: int
    top: int
    tname: str
    bs: int
    drop: float
    warm: float
    wd: float
    tokens: int
    epochs: int
    curve: list[dict[str, float]]
    test: dict[str, float]


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
    records: list[Record] = [json.loads(line) for line in lines]
    return tuple(_run(record) for record in records if record["top"] <= 3)


def place(params: Params) -> np.ndarray:
    """(9,): every dimension from 0 to 1, choices by their order."""
    return np.array(list(_places(params)))


class Pool:
    """Real curves only: a suggestion becomes the nearest configuration that was recorded and is not yet used.

    The proposer learns of the configuration that was used, so nothing is made up; but it cannot go where nobody was.
    """

    def __init__(self, runs: tuple[Run, ...], proposer: Proposer | None, seed: int) -> None:
        self._proposer = proposer
        self._chance = Random(seed)
        self._free = {tuple(sorted(run.params.items(), key=lambda item: item[0])): run.params for run in runs}
        self._places = {key: place(params) / LENGTHS for key, params in self._free.items()}

    def ask(self, number: int) -> Params | None:
        if not self._free:
            return None
        if self._proposer is None:
            key = self._chance.choice(list(self._free))
            return self._free.pop(key)
        wanted = self._proposer.ask(number)
        if wanted is None:
            return None
        goal = place(wanted) / LENGTHS
        key = min(self._free, key=lambda known: float(((self._places[known] - goal) ** 2).sum()))
        self._proposer.adopt(number, self._free[key])
        return self._free.pop(key)

    def adopt(self, number: int, params: Params) -> None:
        if self._proposer:
            self._proposer.adopt(number, params)

    def tell(self, number: int, loss: float | None) -> None:
        if self._proposer:
            self._proposer.tell(number, loss)


class Recorded:
    """The curve of a recorded configuration; of two with different seeds, one by chance."""

    def __init__(self, runs: tuple[Run, ...], seed: int) -> None:
        self._runs = runs
        self._seed = seed

    def __call__(self, params: Params) -> Curve:
        same = [run.curve for run in self._runs if run.params == params]
        return Random(f"{self._seed} {sorted(params.items(), key=lambda item: item[0])}").choice(same)


class Surrogate:
    """Made-up curves for any params: a Gaussian process over the recorded ones, with noise by seed and evaluation.

    Left out in tenths, it predicts final scores with an error of 0.07 and a rank correlation of 0.87.
    """

    def __init__(self, runs: tuple[Run, ...]) -> None:
        places = np.array([place(run.params) for run in runs])
        values = [[point.value for point in run.curve.points] for run in runs]
        durations = [[point.duration_s for point in run.curve.points] for run in runs]
        kernel = 0.9 * Matern(LENGTHS, nu=1.5) + WhiteKernel(NOISE)
        model = GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True)
        self._model = model.fit(places, np.hstack([values, np.log(durations)]))

    def middle(self, params: Params) -> float:
        """The final score without noise: what many seeds would give on average."""
        return max(0.08, float(self._model.predict(place(params)[None])[0].reshape(2, -1)[0, -1]))

    def curve(self, params: Params, seed: int) -> Curve:
        values, log_durations = self._model.predict(place(params)[None])[0].reshape(2, -1)
        chance = Random(f"{seed} {sorted(params.items(), key=lambda item: item[0])}")
        of_seed = chance.gauss(0, 0.02)  # replicas differ by 0.020 where they are good, hardly where they collapsed
        points = [
            CurvePoint(
                duration_s=float(np.exp(log_duration)),
                resource=epoch / 2,
                value=max(0.08, float(value) + (of_seed + chance.gauss(0, 0.01)) * min(1.0, max(0.0, value / 0.4))),
                tokens=round(FULL_TOKENS * epoch / 6),
            )
            for epoch, (value, log_duration) in enumerate(zip(values, log_durations, strict=True), start=1)
        ]
        return Curve(tuple(points))


def _places(params: Params) -> Iterator[float]:
    for _, dimension, value in leaves(SPACE.dimensions, params):
        if isinstance(dimension, Choice):
            yield dimension.values.index(value) / (len(dimension.values) - 1)
        elif isinstance(dimension, LogUniform):
            low, high = interval(dimension)
            yield (coordinate(dimension, value) - low) / (high - low)


def _run(record: Record) -> Run:
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


def _curve(record: Record) -> Curve:
    points, before_s = [], 0.0
    for row in record["curve"]:
        tokens = round(record["tokens"] * row["epoch"] / record["epochs"])
        points.append(CurvePoint(row["t"] - before_s, row["epoch"], row["f1"], tokens))
        before_s = row["t"]
    return Curve(tuple(points))
