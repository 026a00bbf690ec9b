"""Sweeps side by side: what is said of their winners, and when nothing may be said."""

import random
import re
from dataclasses import replace

import numpy as np
import pytest
from inline_runner import InlineRunner
from report_toys import sweep as long_sweep
from report_toys import write_ledger
from scripted_sweep import finals, started, sweep

from raysweep import predictions
from raysweep.certainty import Verdict
from raysweep.cli import main
from raysweep.config.load import parse
from raysweep.entries import FinalScored
from raysweep.predictions import Kept, Place
from raysweep.report.compare.pairs import caution, headline, pairs
from raysweep.report.compare.plot import curve
from raysweep.report.compare.runs import compare
from raysweep.report.from_run import read_run
from raysweep.scoring import Prediction, score
from raysweep.scoring.intervals import Bootstrap, differences
from raysweep.sweep import Options, run_sweep
from raysweep.task import Task, TaskKind

OPINION = Task(TaskKind.CLASSIFICATION, ("no", "yes"))


def made(folder, name, share, *, seed=0, n=400, labels=None, task=OPINION, **began):
    """A sweep won by trial 1, whose predictions of the test rows are right so often; None: they were not kept."""
    home = folder / name
    entries = [*sweep(), *finals()]
    entries[0] = replace(started(), sweep_id=name, **began)
    if share is None:
        write_ledger(home, entries)
    else:
        dice = random.Random(seed)
        right = labels or tuple(task.labels[row % len(task.labels)] for row in range(n))
        said = [_prediction(task, label, is_right=dice.random() < share) for label in right]
        scores = {f"test_{metric}": value for metric, value in score(task, right, said).items()}
        write_ledger(home, [replace(one, metrics=scores) if _is_winners(one) else one for one in entries])
        predictions.keep(home, Place("best", 1, "test"), Kept(task, right, tuple(said)))
    return home


def _is_winners(entry):
    return isinstance(entry, FinalScored) and entry.trial == 1


def _prediction(task, label, *, is_right):
    place = (task.labels.index(label) + (not is_right)) % len(task.labels)
    rest = 0.2 / (len(task.labels) - 1)
    return Prediction(tuple(0.8 if one == place else rest for one in range(len(task.labels))))


@pytest.mark.parametrize(
    ("share", "verdict", "words"),
    [
        (0.9, Verdict.LOSES, "B's winner beats A's on the same 400 test rows: f1_weighted A less B -0."),
        (0.7, Verdict.TIE, "A tie: neither A's winner nor B's is shown to be better on the same 400 test rows"),
        (0.5, Verdict.BEATS, "A's winner beats B's on the same 400 test rows: f1_weighted A less B +0."),
    ],
)
def test_winners_of_the_same_rows_are_held_against_each_other_row_by_row(tmp_path, share, verdict, words):
    folders = [made(tmp_path, "one", 0.7, seed=1), made(tmp_path, "two", share, seed=2)]

    (pair,) = pairs(compare(folders))

    ours, theirs = (predictions.find(one, Place("best", 1, "test")).answers for one in folders)
    expected = differences(OPINION, ours, theirs, Bootstrap(metrics=frozenset({"f1_weighted"})))["f1_weighted"]
    assert pair.is_paired
    assert pytest.approx(expected.value) == pair.difference.value
    assert verdict is pair.verdict
    assert words in pair.words


def test_of_winners_with_one_score_none_is_called_ahead(tmp_path):
    found = compare([made(tmp_path, name, 0.8, seed=1) for name in ("one", "two")])

    assert re.fullmatch(r"A and B are level: f1_weighted 0\.\d{3} on test\.", headline(found, pairs(found)))


def test_rows_that_are_not_the_same_count_twice_and_that_is_said(tmp_path):
    same = [made(tmp_path, "one", 0.8, seed=1), made(tmp_path, "two", 0.8, seed=1)]
    other = made(tmp_path, "three", 0.8, seed=1, data_fingerprint="0" * 16)
    fewer = made(tmp_path, "four", 0.8, seed=1, n=100)

    (paired,) = pairs(compare(same))
    found = compare([same[0], other])
    (unpaired,) = pairs(found)
    (by_labels,) = pairs(compare([same[0], fewer]))

    assert 0 == paired.difference.low == paired.difference.high
    assert (False, False) == (unpaired.is_paired, by_labels.is_paired)
    assert -0.08 < unpaired.difference.low < -0.04 < 0.04 < unpaired.difference.high < 0.08
    assert "on 400 and 400 test rows that are not the same, so that luck counts twice" in unpaired.words
    assert "They do not have the same rows and splits" in found.notes[0]
    assert "not on the same rows" not in headline(compare(same), (paired,))
    worse = made(tmp_path, "five", 0.5, seed=1, data_fingerprint="0" * 16)
    unlike = compare([same[0], worse])
    assert headline(unlike, pairs(unlike)).endswith(
        "by more than chance, but not on the same rows, which alone may make the difference."
    )


def test_the_interval_of_other_rows_is_as_wide_as_the_difference_of_two_means_says(tmp_path):
    """For shares, the standard error of a difference is known: sqrt(p(1-p)/n + q(1-q)/m)."""
    folders = [made(tmp_path, "one", 0.8, seed=1, n=500), made(tmp_path, "two", 0.6, seed=2, n=300)]

    (pair,) = pairs(compare(folders, "accuracy"))

    found = (predictions.find(one, Place("best", 1, "test")) for one in folders)
    p, q = (score(one.task, one.labels, one.predictions)["accuracy"] for one in found)
    expected = 2 * 1.96 * np.sqrt(p * (1 - p) / 500 + q * (1 - q) / 300)
    assert pytest.approx(expected, rel=0.05) == pair.difference.high - pair.difference.low


