"""How sure the winner is: what is measured, what is made of it, and where it is told."""

import io
import json
import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from inline_runner import InlineRunner
from rich.console import Console
from scripted_sweep import finals, started
from scripted_sweep import sweep as small_sweep

from raysweep import certainty, predictions, results
from raysweep.certainty import Comparison, Verdict
from raysweep.config.load import parse
from raysweep.errors import SweepFolderError
from raysweep.ledger import Ledger
from raysweep.predictions import Kept, Place
from raysweep.report.findings import Findings
from raysweep.report.from_run import read_run
from raysweep.report.statistics import given_threshold
from raysweep.report.write import write_report
from raysweep.scoring import Prediction
from raysweep.scoring.intervals import Interval
from raysweep.sweep import Options, run_sweep
from raysweep.task import Task, TaskKind
from raysweep.views.certainty import sentences
from raysweep.views.summary import summary
from raysweep.views.view import Setting

OPINION = Task(TaskKind.CLASSIFICATION, ("no", "yes"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def keep(folder, place, share, seed=0):
    """Predictions of 400 rows, so many of them right."""
    dice = random.Random(seed)
    labels = tuple(OPINION.labels[row % 2] for row in range(400))
    sure = [0.9 if dice.random() < share else 0.1 for _ in labels]
    said = [
        Prediction((one, 1 - one) if label == "no" else (1 - one, one)) for one, label in zip(sure, labels, strict=True)
    ]
    predictions.keep(folder, place, Kept(OPINION, labels, tuple(said)))


@pytest.fixture
def scripted(tmp_path):
    """A folder whose ledger says that trial 1 won and was scored beside TF-IDF; what they said is up to the test."""
    with Ledger(tmp_path) as ledger:
        for entry in [*small_sweep(), *finals()]:
            ledger.append(entry)
    return tmp_path


def told(folder):
    """The final block of the terminal."""
    console = Console(file=io.StringIO(), width=300)
    console.print(summary(results.load(folder).state, Setting(folder, 1, lambda _: 1.0, lambda _: ()), 300))
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("share", "verdict", "words", "headline"),
    [
        (0.9, Verdict.BEATS, "It beats TF-IDF and logistic regression on the same rows: f1_weighted +0.", "0.520.**"),
        (
            0.7,
            Verdict.TIE,
            "A tie: it is not shown to be better than TF-IDF and logistic regression",
            "But on the test rows it is not shown to be better than TF-IDF and logistic regression.**",
        ),
        (
            0.5,
            Verdict.LOSES,
            "It loses to TF-IDF and logistic regression on the same rows: f1_weighted -0.",
            "But on the test rows it loses to TF-IDF and logistic regression.**",
        ),
    ],
)
def test_a_winner_beats_ties_or_loses_and_everybody_is_told(scripted, share, verdict, words, headline):
    keep(scripted, Place("best", 1, "test"), share, seed=1)
    keep(scripted, Place("tfidf", None, "test"), 0.7, seed=2)

    found = results.load(scripted).certainty
    text = write_report(read_run(scripted), scripted, NOW).text.read_text(encoding="utf-8")

    assert [verdict] == [one.verdict("f1_weighted") for one in found.comparisons]
    assert words in text
    assert words in told(scripted)
    assert headline in text.split("## ")[0]
    assert "Trial 1 on the test split, 400 rows that ranked no trial: f1_weighted 0." in text
    assert (scripted / "plots" / "plot_confusion_matrix.svg").is_file()
    assert "The winner on the test split" in (scripted / "report.html").read_text(encoding="utf-8")


def test_the_headline_says_that_the_search_is_not_shown_to_have_found_more_than_the_default(scripted):
    keep(scripted, Place("best", 1, "test"), 0.7, seed=1)
    record, near = read_run(scripted), {"f1_weighted": Interval(0.0, -0.02, 0.03)}
    certainty = results.load(scripted).certainty
    rivals = (Comparison("default", 0, near), Comparison("finalist", 2, near))

    made = Findings(replace(record, certainty=replace(certainty, comparisons=rivals)), given_threshold(None)).winner

    assert made.endswith("But on the test rows it is not shown to be better than the default configuration.")


def test_where_the_objective_has_no_interval_it_is_said_what_is_judged_by(scripted):
    keep(scripted, Place("best", 1, "test"), 0.7, seed=1)
    found = results.load(scripted).certainty

    first, _ = next(iter(sentences(found, "length_off")))

    assert "By length_off, the objective, chance cannot be judged: what follows goes by f1_weighted." == first
    assert "cannot be judged" not in told(scripted)


def test_where_less_is_better_a_winner_below_zero_beats():
    def comparison(low, high):
        return Comparison("tfidf", None, {"log_loss": Interval((low + high) / 2, low, high)})

    verdicts = [comparison(*ends).verdict("log_loss") for ends in ((-0.2, -0.1), (-0.1, 0.1), (0.1, 0.2))]

    assert [Verdict.BEATS, Verdict.TIE, Verdict.LOSES] == verdicts
    assert comparison(0, 1).verdict("accuracy") is None


def test_a_regression_is_held_against_the_winner_by_the_expected_rating():
    assert "mse_expected" == Comparison("ridge", None, {}).judged_by("f1_weighted")
    assert "mae_expected" == Comparison("ridge", None, {}).judged_by("mae_expected")
    assert "f1_weighted" == Comparison("tfidf", None, {}).judged_by("f1_weighted")


def test_an_objective_without_an_interval_gives_way_to_the_first_headline(scripted):
    keep(scripted, Place("best", 1, "test"), 0.8)

    assert "f1_weighted" == certainty.measure(scripted, 1, "my_own", ()).metric


def test_of_a_model_that_said_nothing_nothing_is_claimed(scripted):
    silent = Kept(Task(TaskKind.GENERATION), ("a", "b"), (Prediction(None), Prediction(None)))
    predictions.keep(scripted, Place("best", 1, "test"), silent)

    assert certainty.measure(scripted, 1, "token_f1", ()) is None
    assert "interval" not in told(scripted)


def test_what_was_kept_is_not_drawn_again_but_damage_and_another_winner_are(scripted):
    keep(scripted, Place("best", 1, "test"), 0.8)
    file = scripted / "predictions" / "certainty.json"
    first = certainty.measure(scripted, 1, "f1_weighted", ())
    certainty.keep(scripted, first)
    changed = json.loads(file.read_text(encoding="utf-8")) | {"n_rows": 7}

    file.write_text(json.dumps(changed), encoding="utf-8")
    assert 7 == certainty.find(scripted, 1, "f1_weighted", ()).n_rows

    file.write_text(json.dumps(changed | {"trial": 3}), encoding="utf-8")
    assert first == certainty.find(scripted, 1, "f1_weighted", ())
    file.write_text("{}", encoding="utf-8")
    assert first == certainty.find(scripted, 1, "f1_weighted", ())


def test_without_predictions_nothing_is_claimed(scripted):
    found = results.load(scripted)

    assert (None, None) == (found.certainty, found.predictions)
    assert "interval" not in told(scripted)


def test_damaged_predictions_are_named_and_the_rest_is_still_told(scripted):
    path = Place("best", 1, "test").path(scripted)
    path.parent.mkdir()
    path.write_bytes(b"PAR1")

    text = write_report(read_run(scripted), scripted, NOW).text.read_text(encoding="utf-8")

    assert "not predictions as they were written" in text
    assert "not predictions as they were written" in told(scripted)
    assert "Best: trial 1" in told(scripted)
    with pytest.raises(SweepFolderError, match="not predictions"):
        _ = results.load(scripted).certainty


def test_a_sweep_ends_with_it_measured_against_every_baseline(synthetic, tmp_path):
    found = run_sweep(parse(synthetic, "test"), Options(folder=tmp_path / "run", runner=InlineRunner()))

    kept = (found.folder / "predictions" / "certainty.json").read_text(encoding="utf-8")

    assert {"majority", "ridge", "tfidf"} == {one.name for one in found.certainty.comparisons}
    assert found.certainty == certainty.measure(found.folder, found.best.number, "f1_weighted", found.state.rivals)
    assert found.certainty.trial == json.loads(kept)["trial"]
    value = found.certainty.intervals["f1_weighted"].value
    assert value == pytest.approx(found.finals[0].metrics["test_f1_weighted"])


def test_baselines_alone_are_no_unseen_rows_for_the_winner(synthetic, tmp_path):
    settings = synthetic | {"final": {"test": False}}
    found = run_sweep(parse(settings, "test"), Options(folder=tmp_path / "run", runner=InlineRunner()))

    text = write_report(read_run(found.folder), found.folder, NOW).text.read_text(encoding="utf-8")

    assert "majority" in {final.name for final in found.finals}
    assert "No rows that ranked no trial have scored the winner" in text


def test_a_sweep_that_has_not_begun_to_score_has_no_certainty(tmp_path):
    with Ledger(tmp_path) as ledger:
        ledger.append(started())

    assert results.load(tmp_path).certainty is None
