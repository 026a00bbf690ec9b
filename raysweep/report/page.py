"""`report.html`: one file that needs nothing else, on a screen, in the dark, on a phone and on paper."""

from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files

import numpy as np

from raysweep.report import final_scores
from raysweep.report.final_scores import final_scores_table
from raysweep.report.findings import Findings
from raysweep.report.gallery import Picture, threshold_words
from raysweep.report.honest import NOTE, TITLE, honest_table
from raysweep.report.markdown import answer_rows, certainty_table, number_cell
from raysweep.report.table import columns, ranked
from raysweep.views import winner

REFRESH_S = 15
"""How often the page of a running sweep loads itself again."""
LEAST_REM = 5.5
"""An inch of a wide picture is at least so wide on a screen, so that its words can be read; it scrolls then."""


def page(findings: Findings, pictures: Sequence[Picture], *, made_at: str) -> str:
    """The whole page."""
    parts = [
        *_first(findings),
        *_certainty(findings),
        *_replicas(findings),
        *_table(findings),
        *_statistics(findings),
        *_pictures(findings, pictures),
        *_regression(findings),
        *_foot(findings, made_at),
    ]
    refresh = REFRESH_S if findings.record.is_running else None
    return document(f"{findings.record.title}: findings", parts, refresh)


def document(title: str, parts: Sequence[str], refresh_s: int | None = None) -> str:
    """The parts in our style, as one file; it loads itself again where `refresh_s` says so."""
    refresh = "" if refresh_s is None else f'<meta http-equiv="refresh" content="{refresh_s}">'
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="icon" href="data:,">',
            f"{refresh}<title>{escape(title)}</title>\n<style>\n{_asset('page.css')}</style>\n</head>",
            "<body>\n<main>",
            *parts,
            f"</main>\n<script>\n{_asset('page.js')}</script>\n</body>\n</html>\n",
        ]
    )


def _asset(name: str) -> str:
    return files("raysweep.report").joinpath(name).read_text(encoding="utf-8")


def _first(findings: Findings) -> Iterator[str]:
    record = findings.record
    sweep = f" · sweep {escape(record.sweep.sweep_id)}" if record.sweep else ""
    notice = f'\n<p class="notice">{escape(record.notice)}</p>' if record.notice else ""
    yield f'<header>\n<h1>{escape(record.title)}{sweep}</h1>{notice}\n<p class="winner">{escape(findings.winner)}</p>'
    if findings.winner_params:
        chips = (
            f"<li><span>{escape(name)}</span> {escape(value)}</li>" for name, value in findings.winner_params.items()
        )
        yield f'<ul class="chips">{"".join(chips)}</ul>'
    counts = f"{findings.counts}. Objective: {record.goal.metric} ({record.goal.mode})."
    yield f'<p class="quiet">{escape(counts)}</p>\n<div class="first">'
    for title, sentences in (
        ("How sure that is", findings.sure or ("There is no winner to be sure of.",)),
        ("The bill", findings.bill),
        ("What to try next", findings.next_steps),
    ):
        items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
        yield f"<section><h2>{title}</h2><ul>{items}</ul></section>"
    yield "</div>\n</header>"


def _table(findings: Findings) -> Iterator[str]:
    shown, places = columns(findings.record), ranked(findings.record)
    if not places:
        return
    yield '<h2 id="trials">All trials, all metrics</h2>\n<div class="filter">'
    yield (
        '<label class="screen">Filter <input type="search" spellcheck="false" autocomplete="off" '
        f'placeholder="completed {escape(_example(findings))}"></label><output></output></div>'
    )
    yield '<div class="scroll tall"><table class="all"><thead><tr>'
    for one in shown:
        number = ' class="number" data-number="1"' if one.is_number else ""
        yield f'<th scope="col"{number}><button type="button">{escape(one.name)}</button></th>'
    yield "</tr></thead><tbody>"
    for place in places:
        best = ' class="best"' if place == findings.record.best else ""
        cells = (_cell(one.cells[place], one.keys[place], is_number=one.is_number) for one in shown)
        yield f"<tr{best}>{''.join(cells)}</tr>"
    yield "</tbody></table></div>"
    yield '<p class="quiet screen">Click a heading to sort. A filter is words, or conditions such as '
    yield f"<code>{escape(_example(findings))}</code>; all have to hold.</p>"
    yield '<p class="quiet paper">On paper: the first columns of the first 40 trials; the page has all.</p>'


