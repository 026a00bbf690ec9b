"""Predictions that a sweep keeps: what comes back, and when they are made."""

import pytest
from inline_runner import InlineRunner
from pyarrow import parquet

from raysweep import predictions, results
from raysweep.baseline import MAJORITY
from raysweep.config.load import parse
from raysweep.entries import FinalScored
from raysweep.errors import DiskError, SweepFolderError
from raysweep.predictions import Kept, Place
from raysweep.scoring import Prediction, score
from raysweep.sweep import Options, resume_sweep, run_sweep
from raysweep.task import Task, TaskKind

STARS = Task(TaskKind.RATING, ("1", "2", "5"))
SAID = (
    Prediction((0.2, 0.3, 0.5), text="5"),
    Prediction(None, value=1.75),
    Prediction(None, text="no idea"),
)
PLACE = Place("best", 7, "test")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture
def swept(synthetic, tmp_path):
    """A whole sweep of the synthetic trainer."""
    return run_sweep(parse(synthetic, "test"), Options(folder=tmp_path / "run", runner=InlineRunner()))


def test_whatever_a_model_says_comes_back_as_it_was(tmp_path):
    kept = Kept(STARS, ("5", "1", "2"), SAID, n_validation=600)

    predictions.keep(tmp_path, PLACE, kept)

    assert predictions.find(tmp_path, PLACE) == kept
    assert predictions.find(tmp_path, PLACE).answers.predicted.tolist() == kept.answers.predicted.tolist() == [2, 1, -1]
    assert (tmp_path / "predictions" / "best_trial_0007_test.parquet").is_file()
    assert predictions.find(tmp_path, Place("best", 8, "test")) is None


def test_a_file_that_is_none_is_refused_by_its_name(tmp_path):
    predictions.keep(tmp_path, PLACE, Kept(STARS, ("5", "1", "2"), SAID))
    PLACE.path(tmp_path).write_bytes(b"PAR1")

    with pytest.raises(SweepFolderError, match=r"best_trial_0007_test\.parquet: not predictions"):
        predictions.find(tmp_path, PLACE)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "predictions").write_text("")

    with pytest.raises(DiskError, match="cannot be written"):
        predictions.keep(tmp_path, PLACE, Kept(STARS, ("5", "1", "2"), SAID))


def test_what_is_kept_of_a_sweep_gives_the_scores_of_its_ledger(swept):
    finals = swept.finals

    places = [Place(final.name, final.trial, final.split) for final in finals]
    kept = [predictions.find(swept.folder, place) for place in places]

    assert {"best", "majority", "ridge", "tfidf"} == {place.name for place in places}
    for final, one in zip(finals, kept, strict=True):
        scores = score(one.task, one.labels, one.predictions)
        assert final.metrics == {f"{final.split}_{name}": value for name, value in scores.items()}


def test_no_text_of_a_row_is_kept(swept, reviews_csv):
    texts = [line.rpartition(",")[0].encode() for line in reviews_csv.read_text().splitlines()[1:]]

    files = sorted((swept.folder / "predictions").glob("*.parquet"))

    assert 7 == len(files)
    for path in files:
        table = parquet.read_table(path)
        assert ["row", "label", "probabilities", "value", "text"] == table.column_names
        assert {None} == set(table.column("text").to_pylist())
        assert not any(text in path.read_bytes() for text in texts)


def test_what_is_scored_is_not_scored_again_when_the_sweep_goes_on(swept):
    before = {path: path.stat().st_mtime_ns for path in (swept.folder / "predictions").iterdir()}
    best = swept.best.number

    found = resume_sweep(swept.folder, ["trials=5"], Options(runner=InlineRunner()))

    names = [path.name for path, then in before.items() if path.stat().st_mtime_ns != then]
    assert [] == names
    assert 5 == len(found.trials)
    assert Place("best", best, "test").path(swept.folder).is_file()


class Saboteur:
    """A view that takes the place of the predictions' folder before anything is scored."""

    def __init__(self, setting):
        self.folder = setting.folder

    def show(self, entry, state):
        (self.folder / "predictions").touch()

    def tick(self):
        return None

    def close(self, state):
        return None


def test_scores_are_recorded_and_the_loss_is_told_where_predictions_cannot_be_kept(synthetic, tmp_path):
    options = Options(folder=tmp_path / "run", runner=InlineRunner(), make_view=Saboteur)

    found = run_sweep(parse(synthetic, "test"), options)

    assert {"best", MAJORITY} <= {final.name for final in found.finals if isinstance(final, FinalScored)}
    assert "best_trial_" in found.state.ended.reason
    assert "cannot be written" in found.state.ended.reason
    assert found.state == results.load(found.folder).state