def test_without_kept_predictions_nothing_is_said_of_chance(tmp_path, capsys):
    folders = [made(tmp_path, "one", 0.7), made(tmp_path, "two", None)]

    found = compare(folders)

    (pair,) = pairs(found)
    assert "what B's winner said of the test rows was not kept" in pair.words
    assert "how surely is not known" in headline(found, (pair,))


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (
            {"metric": "val_mse", "mode": "min"},
            r"chosen by other metrics: A by val_f1_weighted \(max\), B by val_mse \(min\)",
        ),
        (
            {"task": Task(TaskKind.RATING, ("no", "yes"))},
            "other tasks.*A is a classification of no, yes; B is a rating",
        ),
        ({"task": Task(TaskKind.CLASSIFICATION, ("bad", "good"))}, "other tasks.*B is a classification of bad, good"),
    ],
)
def test_what_does_not_compare_is_refused(tmp_path, capsys, second, words):
    folders = [made(tmp_path, "one", 0.7), made(tmp_path, "two", 0.7, **second)]

    assert 2 == main(["compare", *map(str, folders)])
    assert re.search(words, capsys.readouterr().err)


def test_a_number_of_sweeps_that_is_no_comparison_is_refused(tmp_path, capsys):
    one = str(made(tmp_path, "one", 0.7))

    assert 2 == main(["compare", one])
    assert "give 2 to 26" in capsys.readouterr().err
    assert 2 == main(["compare", one, f"{one}/ledger.jsonl"])
    assert "the same sweep stands twice" in capsys.readouterr().err


def test_a_metric_can_be_named_where_the_objectives_differ(tmp_path, capsys):
    folders = [made(tmp_path, "one", 0.7), made(tmp_path, "two", 0.7, metric="val_mse", mode="min")]

    found = compare(folders, "accuracy")

    assert ("val_accuracy", "max") == (found.goal.metric, found.goal.mode)
    assert "B's winner was chosen by val_mse, not by val_accuracy." in found.notes
    assert 2 == main(["compare", *map(str, folders), "--metric", "val_sharpness"])
    assert "not all have made it; all have: val_f1_weighted, val_accuracy" in capsys.readouterr().err


def test_of_several_pairs_each_is_judged_and_the_luck_of_many_is_told(tmp_path):
    folders = [
        made(tmp_path, name, share, seed=seed)
        for seed, (name, share) in enumerate({"one": 0.6, "two": 0.7, "three": 0.8}.items())
    ]

    found = compare(folders)

    judged = pairs(found)
    assert ["AB", "AC", "BC"] == [pair.first.letter + pair.second.letter for pair in judged]
    assert "Each of the 3 pairs is judged by itself" in caution(len(judged))
    assert "up to 14%" in caution(len(judged))
    assert headline(found, judged).startswith("C: reviews three is ahead")
    assert "" == caution(1)


def test_the_terminal_the_text_and_the_page_say_all_of_it(tmp_path, capsys):
    folders = [made(tmp_path, "one", 0.7, seed=1), made(tmp_path, "two", 0.9, seed=2)]

    code = main(["compare", *map(str, folders), "--out", str(tmp_path / "out")])

    said = capsys.readouterr().out
    text = (tmp_path / "out" / "comparison.md").read_text(encoding="utf-8")
    page = (tmp_path / "out" / "comparison.html").read_text(encoding="utf-8")
    assert 0 == code
    for words in ("B's winner beats A's on the same 400 test rows", "learning_rate", "tokens trained", "pruned"):
        assert words in said
        assert words in text
        assert words.replace("'", "&#x27;") in page
    assert {"comparison.html", "comparison.md", "plot_best_so_far.svg", "plot_best_so_far.png"} == {
        one.name for one in (tmp_path / "out").iterdir()
    }
    assert not re.search(r"(src|href)=\"(?!data:)|url\((?!#)", page.replace('href="#', ""))
    assert "trial 1" in text


def test_a_curve_is_the_best_until_then_over_what_all_trials_have_cost(tmp_path):
    record = read_run(write_ledger(tmp_path / "one", long_sweep(12, 10, np.random.default_rng(0))))

    x, y = curve(record, "trained_tokens")

    trials = record.trials.sort_values("ended_at")
    completed = trials["outcome"] == "completed"
    total = trials["trained_tokens"].cumsum()
    best = trials["objective"].where(completed).cummax()
    assert total.iloc[-1] == x[-1]
    np.testing.assert_array_equal(best.ffill().dropna().to_numpy(), y)


def test_two_real_sweeps_compare_from_their_folders_alone(synthetic, tmp_path, capsys):
    folders = []
    for seed in (0, 1):
        found = run_sweep(parse(synthetic | {"seed": seed}, "test"), Options(runner=InlineRunner()))
        folders.append(str(found.folder))

    code = main(["compare", *folders, "--out", str(tmp_path / "out")])

    said = capsys.readouterr().out
    assert 0 == code
    assert re.search(r"(A and B are level|is ahead): f1_weighted \d\.\d+ on test", said)  # both may choose the default
    assert "on the same" in said


def test_where_no_trial_has_completed_that_is_all_that_is_said(tmp_path, capsys):
    folders = []
    for name in ("one", "two"):
        folders.append(str(write_ledger(tmp_path / name, [replace(started(), sweep_id=name)])))

    assert 0 == main(["compare", *folders, "--out", str(tmp_path / "out")])
    assert "nothing to compare" in capsys.readouterr().out
    assert not (tmp_path / "out" / "plot_best_so_far.svg").exists()
