"""Pictures of the hyperparameters: each against the score, how much each matters, and all of them together."""

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from raysweep.report.axes import few_ticks, leave_out_far, legend_above, log_axis, mark_best, name_axes, number
from raysweep.report.importance import Importance
from raysweep.report.paint import COMPLETED, GRID, INK, LINE, MUTED, PAPER, PRUNED, figure, shade
from raysweep.report.record import Param, Record, texts_of
from raysweep.report.smoothing import smooth
from raysweep.report.statistics import is_far
from raysweep.scoring.answers import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BEHIND = {"boxstyle": "square,pad=0.1", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.8}
"""Of words that lie on lines."""
SPREAD = 0.16
"""How far, in units of a strip's distance to the next, its points are spread aside."""
MOST_LINES = 400
MOST_STRIPS = 15
LABEL_LENGTH = 20


def slice_(record: Record, param: Param) -> "Figure | None":
    """The score against one param: a cloud with a smooth line for numbers, a strip a value for categories."""
    tried = record.is_tried
    if not tried.any():
        return None
    drawn, axes = figure(4.8, 3.2)
    if param.kind == "number":
        _cloud(axes, record, param)
    else:
        _strips(axes, record, param)
    leave_out_far(axes, record.tried_scores, record.goal)
    name_axes(axes, param.name + (" (log scale)" if param.is_log else ""), record.goal.metric)
    legend_above(axes)
    return drawn


def _cloud(axes: "Axes", record: Record, param: Param) -> None:
    x, y = record.numbers(param.column), record.scores
    given = record.is_tried & np.isfinite(x)
    distinct = np.unique(x[given])
    if param.is_log and given.any():
        log_axis(axes, x[given])
    else:
        few_ticks(axes)
    is_stepped = 2 <= distinct.size < 7
    _points(axes, record, _aside(x, param) if is_stepped else x, given)
    if is_stepped:
        medians = [float(np.median(y[given & (x == value)])) for value in distinct]
        axes.plot(distinct, medians, color=LINE, linewidth=1.8, marker="D", markersize=5, label="median")
        _tick_each(axes, distinct, param)
    else:
        sound = given & ~is_far(y, record.goal)
        line = smooth(np.log(x[sound]) if param.is_log else x[sound], y[sound])
        if line:
            axes.plot(np.exp(line[0]) if param.is_log else line[0], line[1], color=LINE, linewidth=2, label="smoothed")
    _star(axes, record, x)


def _aside(x: Floats, param: Param) -> Floats:
    """Values that many trials share, spread a little, so that each trial is seen."""
    scaled = np.log(x) if param.is_log else x
    reach = float(np.nanmax(scaled) - np.nanmin(scaled)) * 0.018
    moved = scaled + np.random.default_rng(0).uniform(-reach, reach, len(x))
    return np.exp(moved) if param.is_log else moved


def _tick_each(axes: "Axes", distinct: Floats, param: Param) -> None:
    """A tick at each value that was tried, where none would hide another."""
    places = np.log(distinct) if param.is_log else distinct
    if np.diff(places).min() >= np.ptp(places) * 0.06:
        axes.set_xticks(distinct.tolist(), [number(float(value)) for value in distinct])


def _strips(axes: "Axes", record: Record, param: Param) -> None:
    texts = texts_of(record.trials, param.column)
    given = record.is_tried & np.array([bool(text) for text in texts])
    texts, names = _few([text if chosen else "" for text, chosen in zip(texts, given, strict=True)])
    scores = record.scores
    places = {name: place for place, name in enumerate(names)}
    aside = np.random.default_rng(0).uniform(-SPREAD, SPREAD, len(texts))
    x = np.array([places.get(text, np.nan) for text in texts]) + aside
    _points(axes, record, x, given)
    for name, place in places.items():
        own = scores[given & np.array([text == name for text in texts])]
        label = "median" if place == 0 else None
        axes.plot([place - 0.3, place + 0.3], [np.median(own)] * 2, color=LINE, linewidth=2.2, label=label)
    counts = [sum(text == name for text, one in zip(texts, given, strict=True) if one) for name in names]
    labels = [f"{_short(name)}\nn = {count}" for name, count in zip(names, counts, strict=True)]
    few_ticks(axes)
    axes.set_xticks(range(len(names)), labels)
    if len(names) > 6:
        axes.tick_params(axis="x", rotation=60)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.grid(visible=False, axis="x")
    _star(axes, record, x)


def _few(texts: list[str]) -> tuple[list[str], list[str]]:
    """The texts, and the different ones in their order; of more than `MOST_STRIPS` the rarest are `others`."""
    counts = Counter(text for text in texts if text)
    if len(counts) <= MOST_STRIPS:
        return texts, sorted(counts, key=_natural)
    kept = sorted((name for name, _ in counts.most_common(MOST_STRIPS - 1)), key=_natural)
    others = f"{len(counts) - len(kept)} others"
    return [text if text in kept or not text else others for text in texts], [*kept, others]


def _points(axes: "Axes", record: Record, x: Floats, given: np.typing.NDArray[np.bool_]) -> None:
    size = 26 if given.sum() < 60 else 16
    completed = record.is_completed
    for chosen, marker, colour, label in (
        (given & ~completed, "x", PRUNED, "pruned"),
        (given & completed, "o", COMPLETED, "completed"),
    ):
        if chosen.any():
            axes.scatter(
                x[chosen],
                record.scores[chosen],
                s=size,
                marker=marker,
                color=colour,
                alpha=0.7,
                linewidth=1,
                label=label,
            )


