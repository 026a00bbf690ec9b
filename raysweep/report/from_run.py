"""A report's record from a sweep's folder, at any moment of the sweep."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep import leaking, ledger, results, untuned
from raysweep.config import SweepConfig
from raysweep.dimensions import Branch, Choice, Dimension, Fixed, Integer, LogUniform, QUniform, Uniform, nested
from raysweep.entries import REPLICA
from raysweep.errors import InputError, SweepFolderError
from raysweep.folder import known_settings
from raysweep.frames import COLUMNS, PARAMS_PREFIX, metric_names
from raysweep.gap import gap_of
from raysweep.plan import BUDGET, budget_epochs, make_pruner
from raysweep.predictions import Kept
from raysweep.report.record import Bill, FinalScore, Param, Predicted, Record, SweepFacts, kind_of
from raysweep.report.scales import param_of
from raysweep.scoring import Answers
from raysweep.space import Params
from raysweep.state import SweepState
from raysweep.views.pace import savings
from raysweep.views.view import Setting

if TYPE_CHECKING:
    import pandas as pd

CHOICE_RATIO = 8.0
"""Choices of numbers that span this much are steps of a scale, as 4, 8, 16, 32: on a logarithmic axis."""


def read_run(folder: Path) -> Record:
    """The record of the sweep in a folder; raises SweepFolderError where there is none that began."""
    return record_of(results.load(folder))


def record_of(found: results.Results) -> Record:
    """The record of a sweep's results; raises SweepFolderError where nothing was begun."""
    folder, started = found.folder, found.state.started
    if started is None:
        raise SweepFolderError(f"{folder}: nothing was begun in it; there is nothing to report")
    config = known_settings(folder, started)
    trials, evaluations = found.trials, found.evaluations
    trials = trials[trials["replica_of"].isna()].drop(columns="replica_of").reset_index(drop=True)
    trials = _with_nulls_told(trials, found.state)
    notes = () if config else ("config.yaml is gone or was changed: rungs and ranges are not shown",)
    try:
        certainty, predictions = found.certainty, _predicted(found.predictions)
    except InputError as error:
        certainty, predictions, notes = None, None, (*notes, str(error))
    luck = found.luck
    return Record(
        title=started.name,
        goal=found.state.goal,
        trials=trials,
        evaluations=evaluations[evaluations["trial"].isin(trials["trial"])].reset_index(drop=True),
        metrics=_metrics(found.state),
        params=_params(found.state, trials, config),
        sweep=_facts(folder, found.state, config),
        notice=config.rehearsal_words if config else "",
        certainty=certainty,
        ruling=found.state.ruling(certainty),
        gap=gap_of(found.state, certainty, luck),
        luck=luck,
        predictions=predictions,
        stopping_metric=config.stopping_goal.metric if config else "",
        notes=notes,
        untuned=untuned.sentences(untuned.find(folder)),
        leaks=tuple(leak.sentence for leak in leaking.find(folder)),
    )


def _with_nulls_told(trials: "pd.DataFrame", state: SweepState) -> "pd.DataFrame":
    """A searched null is a value as any other: else it would look like the param of a branch that was not taken."""
    for name in dict.fromkeys(name for trial in state.searched.values() for name in trial.proposed.sampled):
        values = [state.trials[number].params.get(name, "") for number in trials["trial"].tolist()]
        if None in values:
            cells = zip(values, trials[PARAMS_PREFIX + name].tolist(), strict=True)
            told = ["none" if value is None else cell for value, cell in cells]
            trials = trials.assign(**{PARAMS_PREFIX + name: told})
    return trials


def _predicted(kept: Kept | None) -> Predicted | None:
    answers = kept.answers if kept else None
    return Predicted(kept.task.labels, answers, "test") if kept and isinstance(answers, Answers) else None


def _metrics(state: SweepState) -> tuple[str, ...]:
    names = metric_names((one for trial in state.trials.values() for one in trial.evaluations), state.goal.metric)
    return tuple(f"metrics/{name}" if name in COLUMNS else name for name in names)


