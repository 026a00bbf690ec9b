"""A comparison as text: for a terminal, and as Markdown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from raysweep.report.compare.pairs import Pair, caution
from raysweep.report.compare.runs import Comparison
from raysweep.report.compare.table import Row
from raysweep.report.markdown import table
from raysweep.views.tables import Column, blocks

PAIR_HEAD = ("winners", "metric", "difference, 95 % interval", "test rows", "the first")


@dataclass(frozen=True)
class Compared:
    """A comparison with all that was computed of it."""

    found: Comparison
    rows: Sequence[Row]
    pairs: Sequence[Pair]
    headline: str

    @property
    def sentences(self) -> list[str]:
        """What is to be said of significance, then what limits the comparison."""
        told = [pair.words for pair in self.pairs]
        return [one for one in (*told, caution(len(self.pairs)), *self.found.notes) if one]

    @property
    def titles(self) -> list[str]:
        """Of the columns."""
        return [one.title for one in self.found.contenders]


def terminal(compared: Compared, width: int) -> Iterator[str]:
    """The headline, the table in as many blocks as its columns need, and the sentences."""
    rows = [row for row in compared.rows if not row.is_detail]
    key = Column("", tuple(row.name for row in rows), "left")
    columns = [
        Column(title.replace(" ", "\n", 1), tuple(row.cells[place] for row in rows))
        for place, title in enumerate(compared.titles)
    ]
    yield from (compared.headline, "")
    for block in blocks(key, columns, width, [""] * len(rows)):
        yield from (line.plain for line in block)
        yield ""
    yield from compared.sentences


def markdown(compared: Compared, picture: str | None) -> str:
    """The whole text; the picture is linked."""
    return "\n".join(_lines(compared, picture)) + "\n"


def _lines(compared: Compared, picture: str | None) -> Iterator[str]:
    yield from ("# Comparison", "", f"**{compared.headline}**", "")
    yield from (f"- {sentence}" for sentence in compared.sentences)
    if picture:
        yield from ("", "## Best so far", "", f"![Best so far]({picture})")
    yield from ("", "## Side by side", "")
    yield from table(["", *compared.titles], [[row.name, *row.cells] for row in compared.rows])
    yield from ("", "## Differences of the winners", "")
    yield from table(PAIR_HEAD, [pair.cells for pair in compared.pairs])
