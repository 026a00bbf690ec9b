"""Ways to tell how good the best of many is from the rows that chose it: `python benchmarks/winner_estimators.py`.

Each on the same simulated sweeps of `winner_simulation` (`Coins`), by the mean and the root of the mean square of what
it says less what is true, in points of accuracy. raysweep's own is `3 parts`.
"""

import argparse
import math
from collections.abc import Iterator

import numpy as np
from winner_simulation import POINTS, Coins, regimes

from raysweep.scoring.answers import Floats

N_DRAWS = 100
"""Of parts, or of resamples: as many choices for each."""


def estimates(hits: Floats, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """`hits`: (model, row), 1 where it was right."""
    n, scores = hits.shape[1], hits.mean(axis=1)
    yield "raw", float(scores.max())
    for n_parts in (2, 3, 5, 20):
        yield f"{n_parts} parts", parts(hits, n_parts, rng)
    yield from bootstrap(hits, rng)
    yield "Tibshirani", tibshirani(hits, rng)
    noise = np.cov(hits) / n
    own = np.maximum(np.diag(noise) - (noise.sum() - np.trace(noise)) / (len(hits) * (len(hits) - 1)), 1e-9)
    yield "EB normal", shrunk(scores, own)
    yield "EB free", deconvolved(scores, own)


def parts(hits: Floats, n_parts: int, rng: np.random.Generator) -> float:
    """Each part of the rows answered by the model that the others choose."""
    n = hits.shape[1]
    deals = np.stack([rng.permutation(n) % n_parts for _ in range(N_DRAWS // n_parts)])
    member = (deals[:, None, :] == np.arange(n_parts)[:, None]).reshape(-1, n).astype(np.float32)
    inside = hits @ member.T
    best = (hits.sum(axis=1)[:, None] - inside).argmax(axis=0)
    return float(inside[best, np.arange(len(member))].sum() / n / len(deals))


def bootstrap(hits: Floats, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """Tsamardinos, Greasidou and Borboudakis 2018: chosen on resampled rows, scored on those that were not drawn."""
    n, scores, places = hits.shape[1], hits.mean(axis=1), np.arange(N_DRAWS)
    weights = rng.multinomial(n, np.full(n, 1 / n), N_DRAWS).astype(np.float32)
    drawn, left = hits @ weights.T / n, (weights == 0).astype(np.float32)
    best = drawn.argmax(axis=0)
    outside = (hits @ left.T)[best, places] / left.sum(axis=1)
    yield "BBC", float(outside.mean())
    yield "in-bag", float(scores.max() - (drawn[best, places] - scores[best]).mean())


def tibshirani(hits: Floats, rng: np.random.Generator) -> float:
    """Tibshirani and Tibshirani 2009: what each of ten folds' own best gains over the winner there."""
    n, winner = hits.shape[1], hits.mean(axis=1).argmax()
    member = (rng.permutation(n)[:, None] % 10 == np.arange(10)).astype(np.float32)
    inside = hits @ member / member.sum(axis=0)
    return float(hits[winner].mean() - (inside.max(axis=0) - inside[winner]).mean())


def shrunk(scores: Floats, own: Floats) -> float:
    """Towards the mean of all, as if true scores were normal."""
    winner, spread = scores.argmax(), max(0.0, float(scores.var(ddof=1) - own.mean()))
    return float(scores.mean() + spread / (spread + own[winner]) * (scores[winner] - scores.mean()))


def deconvolved(scores: Floats, own: Floats) -> float:
    """The winner's mean under the prior that makes all scores most likely (Kiefer and Wolfowitz 1956)."""
    grid = np.linspace(scores.min(), scores.max(), 120)
    distances = (scores[:, None] - grid) ** 2 / own[:, None]
    likely = np.exp(-0.5 * (distances - distances.min(axis=1, keepdims=True)))
    prior = np.full(grid.size, 1 / grid.size)
    for _ in range(200):
        belongs = likely * prior
        prior = (belongs / belongs.sum(axis=1, keepdims=True)).mean(axis=0)
    of_winner = likely[scores.argmax()] * prior
    return float(of_winner @ grid / of_winner.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweeps", type=int, default=500, help="for each regime")
    parser.add_argument("--sizes", type=int, nargs="+", default=(200, 1000), help="validation rows")
    options = parser.parse_args()
    world, is_headed = Coins(), False
    for regime in regimes(options.sizes, (0.0, 0.5)):
        rng, errors = np.random.default_rng(7), []
        for _ in range(options.sweeps):
            models = world.models(regime.spread, rng)
            said = world.answers(models, regime.n_validation, regime.rho, rng)
            hits = np.stack([one.predicted == one.right for one in said]).astype(np.float32)
            told = dict(estimates(hits, rng))
            errors.append([POINTS * (one - models[hits.sum(axis=1).argmax()]) for one in told.values()])
        if not is_headed:
            print(f"{options.sweeps} sweeps a regime: bias (root mean square error), in points")
            print(f"{'':<20}" + "".join(f"{name:>14}" for name in told), flush=True)
            is_headed = True
        table = np.array(errors)
        cells = [f"{one.mean():+.2f} ({math.sqrt(float((one**2).mean())):.1f})" for one in table.T]
        name = f"{regime.spread} {regime.n_validation} {regime.rho}"
        print(f"{name:<20}" + "".join(f"{one:>14}" for one in cells), flush=True)


if __name__ == "__main__":
    main()
