"""Every picture of a report by its name: Optuna's where it is the same picture."""

import html
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raysweep.report import paint, plots_answers, plots_curves, plots_params, plots_scores
from raysweep.report.findings import Findings
from raysweep.report.record import Record
from raysweep.views.words import distinct

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A drawn figure with its words."""

    name: str
    """Of its files, and its anchor in the page."""
    title: str
    caption: str
    drawn: "Figure"
    svg: str
    is_wide: bool = False

    @property
    def inline(self) -> str:
        """The SVG as a part of a page."""
        return paint.inline(self.svg, html.escape(f"{self.title}: {self.caption}", quote=True))


def pictures(findings: Findings) -> tuple[Picture, ...]:
    """All that can be drawn of these findings, in the order of the page."""
    with paint.style():
        return tuple(
            Picture(name, title, caption, drawn, paint.svg(drawn, name), is_wide)
            for name, title, caption, drawn, is_wide in _drawn(findings)
            if drawn is not None
        )


_Drawn = tuple[str, str, str, "Figure | None", bool]


def _drawn(findings: Findings) -> Iterator[_Drawn]:
    record, goal = findings.record, findings.record.goal
    yield (
        "plot_histogram",
        f"How {goal.metric} is spread",
        f"All trials with a score. Threshold of failed trials: {threshold_words(findings)}.",
        plots_scores.histogram(record, findings.threshold),
        False,
    )
    history = "Each trial's last score, and the best completed one so far"
    yield "plot_optimization_history", "Best so far", f"{history}.", plots_scores.history(record), False
    yield "plot_best_by_tokens", "Best so far, by tokens", f"{history}.", plots_scores.by_tokens(record), False
    yield "plot_best_by_usd", "Best so far, by money", f"{history}.", plots_scores.by_money(record), False
    pruned = "Completed and pruned trials; a pruned one's score is that at its rung."
    caption = pruned if "pruned" in record.outcomes else "Completed trials."
    files = distinct((param.name for param in record.params), _file, str.casefold)  # capitals may not count
    for param in record.params:
        yield f"plot_slice_{files[param.name]}", param.name, caption, plots_params.slice_(record, param), False
    yield from _together(findings)
    yield from _winner(findings)


def _together(findings: Findings) -> Iterator[_Drawn]:
    record = findings.record
    words = "A random forest's permutation importance; bars are means, lines 5 to 95 % of 20 replicates"
    yield (
        "plot_param_importances",
        "Which hyperparameters matter",
        f"{words}. {findings.importance.words[:1].upper()}{findings.importance.words[1:]}.",
        plots_params.importances(findings.importance),
        False,
    )
    yield from _curves(record)
    lines = "One line a trial, the better the stronger; the winner is the thick one."
    yield "plot_parallel_coordinate", "All hyperparameters together", lines, plots_params.parallel(record), True


def _curves(record: Record) -> Iterator[_Drawn]:
    """Of the objective, and of the metric that stopped trials where that is another."""
    name, crosses = "plot_intermediate_values", "a cross is where a trial was stopped, a dashed line is a rung"
    by_rungs = record.stopping_metric or record.goal.metric
    caption = f"The objective at each evaluation; {crosses}."
    yield name, "Learning curves", caption, plots_curves.intermediate_values(record, record.goal.metric), True
    if by_rungs != record.goal.metric:
        caption = f"What early stopping looked at; {crosses}."
        drawn = plots_curves.intermediate_values(record, by_rungs)
        yield f"{name}_{_file(by_rungs)}", f"Learning curves, {by_rungs}", caption, drawn, True


def _winner(findings: Findings) -> Iterator[_Drawn]:
    found = findings.record.predictions
    if found is not None:
        caption = "Rows by their right label; the shade is the share of the row's label."
        yield "plot_confusion_matrix", "The winner's confusion", caption, plots_answers.confusion(found), False
        caption = "Below the dashed line the winner is surer than right."
        yield "plot_reliability", "The winner's reliability", caption, plots_answers.reliability(found), False
    caption = "Each completed trial by the way it answers; the line is the median, the star the best."
    yield (
        "plot_regression",
        "Squared error, by the way of answering",
        caption,
        plots_answers.regression(findings.answers),
        False,
    )


def threshold_words(findings: Findings) -> str:
    """The threshold and how it was chosen."""
    threshold = findings.threshold
    if threshold.value is None:
        return f"none, {threshold.reason}"
    side = "below" if findings.record.goal.mode == "max" else "above"
    return f"{side} {threshold.value:.4g}, {threshold.reason}"


def _file(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name[:80])
