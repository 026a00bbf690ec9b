"""Pictures of the scores: how they are spread, and how the best one came about."""

from typing import TYPE_CHECKING

import numpy as np

from raysweep.report.axes import (
    OUTCOME_COLOURS,
    few_ticks,
    leave_out_far,
    legend_above,
    mark_best,
    name_axes,
    token_axis,
)
from raysweep.report.paint import BEST, COMPLETED, FAILED, LINE, PAPER, figure
from raysweep.report.record import Record
from raysweep.report.statistics import Threshold, is_beyond, is_far
from raysweep.scoring.answers import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def histogram(record: Record, threshold: Threshold) -> "Figure | None":
    """How many trials scored how much; None where none has a score."""
    scores = record.scores[record.is_tried]
    if scores.size == 0:
        return None
    drawn, axes = figure()
    edges = _edges(scores[~is_far(scores, record.goal)])
    failed = is_beyond(scores, threshold, record.goal)
    stacked = [part for part in (scores[~failed], scores[failed]) if part.size]
    colours, labels = [COMPLETED, FAILED], ["sound", "failed"]
    axes.hist(
        stacked,
        bins=edges.tolist(),
        stacked=True,
        color=colours[: len(stacked)],
        label=labels[: len(stacked)],
        edgecolor=PAPER,
        linewidth=0.9,
    )
    median = float(np.median(scores))
    axes.axvline(median, color=LINE, linewidth=1.6, label=f"median {median:.3f}")
    if record.best is not None:
        best = float(record.scores[record.best])
        axes.axvline(best, color=BEST, linewidth=1.6, linestyle=(0, (4, 2)), label=f"best {best:.3f}")
    if threshold.value is not None:
        axes.axvline(threshold.value, color=FAILED, linewidth=1.2, linestyle=":", label="threshold")
    few_ticks(axes, counts=True)
    leave_out_far(axes, scores, record.goal, "x")
    axes.grid(visible=False, axis="x")
    name_axes(axes, record.goal.metric, "trials")
    legend_above(axes, 3)
    return drawn


def history(record: Record) -> "Figure | None":
    """Every trial's score in the order of their numbers, and the best so far."""
    return _best_so_far(record, np.arange(len(record.trials)).astype(float), "trial, in order")


def by_tokens(record: Record) -> "Figure | None":
    """The same, against the training tokens of all trials until then."""
    return _against(record, "trained_tokens", "training tokens, all trials so far")


def by_money(record: Record) -> "Figure | None":
    """The same, against what all trials until then have cost."""
    return _against(record, "usd", "USD spent, all trials so far")


def _against(record: Record, column: str, label: str) -> "Figure | None":
    cost = np.nan_to_num(record.numbers(column))
    if cost.sum() <= 0:
        return None
    order = order_of_end(record)
    total = np.empty(len(cost))
    total[order] = np.cumsum(cost[order])
    drawn = _best_so_far(record, total, label)
    if drawn is not None and column == "trained_tokens":
        token_axis(drawn.axes[0])
    return drawn


def order_of_end(record: Record) -> np.typing.NDArray[np.int64]:
    """In which trials ended, where that is known; those still running last."""
    import pandas as pd

    if "ended_at" not in record.trials.columns:
        return np.arange(len(record.trials), dtype=np.int64)
    ended = pd.to_datetime(record.trials["ended_at"], utc=True, errors="coerce")
    times = ended.dt.tz_localize(None).to_numpy()
    order: np.typing.NDArray[np.int64] = np.argsort(times, kind="stable")
    return order


def _best_so_far(record: Record, x: Floats, label: str) -> "Figure | None":
    if record.best is None:
        return None
    drawn, axes = figure(4.8, 3.2)
    scores = record.scores
    for outcome, marker in (("pruned", "x"), ("completed", "o")):
        chosen = np.array([one == outcome for one in record.outcomes]) & np.isfinite(scores)
        if chosen.any():
            size = 20 if len(scores) < 100 else 11
            colour = OUTCOME_COLOURS[outcome]
            axes.scatter(x[chosen], scores[chosen], s=size, marker=marker, color=colour, linewidth=0.9, label=outcome)
    order = np.argsort(x, kind="stable")
    losses = np.where(record.is_completed, scores * record.goal.loss(1.0), np.inf)[order]
    best = np.minimum.accumulate(losses)
    known = np.isfinite(best)
    axes.step(
        x[order][known],
        best[known] * record.goal.loss(1.0),
        where="post",
        color=LINE,
        linewidth=1.8,
        label="best so far",
    )
    mark_best(axes, float(x[record.best]), float(scores[record.best]), "winner")
    few_ticks(axes, x=5)
    leave_out_far(axes, record.tried_scores, record.goal)
    name_axes(axes, label, record.goal.metric)
    legend_above(axes)
    return drawn


def _edges(scores: Floats) -> Floats:
    """Bins of equal width, as Freedman and Diaconis have it, within 8 to 40; one bin where all scores are equal."""
    span = float(np.ptp(scores))
    if span == 0:
        middle = float(scores[0])
        width = abs(middle) * 0.05 or 0.05
        return np.array([middle - width, middle + width])
    least = 15 if scores.size >= 100 else 8
    width = 2 * float(np.subtract(*np.percentile(scores, [75, 25]))) / scores.size ** (1 / 3)
    # Not NumPy's own count, which is without a bound: with one score far from all others it does not fit into memory.
    n_bins = int(np.clip(np.ceil(span / width), least, 40)) if width > 0 else least
    edges: Floats = np.linspace(scores.min(), scores.max(), n_bins + 1)
    return edges
