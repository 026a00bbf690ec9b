"""Trials as rows: where each stands, every metric of its last evaluation, every param that was searched."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from raysweep.frames import metric_names
from raysweep.goal import Goal
from raysweep.jobs import Outcome
from raysweep.state import SweepState, TrialState
from raysweep.views.pace import next_rung
from raysweep.views.tables import Block, Column, blocks
from raysweep.views.view import Setting
from raysweep.views.words import NOTHING, headings, metric, money, param, shortened

STYLES: Mapping[Outcome, str] = MappingProxyType(
    {
        Outcome.COMPLETED: "green",
        Outcome.PRUNED: "yellow",
        Outcome.FAILED: "red",
        Outcome.ERRORED: "red",
        Outcome.CANCELLED: "dim",
    }
)
PARAM_WIDTH = 14
"""A longer value is shortened; the best trial's params stand in full at the end."""


def live_rows(
    trials: Sequence[TrialState], state: SweepState, setting: Setting, width: int, *, with_params: bool = True
) -> list[Block]:
    """Running trials, and the best so far where it is among them."""
    columns = [
        Column("epoch", tuple(_epoch(trial, setting) for trial in trials)),
        Column("next\nrung", tuple(_rung(trial, setting) for trial in trials)),
    ]
    if any(trial.attempts > 1 for trial in trials):
        columns.insert(0, Column("try", tuple(str(trial.attempts) for trial in trials)))
    columns += _money(trials, state)
    names = sampled_names(state) if with_params else ()
    return _rows(trials, state, columns, names, width)


def top_rows(trials: Sequence[TrialState], state: SweepState, setting: Setting, width: int) -> list[Block]:
    """Completed trials, with how far they trained."""
    columns = [Column("epoch", tuple(_epoch(trial, setting) for trial in trials)), *_money(trials, state)]
    return _rows(trials, state, columns, sampled_names(state), width)


def metric_columns(
    rows: Sequence[Mapping[str, float | None]], names: Sequence[str], goal: Goal, split: str = "val_"
) -> list[Column]:
    """One column a metric; the objective's has an arrow that points to the better."""
    shown = headings(names, split)
    arrow = "↑" if goal.mode == "max" else "↓"
    return [
        Column(
            shown[name] + (arrow if name == goal.metric else ""),
            tuple(metric(name, row.get(name)) for row in rows),
            style="bold" if name == goal.metric else "",
        )
        for name in names
    ]


def sampled_names(state: SweepState) -> tuple[str, ...]:
    """Every param that the space gave to any trial, each once; conditional ones among them."""
    return tuple(dict.fromkeys(name for trial in state.trials.values() for name in trial.proposed.sampled))


def name(trial: TrialState) -> str:
    """Its number; of a replica also whose."""
    return f"#{trial.number}" if trial.replica_of is None else f"#{trial.number} (#{trial.replica_of} again)"


def _rows(
    trials: Sequence[TrialState], state: SweepState, where: Sequence[Column], params: Sequence[str], width: int
) -> list[Block]:
    best = state.best
    key = Column("trial", tuple(f"{'★ ' if trial is best else ''}{name(trial)}" for trial in trials))
    styles = ["green" if trial is best else "" for trial in trials]
    metrics = [trial.last.metrics if trial.last else {} for trial in trials]
    lasts = (trial.last for trial in state.trials.values() if trial.last)
    names = metric_names(lasts, first=state.goal.metric)
    shown = headings(params)
    columns = [
        *where,
        *metric_columns(metrics, names, state.goal),
        *(Column(shown[name], tuple(_param(trial, name) for trial in trials), style="cyan") for name in params),
    ]
    return blocks(key, columns, width, styles)


def _money(trials: Sequence[TrialState], state: SweepState) -> list[Column]:
    """What each has cost, and with a sign what is set aside for one that runs; none where nothing costs anything."""
    if not state.spending.is_any:
        return []
    return [Column("USD", tuple(_usd(trial) for trial in trials))]


def _usd(trial: TrialState) -> str:
    account = trial.account
    if account.open_usd is not None:
        return f"≤{money((account.settled_usd or 0.0) + account.open_usd)}"
    return money(account.settled_usd)


def _epoch(trial: TrialState, setting: Setting) -> str:
    done = trial.last.epoch if trial.last else 0
    return f"{done:.3g}/{setting.budget_epochs(trial.params):.3g}"


def _rung(trial: TrialState, setting: Setting) -> str:
    rung = next_rung(trial, setting)
    return NOTHING if rung is None else f"{rung:.3g}"


def _param(trial: TrialState, name: str) -> str:
    return shortened(param(trial.params[name]), PARAM_WIDTH) if name in trial.params else NOTHING
