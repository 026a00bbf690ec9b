"""What a proposer had best be told of pruned trials, by replay of recorded curves: `python benchmarks/telling.py`.

Every rule is a pure function of what the sweep knows so far; all told losses are made anew before every ask, which
favours the rules that learn from later trials. Sweeps end at equal tokens. Trains nothing.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from replay import LADDERS, N_WORKERS, Ladder, bootstrap
from search_recorded import GOAL, SPACE, Pool, Recorded, Run, Surrogate, load_runs

from raysweep.clock import SimulatedClock
from raysweep.dimensions import Params
from raysweep.search.history import History
from raysweep.search.propose import Proposer, ProposerKind, make_proposer
from raysweep.search.prune import Asha, Rungs
from raysweep.search.simulate import Curve, simulate

EPOCHS = 3.0
N_START = 8
MOST_TRIALS = 80
Losses = Mapping[float, float]
"""A trial's losses by epoch."""
Known = Mapping[int, Losses]
"""Of every trial that ended."""
Rule = Callable[[Known, int], float | None]


def is_full(losses: Losses) -> bool:
    return max(losses) >= EPOCHS


def last(known: Known, number: int) -> float | None:
    """The last value, a short score beside full ones: the product's rule."""
    return known[number][max(known[number])]


def nothing(known: Known, number: int) -> float | None:
    """Pruned trials are not told."""
    return last(known, number) if is_full(known[number]) else None


def worst(known: Known, number: int) -> float | None:
    """Pruned trials are as bad as the worst loss ever seen."""
    return last(known, number) if is_full(known[number]) else max(max(one.values()) for one in known.values())


def behind(known: Known, number: int) -> float | None:
    """Discounted: behind every full run and every trial that came further, in the order of their scores there."""
    epoch = max(known[number])
    return known[number][epoch] + 10 * (EPOCHS - epoch)


def shifted(known: Known, number: int) -> float | None:
    """Extrapolated: the last value plus what full runs gained from there on, in the median."""
    epoch = max(known[number])
    full = [one for one in known.values() if is_full(one)]
    return known[number][epoch] + float(np.median([one[EPOCHS] - one[epoch] for one in full] or [0.0]))


def fitted(known: Known, number: int) -> float | None:
    """Extrapolated: a straight line from the full runs' scores at that epoch to their final ones."""
    epoch = max(known[number])
    full = [one for one in known.values() if is_full(one)]
    if len(full) < 4:
        return shifted(known, number)
    slope, start = np.polyfit([one[epoch] for one in full], [one[EPOCHS] for one in full], 1)
    return float(start + max(0.0, slope) * known[number][epoch])


def at_rung(known: Known, number: int) -> float | None:
    """As BOHB: all by their loss at the furthest epoch that `N_START` of them have reached; the rest is silent."""
    epochs = sorted({epoch for one in known.values() for epoch in one}, reverse=True)
    level = next((epoch for epoch in epochs if sum(epoch in one for one in known.values()) >= N_START), epochs[-1])
    return known[number].get(level)


RULES: dict[str, Rule] = {
    "last": last,
    "nothing": nothing,
    "worst": worst,
    "behind": behind,
    "shifted": shifted,
    "fitted": fitted,
    "at rung": at_rung,
}


@dataclass
class Retold:
    """A proposer that is made anew before every ask, and told what a rule makes of the sweep so far."""

    make: Callable[[], Proposer]
    rule: Rule
    known: dict[int, dict[float, float]] = field(default_factory=dict)
    pending: dict[int, Params] = field(default_factory=dict)
    ended: dict[int, Params] = field(default_factory=dict)

    def ask(self, number: int) -> Params | None:
        proposer = self.make()
        for one, params in sorted([*self.ended.items(), *self.pending.items()]):
            proposer.adopt(one, params)
            if one in self.ended:
                proposer.tell(one, self.rule({each: self.known[each] for each in self.ended}, one))
        params = proposer.ask(number)
        if params is not None:
            self.pending[number] = params
        return params

    def adopt(self, number: int, params: Params) -> None:
        self.pending[number] = params

    def tell(self, number: int, loss: float | None) -> None:
        self.ended[number] = self.pending.pop(number)


