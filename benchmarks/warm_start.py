"""What earlier runs are worth to a sweep, and what they cost it where they mislead: `python benchmarks/warm_start.py`.

The earlier runs are a whole sweep of 24 trials with early stopping on the surrogate of the recorded curves: on the same
task, on one whose scores lie on another scale, on one whose best learning rates lie a decade lower, and on one whose
best configurations are the worst here. Sweeps end at equal tokens. Trains nothing.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from replay import LADDERS, N_TRIALS, N_WORKERS, bootstrap
from search_recorded import GOAL, SPACE, Surrogate, load_runs
from telling import MOST_TRIALS, N_START, Overheard, is_full

from raysweep.clock import SimulatedClock
from raysweep.dimensions import Params
from raysweep.search.history import History
from raysweep.search.propose import Proposer, ProposerKind, make_proposer
from raysweep.search.prune import Asha, Rungs
from raysweep.search.simulate import Curve, simulate

N_FIRST = 10
BUDGET = 10.0
"""In full runs, as much as the default sweep takes."""
Told = Mapping[int, tuple[Params, float]]
"""Params and loss by number; below zero those of earlier runs, the oldest lowest."""
Way = Callable[[Told, Told], Told]
"""What the proposer is told, of the earlier runs and this sweep's."""


def cold(earlier: Told, own: Told) -> Told:
    """Nothing of the earlier runs."""
    return own


def raw(earlier: Told, own: Told) -> Told:
    """Their losses as they stand, beside this sweep's."""
    return {**earlier, **own}


def ranked(earlier: Told, own: Told) -> Told:
    """Their order only: each gets the loss of this sweep that stands at the same place in its order."""
    if not own:
        return earlier
    losses = sorted(loss for _, loss in own.values())
    order = sorted(earlier, key=lambda number: earlier[number][1])
    places = {number: (place + 0.5) / len(order) for place, number in enumerate(order)}
    return {
        **{number: (earlier[number][0], float(np.quantile(losses, places[number]))) for number in earlier},
        **own,
    }


def started(way: Way, earlier: Told, own: Told) -> Told:
    """Instead of the random start: forgotten when this sweep has as many ended trials as that has."""
    return own if len(own) >= N_START else way(earlier, own)


WAYS: dict[str, Way] = {
    "cold": cold,
    "raw": raw,
    "ranked": ranked,
    "raw start": partial(started, raw),
    "ranked start": partial(started, ranked),
    "best 3 first": cold,
    "best 3, raw": raw,
    "best 3, raw start": partial(started, raw),
}


@dataclass
class Warmed:
    """A proposer that is made anew before every ask, and told what a way makes of earlier runs and the sweep so far."""

    make: Callable[..., Proposer]
    way: Way
    earlier: Told
    points: Sequence[Params] = ()
    is_cold: bool = False
    known: dict[int, dict[float, float]] = field(default_factory=dict)
    pending: dict[int, Params] = field(default_factory=dict)
    own: dict[int, tuple[Params, float]] = field(default_factory=dict)

    def ask(self, number: int) -> Params | None:
        proposer = self.make(random_start=N_START if self.is_cold else 1, points=self.points)
        for one, (params, loss) in sorted(self.way(self.earlier, self.own).items()):
            proposer.adopt(one, params)
            proposer.tell(one, loss)
        for one, params in self.pending.items():
            proposer.adopt(one, params)
        params = proposer.ask(number)
        if params is not None:
            self.pending[number] = params
        return params

    def adopt(self, number: int, params: Params) -> None:
        self.pending[number] = params

    def tell(self, number: int, loss: float | None) -> None:
        params = self.pending.pop(number)
        if loss is not None:
            self.own[number] = (params, loss)


@dataclass(frozen=True)
class Task:
    """A task like the recorded one."""

    surrogate: Surrogate
    rate: float = 1.0
    """By which a learning rate is multiplied."""
    slope: float = 1.0
    start: float = 0.0
    """What a score is multiplied by, and what is added."""

    def curve(self, params: Params, seed: int) -> Curve:
        rate = min(5e-2, self.rate * float(str(params["learning_rate"])))
        curve = self.surrogate.curve({**params, "learning_rate": rate}, seed)
        points = [replace(point, value=self.start + self.slope * point.value) for point in curve.points]
        return replace(curve, points=tuple(points))


