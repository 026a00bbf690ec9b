"""What all rows of a causal model begin with, examples for the most part, is read once instead of once a row."""

import copy
from dataclasses import dataclass, replace

import torch
from transformers import DynamicCache

from raysweep.engine.answer import Answerer, are_alike
from raysweep.engine.batches import Batch, Collator
from raysweep.engine.model import Backbone
from raysweep.engine.tokens import Rows

WORTH_TOKENS = 32
"""A shorter beginning is read with every row."""


@dataclass(frozen=True)
class Primed(Backbone):
    """A backbone that has read something already: the rows go on from there."""

    read: DynamicCache
    """Of one row."""

    def hidden(self, batch: Batch, mask: torch.Tensor | None, positions: torch.Tensor | None = None) -> torch.Tensor:
        """(batch, length, width) float32: the last hidden state of the batch's tokens, behind what was read."""
        n_read, (n_rows, length) = self.read.get_seq_length(), batch.ids.shape
        cache = copy.deepcopy(self.read)
        cache.batch_repeat_interleave(n_rows)
        if mask is not None:
            mask = torch.cat([mask.new_ones(n_rows, 1, length, n_read), mask], dim=3)
        places = torch.arange(length, device=batch.ids.device).repeat(n_rows, 1) if positions is None else positions
        state: torch.Tensor = self.model.base_model(
            input_ids=batch.ids,
            attention_mask=mask,
            position_ids=places + n_read,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        return state.float()


def primed(backbone: Backbone, rows: Rows) -> tuple[Backbone, Rows]:
    """One that has read what the rows have in common, and the rest of each; both as they are where that is little."""
    n_shared = _n_shared(rows) if len(rows) > 1 else 0
    if n_shared < WORTH_TOKENS:
        return backbone, rows
    told = rows.ids[:n_shared].to(torch.int64)[None].to(backbone.placement.device)
    with torch.no_grad():
        read = backbone.model.base_model(input_ids=told, use_cache=True).get("past_key_values")
    if not isinstance(read, DynamicCache):
        return backbone, rows
    going_on = Primed(backbone.model, backbone.family, backbone.placement, backbone.layers, read)
    return going_on, _behind(rows, n_shared)


def agree(straight: Answerer, rows: Rows, going_on: Answerer, rest: Rows) -> bool:
    """Whether the first row is answered alike: not every model keeps all that it has read."""
    first = torch.tensor([0])
    with torch.no_grad():
        long, short = straight.scores(Collator(rows).batch(first)), going_on.scores(Collator(rest).batch(first))
    return are_alike(long, short)


def _n_shared(rows: Rows) -> int:
    """How many tokens all rows begin with; of each row one is left at least."""
    places = torch.arange(int(rows.lengths.min()) - 1)
    starts = rows.lengths.cumsum(0) - rows.lengths
    firsts = rows.ids[starts[:, None] + places]
    return int((firsts == firsts[0]).all(dim=0).long().cumprod(0).sum())


def _behind(rows: Rows, n_shared: int) -> Rows:
    parts = torch.split(rows.ids, rows.lengths.tolist())
    return replace(rows, ids=torch.cat([part[n_shared:] for part in parts]), lengths=rows.lengths - n_shared)
