"""One frame of the live view: a pure function of the state, the moment and the terminal's size."""

from datetime import datetime
from itertools import chain

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from raysweep.entries import SweepStarted
from raysweep.state import SweepState, TrialState
from raysweep.views.pace import counts, ended, left_s, running, savings, waiting
from raysweep.views.rows import STYLES, live_rows, name
from raysweep.views.view import Setting
from raysweep.views.words import NOTHING, about, elapsed, metric, money, one_line, shortened, tokens

HEAD_LINES = 6
"""With the empty one below, and one left free so that the terminal does not scroll."""
HEADING_LINES = 2
ENDED_SHOWN = 5
ENDED_LINES = 3
"""What the list of ended trials takes at least: an empty line, its title, one trial."""


def frame(state: SweepState, setting: Setting, now: datetime, width: int, height: int) -> RenderableType:
    """The sweep as it stands, in `height` lines where they hold one running trial with all its metrics.

    Where not everything fits, most of the ended trials give way first, then params, then running trials, never a
    metric; and a line says what is left out.
    """
    if state.started is None:
        return Text("waiting for the sweep to start", style="dim")
    notice = [Text(setting.notice, style="bold yellow", no_wrap=True, overflow="ellipsis")] if setting.notice else []
    room = height - HEAD_LINES - len(notice)
    waits = _waits(state, now, width)[: max(1, room // 4)]
    rows = [*_rows(state, setting, width, room - len(waits)), *waits]
    head = _head(state.started, state, setting, now, width)
    return Group(*head, *notice, Text(), *rows, *_last_ended(state, width, room - len(rows)))


def _waits(state: SweepState, now: datetime, width: int) -> list[Text]:
    """A line on each trial that waits for a further attempt: how long it still does, and why."""
    return [_wait(trial, now, width) for trial in waiting(state)]


def _wait(trial: TrialState, now: datetime, width: int) -> Text:
    left = (trial.due_at - now).total_seconds() if trial.due_at else 0.0
    when = f"in {left:.0f} s" if left >= 0.5 else "next"
    text = Text(f"{name(trial):>5} goes on {when}  ", style="yellow")
    why = one_line(trial.interruptions[-1].words)
    text.append(shortened(why, max(8, width - text.cell_len)), style="dim")
    return text


def _rows(state: SweepState, setting: Setting, width: int, room: int) -> list[Text]:
    """The best trial and the running ones, as many as fit."""
    best, live = ((state.best,) if state.best else ()), running(state)
    if not best and not live:
        return []
    tables = live_rows((*best, *live), state, setting, width)
    needed = len(live_rows((*best, *live), state, setting, width, with_params=False))
    free = room - 2 - (ENDED_LINES if ended(state) else 0)
    kept = min(len(tables), max(needed, free // (HEADING_LINES + len(best) + len(live))))
    shown = live[: max(1, free // kept - HEADING_LINES - len(best))]
    if len(shown) < len(live):
        tables = live_rows((*best, *shown), state, setting, width)
    return [_legend(state), *chain(*tables[:kept]), *_left_out(len(live) - len(shown), len(tables) - kept)]


def _legend(state: SweepState) -> Text:
    is_scored = any(trial.evaluations for trial in state.trials.values())
    best = "★ best so far; " if state.best else ""
    return Text(f"{best}metrics of the last evaluation" if is_scored else "no evaluation yet", style="dim")


def _left_out(trials: int, blocks: int) -> list[Text]:
    words = [f"{trials} more running"] if trials else []
    words += ["more params in a larger window"] if blocks else []
    return [Text(f"… {', '.join(words)}", style="dim")] if words else []


def _head(
    started: SweepStarted, state: SweepState, setting: Setting, now: datetime, width: int
) -> list[RenderableType]:
    left, over = left_s(state, setting, now), sum(counts(state).values())
    saved = savings(state, setting)
    title = Text.assemble(("raysweep ", "dim"), (one_line(started.name), "bold"), f" {started.sweep_id}")
    time = elapsed(state.elapsed_s(now)) + (f", {about(left)} left" if left is not None else "")
    share = f", {saved.share:.0%} saved by stopping" if saved.share else ""
    trained = Text(f"{tokens(saved.trained_tokens)} tokens{share}{_bill(state, setting)}", style="dim")
    where = ", ".join(part for part in (one_line(setting.cluster), f"{setting.concurrency} at once") if part)
    of = Text(f" {over} of {state.n_trials} ended, {time}")
    bar = ProgressBar(state.n_trials, over, max(8, width - of.cell_len - 1), complete_style="green")
    return [
        _ends(title, Text(where, style="dim"), width),
        _ends(Text(str(setting.folder), style="dim"), trained, width),
        _ends(bar, of, width),
        _counts(state),
    ]


def _bill(state: SweepState, setting: Setting) -> str:
    """What is spent and what is set aside, against the budget; empty where nothing costs anything."""
    spending = state.spending
    if not spending.is_any:
        return ""
    of = "" if setting.max_usd is None else f" of {money(setting.max_usd)}"
    held = f" (+{money(spending.reserved)} reserved)" if spending.reserved else ""
    return f", {money(spending.spent)}{held}{of} USD"


def _ends(left: RenderableType, right: Text, width: int) -> Table:
    line = Table.grid(expand=False, padding=0)
    space = max(1, width - right.cell_len - 1)
    line.add_column(no_wrap=True, overflow="ellipsis", width=space)
    line.add_column(no_wrap=True, justify="right", width=right.cell_len + 1)
    line.add_row(left, right)
    return line


def _counts(state: SweepState) -> Text:
    parts = [Text(f"{len(running(state))} running")]
    parts += [Text(f"{len(waiting(state))} waiting", style="yellow")] if waiting(state) else []
    parts += [Text(f"{number} {outcome}", style=STYLES[outcome]) for outcome, number in counts(state).items()]
    return Text(", ", no_wrap=True, overflow="ellipsis").join(parts)


def _last_ended(state: SweepState, width: int, room: int) -> list[RenderableType]:
    latest = ended(state)[::-1][: max(0, min(ENDED_SHOWN, room - 2))]
    if not latest:
        return []
    return [Text(), Text("last ended", style="dim"), *(ended_line(trial, state, width) for trial in latest)]


def ended_line(trial: TrialState, state: SweepState, width: int) -> Text:
    """One line on a trial that has ended: how, where, with what, and why."""
    if trial.ended is None:
        raise ValueError(f"trial {trial.number} has not ended")
    at = f"{trial.last.epoch:.3g}" if trial.last else NOTHING
    value = metric(state.goal.metric, trial.ended.objective)
    text = Text(f"{name(trial):>5} ")
    text.append(f"{trial.ended.outcome:<10}", style=STYLES[trial.ended.outcome])
    text.append(f"epoch {at:<5}{value:>6}  ")
    text.append(shortened(one_line(trial.ended.reason), max(8, width - text.cell_len)), style="dim")
    return text
