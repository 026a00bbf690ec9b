"""What leaked from the rows that measure into those that train, kept in the sweep's folder for its findings."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

from raysweep.dataset import Loaded
from raysweep.rules import LEAKS, RowProblem, Rule
from raysweep.whole import write_whole

FILE_NAME = "leaks.json"
N_NAMED = 5
"""Rows named in a sentence; the others are counted, and stand in the file."""

_WORDS: Mapping[Rule, str] = MappingProxyType(
    {
        Rule.DUPLICATE_ACROSS_SPLITS: "the same text as a row",
        Rule.GROUP_ACROSS_SPLITS: "the same group as a row",
        Rule.NEAR_DUPLICATE_ACROSS_SPLITS: "most of the text of a row",
    }
)


@dataclass(frozen=True)
class Leak:
    """The rows that broke one of the rules."""

    rule: Rule
    is_left_out: bool
    """Else they stayed where they were, and train or rank trials."""
    rows: tuple[str, ...]
    """Each with its file, its line and its twin."""

    @property
    def sentence(self) -> str:
        """For findings, with the first rows by name."""
        n, what = len(self.rows), _WORDS[self.rule]
        held = f"{n} {'row' if n == 1 else 'rows'} of the training or validation split had {what} that measures"
        then = (
            "and were left out"
            if self.is_left_out
            else "and stayed: they make validation and test scores look better than they are"
        )
        more = f"; and {n - N_NAMED} more in {FILE_NAME}" if n > N_NAMED else ""
        return f"{held}, {then} ({'; '.join(self.rows[:N_NAMED])}{more})."


def leaks_of(loaded: Loaded) -> tuple[Leak, ...]:
    """What was found while the rows were read; empty where nothing leaks."""
    return tuple(_leaks(loaded.report, loaded.left_out))


def keep(folder: Path, leaks: Sequence[Leak]) -> None:
    """Write the file, whole or not at all; raises DiskError."""
    write_whole(folder / FILE_NAME, json.dumps([asdict(one) for one in leaks], indent=1, ensure_ascii=False) + "\n")


def find(folder: Path) -> tuple[Leak, ...]:
    """What was kept; none where the file is not there or no longer what was written."""
    try:
        told = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        return tuple(Leak(Rule(one["rule"]), one["is_left_out"], tuple(one["rows"])) for one in told)
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _leaks(problems: Sequence[RowProblem], left_out: frozenset[Rule]) -> Iterator[Leak]:
    for rule in LEAKS:
        rows = tuple(f"{one.path.name} line {one.line}: {one.detail}" for one in problems if one.rule is rule)
        if rows:
            yield Leak(rule, rule in left_out, rows)