def former(kind: ProposerKind, task: Task, seed: int) -> Told:
    """What the proposer of a whole cold sweep was told, numbered from below zero."""
    warmed = Warmed(_make(kind, seed), cold, {}, is_cold=True)
    history = History(warmed, GOAL, n_trials=N_TRIALS, concurrency=N_WORKERS)
    simulate(history, _asha(), partial(task.curve, seed=seed), workers=N_WORKERS, clock=SimulatedClock())
    return {number - N_TRIALS: one for number, one in warmed.own.items()}


def sweep(kind: ProposerKind, name: str, task: Task, earlier: Told, seed: int) -> list[float]:
    """Of the first trials the mean score that they have or would have had, and the best; the best within the budget."""
    best_first = [params for params, _ in sorted(earlier.values(), key=lambda one: one[1])[:3]]
    points = best_first if name.startswith("best 3") else []
    warmed = Warmed(_make(kind, seed), WAYS[name], earlier, points, is_cold=WAYS[name] is cold)
    history = Overheard(warmed, GOAL, n_trials=MOST_TRIALS, concurrency=N_WORKERS).listen(warmed, BUDGET)
    curves = partial(task.curve, seed=seed)
    trials = simulate(history, _asha(), curves, workers=N_WORKERS, clock=SimulatedClock()).trials
    first = [curves(trial.params).points[-1].value for trial in trials[:N_FIRST]]
    best = max(trial.values[-1] for trial in trials if is_full(warmed.known[trial.number]))
    late = [curves(trial.params).points[-1].value for trial in trials[-(len(trials) // 3) :]]
    return [float(np.mean(first)), max(first), best, float(np.mean(late))]


def _make(kind: ProposerKind, seed: int) -> Callable[..., Proposer]:
    return partial(make_proposer, kind, SPACE, seed=seed, n_trials=MOST_TRIALS, default_first=False)


def _asha() -> Asha:
    levels, eta = LADDERS[3]
    return Asha(Rungs(levels), GOAL, eta=eta)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--ways", nargs="+", default=list(WAYS))
    parser.add_argument("--kinds", nargs="+", default=["hyperopt", "optuna"])
    parser.add_argument("--only", default="", help="only earlier runs with this in their title")
    arguments = parser.parse_args()
    surrogate = Surrogate(load_runs())
    sources = {
        "the same task": Task(surrogate),
        "the same order on a higher scale": Task(surrogate, slope=0.5, start=0.5),
        "learning rates a decade off": Task(surrogate, rate=10.0),
        "reversed": Task(surrogate, slope=-1.0, start=0.65),
    }
    for kind in arguments.kinds:
        for title, source in sources.items():
            if arguments.only not in title:
                continue
            print(f"\n{kind}, earlier runs: {title}; {arguments.seeds} seeds; difference from cold [95 % interval]")
            print(f"{'':17} {'mean of first 10':>31} {'best of first 10':>31} {'best in budget':>31} {'late mean':>31}")
            earlier = [former(kind, source, 5000 + seed) for seed in range(arguments.seeds)]
            compare(kind, Task(surrogate), earlier, arguments.ways)


def compare(kind: ProposerKind, task: Task, earlier: Sequence[Told], ways: Sequence[str]) -> None:
    rival = np.zeros((len(earlier), 4))
    for name in ways:
        found = np.array([sweep(kind, name, task, one, seed) for seed, one in enumerate(earlier)])
        rival = found if name == "cold" else rival
        cells = []
        for values, others in zip(found.T, rival.T, strict=True):
            low, high = bootstrap(values - others)
            cells.append(f"{values.mean():.3f} {(values - others).mean():+.4f} [{low:+.4f}, {high:+.4f}]")
        print(f"{name:17} {' '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
