"""A pool of rows divided by seed: stratified by label, no group and no text in two splits."""

import random
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from raysweep.errors import DataError
from raysweep.rows import Row

SPLIT_NAMES = ("train", "validation", "test")


def split_rows(
    rows: Sequence[Row], sizes: tuple[float, float, float], *, seed: int, stratify: bool
) -> dict[str, list[Row]]:
    """The rows of each split, in the order they came in; the same for the same rows and seed on any machine.

    A size of 1 or more is a count, below 1 a share of the rows. Counts are met exactly where single rows allow it;
    shares are approximate by the size of a group. Raises DataError for sizes that the rows cannot give.
    """
    counts = _counts(sizes, len(rows))
    strata = [row.example.label if stratify else "" for row in rows]
    needs = [_Need.of(count, strata) for count in counts]
    is_exact = any(size >= 1 for size in sizes)
    takes_all = not is_exact and sum(sizes) > 1 - 1e-9
    chosen: dict[int, int] = {}
    for unit in _shuffled_units(rows, seed):
        held = Counter(strata[place] for place in unit)
        best = max(range(len(needs)), key=lambda split: needs[split].urgency(held))
        if needs[best].urgency(held) <= 0:
            best = 0  # what rounding leaves over trains
            if not takes_all:
                continue
        chosen |= dict.fromkeys(needs[best].take(unit, strata, is_exact=is_exact), best)
    return {
        name: [rows[place] for place in sorted(chosen) if chosen[place] == split]
        for split, name in enumerate(SPLIT_NAMES)
    }


@dataclass
class _Need:
    """How many rows of each stratum a split still lacks."""

    wanted: Mapping[str, int]
    missing: Counter[str]

    @classmethod
    def of(cls, count: int, strata: Sequence[str]) -> "_Need":
        wanted = _shares(count, Counter(strata))
        return cls(wanted, Counter(wanted))

    def urgency(self, held: Counter[str]) -> float:
        """How large a part of what was wanted is still missing, over the rows of a unit that would help."""
        shares = ((n, self.missing[name] / self.wanted[name]) for name, n in held.items() if self.wanted[name])
        return sum(n * share for n, share in shares if share > 0)

    def take(self, unit: Sequence[int], strata: Sequence[str], *, is_exact: bool) -> list[int]:
        """The unit's rows that the split gets: all, or only as many as it lacks."""
        taken = []
        for place in unit:
            if not is_exact or self.missing[strata[place]] > 0:
                taken.append(place)
                self.missing[strata[place]] -= 1
        return taken


def _counts(sizes: tuple[float, float, float], n_rows: int) -> list[int]:
    if not all(size > 0 for size in sizes):
        raise DataError(f"data.split {list(sizes)}: each must be above 0: a count, or a share below 1")
    if sum(size for size in sizes if size < 1) > 1 + 1e-9:
        raise DataError(f"data.split {list(sizes)}: the shares add up to more than 1")
    counts = [round(size) if size >= 1 else round(size * n_rows) for size in sizes]
    surplus = sum(counts) - n_rows
    if 0 < surplus <= 2 and all(size < 1 for size in sizes):
        counts[0] -= surplus  # two halves were rounded up
    if sum(counts) > n_rows or min(counts) < 1:
        asked = ", ".join(f"{name} {count}" for name, count in zip(SPLIT_NAMES, counts, strict=True))
        raise DataError(f"data.split {list(sizes)}: {n_rows} rows cannot give {asked}; ask for fewer")
    return counts


def _shares(count: int, pool: Counter[str]) -> dict[str, int]:
    """`count` divided in the pool's proportions, by the largest remainder."""
    total = pool.total()
    exact = {name: count * pool[name] / total for name in sorted(pool)}
    shares = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: shares[name] - exact[name])
    for name in by_remainder[: count - sum(shares.values())]:
        shares[name] += 1
    return shares


def _shuffled_units(rows: Sequence[Row], seed: int) -> list[list[int]]:
    """Places of rows that must stay together, the units in the seed's order."""
    units = sorted(_units(rows))
    random.Random(seed).shuffle(units)
    return units


def _units(rows: Sequence[Row]) -> Iterable[list[int]]:
    """Rows joined by a group or by equal text, directly or through others."""
    parent = list(range(len(rows)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    first: dict[Hashable, int] = {}
    for place, row in enumerate(rows):
        ties: list[Hashable] = [("text", row.key)]
        if row.group is not None:
            ties.append(("group", row.group))
        for tie in ties:
            parent[root(place)] = root(first.setdefault(tie, place))
    units: dict[int, list[int]] = {}
    for place in range(len(rows)):
        units.setdefault(root(place), []).append(place)
    return units.values()
