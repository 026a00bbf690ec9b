"""How much the search saves and finds, on recorded and on synthetic learning curves: `python benchmarks/replay.py`.

Trains nothing; about four minutes on one core. Ranges in brackets are the 5th and 95th percentile over orders or seeds,
intervals of differences are 95 % bootstrap intervals.
"""

import argparse
import math
from collections.abc import Callable, Sequence
from functools import partial
from random import Random

import numpy as np
from search_recorded import FULL_TOKENS, GOAL, SPACE, Pool, Recorded, Run, Surrogate, load_runs

from raysweep.clock import SimulatedClock
from raysweep.dimensions import Choice, Params, Uniform
from raysweep.jobs import Outcome
from raysweep.search.history import History
from raysweep.search.propose import Proposer, ProposerKind, make_proposer
from raysweep.search.prune import Asha, NoPruning, Pruner, Rungs
from raysweep.search.simulate import Curve, Simulation, simulate
from raysweep.space import Space

N_TRIALS = 24
N_WORKERS = 2
N_DRAWS = 5
Ladder = tuple[tuple[float, ...], float]
LADDERS: list[Ladder] = [
    ((0.5, 1.5), 2.0),
    ((0.5, 1.5), 3.0),
    ((0.5, 1.0), 2.0),
    ((0.5, 1.0), 3.0),
    ((0.5, 1.0, 2.0), 2.0),
    ((0.5,), 3.0),
    ((1.0,), 3.0),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=40, help="sweeps per arm in the comparison of proposers")
    parser.add_argument("--orders", type=int, default=100, help="random orders in which ASHA sees the recorded runs")
    arguments = parser.parse_args()
    runs = load_runs()
    savings(runs, arguments.orders)
    learning(10)
    surrogate = Surrogate(runs)
    equal_tokens("recorded configurations, nearest first", runs, None, arguments.seeds)
    equal_tokens("surrogate of the recorded curves", runs, surrogate, arguments.seeds)
    order(surrogate, arguments.seeds)


def savings(runs: tuple[Run, ...], n_orders: int) -> None:
    """What ASHA alone saves when it sees recorded runs in random orders, and what it loses."""
    for n_trials in (N_TRIALS, len(runs)):
        print(f"\nASHA on {n_trials} of {len(runs)} recorded runs, {n_orders} random orders, {N_WORKERS} workers")
        titles = f"{'tokens saved, median':>24} {'best lost, mean (max)':>24} {'completed':>10}"
        print(f"{'rungs (of 3 epochs)':20} {'eta':>4} {titles}")
        for levels, eta in LADDERS:
            found = [_replay(runs, _pruner((levels, eta)), n_trials, seed) for seed in range(n_orders)]
            saved, lost, completed = (np.array(column) for column in zip(*found, strict=True))
            line = (
                f"{', '.join(map(str, levels)):20} {eta:4g} {spread(saved):>24} {lost.mean():16.4f} ({lost.max():.3f})"
            )
            print(f"{line} {completed.mean():10.1f}")


def learning(n_seeds: int) -> None:
    """Whether the last 20 of 60 suggestions are better than at random, on a noisy formula."""
    print(f"\nLast 20 of 60 suggestions on a noisy peak, mean score, {n_seeds} seeds")
    kinds: list[ProposerKind] = ["random", "hyperopt", "optuna"]
    means = {kind: np.array([_last_third(kind, seed) for seed in range(n_seeds)]) for kind in kinds}
    for kind, values in means.items():
        print(f"{kind:10} {spread(values)}, above random in {int((values > means['random']).sum())} of {n_seeds}")


def equal_tokens(title: str, runs: tuple[Run, ...], surrogate: Surrogate | None, n_seeds: int) -> None:
    """The best completed trial of a sweep, against that of random full runs which spend as many tokens or more."""
    print(f"\nSweeps of {N_TRIALS} trials against random full runs at equal tokens; {title}; {n_seeds} seeds")
    titles = f"{'random full':>12} {'difference':>11} {'interval':>18} {'won/lost':>9}"
    print(f"{'arm':34} {'best':>7} {'tokens saved':>22} {titles}")
    kinds: list[ProposerKind] = ["random", "hyperopt", "optuna"]
    for kind in kinds:
        for ladder in (None, *LADDERS[:3]):
            sweeps = [_sweep(kind, runs, surrogate, _pruner(ladder), seed) for seed in range(n_seeds)]
            best = np.array([_best(sweep) for sweep in sweeps])
            spent = [math.ceil(sweep.tokens / FULL_TOKENS - 1e-6) for sweep in sweeps]
            rival = np.array([_random_full(runs, surrogate, n, seed) for seed, n in enumerate(spent)])
            saved = np.array([1 - sweep.tokens / FULL_TOKENS / N_TRIALS for sweep in sweeps])
            difference = best - rival
            low, high = bootstrap(difference)
            print(
                f"{kind + ', ' + _title(ladder):34} {best.mean():7.4f} {spread(saved):>22} {rival.mean():12.4f}"
                f" {difference.mean():+11.4f} [{low:+.4f}, {high:+.4f}]"
                f" {int((difference > 0).sum()):4}/{int((difference < 0).sum())}"
            )