class Overheard(History):
    """A history whose losses a `Retold` knows by epoch, and which starts nothing beyond a budget of full runs."""

    def listen(self, retold: Retold, budget: float) -> "Overheard":
        self.known, self.budget = retold.known, budget
        return self

    def record(self, number: int, value: float, resource: float) -> None:
        super().record(number, value, resource)
        self.known.setdefault(number, {})[resource] = GOAL.loss(value)
        if sum(max(one) for one in self.known.values()) >= self.budget * EPOCHS:
            self.close()


@dataclass(frozen=True)
class World:
    """What a sweep is made in."""

    runs: tuple[Run, ...]
    surrogate: Surrogate | None
    budget: float
    ladder: Ladder = LADDERS[3]


def sweep(kind: ProposerKind, rule: Rule, world: World, seed: int) -> tuple[float, float]:
    """The best full run within the budget, and the mean final score that the last third would have had."""
    runs, surrogate = world.runs, world.surrogate
    make = partial(
        make_proposer, kind, SPACE, seed=seed, n_trials=MOST_TRIALS, default_first=False, random_start=N_START
    )
    retold = Retold(make, rule)
    proposer: Proposer = Pool(runs, retold, seed) if surrogate is None else retold
    of: Callable[[Params], Curve] = Recorded(runs, seed) if surrogate is None else partial(surrogate.curve, seed=seed)
    history = Overheard(proposer, GOAL, n_trials=MOST_TRIALS, concurrency=N_WORKERS).listen(retold, world.budget)
    pruner = Asha(Rungs(world.ladder[0]), GOAL, eta=world.ladder[1])
    trials = simulate(history, pruner, of, workers=N_WORKERS, clock=SimulatedClock()).trials
    best = max(trial.values[-1] for trial in trials if trial.tokens and is_full(retold.known[trial.number]))
    late = trials[-(len(trials) // 3) :]
    return best, float(np.mean([of(trial.params).points[-1].value for trial in late]))


def compare(kind: ProposerKind, world: World, n_seeds: int) -> None:
    where = "recorded runs" if world.surrogate is None else "surrogate"
    for ladder in (LADDERS[3], LADDERS[0], LADDERS[4]):
        words = f"rungs {ladder[0]}, eta {ladder[1]:g}, {world.budget:g} full runs of tokens"
        print(f"\n{kind}, {where}, {words}, {n_seeds} seeds")
        print(f"{'told':8} {'best':>7} {'against last':>28} {'won/lost':>9} {'late mean':>10} {'against last':>28}")
        found = {
            name: np.array([sweep(kind, rule, replace(world, ladder=ladder), seed) for seed in range(n_seeds)])
            for name, rule in RULES.items()
        }
        for name, values in found.items():
            best, late = values.T
            rival_best, rival_late = found["last"].T
            print(f"{name:8} {_line(best, rival_best)} {_line(late, rival_late, counts=False)}", flush=True)


def _line(values: np.ndarray, rival: np.ndarray, *, counts: bool = True) -> str:
    difference = values - rival
    low, high = bootstrap(difference)
    won, lost = int((difference > 1e-9).sum()), int((difference < -1e-9).sum())
    words = f"{values.mean():7.4f} {difference.mean():+9.4f} [{low:+.4f}, {high:+.4f}]"
    return f"{words} {won:4}/{lost:<4}" if counts else f"   {words}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument(
        "--budget", type=float, default=10.0, help="in full runs; the default sweep takes about as much"
    )
    parser.add_argument("--kinds", nargs="+", default=["hyperopt", "optuna"])
    parser.add_argument("--curves", nargs="+", default=["surrogate", "recorded"])
    arguments = parser.parse_args()
    runs = load_runs()
    surrogate = Surrogate(runs)
    for kind in arguments.kinds:
        for curves in arguments.curves:
            world = World(runs, surrogate if curves == "surrogate" else None, arguments.budget)
            compare(kind, world, arguments.seeds)


if __name__ == "__main__":
    main()
