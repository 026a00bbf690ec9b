"""The best so far of each sweep, by trials, tokens and money, in one picture."""

from typing import TYPE_CHECKING

import numpy as np

from raysweep.report.axes import few_ticks, name_axes, token_axis
from raysweep.report.compare.runs import Comparison
from raysweep.report.paint import BEST, COMPLETED, FAILED, INK, LINE, MUTED
from raysweep.report.plots_scores import order_of_end
from raysweep.report.record import Record
from raysweep.scoring.answers import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "plot_best_so_far"
LINES = tuple(
    (colour, style)
    for style in ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
    for colour in (COMPLETED, BEST, LINE, FAILED, MUTED, INK)
)
"""Colours first, then the same ones dashed."""
AXES = (("", "trials"), ("trained_tokens", "training tokens"), ("usd", "USD spent"))


def best_so_far(found: Comparison) -> "Figure | None":
    """None where no trial of any sweep has completed. Drawn within `paint.style`."""
    from matplotlib.figure import Figure

    records = {one.title: one.by(found.goal) for one in found.contenders}
    shown = [(column, label) for column, label in AXES if any(_has(one, column) for one in records.values())]
    if not any(one.is_completed.any() for one in records.values()):
        return None
    drawn = Figure(figsize=(3.6 * len(shown) + 0.6, 3.4), layout="constrained")
    panels = np.atleast_1d(drawn.subplots(1, len(shown), sharey=True))
    for axes, (column, label) in zip(panels, shown, strict=True):
        for (title, record), (colour, style) in zip(records.items(), LINES, strict=False):
            x, y = curve(record, column)
            if _has(record, column) and x.size:
                axes.step(x, y, where="post", color=colour, linestyle=style, linewidth=1.8, label=title)
                axes.scatter(x[-1:], y[-1:], color=colour, s=22, zorder=4)
        few_ticks(axes, x=5)
        if column == "trained_tokens":
            token_axis(axes)
        name_axes(axes, label, f"best {found.goal.metric} so far" if axes is panels[0] else "")
    handles, labels = panels[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside upper left", ncols=min(3, len(labels)))
    return drawn


def curve(record: Record, column: str) -> tuple[Floats, Floats]:
    """The best completed trial's score after so many trials, tokens or USD, of all trials until then."""
    order = order_of_end(record)
    losses = np.where(record.is_completed, record.scores * record.goal.loss(1.0), np.inf)[order]
    best = np.minimum.accumulate(losses)
    cost = np.nan_to_num(record.numbers(column)) if column else np.ones(len(losses))
    x, known = np.cumsum(cost[order]), np.isfinite(best)
    return x[known], best[known] * record.goal.loss(1.0)


def _has(record: Record, column: str) -> bool:
    return not column or float(np.nan_to_num(record.numbers(column)).sum()) > 0
