"""Rows as batches: cut by length, in an order that seed and epoch alone decide, padded as little as possible."""

from dataclasses import dataclass

import torch

from raysweep.engine.tokens import Rows

MEGA_BATCH = 50
"""Batches that are sorted by length among themselves: long enough to fill buckets, short enough to stay random."""

EVALUATION_TOKENS = 1024
"""Tokens of a forward pass without gradients; more leave the caches of a CPU core."""


@dataclass(frozen=True)
class Batch:
    """Rows side by side, padded on the right."""

    rows: torch.Tensor
    """(batch,) row numbers."""
    ids: torch.Tensor
    """(batch, length), 0 where padded: masked everywhere, so any token does."""
    lengths: torch.Tensor
    """(batch,) tokens of each prompt."""
    targets: torch.Tensor
    """(batch,) label numbers."""
    n_tail: int
    """Tokens after each prompt that lead to the labels' words."""
    state: torch.Tensor | None = None
    """(batch, length, width) what the frozen prefix makes of the tokens, where it is known."""

    @property
    def n_tokens(self) -> int:
        """Without padding."""
        return int(self.lengths.sum()) + self.n_tail * int(self.lengths.numel())

    def is_real(self) -> torch.Tensor:
        """(batch, length) bool: which places hold a token."""
        places = torch.arange(self.ids.shape[1], device=self.ids.device)
        return places < (self.lengths[:, None] + self.n_tail)

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        return Batch(
            self.rows.to(device),
            self.ids.to(device),
            self.lengths.to(device),
            self.targets.to(device),
            self.n_tail,
            None if self.state is None else self.state.to(device),
        )


def n_batches(n_rows: int, batch_size: int) -> int:
    """Batches of an epoch; the last may be smaller."""
    return -(-n_rows // batch_size)


def epoch_order(lengths: torch.Tensor, batch_size: int, *, seed: int, epoch: int) -> tuple[torch.Tensor, ...]:
    """The row numbers of each batch of an epoch: every row once, the same for the same arguments."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    shuffled = torch.randperm(lengths.numel(), generator=generator)
    batches: list[torch.Tensor] = []
    for mega in torch.split(shuffled, batch_size * MEGA_BATCH):
        batches += torch.split(mega[lengths[mega].argsort(stable=True)], batch_size)
    return tuple(batches[place] for place in torch.randperm(len(batches), generator=generator).tolist())


def by_length(lengths: torch.Tensor, n_tail: int) -> tuple[torch.Tensor, ...]:
    """The row numbers of batches for a pass without gradients: sorted by length, about EVALUATION_TOKENS each."""
    order = (-lengths).argsort(stable=True)
    batches: list[torch.Tensor] = []
    start = 0
    while start < order.numel():
        longest = int(lengths[order[start]]) + n_tail
        size = max(1, EVALUATION_TOKENS // longest)
        batches.append(order[start : start + size])
        start += size
    return tuple(batches)


class Collator:
    """Cuts batches out of rows."""

    def __init__(self, rows: Rows, states: torch.Tensor | None = None) -> None:
        """`states` (n_tokens with tails, width): the frozen prefix's activations, row after row."""
        self.rows = rows
        self.tail = torch.tensor([token for word in rows.words for token in word[:-1]], dtype=torch.int64)
        self._starts = rows.lengths.cumsum(0) - rows.lengths
        self._states = states

    @property
    def n_tail(self) -> int:
        """Tokens that follow each prompt: those of the labels' words that predict another one."""
        return int(self.tail.numel())

    @property
    def n_tokens(self) -> int:
        """Of all rows, tails included."""
        return int(self.rows.lengths.sum()) + self.n_tail * len(self.rows)

    def batch(self, numbers: torch.Tensor) -> Batch:
        """These rows, padded to the longest of them."""
        lengths = self.rows.lengths[numbers].to(torch.int64)
        ids = torch.zeros(len(numbers), int(lengths.max()) + self.n_tail, dtype=torch.int64)
        for place, (start, length) in enumerate(zip(self._starts[numbers].tolist(), lengths.tolist(), strict=True)):
            ids[place, :length] = self.rows.ids[start : start + length]
            ids[place, length : length + self.n_tail] = self.tail
        state = None if self._states is None else self._gathered(numbers, ids.shape[1], self._states)
        return Batch(numbers, ids, lengths, self.rows.targets[numbers], self.n_tail, state)

    def span(self, number: int) -> slice:
        """Where a row's tokens, tail included, stand among the states."""
        start = int(self._starts[number]) + number * self.n_tail
        return slice(start, start + int(self.rows.lengths[number]) + self.n_tail)

    def _gathered(self, numbers: torch.Tensor, length: int, states: torch.Tensor) -> torch.Tensor:
        gathered = torch.zeros(len(numbers), length, states.shape[1], dtype=states.dtype)
        for place, number in enumerate(numbers.tolist()):
            span = self.span(number)
            gathered[place, : span.stop - span.start] = states[span]
        return gathered
