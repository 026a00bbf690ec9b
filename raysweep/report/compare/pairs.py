"""Whether two winners differ by more than the luck of the rows."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from raysweep.certainty import HEADLINES, Verdict
from raysweep.certainty import Comparison as Held
from raysweep.report.compare.runs import Comparison, Contender
from raysweep.scoring import Answers, Texts, doc_of
from raysweep.scoring.intervals import LEVEL, Bootstrap, Interval, differences, intervals
from raysweep.task import Task
from raysweep.views.certainty import signed
from raysweep.views.words import metric


@dataclass(frozen=True)
class Pair:
    """The first winner less the second, on test rows."""

    first: Contender
    second: Contender
    metric: str
    """Without its split; empty where they cannot be held against each other."""
    difference: Interval | None
    n_rows: tuple[int, int]
    is_paired: bool
    """Whether both answered the same rows."""

    @property
    def verdict(self) -> Verdict | None:
        """Of the first; None where nothing is known."""
        if self.difference is None:
            return None
        return Held("", None, {self.metric: self.difference}).verdict(self.metric)

    @property
    def words(self) -> str:
        """One or two sentences."""
        one, other = self.first.letter, self.second.letter
        if self.difference is None:
            lacking = " and ".join(each.letter for each in (self.first, self.second) if each.kept is None)
            why = f"what {lacking}'s winner said of the test rows was not kept" if lacking else "no metric fits both"
            return f"{one} and {other}: {why}, so nothing is said of whether they differ by more than chance."
        match self.verdict:
            case Verdict.BEATS:
                judged = f"{one}'s winner beats {other}'s"
            case Verdict.LOSES:
                judged = f"{other}'s winner beats {one}'s"
            case _:
                judged = f"A tie: neither {one}'s winner nor {other}'s is shown to be better"
        found, doc = self.difference, doc_of(self.metric)
        ends = f"{100 * found.level:.0f} % interval {found.low:+.3f} to {found.high:+.3f}"
        better = ", less is better" if doc and doc.direction == "min" else ""
        return f"{judged} {self._rows}: {self.metric} {one} less {other} {found.value:+.3f} ({ends}{better})."

    @property
    def _rows(self) -> str:
        if self.is_paired:
            return f"on the same {self.n_rows[0]} test rows"
        return f"on {self.n_rows[0]} and {self.n_rows[1]} test rows that are not the same, so that luck counts twice"

    @property
    def cells(self) -> list[str]:
        """As a row of a table."""
        found = "-" if self.difference is None else signed(self.difference)
        rows = "the same" if self.is_paired else "not the same" if self.difference else "-"
        return [
            f"{self.first.letter} less {self.second.letter}",
            self.metric or "-",
            found,
            rows,
            str(self.verdict or "-"),
        ]


def pairs(found: Comparison) -> tuple[Pair, ...]:
    """Each two of them; takes a second a pair."""
    return tuple(_pair(one, other, found.bare) for one, other in combinations(found.contenders, 2))


def caution(n_pairs: int) -> str:
    """What is to be known of so many judgements; empty for one."""
    if n_pairs < 2:
        return ""
    share = 1 - LEVEL**n_pairs
    return (
        f"Each of the {n_pairs} pairs is judged by itself, at {LEVEL:.0%}: of winners that are all equally good, "
        f"chance alone would set two apart in up to {share:.0%} of such comparisons."
    )


def _pair(first: Contender, second: Contender, bare: str) -> Pair:
    one, other = first.kept, second.kept
    if one is None or other is None:
        return Pair(first, second, "", None, (0, 0), is_paired=False)
    ours, theirs = one.answers, other.answers
    is_paired = first.fingerprint == second.fingerprint and np.array_equal(ours.right, theirs.right)
    drawn = Bootstrap(metrics=frozenset((bare, *HEADLINES)))
    made = differences(one.task, ours, theirs, drawn) if is_paired else dict(_unpaired(one.task, ours, theirs, drawn))
    name = next((name for name in (bare, *HEADLINES) if name in made), "")
    return Pair(first, second, name, made.get(name), (ours.n, theirs.n), is_paired=is_paired)


def _unpaired(
    task: Task, first: Answers | Texts, second: Answers | Texts, drawn: Bootstrap
) -> Iterator[tuple[str, Interval]]:
    """From both intervals, as Zou and Donner (2008, Statistics in Medicine 27:1693) recover a difference's."""
    ours, theirs = intervals(task, first, drawn), intervals(task, second, drawn)
    for name in ours.keys() & theirs.keys():
        one, other = ours[name], theirs[name]
        value = one.value - other.value
        low = value - math.hypot(one.value - one.low, other.high - other.value)
        high = value + math.hypot(one.high - one.value, other.value - other.low)
        yield name, Interval(value, low, high, one.level)


def headline(found: Comparison, judged: tuple[Pair, ...]) -> str:
    """Who is ahead, and whether that is more than chance, in one sentence."""
    scored = [(one.test_score(found.bare), one) for one in found.contenders]
    split = "test" if all(value is not None for value, _ in scored) else "validation"
    if split == "validation":
        scored = [(one.score(found.goal.metric), one) for one in found.contenders]
    known = [(value, one) for value, one in scored if value is not None]
    if not known:
        return "No trial has completed yet, so there is nothing to compare."
    value, best = min(known, key=lambda one: found.goal.loss(one[0]))
    level = [one.letter for other, one in known if other == value]
    if len(level) > 1:
        return f"{' and '.join(level)} are level: {found.bare} {metric(found.bare, value)} on {split}."
    mine = [pair for pair in judged if best in (pair.first, pair.second)]
    where = "" if found.is_same_data else ", but not on the same rows, which alone may make the difference"
    return f"{best.title} is ahead: {found.bare} {metric(found.bare, value)} on {split}; {_surely(best, mine)}{where}."


def _surely(best: Contender, mine: list[Pair]) -> str:
    if all(pair.difference is None for pair in mine):
        return "how surely is not known"
    beaten = sum(_beats(pair, best) for pair in mine)
    if beaten == 0:
        return "chance may have done it"
    if len(mine) == 1:
        return "it beats the other by more than chance"
    return f"it beats {beaten} of the {len(mine)} others by more than chance"


def _beats(pair: Pair, best: Contender) -> bool:
    wins = {Verdict.BEATS: pair.first, Verdict.LOSES: pair.second}
    return pair.verdict is not None and wins.get(pair.verdict) is best
