"""One schedule played: sessions of a sweep, each struck as it is written, until the sweep has ended by itself."""

import random
import re
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from raysweep.errors import RaysweepError
from raysweep.folder import read_past
from raysweep.ledger import FILE_NAME
from raysweep.testing.chaos_driver import Orders, drive
from raysweep.testing.chaos_host import Host
from raysweep.testing.chaos_processes import kill, strike, wait_for_none
from raysweep.testing.chaos_progress import Progress
from raysweep.testing.chaos_schedule import WIRE, Action, Place, Schedule, Strike
from raysweep.testing.nursery import Child, Nursery

POLL_S = 0.01
SESSION_S: Mapping[Place, float] = {Place.PROCESSES: 60.0, Place.RAY: 150.0, Place.RAY_NODES: 150.0}
"""The longest that a session may take for each trial that is not there yet, and at least once; many times the usual."""
REAL_TRAINER = 5
"""So many times as long, where something is trained."""
ACTORS_GONE_S: Mapping[Place, float] = {Place.PROCESSES: 8.0, Place.RAY: 20.0, Place.RAY_NODES: 20.0}
"""How long after a driver's end a trial of its may run."""
GONE_S: Mapping[Place, float] = {Place.PROCESSES: 8.0, Place.RAY: 100.0, Place.RAY_NODES: 100.0}
"""How long its other processes may be there: agents of Ray's look for their raylet once a minute."""
TARGET_S: Mapping[Place, float] = {Place.PROCESSES: 3.0, Place.RAY: 20.0, Place.RAY_NODES: 20.0}
"""How long a strike waits for something to strike."""
HEADLESS_S = 75.0
"""How long a driver whose only raylet died may hang before it is killed; Ray takes about 60 s to notice."""
MAX_SESSIONS = 8
_ENTRY = re.compile(rb'^\{"entry": "(\w+)"', re.MULTILINE)


@dataclass
class Played:
    """What happened to a schedule."""

    struck: Counter[Action] = field(default_factory=Counter)
    n_missed: int = 0
    """Strikes for which the sweep ended too early, or that found nothing to strike."""
    n_sessions: int = 0
    n_hung: int = 0
    """Drivers that had to be killed because their only Ray node had died."""
    problems: list[str] = field(default_factory=list)


class Scene:
    """A schedule, and where it is played."""

    def __init__(self, schedule: Schedule, orders: Orders, nursery: Nursery, host: Host) -> None:
        """`orders` are those of the first session."""
        self._host = host
        self._schedule = schedule
        self._orders = orders
        self._nursery = nursery
        self._dice = random.Random(f"targets {schedule.seed} {schedule.index}")
        self._strikes = list(schedule.strikes)
        self._progress = Progress(orders.folder)
        self._played = Played()

    def play(self) -> Played:
        """Until the sweep has ended by itself, or something is wrong for good."""
        played = self._played
        for number in range(MAX_SESSIONS):
            played.n_sessions += 1
            word = self._session(self._orders if number == 0 else replace(self._orders, settings=None))
            if played.problems or (word == "" and self._is_finished()):
                break
        else:
            played.problems.append(f"the sweep had not ended after {MAX_SESSIONS} sessions")
        played.n_missed += len(self._strikes)
        return played

    def _session(self, orders: Orders) -> str | None:
        """The driver's last word; None where it died without one."""
        ledger = _LedgerEnd(orders.folder / FILE_NAME)
        struck: list[Action] = []
        child = self._nursery.spawn(partial(drive, orders), "driver")
        try:
            word = self._watch(child, ledger, struck)
        finally:
            child.kill()
            child.link.close()
        left = wait_for_none(orders.mark, ACTORS_GONE_S[orders.place], only_actors=True)
        left = left or wait_for_none(orders.mark, GONE_S[orders.place])
        kill(left)
        self._progress.look()
        self._judge(word, struck, [f"{one.pid} {one.name} {one.command[:60]}" for one in left])
        return word

    def _watch(self, child: Child, ledger: "_LedgerEnd", struck: list[Action]) -> str | None:
        """The driver's last word, while it is struck."""
        limit_s = SESSION_S[self._orders.place] * (1 + self._schedule.sweep.n_trials / 4)
        limit_s *= 1 if self._orders.trainer in ("synthetic", WIRE) else REAL_TRAINER
        until_s = time.monotonic() + limit_s
        while time.monotonic() < until_s:
            try:
                if child.link.poll(POLL_S):
                    return str(child.link.recv())
            except (EOFError, OSError):
                return None
            self._progress.look()
            if self._strikes and ledger.has(self._strikes[0]):
                blow = self._strikes.pop(0)
                time.sleep(blow.delay_s)
                if self._strike(blow.action, child.pid):
                    struck.append(blow.action)
                if blow.action is Action.HEAD:
                    until_s = time.monotonic() + HEADLESS_S
                ledger.forget()
        if Action.HEAD in struck:
            self._played.n_hung += 1
        else:
            self._played.problems.append(f"the driver had not ended after {limit_s:.0f} s")
        return None

    def _strike(self, action: Action, driver: int) -> bool:
        if action is Action.SERVER:
            self._host.restart()
            self._played.struck[action] += 1
            return True
        until_s = time.monotonic() + TARGET_S[self._orders.place]
        while not strike(action, driver, self._orders.mark, self._dice):
            if time.monotonic() > until_s:
                self._played.n_missed += 1
                return False
            time.sleep(POLL_S)
        self._played.struck[action] += 1
        return True

    def _judge(self, word: str | None, struck: list[Action], left: list[str]) -> None:
        problems = self._played.problems
        problems += self._progress.problems
        if left:
            problems.append(f"processes left: {'; '.join(left)}")
        if word is None and not problems and not self._was_killed(struck):
            problems.append("the driver died though nobody killed it")
        if word and Action.HEAD not in struck:
            problems.append(f"the driver ended by an error: {word}")

    def _was_killed(self, struck: list[Action]) -> bool:
        """A signal is an ordinary end while the sweep goes on; a driver that is just about to leave may die of it."""
        if {Action.SIGKILL, Action.HEAD} & {*struck}:
            return True
        is_over = read_past(self._orders.folder).state.ended is not None
        return is_over and bool({Action.SIGINT, Action.SIGTERM} & {*struck})

    def _is_finished(self) -> bool:
        try:
            past = read_past(self._orders.folder)
        except RaysweepError as error:
            self._played.problems.append(f"the sweep cannot be gone on with: {error}")
            return True
        return past.is_finished and past.state.ended is not None and past.state.ended.signal is None


class _LedgerEnd:
    """What was written since a moment, as kinds of entries."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size if path.is_file() else 0
        self._counts: Counter[str] = Counter()

    def has(self, blow: Strike) -> bool:
        """Whether the blow's moment has come."""
        with suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._offset)
            whole, newline, _ = file.read().rpartition(b"\n")
            self._offset += len(whole) + len(newline)
            self._counts.update(kind.decode() for kind in _ENTRY.findall(whole))
        began = self._counts["SweepStarted"] + self._counts["SweepResumed"]
        return (began if blow.entry == "SweepStarted" else self._counts[blow.entry]) >= blow.count

    def forget(self) -> None:
        """From now on."""
        self._counts.clear()
