"""What a report is made of, wherever it came from: trials, evaluations, params and what is known of the sweep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from raysweep.certainty import Certainty
from raysweep.frames import PARAMS_PREFIX
from raysweep.gap import Gap
from raysweep.goal import Goal
from raysweep.luck import Luck
from raysweep.scoring import Answers
from raysweep.scoring.answers import Floats
from raysweep.winner import Ruling

if TYPE_CHECKING:
    import pandas as pd

TRIED = ("completed", "pruned")
"""Outcomes whose score says something about the params."""


@dataclass(frozen=True)
class Param:
    """A hyperparameter that took more than one value."""

    name: str
    kind: Literal["number", "category"]
    is_log: bool = False
    """Whether it belongs on a logarithmic axis."""
    low: float | None = None
    """Where its range begins; None where only the tried values are known."""
    high: float | None = None

    @property
    def column(self) -> str:
        """Its column among the trials."""
        return PARAMS_PREFIX + self.name


@dataclass(frozen=True)
class Bill:
    """What a sweep took, and what stopping early spared it."""

    trained_tokens: int
    saved_tokens: int
    saved_share: float | None
    """Of what the completed and pruned trials would have trained in full; None where that is not known."""
    spent_usd: float | None
    """None where nothing costs money."""
    max_usd: float | None
    saved_usd: float


@dataclass(frozen=True)
class FinalScore:
    """A score that ranked no trial."""

    name: str
    """`best` or a baseline."""
    trial: int | None
    split: str
    metrics: Mapping[str, float | None]


@dataclass(frozen=True)
class Predicted:
    """What a model said of rows whose right labels are known."""

    labels: tuple[str, ...]
    answers: Answers
    split: str


@dataclass(frozen=True)
class SweepFacts:
    """What a sweep's folder knows beyond a table."""

    sweep_id: str
    bill: Bill
    finals: tuple[FinalScore, ...]
    rungs: Mapping[int, tuple[float, ...]]
    """By trial, in epochs."""
    n_planned: int
    is_running: bool
    """Whether somebody drives it now."""
    can_go_on: bool
    end_reason: str
    elapsed_s: float
    folder: str


@dataclass(frozen=True)
class Record:
    """All that a report is made of; of a sweep the search's trials alone, without replicas.

    `trials` has the columns trial, outcome (null while it runs) and objective, then those of `metrics`, of the params
    (`params/NAME`) and any others; `evaluations` has trial, epoch, trained_tokens and metrics, and may be empty.
    """

    title: str
    goal: Goal
    trials: "pd.DataFrame"
    evaluations: "pd.DataFrame"
    metrics: tuple[str, ...]
    params: tuple[Param, ...]
    sweep: SweepFacts | None = None
    certainty: Certainty | None = None
    """How sure the winner is, where its predictions of the test rows were kept."""
    ruling: Ruling | None = None
    """Who has won by the winner's rule, and how the seeds stand; None for a table from elsewhere."""
    gap: Gap | None = None
    """How much better the winner looked on validation, where that is known."""
    luck: Luck | None = None
    """What being chosen has given its score on validation, where that is known."""
    predictions: Predicted | None = None
    """The winner's."""
    stopping_metric: str = ""
    """What early stopping looks at; empty where nobody knows."""
    notes: tuple[str, ...] = ()
    """What a reader should know of how the table was read."""
    untuned: tuple[str, ...] = ()
    """Which base model was asked as a baseline, or why it was not, in sentences."""
    leaks: tuple[str, ...] = ()
    """What leaked from the rows that measure into those that train, in sentences."""
    notice: str = ""
    """What a reader has to know first; empty for most."""

    @property
    def is_running(self) -> bool:
        """Whether more is still to come."""
        return self.sweep is not None and self.sweep.is_running

    def numbers(self, column: str) -> Floats:
        """A column of the trials as numbers; NaN where it has none."""
        return numbers_of(self.trials, column)

    @property
    def outcomes(self) -> tuple[str, ...]:
        """One a trial; `running` where it has not ended."""
        values = self.trials["outcome"].tolist()
        return tuple(value if isinstance(value, str) else "running" for value in values)

    @property
    def scores(self) -> Floats:
        """The objective of every trial; NaN where it has none that is finite."""
        values = self.numbers("objective")
        return np.where(np.isfinite(values), values, np.nan)

    @property
    def is_tried(self) -> npt.NDArray[np.bool_]:
        """Which trials were completed or pruned, with a score."""
        return np.array([outcome in TRIED for outcome in self.outcomes], dtype=bool) & np.isfinite(self.scores)

    @property
    def tried_scores(self) -> Floats:
        """The objective of every trial that was completed or pruned; NaN for the others."""
        return np.where(self.is_tried, self.scores, np.nan)

    @property
    def is_completed(self) -> npt.NDArray[np.bool_]:
        """Which trials were completed, with a score."""
        return np.array([outcome == "completed" for outcome in self.outcomes], dtype=bool) & np.isfinite(self.scores)

    @property
    def best(self) -> int | None:
        """The place of the winner among the trials; without a ruling, of the best completed one, the earlier of two."""
        if not self.is_completed.any():
            return None
        if self.ruling:
            return self.trials["trial"].tolist().index(self.ruling.winner.trial)
        losses = np.where(self.is_completed, self.scores * self.goal.loss(1.0), np.inf)
        return int(np.argmin(losses))


def numbers_of(frame: "pd.DataFrame", column: str) -> Floats:
    """A column as numbers; NaN where it has none, or where there is no such column."""
    import pandas as pd

    if column not in frame.columns:
        return np.full(len(frame), np.nan)
    return pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def texts_of(frame: "pd.DataFrame", column: str) -> list[str]:
    """A column as texts; empty where it has no value."""
    import pandas as pd

    return ["" if pd.isna(value) else _text(value) for value in frame[column].tolist()]


def kind_of(values: Sequence[object]) -> Literal["number", "category"]:
    """Whether values that are not null are all numbers; true and false are categories."""
    return "number" if all(isinstance(one, int | float) and not isinstance(one, bool) for one in values) else "category"


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
