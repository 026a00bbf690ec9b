"""How sure the winner is, from kept predictions: intervals on the test split, and differences from the baselines."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from raysweep import predictions
from raysweep.baseline import RIDGE
from raysweep.predictions import FOLDER, Place
from raysweep.scoring import doc_of
from raysweep.scoring.intervals import Bootstrap, Interval, differences, intervals
from raysweep.whole import write_whole

FILE_NAME = "certainty.json"
HEADLINES = ("f1_weighted", "accuracy", "log_loss", "mse_expected", "exact_match", "token_f1", "loss", "grade")
"""Measured beside the objective, where the task and the model have them."""
OF_RIDGE = "mse_expected"
"""A regression is held against the winner by this: it is what it was trained for."""


class Verdict(StrEnum):
    """What a difference says of the winner."""

    BEATS = "beats"
    TIE = "tie"
    LOSES = "loses"


@dataclass(frozen=True)
class Comparison:
    """The winner less a baseline, or less the runner-up, on the same rows."""

    name: str
    """The baseline's, or `finalist`."""
    trial: int | None
    """The runner-up's."""
    differences: Mapping[str, Interval]
    """By metric, without the split's prefix."""

    def judged_by(self, metric: str) -> str:
        """The metric that decides, where the sweep's objective is this one."""
        return OF_RIDGE if self.name == RIDGE and not metric.endswith("_expected") else metric

    def verdict(self, metric: str) -> Verdict | None:
        """By that metric, beyond its interval or not; None where the two cannot be compared by it."""
        interval, doc = self.differences.get(metric), doc_of(metric)
        if interval is None or doc is None:
            return None
        if interval.holds_zero:
            return Verdict.TIE
        return Verdict.BEATS if (interval.value > 0) == (doc.direction == "max") else Verdict.LOSES


@dataclass(frozen=True)
class Certainty:
    """What the test rows say of the winner, and how surely: 95 % intervals by the bootstrap over the rows."""

    trial: int
    metric: str
    """By which it is judged, without the split's prefix: the objective, or the first headline where that has none."""
    n_rows: int
    n_validation: int
    """How many rows ranked the trials; 0: not known."""
    intervals: Mapping[str, Interval]
    comparisons: tuple[Comparison, ...]


def find(folder: Path, trial: int, metric: str, rivals: Sequence[Place]) -> Certainty | None:
    """As it was kept, else measured now, which takes seconds; None where the trial's predictions were not kept.

    `metric` is the objective, without the split's prefix. Raises SweepFolderError for predictions that cannot be read.
    """
    return known(folder, trial, rivals) or measure(folder, trial, metric, rivals)


def known(folder: Path, trial: int, rivals: Sequence[Place]) -> Certainty | None:
    """As it was kept; None where it was not, or not yet of this trial and all of these."""
    kept = _kept(folder)
    wanted = {(one.name, one.trial) for one in rivals}
    is_this = kept and kept.trial == trial and {(one.name, one.trial) for one in kept.comparisons} == wanted
    return kept if is_this else None


def measure(folder: Path, trial: int, metric: str, rivals: Sequence[Place]) -> Certainty | None:
    """As `find`, always anew; a rival without predictions is left out. None also where nothing could be measured."""
    winner = predictions.find(folder, Place("best", trial, "test"))
    if winner is None:
        return None
    answers, drawn = winner.answers, Bootstrap(metrics=frozenset((metric, *HEADLINES)))
    compared = []
    for place in rivals:
        other = predictions.find(folder, place)
        if other is not None:
            found = differences(winner.task, answers, other.answers, drawn)
            compared.append(Comparison(place.name, place.trial, found))
    own = intervals(winner.task, answers, drawn)
    ordered = {name: own[name] for name in dict.fromkeys((metric, *HEADLINES)) if name in own}
    if not ordered:  # no text, and no loss of any
        return None
    return Certainty(
        trial,
        next(iter(ordered)),
        n_rows=answers.n,
        n_validation=winner.n_validation,
        intervals=ordered,
        comparisons=tuple(compared),
    )


def keep(folder: Path, certainty: Certainty) -> None:
    """Write it beside the predictions, whole or not at all; raises DiskError."""
    write_whole(folder / FOLDER / FILE_NAME, json.dumps(asdict(certainty), indent=1))


def _kept(folder: Path) -> Certainty | None:
    """None also where the file is no longer what was written: it can be made again."""
    try:
        told = json.loads((folder / FOLDER / FILE_NAME).read_text(encoding="utf-8"))
        compared = tuple(
            Comparison(one["name"], one["trial"], _intervals(one["differences"])) for one in told["comparisons"]
        )
        return Certainty(**told | {"intervals": _intervals(told["intervals"]), "comparisons": compared})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _intervals(told: Mapping[str, Mapping[str, float]]) -> dict[str, Interval]:
    return {name: Interval(**one) for name, one in told.items()}
