"""What a proposer that learns was told: trials by number, pending ones and those with a loss."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from raysweep.dimensions import Params


@dataclass(frozen=True)
class Observed:
    """A trial that a proposer knows."""

    params: Params
    loss: float | None
    """None while it is pending."""


class Observations:
    """The same whatever the order in which the same trials were adopted and told."""

    def __init__(self) -> None:
        self._trials: dict[int, Observed] = {}

    def __len__(self) -> int:
        return len(self._trials)

    @property
    def n_earlier(self) -> int:
        """How many were made before the sweep: their numbers lie below zero."""
        return sum(number < 0 for number in self._trials)

    @property
    def n_told(self) -> int:
        """How many have a loss."""
        return sum(trial.loss is not None for trial in self._trials.values())

    def by_number(self) -> list[tuple[int, Observed]]:
        """Every trial that is not forgotten, ascending."""
        return sorted(self._trials.items(), key=lambda item: item[0])

    def own(self) -> "Observations":
        """The same without earlier runs."""
        own = Observations()
        own._trials = {number: trial for number, trial in self._trials.items() if number >= 0}
        return own

    def adopt(self, number: int, params: Params) -> None:
        """The trial is pending."""
        self._trials[number] = Observed(params, None)

    def tell(self, number: int, loss: float | None) -> None:
        """The trial's loss; without one it is forgotten. Raises ValueError for a loss that is not finite."""
        if loss is None:
            self._trials.pop(number, None)
            return
        if not math.isfinite(loss):
            raise ValueError(f"trial {number}: the loss {loss} is not finite; tell None or the worst finite loss")
        self._trials[number] = Observed(self._trials[number].params, loss)

    def first_new(self, draws: Iterable[Params]) -> Params:
        """The first draw that no trial of the sweep has tried, the first of all where every one was tried.

        Draws are made one by one, as far as they are needed. Raises ValueError when there are none.
        """
        tried = [trial.params for number, trial in self._trials.items() if number >= 0]
        first: Params | None = None
        for params in draws:
            if params not in tried:
                return params
            first = params if first is None else first
        if first is None:
            raise ValueError("no draws to choose from")
        return first
