"""What the frozen layers below the lowest adapter make of the data: computed once a node, mapped by every worker."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from safetensors.torch import load_file
from torch import nn

from raysweep.engine.answer import are_alike
from raysweep.engine.batches import Collator, by_length
from raysweep.engine.model import Skipped
from raysweep.engine.state import write_tensors
from raysweep.engine.writer import AnyAnswerer
from raysweep.errors import ConfigError

LOCK_POLL_S = 0.25
"""How often a worker that waits for another's activations looks whether it was cancelled."""


class Prefix:
    """The activations under layer `depth` for one model and one precision, in a folder of files."""

    def __init__(self, answerer: AnyAnswerer, depth: int, *, stamp: str, folder: Path, cap_bytes: int) -> None:
        """`stamp` stands for the weights: another model must have another one."""
        self._answerer = answerer
        self._depth = depth
        self._stamp = stamp
        self._folder = folder
        self._cap_bytes = cap_bytes

    def fits(self, collators: list[Collator]) -> bool:
        """Whether there is a prefix at all, and its activations stay under the cap."""
        backbone = self._answerer.backbone
        n_tokens = sum(collator.n_tokens for collator in collators)
        return self._depth > 0 and n_tokens * backbone.width * backbone.placement.dtype.itemsize <= self._cap_bytes

    def collators(self, collators: list[Collator], check: Callable[[], None]) -> list[Collator]:
        """The same rows with their activations; afterwards the model can only start from these.

        `check` is called between batches, and may raise to interrupt.
        """
        found = [Collator(one.rows, self._states(one, check)) for one in collators]
        self._answerer.backbone.start_from(self._depth)
        return found

    def _states(self, collator: Collator, check: Callable[[], None]) -> torch.Tensor:
        backbone = self._answerer.backbone
        words = f"{self._stamp} {backbone.placement.dtype} {self._depth} {collator.rows.digest()}"
        path = self._folder / f"{hashlib.sha256(words.encode()).hexdigest()[:24]}.safetensors"
        self._folder.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_suffix(".lock"), check):
            if not _is_there(path):
                write_tensors(path, {"states": self._computed(collator, check)})
                _drop_oldest(self._folder, self._cap_bytes)
            return load_file(path)["states"]

    def _computed(self, collator: Collator, check: Callable[[], None]) -> torch.Tensor:
        layers = self._answerer.backbone.layers
        top = list(layers[self._depth :])
        seen = Skipped()
        states = torch.empty(collator.n_tokens, self._answerer.backbone.width, dtype=self._dtype())
        for number in range(self._depth, len(layers)):
            layers[number] = seen if number == self._depth else Skipped()
        try:
            for numbers in by_length(collator.rows.lengths, collator.n_tail):
                check()
                self._fill(states, collator, numbers, seen)
        finally:
            for number, layer in enumerate(top, start=self._depth):
                layers[number] = layer
        self._verify(states, collator)
        return states

    def _fill(self, states: torch.Tensor, collator: Collator, numbers: torch.Tensor, seen: Skipped) -> None:
        with torch.no_grad():
            self._answerer.scores(collator.batch(numbers))
        if seen.seen is None:
            raise _unsuitable(self._answerer.backbone.model)
        for row, number in enumerate(numbers.tolist()):
            span = collator.span(number)
            states[span] = seen.seen[row, : span.stop - span.start].cpu()
        seen.seen = None

    def _verify(self, states: torch.Tensor, collator: Collator) -> None:
        """One row the long way and the short way: a model whose layers do more than hand on a state is refused."""
        backbone, row = self._answerer.backbone, torch.tensor([0])
        bottom = list(backbone.layers[: self._depth])
        with torch.no_grad():
            straight = self._answerer.scores(collator.batch(row))
            try:
                backbone.start_from(self._depth)
                resumed = self._answerer.scores(Collator(collator.rows, states).batch(row))
            finally:
                for number, layer in enumerate(bottom):
                    backbone.layers[number] = layer
        if not are_alike(straight, resumed):
            raise _unsuitable(backbone.model)

    def _dtype(self) -> torch.dtype:
        return self._answerer.backbone.placement.dtype


def weights_stamp(model: str | Path) -> str:
    """What tells one set of weights from another: names, sizes and times of the files, or the hub's name."""
    folder = Path(model)
    if not folder.is_dir():
        return str(model)
    stats = [(path.name, path.stat()) for path in (*sorted(folder.glob("*.safetensors")), folder / "config.json")]
    return " ".join(f"{name}:{stat.st_size}:{stat.st_mtime_ns}" for name, stat in stats)


@contextmanager
def _locked(path: Path, check: Callable[[], None]) -> Iterator[None]:
    """A file lock that is waited for in short bites, so that a cancelled worker gets away."""
    lock = FileLock(path)
    while not lock.is_locked:
        check()
        with suppress(Timeout):
            lock.acquire(timeout=LOCK_POLL_S)
    try:
        yield
    finally:
        lock.release()


def _is_there(path: Path) -> bool:
    """Also marks it as used, which keeps others from dropping it."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _drop_oldest(folder: Path, cap_bytes: int) -> None:
    """Keep the files used last, up to the cap; a worker that has one mapped keeps it all the same."""
    left = cap_bytes
    with suppress(FileNotFoundError):  # another worker drops them too, and has come first
        for path in sorted(folder.glob("*.safetensors"), key=lambda one: one.stat().st_mtime, reverse=True):
            left -= path.stat().st_size
            if left < 0:
                path.unlink()


def _unsuitable(model: nn.Module) -> ConfigError:
    return ConfigError(
        f"trainer.prefix_cache_gb: the layers of {type(model).__name__} cannot be started from their middle;"
        " set it to 0"
    )
