"""A proposer that learns: random draws first, then what a model makes of all that was told."""

from collections.abc import Iterator
from itertools import chain
from typing import Protocol

from raysweep.dimensions import Params
from raysweep.search.draw import RandomProposer
from raysweep.search.observed import Observations
from raysweep.space import Space

N_KEPT = 8
"""At least so many losses of its own a sweep has before earlier runs are forgotten; see docs/decisions/0010."""

_N_RANDOM_REDRAWS = 64
"""In a small discrete space all may have been tried; then a suggestion is repeated."""


class Model(Protocol):
    """Makes suggestions of observations; keeps nothing of its own, so that the same ones give the same suggestions."""

    def knows_enough(self, known: Observations) -> bool:
        """Whether it can say anything yet."""
        ...

    def draws(self, number: int, known: Observations) -> Iterator[Params]:
        """Suggestions for the trial, the best first, each made when it is asked for; a few."""
        ...


class ModelProposer:
    """Proposes by a model after `n_start` random draws; earlier runs, whose numbers lie below zero, take their place.

    They are forgotten once the sweep has as many losses of its own as the random draws would have given, 8 at least:
    then they can mislead no longer.

    A suggestion is a function of the seed, the trial's number, the trials that are pending and the losses that were
    told, in whatever order: so it can be rebuilt from a record by `adopt` and `tell`. Pending trials count as bad,
    which keeps parallel suggestions apart.
    """

    def __init__(self, model: Model, space: Space, *, seed: int, n_start: int) -> None:
        self._model = model
        self._n_start = n_start
        self._random = RandomProposer(space, seed=seed)
        self._known = Observations()

    def ask(self, number: int) -> Params:
        """Complete params; the trial is pending from now on."""
        known = self._in_use()
        is_model_asked = number + self._known.n_earlier >= self._n_start and self._model.knows_enough(known)
        params = self._suggest(number, known) if is_model_asked else self._random.ask(number)
        self.adopt(number, params)
        return params

    def adopt(self, number: int, params: Params) -> None:
        """A trial that came from elsewhere is pending; what is told of it counts like any other."""
        self._known.adopt(number, params)

    def tell(self, number: int, loss: float | None) -> None:
        """The trial's loss; without one it is forgotten. Raises ValueError for a loss that is not finite."""
        self._known.tell(number, loss)

    def _in_use(self) -> Observations:
        own = self._known.own()
        return own if own.n_told >= max(self._n_start, N_KEPT) else self._known

    def _suggest(self, number: int, known: Observations) -> Params:
        """What was tried before would teach little: then another draw, at last from the prior."""
        random = (self._random.ask(number, redraw) for redraw in range(_N_RANDOM_REDRAWS))
        return self._known.first_new(chain(self._model.draws(number, known), random))
