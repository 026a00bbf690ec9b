"""Near duplicates between splits: which rows they are, and when they are too many."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from raysweep.rows import Row
from raysweep.rules import Policy, RowProblem, Rule
from raysweep.twins import near_twins

MOST_TOUCHED = 0.02
"""Of the validation or of the test rows: near twins of more are a leak, of fewer the same thing said again."""
FEW_TOUCHED = 5
"""So many rows are few in any split."""


def near_leaks(
    parts: Mapping[str, Sequence[Row]], policies: Mapping[Rule, Policy]
) -> tuple[list[RowProblem], dict[Rule, Policy]]:
    """Training rows that hold most of a row that measures, and validation rows that hold most of one of the test split.

    And the policies with `keep_few` decided: refuse where the twins touch too many rows of a split, else keep.
    """
    problems: dict[tuple[Path, int], RowProblem] = {}
    is_many = False
    for name, measuring in (("train", "test"), ("train", "validation"), ("validation", "test")):
        rows, held_out = parts[name], parts[measuring]
        twins = near_twins(rows, held_out)
        is_many |= len(twins.touched) > max(FEW_TOUCHED, MOST_TOUCHED * len(held_out))
        for twin in twins.rows:
            row, of = rows[twin.place], held_out[twin.of]
            detail = f"{100 * twin.share:.0f} % of the text of {of.path.name} line {of.line} ({measuring})"
            problem = RowProblem(row.path, row.line, Rule.NEAR_DUPLICATE_ACROSS_SPLITS, detail)
            problems.setdefault((row.path, row.line), problem)
    decided = dict(policies)
    if decided[Rule.NEAR_DUPLICATE_ACROSS_SPLITS] is Policy.KEEP_FEW:
        decided[Rule.NEAR_DUPLICATE_ACROSS_SPLITS] = Policy.REFUSE if is_many else Policy.KEEP
    return list(problems.values()), decided
