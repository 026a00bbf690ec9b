"""Could this be a regression? Three ways to answer with a number, by the squared error that each reached."""

from dataclasses import dataclass

import numpy as np

from raysweep.frames import PARAMS_PREFIX
from raysweep.report.record import Record, texts_of

MOST_LIKELY, EXPECTED, HEAD = "most likely label", "expected rating", "regression head"


@dataclass(frozen=True)
class Answer:
    """One way, over the trials that answered so."""

    name: str
    help: str
    values: tuple[float, ...]
    """The mean squared error of each completed trial; empty where none answered so."""
    best_trial: int | None
    of_winner: float | None
    """The winner's, if it answers so."""


def answers(record: Record) -> tuple[Answer, ...]:
    """All three, the tried and the untried; none for a task whose labels are not numbers."""
    label, expected = record.numbers("val_mse"), record.numbers("val_mse_expected")
    if not np.isfinite(label).any() and not np.isfinite(expected).any():
        return ()
    column = f"{PARAMS_PREFIX}loss"
    losses = texts_of(record.trials, column) if column in record.trials.columns else [""] * len(record.trials)
    is_head = np.array([loss == "squared_error" for loss in losses])
    return (
        _answer(record, MOST_LIKELY, "the label with the highest probability", np.where(is_head, np.nan, label)),
        _answer(record, EXPECTED, "the sum of probability times rating", np.where(is_head, np.nan, expected)),
        _answer(record, HEAD, "a head trained on the squared error", np.where(is_head, expected, np.nan)),
    )


def _answer(record: Record, name: str, help_: str, values: np.typing.NDArray[np.float64]) -> Answer:
    known = np.isfinite(values) & record.is_completed
    if not known.any():
        return Answer(name, help_, (), None, None)
    place = int(np.argmin(np.where(known, values, np.inf)))
    best = record.best
    of_winner = float(values[best]) if best is not None and known[best] else None
    return Answer(name, help_, tuple(values[known].tolist()), int(record.trials["trial"].iloc[place]), of_winner)
