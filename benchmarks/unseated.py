"""How often another seed unseats a sweep's winner, before its rule and after: `python benchmarks/unseated.py`.

Trains nothing; about two minutes on one core. A *judge* is one more seed of every finalist, which named nobody: the
winner is unseated where the judge puts another finalist first.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np
from replay import LADDERS, N_TRIALS, N_WORKERS, bootstrap
from search_recorded import GOAL, SPACE, Run, Surrogate, load_runs

from raysweep.clock import SimulatedClock
from raysweep.dimensions import Params
from raysweep.jobs import Outcome
from raysweep.search.history import History
from raysweep.search.propose import make_proposer
from raysweep.search.prune import Asha, Rungs
from raysweep.search.simulate import simulate
from raysweep.winner import Configuration, order, rule

TOP = 3
N_REPLICAS = 4
FRESH = 1_000_000
"""Seeds from here on are nobody's but the replicas' and the judge's."""


@dataclass(frozen=True)
class Finalist:
    """One of a sweep's best, with more seeds than anybody would pay for."""

    chosen: float
    replicas: tuple[float, ...]
    judge: float
    quality: float
    """The mean of all seeds that there could be."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=400, help="simulated sweeps")
    parser.add_argument("--orders", type=int, default=4000, help="draws of the recorded pairs")
    arguments = parser.parse_args()
    runs = load_runs()
    recorded(runs, arguments.orders)
    surrogate = Surrogate(runs)
    sweeps = [_sweep(surrogate, seed) for seed in range(arguments.sweeps)]
    print(f"\n{len(sweeps)} sweeps of {N_TRIALS} trials (hyperopt, ASHA {LADDERS[0][0]}), surrogate, best {TOP}, judge")
    print(f"{'rule':34} {'unseated':>9} {'tie called':>11} {'unseated, no tie called':>24} {'quality lost':>22}")
    for n_replicas in (0, 1, 2, 4):
        _told(f"{n_replicas} replicas, the rule" if n_replicas else "best single score", sweeps, n_replicas)
        if n_replicas:
            _told(f"{n_replicas} replicas, their mean alone", sweeps, n_replicas, with_chosen=False)


def recorded(runs: Sequence[Run], n_draws: int) -> None:
    """Nothing made up: configurations that were run with two seeds; which seed the search saw is drawn."""

    def key(run: Run) -> str:
        return str(sorted(run.params.items(), key=lambda item: item[0]))

    groups = [[run.curve.points[-1].value for run in same] for _, same in groupby(sorted(runs, key=key), key)]
    pairs = np.array([group[:2] for group in groups if len(group) > 1])
    chance = np.random.default_rng(0)
    unseated = []
    for _ in range(n_draws):
        seen = chance.integers(0, 2, len(pairs))
        there = chance.permutation(len(pairs))[: len(pairs) * 3 // 4]
        chosen, judged = pairs[there, seen[there]], pairs[there, 1 - seen[there]]
        best = np.argsort(-chosen)[:TOP]
        unseated.append(int(np.argmax(judged[best])) != 0)
    good = pairs[pairs.min(axis=1) > 0.4]
    print(f"{len(pairs)} recorded configurations with two seeds, {len(good)} of them with both F1 above .4")
    print(f"their seeds differ by {np.sqrt((np.diff(good) ** 2).mean() / 2):.4f} (standard deviation of a seed)")
    print(
        f"the best of {len(pairs) * 3 // 4} by one seed is not the best of the first {TOP} by the other: "
        f"{np.mean(unseated):.0%} of {n_draws} draws"
    )


def _sweep(surrogate: Surrogate, seed: int) -> tuple[Finalist, ...]:
    """The best few completed trials of a sweep, the best first."""
    proposer = make_proposer("hyperopt", SPACE, seed=seed, n_trials=N_TRIALS, default_first=False)
    history = History(proposer, GOAL, n_trials=N_TRIALS, concurrency=N_WORKERS)
    pruner = Asha(Rungs(LADDERS[0][0]), GOAL, eta=LADDERS[0][1])
    found = simulate(history, pruner, partial(surrogate.curve, seed=seed), workers=N_WORKERS, clock=SimulatedClock())
    completed = [trial for trial in found.trials if trial.outcome is Outcome.COMPLETED]
    best = sorted(completed, key=lambda trial: -trial.values[-1])[:TOP]
    return tuple(_finalist(surrogate, trial.params, trial.values[-1], seed) for trial in best)


def _finalist(surrogate: Surrogate, params: Params, chosen: float, seed: int) -> Finalist:
    def end(number: int) -> float:
        return surrogate.curve(params, FRESH + seed * 1000 + number).points[-1].value

    *replicas, judge = (end(number) for number in range(N_REPLICAS + 1))
    return Finalist(chosen, tuple(replicas), judge, surrogate.middle(params))


def _told(title: str, sweeps: Sequence[tuple[Finalist, ...]], n_replicas: int, *, with_chosen: bool = True) -> None:
    found = np.array([_judged(sweep, n_replicas, with_chosen=with_chosen) for sweep in sweeps])
    unseated, tied, lost = found.T
    low, high = bootstrap(lost)
    claimed = tied == 0
    wrong = (unseated[claimed].mean() if claimed.any() else 0.0, int(claimed.sum()))
    print(
        f"{title:34} {unseated.mean():9.0%} {tied.mean():11.0%} {wrong[0]:12.0%} of {wrong[1]:3} sweeps"
        f" {lost.mean():8.4f} [{low:.4f}, {high:.4f}]"
    )


def _judged(sweep: Sequence[Finalist], n_replicas: int, *, with_chosen: bool) -> tuple[float, float, float]:
    """Whether the judge unseats the winner, whether it was called a tie, and how much better another one truly is."""
    seeds = [
        (one.chosen, *one.replicas[:n_replicas]) if with_chosen or not n_replicas else one.replicas[:n_replicas]
        for one in sweep
    ]
    finalists = [Configuration(number, first, tuple(others)) for number, (first, *others) in enumerate(seeds)]
    ruling = rule(finalists, GOAL)
    named = order(finalists, GOAL)[0].trial if ruling is None or not n_replicas else ruling.winner.trial
    judge = int(np.argmax([one.judge for one in sweep]))
    best = max(one.quality for one in sweep)
    return float(judge != named), float(bool(ruling and ruling.tied)), best - sweep[named].quality


if __name__ == "__main__":
    main()