def _star(axes: "Axes", record: Record, x: Floats) -> None:
    if record.best is not None and np.isfinite(x[record.best]):
        mark_best(axes, float(x[record.best]), float(record.scores[record.best]), "winner")


def importances(found: Importance) -> "Figure | None":
    """What shuffling each param costs, with the interval; None where there is no importance."""
    if not found.params:
        return None
    from matplotlib.ticker import MaxNLocator

    shown = found.params[:15][::-1]
    drawn, axes = figure(4.8, 0.95 + 0.34 * len(shown))
    places = np.arange(len(shown))
    means = np.array([one.mean for one in shown])
    colour = COMPLETED if found.is_reliable else PRUNED
    axes.barh(places, means, height=0.55, color=colour)
    spans = [[one.mean - one.low for one in shown], [one.high - one.mean for one in shown]]
    axes.errorbar(means, places, xerr=np.maximum(spans, 0), fmt="none", ecolor=INK, elinewidth=1.2, capsize=3)
    axes.set_yticks(places.tolist(), [_short(one.param) for one in shown], color=INK)
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.set_xlabel("drop of R² on trials held out when shuffled")
    title = "" if found.is_reliable else "unreliable, "
    r2 = f"{title}out-of-bag R² {found.r2:.2f}"
    axes.set_title(r2, loc="left", fontsize=9, color=INK if found.is_reliable else MUTED)
    return drawn


def parallel(record: Record) -> "Figure | None":
    """All params of each trial as one line, the better the darker; the score stands last."""
    tried = np.flatnonzero(record.is_tried)
    if len(record.params) < 1 or tried.size < 2:
        return None
    order = tried[np.argsort(-record.scores[tried] * record.goal.loss(1.0))]
    order = order[:: max(1, -(-order.size // MOST_LINES))][::1]
    drawn, axes = figure(max(6.4, 1.35 * (len(record.params) + 1)), 3.6)
    columns = [_scaled(axes, record, param, place) for place, param in enumerate(record.params)]
    columns.append(_score_axis(axes, record, len(record.params)))
    table = np.array(columns)
    share = columns[-1] if record.goal.mode == "max" else 1 - columns[-1]
    xs = np.arange(len(columns))
    for trial in sorted(order, key=lambda one: float(share[one])):
        axes.plot(xs, table[:, trial], color=shade(float(share[trial])), linewidth=0.9, alpha=0.8)
    if record.best is not None:
        axes.plot(xs, table[:, record.best], color=shade(1.0), linewidth=2.6, zorder=5)
        mark_best(axes, xs[-1], float(table[-1, record.best]), "winner")
    axes.set_xticks(xs.tolist(), [*(_short(one.name) for one in record.params), record.goal.metric], color=INK)
    _bare(axes, len(columns))
    return drawn


def _bare(axes: "Axes", n_columns: int) -> None:
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.set_xlim(-0.35, n_columns - 0.55)
    axes.set_ylim(-0.07, 1.07)
    axes.spines[["left", "bottom"]].set_visible(False)
    for place in range(n_columns):
        axes.axvline(place, color=GRID, linewidth=1.2, zorder=0)


def _scaled(axes: "Axes", record: Record, param: Param, place: int) -> Floats:
    if param.kind == "category":
        texts = texts_of(record.trials, param.column)
        names = sorted({text for text in texts if text}, key=_natural)
        at = {name: (rank + 0.5) / len(names) for rank, name in enumerate(names)}
        for name in names[:: -(-len(names) // 12)]:
            _tick(axes, place, at[name], _short(name))
        return np.array([at.get(text, np.nan) for text in texts])
    values = record.numbers(param.column)
    return _unit(axes, np.log(values) if param.is_log else values, values, place)


def _score_axis(axes: "Axes", record: Record, place: int) -> Floats:
    """Those that are far from all others are drawn where the poorest of these is."""
    scores = record.tried_scores
    far = is_far(scores, record.goal)
    worst = scores[np.nanargmax(np.where(far, np.nan, scores * record.goal.loss(1.0)))]
    shown = np.where(far, worst, scores)
    return _unit(axes, shown, shown, place)


def _unit(axes: "Axes", scaled: Floats, values: Floats, place: int) -> Floats:
    low, high = float(np.nanmin(scaled)), float(np.nanmax(scaled))
    for end, at in ((np.nanargmin(scaled), 0.0), (np.nanargmax(scaled), 1.0)):
        _tick(axes, place, at, number(float(f"{values[end]:.3g}")))
    return (scaled - low) / ((high - low) or 1.0)


def _tick(axes: "Axes", x: float, y: float, text: str) -> None:
    axes.annotate(
        text, (x, y), (4, 0), textcoords="offset points", fontsize=8, color=INK, va="center", zorder=7, bbox=_BEHIND
    )


def _short(text: str) -> str:
    """Without its middle: what tells long values apart is often their end."""
    half = LABEL_LENGTH // 2
    return text if len(text) <= LABEL_LENGTH else f"{text[: half - 1]}…{text[-half:]}"


def _natural(text: str) -> tuple[float, str]:
    """Numbers among the texts by their value."""
    try:
        return float(text), text
    except ValueError:
        return np.inf, text
