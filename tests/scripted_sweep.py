"""A sweep's entries by script, for the tests of results and views: no trainer, no clock."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from raysweep.entries import Evaluated, FinalScored, JobAccepted, SweepEnded, SweepStarted, TrialEnded, TrialProposed
from raysweep.jobs import Outcome
from raysweep.views.view import Setting

START = datetime(2026, 1, 1, tzinfo=UTC)
METRICS = (
    "val_f1_weighted",
    "val_accuracy",
    "val_f1_macro",
    "val_log_loss",
    "val_mse",
    "val_mae",
    "val_qwk",
    "val_mse_expected",
    "val_n_predicted_labels",
    "train_loss",
)
SETTING = Setting(Path("runs/abcd1234"), 2, lambda params: 3.0, lambda params: (0.5, 1.5), 4, "a Ray cluster")


def at(seconds):
    return START + timedelta(seconds=seconds)


def started(trials=24):
    return SweepStarted(at(0), "abcd1234", "reviews", "val_f1_weighted", "max", trials, "f" * 16, "0.1.0")


def proposed(trial, seconds=0, params=None, attempt=0):
    params = {"learning_rate": 0.001 * (trial + 1), "rank": 8, "epochs": 3} if params is None else params
    sampled = tuple(name for name in params if name != "epochs")
    return TrialProposed(at(seconds), trial, attempt, f"abcd1234-{trial:04d}-{attempt}", params, sampled)


def accepted(trial, seconds=0):
    return JobAccepted(at(seconds), trial, 0, f"job-{trial}", "node-a")


def evaluated(trial, epoch, value, seconds=0, metrics=None):
    """Each metric has a value of its own, so that a missing one is seen."""
    made = {name: value + place / 1000 for place, name in enumerate(METRICS)}
    return Evaluated(at(seconds), trial, 0, epoch, round(2000 * epoch), round(1000 * epoch), metrics or made)


def ended(trial, outcome=Outcome.COMPLETED, objective=None, *, seconds=0, reason="", tokens=0):
    model = f"jobs/{trial:04d}" if outcome is Outcome.COMPLETED else None
    return TrialEnded(at(seconds), trial, outcome, reason, objective, model, tokens)


def whole_trial(trial, value, seconds=0, duration_s=6, epochs=3.0, **end):
    """Proposed, accepted, evaluated each half epoch, ended."""
    steps = round(epochs / 0.5)
    yield proposed(trial, seconds)
    yield accepted(trial, seconds)
    for step in range(1, steps + 1):
        yield evaluated(trial, step / 2, value, seconds + duration_s * step / steps)
    yield ended(trial, objective=value, seconds=seconds + duration_s, tokens=round(1000 * epochs), **end)


def sweep():
    """Two completed, one pruned, one failed, one errored, one running; scored on the test split."""
    yield started()
    yield from whole_trial(0, 0.41)
    yield from whole_trial(1, 0.52, 6)
    yield from whole_trial(2, 0.21, 12, 1, 0.5, outcome=Outcome.PRUNED, reason="rung 0.5: below the best third")
    yield proposed(3, 13)
    yield ended(3, Outcome.FAILED, seconds=14, reason="the loss is not a number [/red]")
    yield proposed(4, 14)
    yield ended(4, Outcome.ERRORED, seconds=15, reason="the actor died\nout of memory")
    yield proposed(5, 15)
    yield accepted(5, 15)
    yield evaluated(5, 0.5, 0.31, 16)


def finals():
    yield FinalScored(at(20), "best", 1, "test", {"test_f1_weighted": 0.497, "test_accuracy": 0.513})
    yield FinalScored(at(21), "tfidf", None, "test", {"test_f1_weighted": 0.401, "test_accuracy": 0.422})
    yield SweepEnded(at(22), "all trials were made")
