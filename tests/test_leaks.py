"""Rows that measure and train too: planted, and found; and clean rows left alone."""

import csv
import random
from pathlib import Path

import pytest
from inline_runner import InlineRunner

from raysweep import leaking
from raysweep.checking import findings
from raysweep.config.load import parse
from raysweep.dataset import DataSettings, load
from raysweep.errors import DataError
from raysweep.report.findings import Findings
from raysweep.report.from_run import read_run
from raysweep.report.markdown import markdown
from raysweep.report.statistics import given_threshold
from raysweep.rows import Row
from raysweep.rules import Policy, Rule
from raysweep.sweep import Options, run_sweep
from raysweep.task import Example, Message, TaskKind
from raysweep.twins import near_twins

NEAR, SAME = Rule.NEAR_DUPLICATE_ACROSS_SPLITS, Rule.DUPLICATE_ACROSS_SPLITS
LABELS = ("1", "2", "3", "4", "5")
SIZES = {"train": 800, "validation": 150, "test": 200}


def reviews(seed: int, n: int) -> list[str]:
    """Texts of 12 to 90 words, some words much commoner than others, as in a language."""
    dice = random.Random(seed)
    words = [f"{'aeiou'[i % 5]}{i}" for i in range(3000)]
    weights = [1 / (rank + 3) for rank in range(3000)]
    return [" ".join(dice.choices(words, weights, k=dice.randint(12, 90))) for _ in range(n)]


def edited(text: str, dice: random.Random) -> str:
    """A tenth of the words changed, left out, or followed by one more; always the first, another case, a full stop."""
    first, *others = text.split()
    out = [f"{first}s"]
    for word in others:
        kind = dice.choice("cdt") if dice.random() < 0.1 else ""
        out += {"c": [f"{word}s"], "d": [], "t": [word, "really"]}.get(kind, [word])
    return " ".join(out).capitalize() + "."


def files(folder: Path, planted: list[str] | None = None) -> DataSettings:
    """Three files of clean rows; training has the planted ones at its end."""
    paths = {}
    for seed, (name, size) in enumerate(SIZES.items()):
        texts = reviews(seed, size) + ((planted or []) if name == "train" else [])
        paths[name] = folder / f"{name}.csv"
        with paths[name].open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(
                [("prompt", "completion"), *((text, LABELS[i % 5]) for i, text in enumerate(texts))]
            )
    return DataSettings(**paths)


def with_policies(settings: DataSettings, **policies: Policy) -> DataSettings:
    chosen = {
        Rule.NEAR_DUPLICATE_ACROSS_SPLITS: policies.get("near"),
        Rule.DUPLICATE_ACROSS_SPLITS: policies.get("same"),
    }
    return DataSettings(**{**vars(settings), "policies": {rule: one for rule, one in chosen.items() if one}})


TEST_ROWS = reviews(2, SIZES["test"])


def test_clean_rows_raise_no_alarm(tmp_path):
    assert load(files(tmp_path), TaskKind.RATING).report == ()


@pytest.mark.parametrize("share", [1.0, 0.05])
def test_test_rows_in_the_training_file_are_refused_by_their_lines(tmp_path, share):
    planted = TEST_ROWS[: round(share * len(TEST_ROWS))]

    with pytest.raises(DataError, match=f"(?s){len(planted)} rows break a rule .*train.csv line 802: {SAME}") as caught:
        load(files(tmp_path, planted), TaskKind.RATING)

    assert "the same text as test.csv line 2" in str(caught.value)


@pytest.mark.parametrize("share", [1.0, 0.05])
def test_lightly_edited_copies_of_test_rows_are_refused(tmp_path, share):
    dice = random.Random(0)
    planted = [edited(text, dice) for text in TEST_ROWS[: round(share * len(TEST_ROWS))]]

    with pytest.raises(DataError, match=rf"train.csv line 802: {NEAR}: \d\d % of the text of test.csv line 2 \(test\)"):
        load(files(tmp_path, planted), TaskKind.RATING)

    settings = with_policies(files(tmp_path, planted), near=Policy.KEEP)
    found = [one.line for one in load(settings, TaskKind.RATING).report if one.rule is NEAR]
    assert len(found) >= 0.9 * len(planted)
    assert min(found) > SIZES["train"]  # none of the clean rows


