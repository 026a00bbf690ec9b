"""What only some trainers and jobs can do."""

from collections.abc import Collection, Iterable
from typing import Protocol, runtime_checkable


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
