"""The terminal's views: a live frame, plain lines for a pipe, errors alone, or entries as JSON."""

from typing import Literal, assert_never

from rich.console import Console
from rich.live import Live
from rich.text import Text

from raysweep.clock import Clock
from raysweep.encoding import encode
from raysweep.entries import (
    FINISHED_FIRST,
    LEFT_RUNNING,
    Entry,
    FinalScored,
    SweepResumed,
    SweepStarted,
    TrialEnded,
    TrialInterrupted,
)
from raysweep.jobs import Outcome
from raysweep.state import SweepState
from raysweep.views.frame import frame
from raysweep.views.pace import counts
from raysweep.views.summary import summary
from raysweep.views.view import Setting, View
from raysweep.views.words import metric, money, one_line

Mode = Literal["auto", "live", "plain", "quiet", "json"]
"""What the terminal shows; `auto` is `live` on a terminal and `plain` else."""

FRAME_S = 0.5
"""At most one frame in so many seconds."""


def make_view(mode: Mode, setting: Setting, clock: Clock, console: Console) -> View:
    """The view for a mode; it writes to the console's stream and to nothing else."""
    match mode:
        case "auto":
            return make_view("live" if console.is_terminal else "plain", setting, clock, console)
        case "live":
            return LiveView(setting, clock, console)
        case "plain":
            return LinesView(setting, console, is_quiet=False)
        case "quiet":
            return LinesView(setting, console, is_quiet=True)
        case "json":
            return JsonView(console)
        case _:
            assert_never(mode)


class LiveView:
    """A frame that is drawn anew in place; the final block takes its place at the end."""

    def __init__(self, setting: Setting, clock: Clock, console: Console) -> None:
        self._setting, self._clock, self._console = setting, clock, console
        self._live: Live | None = None
        self._state = SweepState()
        self._drawn_s: float | None = None
        self._is_closed = False

    def show(self, entry: Entry, state: SweepState) -> None:
        """Draw the state, unless a frame was drawn just now."""
        self._state = state
        self._draw()

    def tick(self) -> None:
        """Draw what a throttled `show` left out, and the time."""
        self._draw()

    def close(self, state: SweepState) -> None:
        """Wipe the frame and print the final block."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._live:
            self._live.stop()
        self._console.print(summary(state, self._setting, self._console.width))

    def _draw(self) -> None:
        now_s = self._clock.monotonic_s()
        if self._is_closed or (self._drawn_s is not None and now_s - self._drawn_s < FRAME_S):
            return
        self._drawn_s = now_s
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        width, height = self._console.size
        self._live.update(frame(self._state, self._setting, self._clock.now(), width, height), refresh=True)


class LinesView:
    """A line for the start, each trial's end and each final score, then the final block.

    Quiet: a line only for trials that were interrupted, failed or errored, then the final block.
    """

    def __init__(self, setting: Setting, console: Console, *, is_quiet: bool) -> None:
        self._setting, self._console, self._is_quiet = setting, console, is_quiet
        self._is_closed = False

    def show(self, entry: Entry, state: SweepState) -> None:
        """Print the entry's line, if it has one."""
        match entry:
            case TrialEnded() if not self._is_quiet or entry.outcome in (Outcome.FAILED, Outcome.ERRORED):
                self._print(trial_line(entry, state))
            case SweepStarted() if not self._is_quiet:
                self._print(_start_line(entry, self._setting))
                self._print_notice()
            case SweepResumed() if not self._is_quiet:
                self._print(_resume_line(state, self._setting))
                self._print_notice()
            case TrialInterrupted() if not self._is_quiet or entry.fault:
                self._print(_interrupted_line(entry))
            case FinalScored() if not self._is_quiet:
                scores = ", ".join(f"{name} {metric(name, value)}" for name, value in entry.metrics.items())
                self._print(f"scored {entry.name} on {entry.split}: {scores}")
            case _:
                return

    def tick(self) -> None:
        """Nothing: a line stands for an entry."""

    def close(self, state: SweepState) -> None:
        """Print the final block."""
        if not self._is_closed:
            self._is_closed = True
            self._console.print(summary(state, self._setting, self._console.width))

    def _print_notice(self) -> None:
        if self._setting.notice:
            self._print(self._setting.notice)

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)


class JsonView:
    """Each entry as one JSON object a line, in the ledger's own form; nothing else is written to the stream."""

    def __init__(self, console: Console) -> None:
        self._stream = console.file

    def show(self, entry: Entry, state: SweepState) -> None:
        """Write the entry's line through."""
        self._stream.write(encode(entry) + "\n")
        self._stream.flush()

    def tick(self) -> None:
        """Nothing: only entries are written."""

    def close(self, state: SweepState) -> None:
        """Nothing: the last entry has said it."""


def trial_line(entry: TrialEnded, state: SweepState) -> str:
    """A trial's end in one line, with the best so far."""
    trial, best = state.trials[entry.trial], state.best
    total = state.n_trials
    where = f" at epoch {trial.last.epoch:.3g}" if trial.last else ""
    value = f", {state.goal.metric} {metric(state.goal.metric, entry.objective)}" if entry.objective is not None else ""
    usd = trial.account.settled_usd
    cost = f", {money(usd)} USD" if usd is not None else ""
    cost += f", {money(trial.account.open_usd)} USD reserved until its host shows its end" if trial.is_owed else ""
    why = f": {one_line(entry.reason)}" if entry.reason else ""
    of = "" if trial.replica_of is None else f" (trial {trial.replica_of} again, seed {trial.proposed.seed})"
    line = f"[{sum(counts(state).values())}/{total}] trial {entry.trial}{of} {entry.outcome}{where}{value}{cost}{why}"
    if best is None or best.ended is None or of:
        return line
    is_new = best.number == entry.trial
    return line + (" (best)" if is_new else f" (best: {metric(state.goal.metric, best.ended.objective)})")


def _interrupted_line(entry: TrialInterrupted) -> str:
    if entry.reason in (LEFT_RUNNING, FINISHED_FIRST):
        return f"trial {entry.trial} has not ended: {entry.reason}"
    if entry.fault is None:
        return f"trial {entry.trial} goes on; its attempt {entry.attempt} was left: {one_line(entry.reason)}"
    whose = f" ({entry.fault})"
    then = f"; next attempt in {entry.wait_s:.3g} s" if entry.wait_s else ""
    return f"trial {entry.trial} attempt {entry.attempt} interrupted{whose}: {one_line(entry.reason)}{then}"


def _resume_line(state: SweepState, setting: Setting) -> str:
    started = state.started
    name = f"raysweep {one_line(started.name)} {started.sweep_id}" if started else "raysweep"
    n_open = sum(trial.goes_on(setting.attempts) for trial in state.searched.values())
    taken_up = "1 is taken up" if n_open == 1 else f"{n_open} are taken up"
    where = f" on {one_line(setting.cluster)}" if setting.cluster else ""
    return (
        f"{name} goes on: {len(state.searched) - n_open} of {state.n_trials} trials have ended, {taken_up} "
        f"again, {setting.concurrency} at once{where}, folder {setting.folder}"
    )


def _start_line(entry: SweepStarted, setting: Setting) -> str:
    where = f" on {one_line(setting.cluster)}" if setting.cluster else ""
    name = f"raysweep {one_line(entry.name)} {entry.sweep_id}"
    budget = "" if setting.max_usd is None else f"at most {setting.max_usd:g} USD, "
    return (
        f"{name}: {entry.trials} trials, {setting.concurrency} at once{where}, {budget}"
        f"objective {entry.metric} ({entry.mode}), folder {setting.folder}"
    )
