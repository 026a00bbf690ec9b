"""A pool of rows divided by seed: stratified by label, no group and no text in two splits."""

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

from raysweep.errors import DataError
from raysweep.rows import Row

SPLIT_NAMES = ("train", "validation", "test")


def split_rows(
    rows: Sequence[Row], sizes: tuple[float, float, float], *, seed: int, stratify: bool
) -> dict[str, list[Row]]:
    """The rows of each split, in the order they came in; the same for the same rows and seed on any machine.

    A size of 1 or more is a count, below 1 a share of the rows. Shares that add up to 1 use every row, and are met
    as nearly as groups allow. Raises DataError for sizes that the rows cannot give.
    """
    counts = _counts(sizes, len(rows))
    strata = [row.example.label if stratify else "" for row in rows]
    order = random.Random(seed)
    units = sorted(_units(rows))
    order.shuffle(units)
    places = _zones(units, strata, counts)
    takes_all = all(size < 1 for size in sizes) and sum(sizes) > 1 - 1e-9
    if not takes_all:
        for zone in places:
            order.shuffle(zone)  # row by row, not unit by unit: else a draw holds few of the large units, or many
        places = _drawn(units, places, strata, counts)
    return {name: [rows[place] for place in sorted(chosen)] for name, chosen in zip(SPLIT_NAMES, places, strict=True)}


def _zones(units: Sequence[list[int]], strata: Sequence[str], counts: Sequence[int]) -> list[list[int]]:
    """Places divided in the proportions of `counts`: units of one label by label, mixed units among themselves."""
    cuts = [sum(counts[: end + 1]) / sum(counts) for end in range(len(counts) - 1)]
    kinds = [frozenset(strata[place] for place in unit) for unit in units]
    kinds = [kind if len(kind) == 1 else frozenset() for kind in kinds]
    total: Counter[frozenset[str]] = Counter()
    for unit, kind in zip(units, kinds, strict=True):
        total[kind] += len(unit)
    passed: Counter[frozenset[str]] = Counter()
    zones: list[list[int]] = [[] for _ in counts]
    for unit, kind in zip(units, kinds, strict=True):
        middle = (passed[kind] + len(unit) / 2) / total[kind]
        zones[bisect_right(cuts, middle)] += unit
        passed[kind] += len(unit)
    return zones


def _drawn(
    units: Sequence[list[int]], zones: Sequence[Sequence[int]], strata: Sequence[str], counts: Sequence[int]
) -> list[list[int]]:
    """Exactly `counts` places, each label's in the pool's proportions; fewer only where groups stand in the way."""
    missing = [_shares(count, Counter(strata)) for count in counts]
    chosen = [_take(zone, strata, lacking) for zone, lacking in zip(zones, missing, strict=True)]
    no_strata = [""] * len(strata)
    # Where a zone lacked a label, untouched units of another zone fill up; then any label does.
    for split, lacking in enumerate(missing):
        chosen[split] += _take(_untouched(units, chosen), strata, lacking)
    for split, count in enumerate(counts):
        chosen[split] += _take(_untouched(units, chosen), no_strata, {"": count - len(chosen[split])})
    return chosen


def _take(places: Iterable[int], strata: Sequence[str], missing: dict[str, int]) -> list[int]:
    """The first places that are missing, which then are missing no more."""
    taken = []
    for place in places:
        if missing[strata[place]] > 0:
            missing[strata[place]] -= 1
            taken.append(place)
    return taken


def _untouched(units: Iterable[list[int]], chosen: Iterable[Iterable[int]]) -> list[int]:
    used = {place for places in chosen for place in places}
    return [place for unit in units if used.isdisjoint(unit) for place in unit]


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


def _units(rows: Sequence[Row]) -> Iterable[list[int]]:
    """Places of rows that must stay together: joined by a group or by equal text, directly or through others."""
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
