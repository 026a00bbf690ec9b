"""When a trial is evaluated and compared, in epochs, from its budget and the sweep's settings."""

import math

from raysweep.config import Asha, SweepConfig, Threshold
from raysweep.search import prune
from raysweep.space import Params

BUDGET = "n_epochs"
"""The param that says how long a trial trains; every trainer has it."""


def budget_epochs(params: Params) -> float:
    """The trial's own budget; raises ValueError where it is not a number above zero."""
    value = params[BUDGET]
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise ValueError(f"{BUDGET}: {value!r} is not a number above zero")
    return float(value)


def make_pruner(config: SweepConfig, n_train: int) -> prune.Pruner:
    """The early stopping that the settings ask for, its rungs in epochs (or shares of the trial's budget)."""
    settings = config.early_stopping
    if not isinstance(settings, Asha | Threshold):
        return prune.NoPruning()
    per_epoch = n_train if settings.unit == "examples" else 1
    levels = tuple(rung / per_epoch for rung in settings.rungs)
    rungs = prune.Rungs(levels, is_relative=settings.unit == "fraction")
    if isinstance(settings, Threshold):
        return prune.Threshold(rungs, settings.values, config.stopping_goal)
    return prune.Asha(rungs, config.stopping_goal, eta=settings.eta)


def evaluation_points(config: SweepConfig, pruner: prune.Pruner, params: Params) -> tuple[float, ...]:
    """Epochs at which the trial is evaluated, ascending: the regular ones, its rungs, and its budget last."""
    budget = budget_epochs(params)
    every = config.evaluation.every_epochs
    rungs = pruner.rungs_for(budget)  # kept to the last bit: the pruner compares with its own numbers
    regular = (every * count for count in range(1, int(budget / every + 1e-9) + 1))
    taken = (*rungs, budget)
    between = [point for point in regular if not any(math.isclose(point, other, rel_tol=1e-9) for other in taken)]
    return (*sorted([*between, *rungs]), budget)