def order(surrogate: Surrogate, n_seeds: int) -> None:
    """What showing results in trial order costs: idle workers, and the best that is found."""
    print(f"\nOrdered search, 60 trials, 4 workers, {_title(LADDERS[0])}, surrogate, {n_seeds} seeds")
    print(f"{'lag':>10} {'best, mean (se)':>18} {'idle':>7} {'hours':>7}")
    for lag in (None, 3, 7, 11, 15):
        sweeps = []
        for seed in range(n_seeds):
            proposer = make_proposer("hyperopt", SPACE, seed=seed, n_trials=60, default_first=False)
            history = History(proposer, GOAL, n_trials=60, concurrency=4, lag=lag)
            sweeps.append(_simulate(history, _pruner(LADDERS[0]), partial(surrogate.curve, seed=seed), 4))
        best = np.array([_best(sweep) for sweep in sweeps])
        idle = np.mean([sweep.idle_share for sweep in sweeps])
        hours = np.mean([sweep.wall_s for sweep in sweeps]) / 3600
        print(f"{lag!s:>10} {best.mean():10.4f} ({best.std() / n_seeds**0.5:.4f}) {idle:7.3f} {hours:7.3f}")


def spread(values: np.ndarray) -> str:
    """Median, 5th and 95th percentile."""
    low, middle, high = np.percentile(values, [5, 50, 95])
    return f"{middle:.3f} ({low:.3f}-{high:.3f})"


def bootstrap(differences: np.ndarray) -> tuple[float, float]:
    """A 95 % interval of the mean."""
    chance = np.random.default_rng(0)
    means = chance.choice(differences, (4000, len(differences))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def _pruner(ladder: Ladder | None) -> Pruner:
    return NoPruning() if ladder is None else Asha(Rungs(ladder[0]), GOAL, eta=ladder[1])


def _title(ladder: Ladder | None) -> str:
    return "full runs" if ladder is None else f"ASHA {ladder[0]} eta {ladder[1]:g}"


def _replay(runs: Sequence[Run], pruner: Pruner, n_trials: int, seed: int) -> tuple[float, float, int]:
    rows = Random(seed).sample(range(len(runs)), n_trials)
    space = Space({"row": Choice("choice", tuple(range(len(runs))))})
    points: list[Params] = [{"row": row} for row in rows]
    proposer = make_proposer("random", space, seed=0, n_trials=n_trials, points=points, default_first=False)
    history = History(proposer, GOAL, n_trials=n_trials, concurrency=N_WORKERS)
    curves = dict(enumerate(run.curve for run in runs))
    sweep = _simulate(history, pruner, lambda params: curves[int(str(params["row"]))], N_WORKERS)
    best = max(runs[row].curve.points[-1].value for row in rows)
    completed = sum(trial.outcome is Outcome.COMPLETED for trial in sweep.trials)
    return 1 - sweep.tokens / FULL_TOKENS / n_trials, best - _best(sweep), completed


def _last_third(kind: ProposerKind, seed: int) -> float:
    space = Space(
        {
            "learning_rate": SPACE.dimensions["learning_rate"],
            "rank": Choice("choice", (4, 8, 16, 32)),
            "dropout": Uniform("uniform", 0.0, 0.3),
        }
    )
    chance = Random(f"{kind} {seed}")
    proposer = make_proposer(kind, space, seed=seed, n_trials=60)
    scores = []
    for number in range(60):
        params = proposer.ask(number) or {}
        scores.append(_score(params, chance))
        proposer.tell(number, -scores[-1])
    return float(np.mean(scores[-20:]))


def _score(params: Params, chance: Random) -> float:
    rate, rank, dropout = (float(str(params[name])) for name in ("learning_rate", "rank", "dropout"))
    peak = 0.55 - 0.08 * math.log10(rate / 2e-3) ** 2
    return peak + 0.01 * math.log2(rank / 4) - 0.3 * (dropout - 0.1) ** 2 + chance.gauss(0, 0.01)


def _sweep(
    kind: ProposerKind, runs: tuple[Run, ...], surrogate: Surrogate | None, pruner: Pruner, seed: int
) -> Simulation:
    inner = make_proposer(kind, SPACE, seed=seed, n_trials=N_TRIALS, default_first=False)
    proposer: Proposer = inner
    curves: Callable[[Params], Curve] = Recorded(runs, seed)
    if surrogate is None:
        proposer = Pool(runs, None if kind == "random" else inner, seed)
    else:
        curves = partial(surrogate.curve, seed=seed)
    history = History(proposer, GOAL, n_trials=N_TRIALS, concurrency=N_WORKERS)
    return _simulate(history, pruner, curves, N_WORKERS)


def _random_full(runs: tuple[Run, ...], surrogate: Surrogate | None, n_trials: int, seed: int) -> float:
    """The best of so many random full runs, on average over some draws of its own."""
    draws = [_best_of_random(runs, surrogate, n_trials, 10_000 + seed * N_DRAWS + draw) for draw in range(N_DRAWS)]
    return sum(draws) / N_DRAWS


def _best_of_random(runs: tuple[Run, ...], surrogate: Surrogate | None, n_trials: int, seed: int) -> float:
    if surrogate is None:
        pool, curves = Pool(runs, None, seed), Recorded(runs, seed)
        drawn = [params for params in map(pool.ask, range(n_trials)) if params is not None]
        return max(curves(params).points[-1].value for params in drawn)
    proposer = make_proposer("random", SPACE, seed=seed, n_trials=n_trials, default_first=False)
    drawn = [proposer.ask(number) or {} for number in range(n_trials)]
    return max(surrogate.curve(params, seed).points[-1].value for params in drawn)


def _simulate(history: History, pruner: Pruner, curves: Callable[[Params], Curve], workers: int) -> Simulation:
    return simulate(history, pruner, curves, workers=workers, clock=SimulatedClock())


def _best(sweep: Simulation) -> float:
    return max(trial.values[-1] for trial in sweep.trials if trial.outcome is Outcome.COMPLETED)


if __name__ == "__main__":
    main()