def test_a_few_are_kept_and_said(tmp_path):
    dice = random.Random(0)
    planted = [edited(text, dice) for text in TEST_ROWS[:2]]

    loaded = load(files(tmp_path, planted), TaskKind.RATING)

    assert [(802, NEAR), (803, NEAR)] == [(one.line, one.rule) for one in loaded.report]
    assert len(loaded.splits.train) == 802
    (leak,) = leaking.leaks_of(loaded)
    assert not leak.is_left_out
    assert "2 rows" in leak.sentence
    assert "train.csv line 802" in leak.sentence


def test_dropped_they_are_gone_from_training_alone(tmp_path):
    settings = files(tmp_path, [*TEST_ROWS[:10], *(f"said: {text}" for text in TEST_ROWS[10:40])])

    loaded = load(with_policies(settings, near=Policy.DROP, same=Policy.DROP), TaskKind.RATING)

    splits = loaded.splits
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [*SIZES.values()]
    assert [(SAME, 10), (NEAR, 30)] == [(leak.rule, len(leak.rows)) for leak in leaking.leaks_of(loaded)]
    assert all(leak.is_left_out for leak in leaking.leaks_of(loaded))


def test_near_twins_in_one_file_are_found_once_it_is_split(tmp_path):
    dice = random.Random(0)
    texts = [one for text in reviews(7, 200) for one in (text, edited(text, dice))]
    path = tmp_path / "pool.csv"
    rows = [("prompt", "completion"), *((text, LABELS[i % 5]) for i, text in enumerate(texts))]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)

    with pytest.raises(
        DataError, match=r"data\.near_duplicates: drop; where they are no copies: data.near_duplicates: keep"
    ):
        load(DataSettings(source=path), TaskKind.RATING)


def row(key: str) -> Row:
    return Row(Path("a.csv"), 1, Example((Message("user", key),), "1"), None, key)


def test_a_template_around_every_row_is_no_leak():
    frame = "please read the following review of a restaurant with care and say how many stars it got from one to five"
    rows = [row(f"{frame} {text}") for text in reviews(0, 300)]
    held_out = [row(f"{frame} {text}") for text in reviews(1, 50)]

    assert near_twins(rows, held_out).rows == ()
    assert near_twins([*rows, held_out[7]], held_out).touched == {7}


def test_a_script_without_spaces_is_compared_letter_by_letter():
    text = "这家餐厅的服务非常好食物也很美味我们还会再来推荐给大家"

    assert near_twins([row(f"{text}谢谢")], [row(text)]).touched == {0}
    assert near_twins([row("那部电影太长了演员也不好我不会再看第二遍浪费时间和金钱")], [row(text)]).touched == set()


def test_of_several_twins_the_nearest_is_named():
    near, nearer = "a b c d e f g h i j k l m n o p", "a b c d e f g h i j k l m n o q"

    (found,) = near_twins([row(f"{nearer} r")], [row(near), row(nearer)]).rows

    assert (1, 1.0) == (found.of, found.share)


def test_check_and_findings_name_them(tmp_path, synthetic):
    dice = random.Random(0)
    settings = files(tmp_path, [edited(text, dice) for text in TEST_ROWS[:2]])
    data = {name: str(vars(settings)[name]) for name in SIZES}
    config = parse(synthetic | {"data": data, "final": {"baseline": False}, "trials": 2}, "test")

    said = "\n".join(findings(config))
    found = run_sweep(config, Options(runner=InlineRunner()))

    assert "train.csv line 803: near_duplicate_across_splits" in said
    assert "2 rows of the training or validation split had most of the text" in markdown_of(found.folder)


def markdown_of(folder: Path) -> str:
    return markdown(Findings(read_run(folder), given_threshold(None)), ())