def test_the_top_trials_are_scored_but_validation_alone_chooses(synthetic, tmp_path):
    synthetic |= {"final": {"top": 3, "baseline": False}, "trials": 16}
    synthetic["early_stopping"] = {"kind": "threshold", "rungs": [1.0], "values": [0.35]}

    found = run_sweep(parse(synthetic, "test"), Options(folder=tmp_path / "run", runner=InlineRunner()))

    completed = found.trials[found.trials.outcome == "completed"].sort_values("objective", ascending=False)
    assert "pruned" in set(found.trials.outcome)
    assert list(completed.trial[:3]) == [final.trial for final in found.finals]
    assert ["best", "finalist", "finalist"] == [final.name for final in found.finals]
    assert found.best.number == completed.trial.iloc[0] == found.certainty.trial
    assert [("finalist", completed.trial.iloc[1])] == [(one.name, one.trial) for one in found.certainty.comparisons]
    assert {found.best.number} == found.state.tested


class Counting(InlineRunner):
    """Counts whose models were asked."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def predict(self, static, resources, model, *rest, **more):
        self.asked.append(model)
        return super().predict(static, resources, model, *rest, **more)


def test_a_model_answers_the_test_rows_once_whatever_its_rank_becomes(synthetic, tmp_path):
    folder, runner = tmp_path / "run", Counting()
    synthetic |= {"final": {"top": 2, "baseline": False}, "early_stopping": {"kind": "none"}, "trials": 2}
    synthetic["space"]["learning_rate"]["low"] = 1e-7  # the default in the middle is a poor one

    found = run_sweep(parse(synthetic, "test"), Options(folder=folder, runner=runner))
    while len(found.state.tested) == 1 and len(found.trials) < 20:  # until another trial has won
        found = resume_sweep(folder, [f"trials={len(found.trials) + 1}"], Options(runner=runner))

    assert len(found.state.tested) > 1
    assert len(runner.asked) == len(set(runner.asked))
    assert [trial.number for trial in found.state.ranked[:2]] == [found.certainty.trial, found.state.rivals[0].trial]
    assert not found.state.lacks_finals(2, baseline=False)


class Blurred(Counting):
    """Whose models give no chance to any label of the first test row, the first time."""

    def predict(self, static, resources, model, *rest, **more):
        said = super().predict(static, resources, model, *rest, **more)
        return [Prediction((0.0,) * 5), *said[1:]] if len(self.asked) == 1 else said


def test_what_no_answers_can_be_read_from_is_neither_kept_nor_scored_and_asked_again(synthetic, tmp_path):
    folder, runner = tmp_path / "run", Blurred()
    synthetic |= {"final": {"baseline": False}, "early_stopping": {"kind": "none"}}

    blurred = run_sweep(parse(synthetic, "test"), Options(folder=folder, runner=runner))
    assert "prediction 0: probabilities" in blurred.state.ended.reason
    assert ((), None) == (blurred.finals, blurred.predictions)

    found = resume_sweep(folder, (), Options(runner=runner))

    assert ["best"] == [final.name for final in found.finals]


def test_an_own_metric_that_breaks_on_the_test_rows_costs_neither_the_other_scores_nor_a_second_answer(
    synthetic, tmp_path, monkeypatch
):
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    name = f"own_{abs(hash(str(tmp_path)))}"
    text = "def spread(task, labels, predictions):\n    return 1 / (len(labels) - 50)\n"  # 50 test rows
    (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    synthetic["metrics"] = {"spread": {"function": f"{name}:spread", "folder": str(tmp_path), "mode": "max"}}
    synthetic |= {"objective": {"metric": "val_spread"}, "early_stopping": {"kind": "none"}}
    synthetic |= {"final": {"baseline": False}}
    synthetic["data"]["split"] = {"train": 100, "validation": 40, "test": 50}
    folder, runner = tmp_path / "run", Counting()

    found = run_sweep(parse(synthetic, "test"), Options(folder=folder, runner=runner))

    metrics = found.finals[0].metrics
    assert (None, True) == (metrics["test_spread"], metrics["test_accuracy"] is not None)
    assert "f1_weighted" == found.certainty.metric
    assert found == resume_sweep(folder, (), Options(runner=runner))
    assert 1 == len(runner.asked)


def test_what_came_close_is_scored_when_a_later_session_asks_for_it(synthetic, tmp_path):
    folder, runner = tmp_path / "run", Counting()
    synthetic |= {"final": {"baseline": False}, "early_stopping": {"kind": "none"}}
    run_sweep(parse(synthetic, "test"), Options(folder=folder, runner=runner))

    found = resume_sweep(folder, ["final.top=3"], Options(runner=runner))

    assert ["best", "finalist", "finalist"] == [final.name for final in found.finals]
    assert 3 == len(runner.asked)
    assert found == resume_sweep(folder, ["final.top=3"], Options(runner=runner))
