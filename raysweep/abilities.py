"""What only some trainers and jobs can do."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from raysweep.dimensions import Params
from raysweep.task import Example


@runtime_checkable
class Leaves(Protocol):
    """A job at a host whose watcher can let go of it in good order."""

    def leave(self) -> None:
        """Watch it no longer; it goes on at its host. From any thread, and idempotent.

        Whoever waits in `advance` comes back promptly, nothing new is begun at the host, and what a model answers from
        is given back. A job that cannot do this is left as it is when its process ends.
        """
        ...


@runtime_checkable
class Prunes(Protocol):
    """A trainer whose host keeps what ended jobs leave behind, and counts it."""

    def prune(self, sweep_id: str, keys: Collection[str], keep: Collection[str]) -> Iterable[str]:
        """Delete what the final jobs of these keys left, as it goes, in words: records, files, models.

        The models of the keys in `keep` stay, and so does what a job of somebody else's still needs.
        """
        ...


@runtime_checkable
class AnswersUntuned(Protocol):
    """A trainer whose base models can be asked as they come; `describe` says `answers_untuned`."""

    def why_not_untuned(self, params: Params, shots: Sequence[Example]) -> str:
        """Why the base model of these params cannot be asked like this, as the end of a sentence; empty: it can."""
        ...

    def untuned_usd(self, params: Params, shots: Sequence[Example], examples: Sequence[Example]) -> float | None:
        """What its answers cost, at most; None: nothing."""
        ...

    def untuned(self, params: Params, shots: Sequence[Example], folder: Path) -> str:
        """By what `predict` knows it, prompted as these params say and told the shots before each example.

        What that takes is written into the folder, in one move. Asks nothing yet.
        """
        ...
