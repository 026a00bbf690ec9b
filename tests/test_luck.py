"""What being chosen has given the winner, from what completed trials said of the validation rows."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from report_toys import write_ledger
from scripted_sweep import ended, evaluated, proposed, started
from test_selection import STARS, raters
from winner_texts import Writers

from raysweep import ranking
from raysweep.certainty import Certainty
from raysweep.gap import gap_of
from raysweep.goal import Goal
from raysweep.jobs import Outcome
from raysweep.luck import luck_of
from raysweep.report.from_run import read_run
from raysweep.report.write import write_report
from raysweep.results import load
from raysweep.scoring.intervals import Interval
from raysweep.scoring.selection import chosen, values_of
from raysweep.state import fold
from raysweep.views.certainty import gap_sentence, luck_sentence

N_TRIALS = 20
MODELS = raters([0.8] * N_TRIALS)
SCORES = values_of(STARS, MODELS, "f1_weighted")
BEST = int(SCORES.argmax())


def trial(number, value, outcome=Outcome.COMPLETED):
    return [proposed(number), evaluated(number, 3.0, value), ended(number, outcome, value)]


def state(scores=SCORES):
    return fold(
        [started(N_TRIALS), *(entry for number, one in enumerate(scores) for entry in trial(number, float(one)))]
    )


@pytest.fixture
def folder(tmp_path):
    for number, answers in enumerate(MODELS):
        ranking.keep(ranking.folder_of(tmp_path, number), STARS, answers)
    return tmp_path


def test_what_was_kept_is_found_again(tmp_path):
    ranking.keep(tmp_path / "job", STARS, MODELS[0])

    task, answers = ranking.find(tmp_path / "job")

    assert STARS == task
    assert np.array_equal(MODELS[0].predicted, answers.predicted)
    assert np.allclose(MODELS[0].probabilities, answers.probabilities)
    assert np.allclose(MODELS[0].expected, answers.expected)
    assert (tmp_path / "job" / ranking.FILE_NAME).stat().st_size < 40 * answers.n


def test_what_was_written_is_kept_as_numbers_and_tells_the_luck_of_free_text(tmp_path):
    models = Writers().answers(np.full(N_TRIALS, 0.6), 200, 0.0, np.random.default_rng(2))
    models = [replace(one, right=tuple(f"a right text {row}" for row in one.right)) for one in models]
    for number, one in enumerate(models):
        ranking.keep(ranking.folder_of(tmp_path, number), Writers.task, one)
    scores = values_of(Writers.task, models, "token_f1")
    begun = replace(started(N_TRIALS), metric="val_token_f1")
    trials = [
        [proposed(n), evaluated(n, 3.0, value, metrics={"val_token_f1": value}), ended(n, Outcome.COMPLETED, value)]
        for n, value in enumerate(map(float, scores))
    ]

    luck = luck_of(fold([begun, *(entry for trial in trials for entry in trial)]), tmp_path)

    assert (int(scores.argmax()), "token_f1", N_TRIALS, 200) == (luck.trial, luck.metric, luck.n_trials, luck.n_rows)
    straight = chosen(Writers.task, models, Goal("token_f1", "max"))
    assert straight.corrected.value == pytest.approx(luck.corrected.value, abs=1e-6)
    assert 0 < luck.value
    kept = ranking.folder_of(tmp_path, 0) / ranking.FILE_NAME
    with np.load(kept) as columns:
        assert {"U"} == {columns[name].dtype.kind for name in ("task", "right")}
        assert not any("right text" in text for text in columns["right"])
    assert kept.stat().st_size < 40 * 200


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive"])
def test_a_damaged_file_counts_as_none(tmp_path, content):
    assert ranking.find(tmp_path) is None

    (tmp_path / ranking.FILE_NAME).write_bytes(content)

    assert ranking.find(tmp_path) is None


def test_the_winner_is_told_what_being_chosen_gave_it(folder):
    luck = luck_of(state(), folder)

    assert (BEST, "f1_weighted", N_TRIALS, MODELS[0].n) == (luck.trial, luck.metric, luck.n_trials, luck.n_rows)
    assert luck.raw.value == pytest.approx(SCORES.max())
    assert 0 < luck.value == pytest.approx(luck.raw.value - luck.corrected.value)
    sentence = luck_sentence(luck)
    assert f"Trial {BEST} scored {luck.raw.value:.3f} on validation, the best of {N_TRIALS} completed" in sentence
    assert f"look {luck.value:.3f} better than it is" in sentence
    assert f"about {luck.corrected.value:.3f} (95 % interval {luck.corrected.low:.3f}" in sentence


def test_a_gap_is_explained_by_what_being_chosen_gave(folder):
    luck, at = luck_of(state(), folder), SCORES.max()

    def gap(less):
        test = at - luck.value - less
        of_test = {"f1_weighted": Interval(test, test - 0.05, test + 0.05)}
        return gap_of(state(), Certainty(BEST, "f1_weighted", 400, 300, of_test, ()), luck)

    assert gap(0.0).by_selection == luck.value
    assert gap(0.0).is_explained
    assert not gap(0.12).is_explained
    assert f"choosing the best of {N_TRIALS} completed trials {luck.value:.3f}" in gap_sentence(gap(0.0))


@pytest.mark.parametrize("change", ["one is missing", "other rows", "another score"])
def test_nothing_is_told_where_answers_are_not_those_that_ranked_the_trials(folder, change):
    scores = SCORES.copy()
    if change == "one is missing":
        (ranking.folder_of(folder, 3) / ranking.FILE_NAME).unlink()
    if change == "other rows":
        ranking.keep(ranking.folder_of(folder, 3), STARS, raters([0.8], seed=1)[0])
    if change == "another score":
        scores[3] -= 0.01

    assert luck_of(state(scores), folder) is None


def test_findings_without_a_test_split_say_what_the_score_is_worth(folder):
    entries = [started(N_TRIALS), *(entry for number, one in enumerate(SCORES) for entry in trial(number, float(one)))]
    write_ledger(folder, entries)

    write_report(read_run(folder), folder, datetime(2026, 1, 1, tzinfo=UTC))

    luck = load(folder).luck
    text, page = ((folder / name).read_text(encoding="utf-8") for name in ("findings.md", "report.html"))
    for made in (text, page):
        assert luck_sentence(luck) in made
        assert "From validation to test" in made
        assert "the best of many looks better than it is" not in made
    assert f"| validation without that | {luck.corrected.value:.3f} | {luck.corrected.low:.3f} to" in text


def test_a_single_trial_was_not_chosen_from_any(folder):
    assert luck_of(state(SCORES[:1]), folder) is None
    assert luck_of(fold([started(N_TRIALS)]), folder) is None


def test_stopped_trials_do_not_count(folder):
    pruned = trial(N_TRIALS, 0.1, Outcome.PRUNED)
    with_one = fold(
        [started(N_TRIALS + 1), *(e for n, one in enumerate(SCORES) for e in trial(n, float(one))), *pruned]
    )

    assert luck_of(with_one, folder) == luck_of(state(), folder)
