"""As winner_simulation.py, for free text: how good the best of a sweep's trials is, against what is true.

    python benchmarks/winner_texts.py [--sweeps 500] [--seed 0]

Each model writes the right text with its own probability, else one that shares up to four fifths of its words; the
right text costs it so many nats a token, the fewer the better it is. With a probability of sqrt(rho) it takes the
row's luck, which is the same for all.
"""

import argparse
import math
import time
from itertools import product

import numpy as np
from winner_simulation import HEAD, N_TEST, N_TRIALS, Coins, regimes, row, sweep

from raysweep.goal import Goal
from raysweep.scoring import Texts
from raysweep.scoring.answers import Floats
from raysweep.task import Task, TaskKind

GOALS = (Goal("exact_match", "max"), Goal("token_f1", "max"), Goal("loss", "min"))


class Writers:
    """A model is how often it writes the right text."""

    task = Task(TaskKind.GENERATION)
    most_overlap = 0.8
    """Of a wrong text; any less is as likely."""
    worst_loss = 1.5
    """Nats a token, of a model that is never right."""

    def models(self, spread: str, rng: np.random.Generator) -> Floats:
        return Coins().models(spread, rng)

    def answers(self, models: Floats, n: int, rho: float, rng: np.random.Generator) -> list[Texts]:
        shape = (len(models), n)
        is_shared = rng.random(shape) < math.sqrt(rho)
        is_right = np.where(is_shared, rng.random(n), rng.random(shape)) < models[:, None]
        overlaps = np.where(is_right, 1.0, self.most_overlap * np.where(is_shared, rng.random(n), rng.random(shape)))
        nats = np.where(is_shared, rng.gamma(2.0, 0.5, n), rng.gamma(2.0, 0.5, shape))
        n_tokens = 1.0 + rng.poisson(12, n)
        losses = (self.worst_loss - models)[:, None] * nats * n_tokens
        right, nothing = tuple(map(str, range(n))), np.full(n, np.nan)
        columns = zip(is_right.astype(float), overlaps, losses, strict=True)
        return [Texts(right, one, overlap, loss, n_tokens, nothing) for one, overlap, loss in columns]

    def truth(self, model: float, metric: str) -> float:
        if metric == "loss":
            return self.worst_loss - model
        return model if metric == "exact_match" else model + (1 - model) * self.most_overlap / 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweeps", type=int, default=500, help="for each regime")
    parser.add_argument("--sizes", type=int, nargs="+", default=(200,), help="validation rows")
    parser.add_argument("--rhos", type=float, nargs="+", default=(0.0, 0.5), help="share of the luck that is common")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"{options.sweeps} sweeps a regime, {N_TRIALS} trials, {N_TEST} test rows")
    print(HEAD, flush=True)
    began = time.monotonic()
    for goal, regime in product(GOALS, regimes(options.sizes, options.rhos)):
        rng = np.random.default_rng([options.seed, *map(ord, regime.spread + goal.metric), round(10 * regime.rho)])
        print(row(goal, regime, [sweep(Writers(), regime, goal, rng) for _ in range(options.sweeps)]), flush=True)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
