"""Pictures of what the winner answered, and of the three ways to answer with a number."""

from typing import TYPE_CHECKING

import numpy as np

from raysweep.report.answers import Answer
from raysweep.report.axes import few_ticks, legend_above, name_axes
from raysweep.report.paint import BEST, COMPLETED, INK, LINE, MUTED, PAPER, SEQUENCE, figure, shade
from raysweep.report.record import Predicted
from raysweep.scoring.counts import tally

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 10


def confusion(found: Predicted) -> "Figure":
    """How often each right label was answered by which; a last column for answers that are no label."""
    n, counts = len(found.labels), tally(found.answers)
    names = list(found.labels) + (["no label"] if counts[:, n].any() else [])
    counts = counts[:, : len(names)]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    drawn, axes = figure(4.8, 4.0)
    from matplotlib.patches import Rectangle

    for row, column in np.ndindex(*counts.shape):
        share = float(shares[row, column])
        axes.add_patch(Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, facecolor=shade(share), edgecolor="none"))
        colour = PAPER if share >= 4 / len(SEQUENCE) else INK
        axes.text(column, row, f"{counts[row, column]:.0f}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(n), list(found.labels))
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    name_axes(axes, "answered", f"right, {found.split} rows")
    return drawn


def reliability(found: Predicted) -> "Figure | None":
    """How often the most likely label was right, by how likely it was said to be; None without probabilities."""
    table = found.answers.probabilities
    if table is None:
        return None
    confidence, is_right = table.max(axis=1), table.argmax(axis=1) == found.answers.right
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    filled = [place for place in range(BINS) if (bins == place).any()]
    x = [float(confidence[bins == place].mean()) for place in filled]
    y = [float(is_right[bins == place].mean()) for place in filled]
    sizes = np.array([(bins == place).sum() for place in filled])
    drawn, axes = figure(4.8, 4.0)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label="what it says is what happens")
    axes.plot(x, y, color=COMPLETED, linewidth=1.6, zorder=3)
    axes.scatter(x, y, s=20 + 180 * sizes / sizes.max(), color=COMPLETED, zorder=4, label="rows, by area")
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    name_axes(axes, "probability of the most likely label", "share that was right")
    legend_above(axes, 2)
    return drawn


def regression(answers: tuple[Answer, ...]) -> "Figure | None":
    """The squared error of every trial, by the way it answers; None where fewer than two ways were tried."""
    shown = [answer for answer in answers if answer.values]
    if len(shown) < 2:
        return None
    drawn, axes = figure(4.8, 3.2)
    dice = np.random.default_rng(0)
    for place, answer in enumerate(shown):
        x = place + dice.uniform(-0.16, 0.16, len(answer.values))
        axes.scatter(x, answer.values, s=18, color=COMPLETED, alpha=0.7, linewidth=0)
        axes.plot([place - 0.3, place + 0.3], [np.median(answer.values)] * 2, color=LINE, linewidth=2.2)
        axes.scatter([place], [min(answer.values)], marker="*", s=150, color=BEST, zorder=5)
    few_ticks(axes)
    axes.set_xticks(range(len(shown)), [answer.name for answer in shown], color=INK)
    axes.set_xlim(-0.6, len(shown) - 0.4)
    axes.grid(visible=False, axis="x")
    axes.set_ylabel("mean squared error, less is better")
    return drawn
