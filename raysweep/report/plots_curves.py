"""The learning curves: every trial's score as it trained, the rungs, and where each was stopped."""

from typing import TYPE_CHECKING

import numpy as np

from raysweep.report.axes import few_ticks, leave_out_far, legend_above, name_axes
from raysweep.report.paint import BEST, COMPLETED, FAILED, INK, MUTED, PRUNED, figure
from raysweep.report.record import Record, numbers_of
from raysweep.scoring.answers import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_RUNGS = 8
"""More lines than this would be a hatching: rungs that are shares of budgets that differ."""


def intermediate_values(record: Record, metric: str) -> "Figure | None":
    """A metric by epoch; None where no trial has more than one value of it."""
    curves = _curves(record, metric)
    if not any(x.size > 1 for x, _ in curves.values()):
        return None
    drawn, axes = figure(7.6, 4.0)
    outcomes = dict(zip(record.trials["trial"].tolist(), record.outcomes, strict=True))
    best = None if record.best is None else record.trials["trial"].tolist()[record.best]
    _lines(axes, curves, outcomes, best)
    _stops(axes, curves, outcomes)
    _rungs(axes, record)
    few_ticks(axes, x=8)
    if metric == record.goal.metric:
        leave_out_far(axes, np.concatenate([y for _, y in curves.values()]), record.goal)
    name_axes(axes, "epoch", metric)
    legend_above(axes, 6)
    return drawn


def _curves(record: Record, metric: str) -> dict[int, tuple[Floats, Floats]]:
    """Epochs and values by trial, without the evaluations that did not make the metric."""
    if metric not in record.evaluations.columns:
        return {}
    x, y = numbers_of(record.evaluations, "epoch"), numbers_of(record.evaluations, metric)
    made = np.isfinite(y)
    trials, x, y = record.evaluations["trial"].to_numpy(dtype=np.int64)[made], x[made], y[made]
    return {int(trial): (x[trials == trial], y[trials == trial]) for trial in np.unique(trials)}


def _lines(axes: "Axes", curves: dict[int, tuple[Floats, Floats]], outcomes: dict[int, str], best: int | None) -> None:
    styles = {"completed": (COMPLETED, 1.1, 0.75, 3), "running": (INK, 1.1, 0.8, 3)}
    is_dense = len(curves) > 100
    told: set[str] = set()
    for trial, (x, y) in curves.items():
        outcome = outcomes.get(trial, "running")
        colour, width, alpha, order = styles.get(outcome, (PRUNED, 0.9, 0.6, 2))
        label = outcome if outcome not in told and outcome in ("completed", "running", "pruned") else None
        told.add(outcome)
        if trial == best:
            axes.plot(x, y, color=BEST, linewidth=2.6, zorder=5, label=f"winner, trial {trial}")
            told.discard(outcome) if label else None
        else:
            marker = "o" if len(x) == 1 else None
            axes.plot(
                x,
                y,
                color=colour,
                linewidth=width * (0.6 if is_dense else 1),
                alpha=alpha * (0.35 if is_dense else 1),
                zorder=order,
                label=label,
                marker=marker,
                ms=3,
            )


def _stops(axes: "Axes", curves: dict[int, tuple[Floats, Floats]], outcomes: dict[int, str]) -> None:
    for outcome, colour, label in (("pruned", MUTED, "stopped here"), ("failed", FAILED, "failed here")):
        ends = [(x[-1], y[-1]) for trial, (x, y) in curves.items() if outcomes.get(trial) == outcome and x.size]
        if ends:
            xs, ys = np.array(ends).T
            size = 26 if len(ends) < 100 else 12
            axes.scatter(xs, ys, marker="x", s=size, color=colour, linewidth=1.3, zorder=4, label=label)


def _rungs(axes: "Axes", record: Record) -> None:
    found = sorted({rung for rungs in record.sweep.rungs.values() for rung in rungs}) if record.sweep else []
    if not 0 < len(found) <= MOST_RUNGS:
        return
    for place, rung in enumerate(found):
        label = "rung" if place == 0 else None
        axes.axvline(rung, color=MUTED, linewidth=1, linestyle=(0, (2, 2)), zorder=1, label=label)
