"""Small records for the tests of reports."""

import numpy as np
import pandas as pd
from scripted_sweep import ended, evaluated, proposed, started

from raysweep.goal import Goal
from raysweep.jobs import Outcome
from raysweep.ledger import Ledger
from raysweep.report.record import Param, Record


def record(scores, params=None, *, mode="max", outcomes=None, **more):
    """Trials with these scores, params by name."""
    params = params or {"rate": np.arange(len(scores)).astype(float)}
    outcomes = outcomes or ["completed"] * len(scores)
    columns = {f"params/{name}": values for name, values in params.items()}
    fixed = {"trial": range(len(scores)), "outcome": outcomes, "objective": scores, "val_f1_weighted": scores}
    trials = pd.DataFrame(fixed | columns)
    kinds = {
        name: "category" if isinstance(next(iter(values), 0), str) else "number" for name, values in params.items()
    }
    made = tuple(Param(name, kind) for name, kind in kinds.items())
    return Record("toy", Goal("val_f1_weighted", mode), trials, trials.iloc[:0], ("val_f1_weighted",), made, **more)


def seed_scores():
    """83 scores with the statistics that the original experiment printed of its own, 18 of them under .1."""
    failed = [0.00858] + [(0.202427 - 0.00858) / 17] * 17
    low = np.linspace(0.21988, 0.30742, 24)
    middle = np.linspace(0.30742, 0.33223, 10)[1:]
    rest = (65 * 0.335467 - low.sum() - middle.sum() - 0.50695) / 31
    return [*failed, *low, *middle, *[rest] * 31, 0.50695]


def sweep(n_trials, n_evaluations, dice):
    """A ledger's entries: the learning rate matters, the rank does not, every third trial is stopped at half."""
    yield started(n_trials)
    for trial in range(n_trials):
        rate = 10 ** dice.uniform(-5, -2)
        params = {"learning_rate": rate, "rank": int(dice.choice([4, 8, 16])), "n_epochs": n_evaluations / 10}
        yield proposed(trial, trial, params)
        top = 0.6 - 0.15 * abs(np.log10(rate) + 3.3)
        n_made = n_evaluations // 2 if trial % 3 == 2 else n_evaluations
        for step in range(1, n_made + 1):
            value = top * (1 - np.exp(-4 * step / n_evaluations)) + dice.normal(0, 0.01)
            yield evaluated(trial, step / 10, float(value), trial)
        outcome = Outcome.PRUNED if n_made < n_evaluations else Outcome.COMPLETED
        yield ended(trial, outcome, float(value), seconds=trial + 1, tokens=100 * n_made)


def write_ledger(folder, entries):
    """The folder of a sweep with these entries."""
    folder.mkdir(exist_ok=True)
    with Ledger(folder) as ledger:
        for entry in entries:
            ledger.append(entry)
    return folder
