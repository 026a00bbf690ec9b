"""Which finalists are repeated with fresh seeds: a list to be worked off, in the place of a search's history."""

from collections.abc import Sequence

from raysweep.dimensions import Params
from raysweep.jobs import Outcome
from raysweep.search.history import Done, Suggestion, Wait


class Replicas:
    """Counts the slots as a `History` does; nothing is learnt from what they score, and no proposer hears of them."""

    def __init__(self, planned: Sequence[Suggestion], concurrency: int) -> None:
        self._planned = list(planned)
        self._concurrency = concurrency
        self._running: set[int] = set()

    def ask(self) -> Suggestion | Wait | Done:
        """The next replica, which holds a slot until `end`."""
        if not self._planned:
            return Done()
        if len(self._running) >= self._concurrency:
            return Wait()
        suggestion = self._planned.pop(0)
        self._running.add(suggestion.number)
        return suggestion

    def adopt(self, number: int, params: Params) -> None:
        """Takes up a replica from the record, slots or not."""
        self._running.add(number)

    def record(self, number: int, value: float, resource: float) -> None:
        """Nothing: the ledger has it."""

    def end(self, number: int, outcome: Outcome) -> None:
        """The replica gives its slot back."""
        self._running.discard(number)

    def close(self) -> None:
        """Starts no further replica."""
        self._planned.clear()
