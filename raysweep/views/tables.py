"""Tables that never drop a column: what does not fit beside the others goes into a further block below."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from rich.cells import cell_len
from rich.text import Text

Block = list[Text]
"""Lines: the headings, then one a row."""


@dataclass(frozen=True)
class Column:
    """A heading of one or two lines, and a cell a row."""

    heading: str
    cells: tuple[str, ...]
    justify: Literal["left", "right"] = "right"
    style: str = ""

    @cached_property
    def width(self) -> int:
        """In terminal cells."""
        return max(cell_len(line) for line in (*self.heading.split("\n"), *self.cells))


def blocks(key: Column, columns: Sequence[Column], width: int, styles: Sequence[str]) -> list[Block]:
    """The columns in as few blocks of at most `width` as it takes, each with the key column first.

    `styles` is one a row. A single column that is wider than the terminal is folded, not cut.
    """
    gap = 2 if _total(key, columns, gap=2) <= width else 1
    return [_block((key, *group), gap, styles) for group in _groups(key, columns, width, gap)]


def _total(key: Column, columns: Sequence[Column], gap: int) -> int:
    return key.width + sum(gap + column.width for column in columns)


def _groups(key: Column, columns: Sequence[Column], width: int, gap: int) -> Iterator[Sequence[Column]]:
    group: list[Column] = []
    for column in columns:
        if group and _total(key, [*group, column], gap) > width:
            yield group
            group = []
        group.append(column)
    yield group


def _block(columns: Sequence[Column], gap: int, styles: Sequence[str]) -> Block:
    # Not rich's Table: it takes several times as long, and a frame is drawn twice a second.
    headings = [column.heading.split("\n") for column in columns]
    height = max(map(len, headings))
    bottom = [[""] * (height - len(heading)) + heading for heading in headings]
    heads = [_line(columns, [heading[line] for heading in bottom], gap, "dim") for line in range(height)]
    rows = [_line(columns, [column.cells[row] for column in columns], gap, style) for row, style in enumerate(styles)]
    return [*heads, *rows]


def _line(columns: Sequence[Column], cells: Sequence[str], gap: int, style: str) -> Text:
    line = Text(style=style)
    for column, cell in zip(columns, cells, strict=True):
        space = " " * (column.width - cell_len(cell))
        padded = cell + space if column.justify == "left" else space + cell
        line.append(padded + " " * gap, style=column.style if not style else None)
    line.rstrip()
    return line
