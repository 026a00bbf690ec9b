"""One file divided by seed."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep import assets
from raysweep.dataset import DataSettings, load
from raysweep.errors import DataError
from raysweep.rows import Row
from raysweep.splitting import split_rows
from raysweep.task import Example, Message, TaskKind

NAMES = ["train", "validation", "test"]


def row(number: int, label: str, group: str | None = None, text: str | None = None) -> Row:
    text = text or f"text {number}"
    return Row(Path("pool.csv"), number, Example((Message("user", text),), label), group, text)


def lines(split: dict[str, list[Row]]) -> dict[str, list[int]]:
    return {name: [each.line for each in rows] for name, rows in split.items()}


POOL = [row(number, "abc"[number % 7 % 3]) for number in range(700)]


def test_the_same_seed_gives_the_same_split_and_another_another():
    first = lines(split_rows(POOL, (0.6, 0.2, 0.2), seed=3, stratify=True))

    assert first == lines(split_rows(POOL, (0.6, 0.2, 0.2), seed=3, stratify=True))
    assert first != lines(split_rows(POOL, (0.6, 0.2, 0.2), seed=4, stratify=True))


def test_the_split_is_the_same_on_every_machine():
    expected = {"train": [1, 3, 7, 8, 9, 10], "validation": [0, 4, 5], "test": [2, 6, 11]}
    assert lines(split_rows(POOL[:12], (6, 3, 3), seed=0, stratify=True)) == expected


def test_counts_are_exact_and_labels_in_the_pools_proportions():
    split = split_rows(POOL, (350, 70, 140), seed=0, stratify=True)

    found = {name: Counter(each.example.label for each in rows) for name, rows in split.items()}
    assert found == {
        "train": {"a": 150, "b": 100, "c": 100},
        "validation": {"a": 30, "b": 20, "c": 20},
        "test": {"a": 60, "b": 40, "c": 40},
    }


@pytest.mark.parametrize("seed", range(5))
def test_counts_that_use_every_row_are_exact_too(seed):
    pool = [row(number, "abcdefg"[number % 7]) for number in range(40)]

    split = split_rows(pool, (20, 13, 7), seed=seed, stratify=True)

    assert [len(split[name]) for name in NAMES] == [20, 13, 7]


def test_shares_that_make_a_whole_use_every_row():
    split = split_rows(POOL[:101], (0.5, 0.25, 0.25), seed=0, stratify=True)

    assert sorted(line for part in lines(split).values() for line in part) == list(range(101))


def test_without_stratifying_the_sizes_hold_still():
    split = split_rows(POOL, (100, 50, 25), seed=0, stratify=False)

    assert [len(split[name]) for name in NAMES] == [100, 50, 25]


def test_equal_texts_stay_together():
    pool = [row(number, "ab"[number % 2], text=f"text {number % 40}") for number in range(80)]

    split = split_rows(pool, (0.5, 0.25, 0.25), seed=0, stratify=True)

    keys = [{each.key for each in split[name]} for name in NAMES]
    assert sum(map(len, keys)) == len(set.union(*keys)) == 40


@settings(deadline=None, max_examples=40)
@given(
    groups=st.lists(st.integers(0, 25), min_size=30, max_size=120),
    seed=st.integers(0, 99),
    sizes=st.sampled_from([(0.6, 0.2, 0.2), (12.0, 6.0, 6.0), (0.3, 0.1, 0.1)]),
    stratify=st.booleans(),
)
def test_no_group_is_ever_in_two_splits_and_no_row_twice(groups, seed, sizes, stratify):
    pool = [row(number, "ab"[number % 2], f"g{group}") for number, group in enumerate(groups)]

    split = split_rows(pool, sizes, seed=seed, stratify=stratify)

    of_groups = [{each.group for each in split[name]} for name in NAMES]
    assert sum(map(len, of_groups)) == len(set.union(*of_groups))
    used = [line for part in lines(split).values() for line in part]
    assert len(used) == len(set(used))
    assert all(len(split[name]) <= size for name, size in zip(NAMES, sizes, strict=True) if size >= 1)
    if sum(sizes) == 1:
        assert len(used) == len(pool)


def test_rows_of_large_groups_get_the_same_share_of_every_split():
    large = [row(number, "ab"[number % 2], f"large {number // 12}") for number in range(1200)]
    pool = large + [row(number, "ab"[number % 2], f"single {number}") for number in range(1200, 4800)]

    splits = [split_rows(pool, (600, 150, 300), seed=seed, stratify=True) for seed in range(8)]

    for name in NAMES:
        chosen = [each for split in splits for each in split[name]]
        assert sum(each.line < 1200 for each in chosen) / len(chosen) == pytest.approx(0.25, abs=0.03)


def test_groups_leave_shares_nearly_as_asked():
    pool = [row(number, "abc"[number % 3], f"g{number // 9}") for number in range(900)]

    split = split_rows(pool, (0.6, 0.2, 0.2), seed=0, stratify=True)

    assert [len(split[name]) for name in NAMES] == pytest.approx([540, 180, 180], abs=9)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0.0, 0.5, 0.5), "each must be above 0"),
        ((0.6, 0.6, 0.2), "add up to more than 1"),
        ((600, 100, 100), "700 rows cannot give train 600, validation 100, test 100"),
        ((0.9, 0.0001, 0.05), "validation 0"),
    ],
)
def test_sizes_that_cannot_be_had_are_refused(sizes, message):
    with pytest.raises(DataError, match=message):
        split_rows(POOL, sizes, seed=0, stratify=True)


@pytest.mark.assets
def test_the_default_data_gives_the_recommended_split():
    settings_ = DataSettings(
        source=assets.path("review-snippets"), prompt="text", completion="label", group="group", sizes=(2000, 600, 1000)
    )

    loaded = load(settings_, TaskKind.RATING)

    splits = loaded.splits
    assert loaded.report == ()
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [2000, 600, 1000]
    assert [count for _, count in sorted(Counter(one.label for one in splits.train).items())] == [
        402,
        460,
        209,
        407,
        522,
    ]
