"""The rules over rows, and what becomes of a row that breaks one."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from raysweep.errors import DataError

N_SHOWN = 10
"""Problems spelt out in an error's message; the others are counted."""


class Rule(StrEnum):
    """What can be wrong with a row."""

    BROKEN_ROW = "broken_row"
    """The line is not JSON, or has too many or too few cells."""
    BAD_ENCODING = "bad_encoding"
    """Bytes that are not UTF-8."""
    BAD_MESSAGES = "bad_messages"
    """Chat messages without roles, a user turn, or an assistant's turn at the end."""
    EMPTY_PROMPT = "empty_prompt"
    """Nothing to read."""
    UNLABELLED = "unlabelled"
    """Nothing to learn: the completion is empty."""
    UNKNOWN_LABEL = "unknown_label"
    """The completion is none of the task's labels."""
    TOO_SHORT = "too_short"
    """Fewer words than `min_words`."""
    TOO_LONG = "too_long"
    """More words, characters or tokens than allowed."""
    DUPLICATE = "duplicate"
    """The same text as an earlier row of the split, but for case, punctuation and spaces."""
    DUPLICATE_ACROSS_SPLITS = "duplicate_across_splits"
    """The same text as a row of a split that measures: a leak."""
    GROUP_ACROSS_SPLITS = "group_across_splits"
    """The same group as a row of a split that measures: a leak."""
    NEAR_DUPLICATE_ACROSS_SPLITS = "near_duplicate_across_splits"
    """It holds most of the text of a row of a split that measures."""


class Policy(StrEnum):
    """What becomes of a row that breaks a rule."""

    REFUSE = "refuse"
    """Nothing is run."""
    DROP = "drop"
    """The row is left out and reported."""
    KEEP = "keep"
    """The row stays and is reported; only where it can still be used."""
    KEEP_FEW = "keep_few"
    """Kept where few measuring rows are touched, else refused; for near duplicates only."""


KEEPABLE = frozenset({Rule.TOO_SHORT, Rule.TOO_LONG, Rule.DUPLICATE, Rule.NEAR_DUPLICATE_ACROSS_SPLITS})
"""The rules whose rows can still be used."""
LEAKS = (Rule.DUPLICATE_ACROSS_SPLITS, Rule.GROUP_ACROSS_SPLITS, Rule.NEAR_DUPLICATE_ACROSS_SPLITS)
"""The rules that keep what measures out of what trains."""

SETTINGS: Mapping[Rule, str] = MappingProxyType(
    {
        Rule.BROKEN_ROW: "broken",
        Rule.BAD_MESSAGES: "broken",
        Rule.BAD_ENCODING: "badly_encoded",
        Rule.EMPTY_PROMPT: "empty",
        Rule.UNLABELLED: "unlabelled",
        Rule.UNKNOWN_LABEL: "unlabelled",
        Rule.TOO_SHORT: "too_short",
        Rule.TOO_LONG: "too_long",
        Rule.DUPLICATE: "repeats",
        Rule.DUPLICATE_ACROSS_SPLITS: "duplicates",
        Rule.GROUP_ACROSS_SPLITS: "duplicates",
        Rule.NEAR_DUPLICATE_ACROSS_SPLITS: "near_duplicates",
    }
)
"""The setting below `data` that holds a rule's policy."""


@dataclass(frozen=True)
class RowProblem:
    """A row that breaks a rule."""

    path: Path
    line: int
    rule: Rule
    detail: str

    def __str__(self) -> str:
        """`reviews.csv line 7: unlabelled: ...`."""
        return f"{self.path.name} line {self.line}: {self.rule}: {self.detail}"


def refuse(problems: Iterable[RowProblem], policies: Mapping[Rule, Policy]) -> None:
    """Raises DataError with the first problems and the count of all, where a policy says so."""
    refused = [problem for problem in problems if policies[problem.rule] is Policy.REFUSE]
    if not refused:
        return
    n_rows = len({(problem.path, problem.line) for problem in refused})
    counts = ", ".join(f"{rule} {count}" for rule, count in Counter(problem.rule for problem in refused).most_common())
    shown = "".join(f"\n  {problem}" for problem in refused[:N_SHOWN])
    more = f"\n  ... and {len(refused) - N_SHOWN} more" if len(refused) > N_SHOWN else ""
    settings = ", ".join(f"data.{name}: drop" for name in dict.fromkeys(SETTINGS[problem.rule] for problem in refused))
    is_near = any(problem.rule is Rule.NEAR_DUPLICATE_ACROSS_SPLITS for problem in refused)
    keep = "; where they are no copies: data.near_duplicates: keep" if is_near else ""
    raise DataError(
        f"data: {n_rows} rows break a rule ({counts}){shown}{more}\nrepair them, or leave them out: {settings}{keep}"
    )