def _example(findings: Findings) -> str:
    record = findings.record
    if record.best is None:
        return "trial<10"
    middle = float(np.median(record.scores[record.is_completed]))  # so that it finds about half of them
    return f"{record.goal.metric}{'>' if record.goal.mode == 'max' else '<'}{middle:.2g}"


def _cell(text: str, key: str, *, is_number: bool) -> str:
    if is_number:
        sort_key = f' data-key="{key}"' if key else ""
        return f'<td class="number"{sort_key}>{escape(text)}</td>'
    title = f' title="{escape(text, quote=True)}"' if len(text) > 40 else ""
    return f"<td{title}>{escape(text)}</td>"


def _certainty(findings: Findings) -> Iterator[str]:
    head, rows = certainty_table(findings)
    if rows:
        yield f"<h2>The winner on the test split</h2>\n{plain_table(head, rows)}"
        words = "95 % intervals by the bootstrap over rows; a difference is drawn on the same rows for both."
        yield f'<p class="quiet">{words}</p>'
    head, rows = final_scores_table(findings.record)
    if rows:
        yield f"<h2>{final_scores.TITLE}</h2>\n{plain_table(head, rows)}"
    head, rows = honest_table(findings.record)
    if rows:
        yield f'<h2>{TITLE}</h2>\n{plain_table(head, rows)}<p class="quiet">{escape(NOTE)}</p>'


def _replicas(findings: Findings) -> Iterator[str]:
    rows = winner.rows(findings.record.ruling)
    if rows:
        yield f"<h2>Replicas</h2>\n{plain_table(winner.HEAD, rows)}"
        words = (
            f"{findings.record.goal.metric} of the best configurations with other seeds, mean ± standard deviation "
            "over seeds. Validation alone chooses; the test split reports."
        )
        yield f'<p class="quiet">{escape(words)}</p>'


def _statistics(findings: Findings) -> Iterator[str]:
    yield f"<h2>{escape(findings.record.goal.metric)} in numbers</h2>"
    rows = [[one.of, *(number_cell(name, value) for name, value in one.cells.items())] for one in findings.statistics]
    yield plain_table(["", *findings.statistics[0].cells], rows)
    yield f'<p class="quiet">Scores that count as failed: {escape(threshold_words(findings))}.</p>'


def plain_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is words and the others numbers."""
    heads = "".join(f'<th scope="col"{_right(place)}>{escape(name)}</th>' for place, name in enumerate(head))
    body = "".join(
        f"<tr>{''.join(f'<td{_right(place)}>{escape(cell)}</td>' for place, cell in enumerate(row))}</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def _right(place: int) -> str:
    return ' class="number"' if place else ""


def _pictures(findings: Findings, pictures: Sequence[Picture]) -> Iterator[str]:
    yield '<h2>Pictures</h2>\n<div class="pictures">'
    for one in pictures:
        wide = ' class="wide"' if one.is_wide else ""
        drawing = (
            f'<div class="drawing" style="--least: {LEAST_REM * one.drawn.get_figwidth():.0f}rem">{one.inline}</div>'
        )
        yield f'<figure id="{one.name}"{wide}><h3>{escape(one.title)}</h3>{drawing}'
        yield f"<figcaption>{escape(one.caption)}</figcaption></figure>"
    yield "</div>"
    if not findings.importance.params:
        yield f'<p class="quiet">Which hyperparameters matter: {escape(findings.importance.words)}.</p>'


def _regression(findings: Findings) -> Iterator[str]:
    if findings.answers:
        yield "<h2>Could this be a regression?</h2>"
        yield plain_table(["answer", "trials", "best MSE", "its trial", "the winner's"], answer_rows(findings))


def _foot(findings: Findings, made_at: str) -> Iterator[str]:
    notes = "".join(f"<br>{escape(note)}." for note in findings.record.notes)
    live = (
        f" The sweep runs: this page loads itself again every {REFRESH_S} seconds."
        if findings.record.is_running
        else ""
    )
    yield f"<footer>Made {escape(made_at)} by raysweep.{live}{notes}</footer>"
