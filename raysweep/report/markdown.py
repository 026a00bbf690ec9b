"""`findings.md`: the same findings for a terminal, a pull request or a mail."""

import math
from collections.abc import Iterator, Sequence

from raysweep.certainty import Comparison
from raysweep.report import final_scores
from raysweep.report.final_scores import final_scores_table
from raysweep.report.findings import Findings
from raysweep.report.gallery import Picture, threshold_words
from raysweep.report.honest import NOTE, TITLE, honest_table
from raysweep.report.table import ranked, short_columns
from raysweep.views import winner
from raysweep.views.certainty import signed
from raysweep.views.words import metric

TOP = 10


def markdown(findings: Findings, pictures: Sequence[Picture]) -> str:
    """The whole text; pictures are linked from `plots/`."""
    return "\n".join(_lines(findings, pictures)) + "\n"


def _lines(findings: Findings, pictures: Sequence[Picture]) -> Iterator[str]:
    record = findings.record
    yield from (f"# {record.title}", "")
    if record.notice:
        yield from (f"> {record.notice}", "")
    yield from (f"**{findings.winner}**", "")
    if findings.winner_params:
        yield ", ".join(f"{name} = {value}" for name, value in findings.winner_params.items())
        yield ""
    yield f"{findings.counts}. Objective: {record.goal.metric} ({record.goal.mode})."
    for title, sentences in (
        ("How sure that is", findings.sure),
        ("The bill", findings.bill),
        ("What to try next", findings.next_steps),
    ):
        yield from ("", f"## {title}", "", *(f"- {sentence}" for sentence in sentences))
    head, rows = certainty_table(findings)
    if rows:
        yield from ("", "## The winner on the test split", "", *table(head, rows))
    head, rows = final_scores_table(record)
    if rows:
        yield from ("", f"## {final_scores.TITLE}", "", *table(head, rows))
    if seeds := winner.rows(record.ruling):
        yield from ("", "## Replicas", "", *table(winner.HEAD, seeds))
    head, rows = honest_table(record)
    if rows:
        yield from ("", f"## {TITLE}", "", *table(head, rows), "", NOTE)
    yield from ("", f"## {record.goal.metric} in numbers", "")
    yield from table(["", *findings.statistics[0].cells], [_row(one.of, one.cells) for one in findings.statistics])
    yield from ("", f"Scores that count as failed: {threshold_words(findings)}.")
    yield from _importance(findings)
    yield from _regression(findings)
    yield from _top(findings)
    yield from ("", "## Pictures", "")
    yield from (f"![{one.title}](plots/{one.name}.svg)" for one in pictures)
    if record.notes:
        yield from ("", "## Notes", "", *(f"- {note}" for note in record.notes))


def _row(name: str, cells: dict[str, float]) -> list[str]:
    return [name, *(number_cell(key, value) for key, value in cells.items())]


def number_cell(name: str, value: float) -> str:
    """A statistic: counts whole, the others with six decimals; a dash where there is none."""
    return "-" if math.isnan(value) else f"{value:.0f}" if name == "count" else f"{value:.6f}"


def certainty_table(findings: Findings) -> tuple[list[str], list[list[str]]]:
    """The winner's headline metrics with their intervals, and less each baseline's; no rows where nobody knows."""
    found = findings.record.certainty
    if found is None:
        return [], []
    head = ["metric", f"trial {found.trial}", "95 % interval", *map(_less, found.comparisons)]
    rows = []
    for name, interval in found.intervals.items():
        compared = [_compared(one, name) for one in found.comparisons]
        span = f"{metric(name, interval.low)} to {metric(name, interval.high)}"
        rows.append([name, metric(name, interval.value), span, *compared])
    return head, rows


def _less(one: Comparison) -> str:
    return f"less {one.name}" if one.trial is None else f"less trial {one.trial}"


def _compared(one: Comparison, name: str) -> str:
    verdict = one.verdict(name)
    return "-" if verdict is None else f"{signed(one.differences[name])}: {verdict}"


def _importance(findings: Findings) -> Iterator[str]:
    found = findings.importance
    yield from ("", "## Which hyperparameters matter", "", f"{found.words[:1].upper()}{found.words[1:]}.")
    if found.params:
        yield ""
        rows = [[one.param, f"{one.mean:.3f}", f"{one.low:.3f} to {one.high:.3f}"] for one in found.params]
        yield from table(["param", "drop of R²", "5 to 95 %"], rows)


def _regression(findings: Findings) -> Iterator[str]:
    if findings.answers:
        yield from ("", "## Could this be a regression?", "")
        yield from table(["answer", "trials", "best MSE", "its trial", "the winner's"], answer_rows(findings))


def answer_rows(findings: Findings) -> list[list[str]]:
    """The three answers side by side; dashes where one was not tried."""
    return [
        [
            f"{one.name}: {one.help}",
            str(len(one.values)),
            metric("mse", min(one.values, default=None)),
            "-" if one.best_trial is None else str(one.best_trial),
            metric("mse", one.of_winner),
        ]
        for one in findings.answers
    ]


def _top(findings: Findings) -> Iterator[str]:
    shown = short_columns(findings.record)
    places = ranked(findings.record)[:TOP]
    yield from ("", f"## The first {len(places)} of {len(findings.record.trials)} trials", "")
    yield from table([one.name for one in shown], [[one.cells[place] for one in shown] for place in places])
    yield from ("", "All trials and all metrics: `report.html`.")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table."""
    yield f"| {' | '.join(map(_escape, head))} |"
    yield "|" + "---|" * len(head)
    yield from (f"| {' | '.join(map(_escape, row))} |" for row in rows)


def _escape(text: str) -> str:
    return text.replace("|", "\\|")
