"""Rows that hold most of another row's text: near duplicates, by word trigrams in common."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from raysweep.rows import Row

if TYPE_CHECKING:
    from scipy import sparse

N_WORDS = 3
"""Words of a shingle."""
SHARE = 0.5
"""Of a measuring row's shingles: a row that holds so many of them is its near twin. docs/data.md says what it finds."""
MIN_SHINGLES = 10
"""Rows with fewer that count are compared as a whole only: a stock phrase is half of them."""
COMMON_SHARE, COMMON_ROWS = 0.01, 10
"""A shingle that stands in more than this share of the other rows, and in more than so many, is a template's and does
not count."""
CHUNK = 1000
"""Measuring rows that are compared at once: bounds the memory."""
_TERM = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ua4cf\uf900-\ufaff]|[^\W\u0e00-\ua4cf]+|\w")
"""A word; where a script puts no spaces between words, a letter."""

Codes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Twin:
    """A row that holds most of the text of one that measures."""

    place: int
    """Of the row among those that give way."""
    of: int
    """Of its nearest twin among those that measure."""
    share: float
    """Of the twin's shingles."""


@dataclass(frozen=True)
class Twins:
    """All near twins between two sets of rows."""

    rows: tuple[Twin, ...] = ()
    """Each row that gives way once, in their order."""
    touched: frozenset[int] = frozenset()
    """The places of all rows that measure and have a twin."""


def near_twins(rows: Sequence[Row], held_out: Sequence[Row]) -> Twins:
    """Which of `rows` hold SHARE or more of the shingles of one that is held out.

    Exact but for the shingles' 64-bit hashes: nothing is sampled.
    """
    if not rows or not held_out:
        return Twins()
    theirs, own = _tables(rows, held_out)
    sizes = np.asarray(own.sum(axis=1)).ravel()
    nearest, shares = np.full(len(rows), -1), np.zeros(len(rows))
    touched: set[int] = set()
    for start in range(0, len(held_out), CHUNK):
        common = (own[start : start + CHUNK] @ theirs).tocoo()
        of = common.row + start
        is_twin = (sizes[of] >= MIN_SHINGLES) & (common.data >= SHARE * sizes[of])
        of, places, share = of[is_twin], common.col[is_twin], common.data[is_twin] / sizes[of[is_twin]]
        order = np.argsort(share, kind="stable")  # of a row's twins the nearest is written last
        order = order[share[order] > shares[places[order]]]
        nearest[places[order]], shares[places[order]] = of[order], share[order]
        touched.update(of.tolist())
    found = np.flatnonzero(nearest >= 0).tolist()
    return Twins(tuple(Twin(place, int(nearest[place]), float(shares[place])) for place in found), frozenset(touched))


def _tables(rows: Sequence[Row], held_out: Sequence[Row]) -> "tuple[sparse.csr_matrix, sparse.csr_matrix]":
    """(shingles, rows) and (held out, shingles): 1 where the row has the shingle; only those that count."""
    words: defaultdict[str, int] = defaultdict(count().__next__)
    (codes, places), (own_codes, own_places) = _shingles(rows, words), _shingles(held_out, words)
    known = own_codes[np.diff(own_codes, prepend=~own_codes[:1]) != 0]  # what no measuring row has cannot be in common
    columns = np.searchsorted(known, codes)
    is_known = columns < known.size
    is_known[is_known] = known[columns[is_known]] == codes[is_known]
    theirs = _table(places[is_known], columns[is_known], (len(rows), known.size))
    own = _table(own_places, np.searchsorted(known, own_codes), (len(held_out), known.size))
    is_rare = np.asarray(theirs.sum(axis=0)).ravel() <= max(COMMON_ROWS, COMMON_SHARE * len(rows))
    return theirs[:, is_rare].T.tocsr(), own[:, is_rare]


def _shingles(rows: Sequence[Row], words: defaultdict[str, int]) -> tuple[Codes, Ints]:
    """The hash of every run of N_WORDS words of a row, and the row's place."""
    terms = [_terms(row.key) for row in rows]
    lengths = [len(own) for own in terms]
    flat = np.fromiter(map(words.__getitem__, chain.from_iterable(terms)), dtype=np.uint64, count=sum(lengths))
    places = np.repeat(np.arange(len(rows), dtype=np.int64), lengths)
    n = max(0, flat.size - N_WORDS + 1)
    codes = np.zeros(n, dtype=np.uint64)
    for offset in range(N_WORDS):
        codes = _mixed(codes ^ flat[offset : offset + n])
    is_whole = places[:n] == places[N_WORDS - 1 :][:n]  # none reaches from one row into the next
    codes, places = codes[is_whole], places[:n][is_whole]
    order = np.argsort(codes)  # what is sorted is found several times as fast
    return codes[order], places[order]


def _mixed(codes: Codes) -> Codes:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014): every bit of the input changes half of the output."""
    codes = codes + np.uint64(0x9E3779B97F4A7C15)
    codes = (codes ^ (codes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    codes = (codes ^ (codes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return codes ^ (codes >> np.uint64(31))


def _table(places: Ints, columns: Ints, shape: tuple[int, int]) -> "sparse.csr_matrix":
    from scipy import sparse

    table = sparse.csr_matrix((np.ones(places.size, dtype=np.int32), (places, columns)), shape=shape)
    table.sum_duplicates()
    table.data[:] = 1
    return table


def _terms(key: str) -> list[str]:
    return key.split() if key.isascii() else _TERM.findall(key)
