"""What is struck when, in which sweep: a pure function of a seed and a schedule's index."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from raysweep.testing.chaos_misfortune import FAILURES, NAMES, NEEDS_CURVES, STUCK

WIRE = "wire"
"""The trainer whose jobs live at a server."""
RAY_IN = 5
"""One schedule in so many runs through Ray, and of those one in RAYLET_IN loses a raylet: 40 and 10 of 200."""
RAYLET_IN = 4
RAY_TRIALS = 4
LEAVING = 0.4
"""The share of schedules, of those with a host, in which an interrupted driver leaves its jobs."""
N_SWEEPS = 30
"""How many different sweeps the schedules are drawn from; the undisturbed run of each is made once."""


class Place(StrEnum):
    """What carries out the trials."""

    PROCESSES = "processes"
    RAY = "ray"
    """One node."""
    RAY_NODES = "ray, several nodes"
    """A head that runs no trials, and two nodes that do."""


class Pruning(StrEnum):
    """What stops trials early; each promises something else about the results."""

    NONE = "none"
    THRESHOLD = "threshold"
    ASHA = "asha"


class Action(StrEnum):
    """What is done to a running sweep."""

    SIGINT = "driver SIGINT"
    SIGTERM = "driver SIGTERM"
    SIGKILL = "driver SIGKILL"
    ACTOR = "actor SIGKILL"
    MACHINE = "all but the driver SIGKILL"
    """Without Ray: every process that works for the driver."""
    NODE = "raylet of a node SIGKILL"
    HEAD = "raylet of the only node SIGKILL"
    SERVER = "server SIGKILL and start"
    """Only of trainers whose jobs live at one."""


SIGNALS = (Action.SIGINT, Action.SIGTERM)
"""What ends a driver in good order."""
OF_THE_DRIVER = (*SIGNALS, Action.SIGKILL)
_MOMENTS: Mapping[str, int] = {
    "SweepStarted": 1,
    "TrialProposed": 4,
    "JobAccepted": 4,
    "Evaluated": 10,
    "TrialInterrupted": 1,
    "CancelRequested": 2,
    "TrialEnded": 5,
    "SweepEnded": 1,
}
"""The entries after which may be struck, and how many of them are waited for at most."""


@dataclass(frozen=True)
class Strike:
    """One blow. The moment counts in what a driver writes, which does not hang on the machine's speed."""

    action: Action
    entry: str
    """The kind of ledger entry that is waited for; SweepResumed does for SweepStarted."""
    count: int
    """How many of them, since the strike before or since the driver began."""
    delay_s: float
    """Then."""


@dataclass(frozen=True)
class Sweep:
    """Which sweep is struck, apart from its trainer."""

    number: int
    pruning: Pruning
    search: str
    """`random`, or `hyperopt` in order; random where trials are compared: params then hang on their numbers alone."""
    n_trials: int
    concurrency: int
    seed: int
    has_host: bool
    """Whether jobs outlive their makers, where the trainer can do both."""
    has_failure: bool
    """Whether one trial fails by its params, where the trainer can be told so."""
    failure: str = ""
    """How one trial fails at a host of the wire; empty for not at all."""


@dataclass(frozen=True)
class Schedule:
    """A sweep, where it runs, and what happens to it."""

    seed: int
    index: int
    sweep: Sweep
    place: Place
    strikes: tuple[Strike, ...]
    misfortunes: tuple[str, ...] = ()
    """What a host of the wire does wrong meanwhile."""
    leaves: bool = False
    """Whether an interrupted driver leaves its jobs at their host (`on_interrupt: leave`)."""


