"""`comparison.html`: one file that needs nothing else, in the report's style."""

from collections.abc import Iterator
from html import escape

from raysweep.report import paint
from raysweep.report.compare.text import PAIR_HEAD, Compared
from raysweep.report.page import document, plain_table

CAPTION = "The best completed trial's score until then; trials in the order in which they ended."


def page(compared: Compared, svg: str | None, *, made_at: str) -> str:
    """The whole page."""
    title = f"Comparison of {', '.join(compared.titles)}"
    return document(title, [*_first(compared), *_picture(svg), *_tables(compared), _foot(made_at)])


def _first(compared: Compared) -> Iterator[str]:
    yield f'<header>\n<h1>Comparison</h1>\n<p class="winner">{escape(compared.headline)}</p>'
    chips = (f"<li>{escape(title)}</li>" for title in compared.titles)
    yield f'<ul class="chips">{"".join(chips)}</ul>'
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in compared.sentences)
    yield f'<div class="first"><section><h2>How sure that is</h2><ul>{items}</ul></section></div>\n</header>'


def _tables(compared: Compared) -> Iterator[str]:
    yield "<h2>Side by side</h2>"
    yield plain_table(["", *compared.titles], [[row.name, *row.cells] for row in compared.rows])
    yield "<h2>Differences of the winners</h2>"
    yield plain_table(PAIR_HEAD, [pair.cells for pair in compared.pairs])


def _picture(svg: str | None) -> Iterator[str]:
    if svg is not None:
        yield '<h2>Best so far</h2>\n<div class="pictures"><figure class="wide">'
        yield '<div class="drawing" style="--least: 42rem">'
        yield f"{paint.inline(svg, CAPTION)}</div><figcaption>{CAPTION}</figcaption></figure></div>"


def _foot(made_at: str) -> str:
    return f"<footer>Made {escape(made_at)} by raysweep.</footer>"
