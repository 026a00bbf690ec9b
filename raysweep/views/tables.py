"""Tables that never drop a column: what does not fit beside the others goes into a further block below."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class Column:
    """A heading of one or two lines, and a cell a row."""

    heading: str
    cells: tuple[str, ...]
    justify: Literal["left", "right"] = "right"
    style: str = ""

    @property
    def width(self) -> int:
        """In terminal cells."""
        return max(cell_len(line) for line in (*self.heading.split("\n"), *self.cells))


def blocks(key: Column, columns: Sequence[Column], width: int, styles: Sequence[str]) -> list[Table]:
    """The columns in as few tables of at most `width` as it takes, each with the key column first.

    `styles` is one a row. A single column that is wider than the terminal is folded, not cut.
    """
    gap = 2 if _total(key, columns, gap=2) <= width else 1
    return [_table((key, *group), gap, styles) for group in _groups(key, columns, width, gap)]


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


def _table(columns: Sequence[Column], gap: int, styles: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(
            Text(column.heading), justify=column.justify, style=column.style, vertical="bottom", overflow="fold"
        )
    for place, style in enumerate(styles):
        table.add_row(*(Text(column.cells[place]) for column in columns), style=style)
    return table
