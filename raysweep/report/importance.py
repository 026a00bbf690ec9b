"""How much each hyperparameter matters, by a random forest, and how far that can be believed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from raysweep.report.record import Param, Record
from raysweep.report.statistics import is_far

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

LEAST_TRIALS = 12
"""With fewer a forest learns nothing that another dozen would not turn over."""
RELIABLE_R2 = 0.3
"""Below this, the forest explains so little of trials it has not seen that its ranking means little."""
TREES = 200
REPLICATES = 20
REPLICATE_TREES = 40
HELD_OUT = 0.25


@dataclass(frozen=True)
class ParamImportance:
    """What shuffling one param costs: the drop in R² on trials held out, over replicates."""

    param: str
    mean: float
    low: float
    """The 5th percentile of the replicates."""
    high: float
    """The 95th."""


@dataclass(frozen=True)
class Importance:
    """All params' importance, the greatest first; none where it could not be had."""

    params: tuple[ParamImportance, ...]
    r2: float | None
    """Out of bag: of each trial, by the trees that did not see it."""
    n_trials: int
    problem: str = ""
    """Why there is none."""

    @property
    def is_reliable(self) -> bool:
        """Whether the ranking deserves belief."""
        return self.r2 is not None and self.r2 >= RELIABLE_R2

    @property
    def words(self) -> str:
        """How far it can be believed."""
        if self.r2 is None:
            return self.problem
        found = f"out-of-bag R² {self.r2:.2f} on {self.n_trials} trials"
        return found if self.is_reliable else f"unreliable: {found}, under {RELIABLE_R2:g}"


def importance(record: Record) -> Importance:
    """Permutation importance on trials held out, in replicates, and the out-of-bag R² of a forest on all of them."""
    tried = record.is_tried & ~is_far(record.tried_scores, record.goal)
    scores, n = record.scores[tried], int(tried.sum())
    if not record.params:
        return Importance((), None, n, "no hyperparameter varied")
    if n < LEAST_TRIALS:
        return Importance((), None, n, f"{n} trials have a score; under {LEAST_TRIALS} nothing can be said")
    if np.ptp(scores) == 0:
        return Importance((), None, n, "every trial has the same score")
    features = _features(record)[tried].reset_index(drop=True)
    forest = _forest(record.params, TREES, seed=0, oob=True).fit(features, scores)
    drops = np.array([_drops(features, scores, record.params, seed) for seed in range(REPLICATES)])
    made = [
        ParamImportance(param.name, float(column.mean()), *(float(one) for one in np.percentile(column, [5, 95])))
        for param, column in zip(record.params, drops.T, strict=True)
    ]
    return Importance(tuple(sorted(made, key=lambda one: -one.mean)), float(forest[-1].oob_score_), n)


def _features(record: Record) -> "pd.DataFrame":
    """One column a param: numbers, logarithms where the axis is one, and categories as texts; a null is a value too."""
    import pandas as pd

    columns: dict[str, object] = {}
    for param in record.params:
        if param.kind == "number":
            values = record.numbers(param.column)
            columns[param.name] = np.log(values) if param.is_log else values
        else:
            columns[param.name] = record.trials[param.column].astype(object).map(str).to_numpy()
    return pd.DataFrame(columns)


def _forest(params: tuple[Param, ...], trees: int, *, seed: int, oob: bool = False) -> "Pipeline":
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    categories = [param.name for param in params if param.kind == "category"]
    encode = ColumnTransformer(
        [("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), categories)],
        remainder="passthrough",
    )
    return make_pipeline(encode, RandomForestRegressor(trees, min_samples_leaf=2, oob_score=oob, random_state=seed))


def _drops(features: "pd.DataFrame", scores: object, params: tuple[Param, ...], seed: int) -> list[float]:
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import train_test_split

    seen, unseen, taught, asked = train_test_split(features, scores, test_size=HELD_OUT, random_state=seed)
    forest = _forest(params, REPLICATE_TREES, seed=seed).fit(seen, taught)
    found = permutation_importance(forest, unseen, asked, n_repeats=2, random_state=seed)
    return [float(value) for value in found.importances_mean]
