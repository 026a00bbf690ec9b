"""Parts that several pictures share: numbers along an axis, marks of the best, colours of outcomes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np

from raysweep.goal import Goal
from raysweep.report.paint import BEST, COMPLETED, FAILED, INK, MUTED, PAPER, PRUNED
from raysweep.report.statistics import is_far
from raysweep.scoring.answers import Floats
from raysweep.views.words import shortened, tokens

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OUTCOME_COLOURS: Mapping[str, str] = MappingProxyType(
    {"completed": COMPLETED, "pruned": PRUNED, "failed": FAILED, "errored": FAILED}
)
LABEL_LETTERS = 48
"""Of an axis' name, at most."""


def number(value: float) -> str:
    """A number of three or four digits, as a person writes it."""
    if value != 0 and not 1e-4 <= abs(value) < 1e5:
        mantissa, _, exponent = f"{value:.0e}".partition("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:.4g}"


def log_axis(axes: "Axes", values: Floats, axis: Literal["x", "y"] = "x") -> None:
    """A logarithmic axis whose ticks are plain numbers: 1, 2 and 5 a decade where there are few decades."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    setter, chosen = (axes.set_xscale, axes.xaxis) if axis == "x" else (axes.set_yscale, axes.yaxis)
    setter("log")
    decades = float(np.log10(np.nanmax(values) / np.nanmin(values)))
    marks = (1.0, 2.0, 5.0) if decades < 1.6 else (1.0, 3.0) if decades < 2.6 else (1.0,)
    chosen.set_major_locator(LogLocator(base=10, subs=marks, numticks=12))
    chosen.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    chosen.set_minor_locator(NullLocator())
    chosen.set_minor_formatter(NullFormatter())


def few_ticks(axes: "Axes", *, x: int = 6, y: int = 6, counts: bool = False) -> None:
    """At most so many ticks, at round numbers; `counts`: whole ones along y."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(x, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(y, steps=[1, 2, 5, 10], integer=counts))


def token_axis(axes: "Axes") -> None:
    """Counts of tokens along x, short."""
    from matplotlib.ticker import FuncFormatter

    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tokens(value)))


def mark_best(axes: "Axes", x: float, y: float, label: str) -> None:
    """A star where the winner is."""
    axes.scatter([x], [y], marker="*", s=170, color=BEST, edgecolor=PAPER, linewidth=0.8, zorder=6, label=label)


def legend_above(axes: "Axes", columns: int = 4) -> None:
    """The legend over the picture, where it hides nothing."""
    if axes.get_legend_handles_labels()[0]:
        legend = axes.legend(
            loc="lower left",
            bbox_to_anchor=(-0.02, 1.0),
            ncols=columns,
            handletextpad=0.4,
            columnspacing=1.2,
            borderaxespad=0.1,
            handlelength=1.6,
        )
        for handle in legend.legend_handles:
            if handle is not None:
                handle.set_alpha(1)


def name_axes(axes: "Axes", x: str, y: str) -> None:
    """What each axis shows, with its unit."""
    axes.set_xlabel(shortened(x, LABEL_LETTERS), color=INK)
    axes.set_ylabel(shortened(y, LABEL_LETTERS), color=INK)


def leave_out_far(axes: "Axes", scores: Floats, goal: Goal, axis: Literal["x", "y"] = "y") -> None:
    """Scale an axis of scores to those that are not far from all others, and say how many lie beyond."""
    far = is_far(scores, goal)
    if not far.any():
        return
    kept = scores[np.isfinite(scores) & ~far]
    margin = 0.06 * float(np.ptp(kept))
    (axes.set_xlim if axis == "x" else axes.set_ylim)(float(kept.min()) - margin, float(kept.max()) + margin)
    is_upper = goal.mode == "min"
    x, y = (float(is_upper), 0.98) if axis == "x" else (1.0, 0.98 if is_upper else 0.02)
    text = f"{int(far.sum())} far poorer, beyond this edge"
    side, edge = ("right" if x else "left"), ("top" if y > 0.5 else "bottom")
    axes.text(x, y, text, transform=axes.transAxes, fontsize=8, color=MUTED, zorder=7, ha=side, va=edge)