def _params(state: SweepState, trials: "pd.DataFrame", config: SweepConfig | None) -> tuple[Param, ...]:
    sampled = dict.fromkeys(name for trial in state.trials.values() for name in trial.proposed.sampled)
    dimensions = _dimensions(config.space) if config else {}
    named = {name: trials[PARAMS_PREFIX + name].dropna().tolist() for name in sampled}
    return tuple(_param(name, values, dimensions) for name, values in named.items() if len(set(values)) > 1)


def _param(name: str, values: list[object], dimensions: Mapping[str, Dimension]) -> Param:
    dimension = dimensions.get(name)
    kind = kind_of(values)
    match dimension:
        case Uniform() | LogUniform() | QUniform() | Integer() if kind == "number":
            is_log = isinstance(dimension, LogUniform) or (isinstance(dimension, Integer) and dimension.log)
            return Param(name, kind, is_log, float(dimension.low), float(dimension.high))
        case Choice() if kind == "number":
            numbers = [float(value) for value in values if isinstance(value, int | float)]
            is_log = min(numbers) > 0 and max(numbers) >= CHOICE_RATIO * min(numbers)
            known = [float(value) for value in (*dimension.values, *numbers) if isinstance(value, int | float)]
            return Param(name, kind, is_log, min(known), max(known))
        case None:
            return param_of(name, values)
        case _:
            return Param(name, kind)


def _dimensions(space: Mapping[str, object]) -> dict[str, Dimension]:
    """Every dimension by its name; one that stands in several branches has the widest range."""
    found: dict[str, Dimension] = {}
    for name, dimension in space.items():
        if isinstance(dimension, Choice | Uniform | LogUniform | QUniform | Integer):
            found[name] = dimension
        if isinstance(dimension, Branch):
            for branch in dimension.branches:
                inner = {key: one for key, one in nested(dimension, branch).items() if not isinstance(one, Fixed)}
                for key, one in _dimensions(inner).items():
                    found.setdefault(key, one)
    return found


def _facts(folder: Path, state: SweepState, config: SweepConfig | None) -> SweepFacts:
    rungs = {number: _rungs(trial.params, config, state) for number, trial in state.trials.items()}
    setting = Setting(folder, 1, _budget, lambda params: ())
    saved, spending = savings(state, setting), state.spending
    bill = Bill(
        saved.trained_tokens,
        saved.saved_tokens,
        saved.share,
        spending.spent if spending.is_any else None,
        state.max_usd,
        saved.usd,
    )
    is_driven = (folder / ledger.FILE_NAME).is_file() and ledger.holder(folder) is not None
    return SweepFacts(
        sweep_id=state.sweep_id,
        bill=bill,
        finals=tuple(
            FinalScore(one.name, one.trial, one.split, one.metrics) for one in state.finals if one.name != REPLICA
        ),
        rungs=rungs,
        n_planned=state.n_trials,
        is_running=is_driven and state.ended is None,
        can_go_on=any(trial.can_go_on for trial in state.trials.values()) or len(state.searched) < state.n_trials,
        end_reason=state.ended.reason if state.ended else "",
        elapsed_s=state.elapsed_s(state.at) if state.at else 0.0,
        folder=str(folder),
    )


def _budget(params: Params) -> float:
    return budget_epochs(params) if BUDGET in params else 0.0


def _rungs(params: Params, config: SweepConfig | None, state: SweepState) -> tuple[float, ...]:
    if config is None or BUDGET not in params:
        return ()
    return make_pruner(config, _examples_per_epoch(state)).rungs_for(budget_epochs(params))


def _examples_per_epoch(state: SweepState) -> int:
    """From the evaluations, so that no data have to be read; 1 before the first."""
    rates = [one.examples / one.epoch for trial in state.trials.values() for one in trial.evaluations if one.epoch > 0]
    return max(1, round(max(rates))) if rates else 1