def make_schedule(seed: int, index: int, *, trainer: str) -> Schedule:
    """Schedule number `index`; the same whatever else is run."""
    dice = random.Random(f"{seed} {index} {trainer}")
    sweep = make_sweep(seed, dice.randrange(N_SWEEPS if trainer in ("synthetic", WIRE) else 4), trainer=trainer)
    place, first = _place(index)
    if place is not Place.PROCESSES:  # whose actors take seconds to start
        sweep = replace(sweep, n_trials=min(sweep.n_trials, RAY_TRIALS), concurrency=min(sweep.concurrency, 2))
    n_strikes = dice.choice((1, 1, 2, 3))
    strikes: list[Strike] = []
    for _ in range(n_strikes):
        strikes.append(_strike(dice, place, sweep, strikes[-1].action if strikes else None, trainer=trainer))
    if first is not None:
        # Late enough that the cluster is there, early enough that the sweep is not over.
        strikes = [Strike(first, "Evaluated", dice.randint(1, 3), dice.uniform(0.0, 0.3)), *strikes[:1]]
    misfortunes = _misfortunes(dice, sweep) if trainer == WIRE else ()
    if STUCK & {*misfortunes}:
        strikes = [Strike(Action.SERVER, "JobAccepted", 2, 0.5), *strikes[:1]]  # trial 1 has one by then, or waits
    leaves = dice.random() < LEAVING and (trainer == WIRE or (trainer == "synthetic" and sweep.has_host))
    if leaves and not {one.action for one in strikes} & {*SIGNALS}:  # else there is nothing to leave
        strikes.append(Strike(dice.choice(SIGNALS), "Evaluated", dice.randint(1, 3), dice.uniform(0.0, 0.4)))
    return Schedule(seed, index, sweep, place, tuple(strikes), misfortunes, leaves)


def make_sweep(seed: int, number: int, *, trainer: str) -> Sweep:
    """Sweep number `number` of the seed: as many of each pruning as of the others."""
    dice = random.Random(f"sweep {seed} {number} {trainer}")
    pruning = tuple(Pruning)[number % 3]
    is_small = trainer not in ("synthetic", WIRE)
    return Sweep(
        number=number,
        pruning=pruning,
        search="random" if pruning is Pruning.ASHA else dice.choice(("random", "hyperopt")),
        n_trials=dice.randint(3, 4) if is_small else dice.randint(4, 10),
        concurrency=dice.randint(1, 2) if is_small else dice.randint(1, 4),
        seed=dice.randrange(1000),
        has_host=dice.random() < 0.3,
        has_failure=dice.random() < 0.3,
        failure=dice.choice(("", "", *FAILURES)) if trainer == WIRE else "",
    )


def _misfortunes(dice: random.Random, sweep: Sweep) -> tuple[str, ...]:
    """One or two things that go wrong at the host; none that hides the curves where they are all that is known."""
    never = NEEDS_CURVES if sweep.pruning is not Pruning.NONE or sweep.failure else frozenset()
    return tuple(dice.sample([name for name in NAMES if name not in never], dice.choice((0, 1, 1, 2))))


def _place(index: int) -> tuple[Place, Action | None]:
    """Where the schedule runs, and what it begins with where that is settled by its index."""
    if index % RAY_IN != RAY_IN - 1:
        return Place.PROCESSES, None
    turn = index // RAY_IN
    if turn % RAYLET_IN != RAYLET_IN - 1:
        return Place.RAY, None
    return (Place.RAY_NODES, Action.NODE) if turn // RAYLET_IN % 2 == 0 else (Place.RAY, Action.HEAD)


def _strike(dice: random.Random, place: Place, sweep: Sweep, before: Action | None, *, trainer: str) -> Strike:
    """A blow at a moment that is likely to come: after `before`, in this sweep."""
    of_trials = (Action.ACTOR, Action.ACTOR, Action.MACHINE) if place is Place.PROCESSES else (Action.ACTOR,) * 2
    of_hosts = (Action.SERVER, Action.SERVER) if trainer == WIRE else ()
    action = dice.choice((*OF_THE_DRIVER, Action.SIGKILL, *of_trials, *of_hosts))
    never = set()
    if before is None or before in OF_THE_DRIVER:
        never.add("TrialInterrupted")
    if sweep.pruning is Pruning.NONE:
        never.add("CancelRequested")
    if action not in OF_THE_DRIVER:
        never |= {"SweepEnded", "SweepStarted"}  # there is nobody yet, or any more
    entry = dice.choice(("Evaluated", *(one for one in _MOMENTS if one not in never)))
    most = min(_MOMENTS[entry], 2 * sweep.n_trials if entry == "Evaluated" else max(1, sweep.n_trials - 2))
    return Strike(action, entry, dice.randint(1, most), dice.choice((0.0, 0.0, dice.uniform(0.0, 0.4))))
