"""Random search: independent draws from the prior."""

from random import Random

from raysweep.search.coordinates import assemble, draw
from raysweep.space import Params, Space


class RandomProposer:
    """Draws trial `number` from the prior: a function of seed and number alone."""

    def __init__(self, space: Space, *, seed: int) -> None:
        self._space = space
        self._seed = seed

    def ask(self, number: int, redraw: int = 0) -> Params:
        """Complete params; the same whenever the number is asked. `redraw`: another draw under the same number."""
        generator = Random(
            f"raysweep {self._seed} {number} {redraw}"
        )  # a string's seed is stable across versions of Python
        return assemble(self._space.dimensions, lambda _, dimension: draw(dimension, generator))

    def adopt(self, number: int, params: Params) -> None:
        """Nothing to learn."""

    def tell(self, number: int, loss: float | None) -> None:
        """Nothing to learn."""
