"""What a model answers: scores of the labels, or a number, from its last hidden state."""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from raysweep.engine.batches import Batch
from raysweep.engine.family import Family
from raysweep.engine.model import Backbone
from raysweep.engine.params import Loss
from raysweep.errors import ConfigError, Fault, JobFailed
from raysweep.scoring import Prediction
from raysweep.task import Task


class Answerer(nn.Module):
    """A backbone with what turns its hidden states into answers: a trained head, or the label words' likelihood.

    The caller has seeded torch: the head is made at random. Raises JobFailed (params at fault) for a loss that
    family or task do not allow.
    """

    def __init__(self, backbone: Backbone, task: Task, loss: Loss, words: Sequence[Sequence[int]] = ()) -> None:
        super().__init__()
        _check_loss(loss, backbone.family, task)
        self.backbone = backbone
        self.model = backbone.model  # as a submodule: its adapters are parameters of the answerer
        self.task = task
        self.loss_kind = loss
        self._words = [list(word) for word in words]
        self.head: nn.Linear | None = None
        if backbone.family is Family.ENCODER:
            n_outputs = 1 if loss is Loss.SQUARED_ERROR else len(task.labels)
            self.head = nn.Linear(backbone.width, n_outputs).to(backbone.placement.device)
        else:
            check_logits(backbone)
        if loss is Loss.SQUARED_ERROR:
            self._middle, self._spread = rating_scale(task)

    def scores(self, batch: Batch) -> torch.Tensor:
        """(batch, n_labels) unnormalised log-probabilities, or (batch, 1) a rating in units of the head."""
        batch = batch.to(self.backbone.placement.device)
        if self.head is not None:
            return self._pooled_scores(batch, self.head)
        return self._word_scores(batch)

    def loss(self, batch: Batch, label_smoothing: float) -> torch.Tensor:
        """The mean loss over the batch, a scalar."""
        scores = self.scores(batch)
        targets = batch.targets.to(scores.device)
        if self.loss_kind is Loss.SQUARED_ERROR:
            values = torch.tensor(self.task.values, device=scores.device)[targets]
            return functional.mse_loss(scores[:, 0], (values - self._middle) / self._spread)
        return functional.cross_entropy(scores, targets, label_smoothing=label_smoothing)

    def predictions(self, batch: Batch) -> list[Prediction]:
        """One a row of the batch, in its order."""
        with torch.no_grad():
            scores = self.scores(batch).double()
        if self.loss_kind is Loss.SQUARED_ERROR:
            values: list[float] = (self._middle + self._spread * scores[:, 0]).tolist()
            return [Prediction(None, value=value) for value in values]
        return [Prediction(tuple(row)) for row in scores.softmax(dim=1).tolist()]

    def _pooled_scores(self, batch: Batch, head: nn.Linear) -> torch.Tensor:
        is_real = batch.is_real()
        has_padding = not bool(is_real.all())
        hidden = self.backbone.hidden(batch, is_real.long() if has_padding else None)
        weights = is_real.to(hidden.dtype)
        pooled = (hidden * weights[:, :, None]).sum(1) / weights.sum(1, keepdim=True)
        scores: torch.Tensor = head(pooled)
        return scores

    def _word_scores(self, batch: Batch) -> torch.Tensor:
        """The first tokens of all words share a place, so their normaliser cancels between labels."""
        # Padding stands on the right, where causal attention never looks: without a tail no mask is needed.
        mask, positions = (None, None) if batch.n_tail == 0 else _tail_mask(batch, self._words)
        hidden = self.backbone.hidden(batch, mask, positions)
        rows = torch.arange(len(batch.rows), device=hidden.device)
        vocabulary = self.backbone.vocabulary()
        first = vocabulary[[word[0] for word in self._words]].float()
        scores = hidden[rows, batch.lengths - 1] @ first.T
        if batch.n_tail == 0:
            return scores
        return scores + self._rest_scores(hidden, batch, vocabulary)

    def _rest_scores(self, hidden: torch.Tensor, batch: Batch, vocabulary: torch.Tensor) -> torch.Tensor:
        """(batch, n_labels): the log-likelihood of each word's tokens after its first, given those before."""
        places = batch.lengths[:, None] + torch.arange(batch.n_tail, device=hidden.device)
        rows = torch.arange(len(batch.rows), device=hidden.device)[:, None]
        following = [token for word in self._words for token in word[1:]]
        owners = [number for number, word in enumerate(self._words) for _ in word[1:]]
        logits = (hidden[rows, places].to(vocabulary.dtype) @ vocabulary.T).float()
        chances = logits.log_softmax(2)[:, torch.arange(batch.n_tail), following]
        totals = torch.zeros(len(batch.rows), len(self._words), device=hidden.device)
        return totals.index_add(1, torch.tensor(owners, device=hidden.device), chances)


def are_alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether a shorter way to some scores has led to the same ones, but for what rounding makes of another order."""
    return torch.allclose(one, other, rtol=1e-2, atol=1e-3)


def rating_scale(task: Task) -> tuple[float, float]:
    """The middle of a rating's numbers and half their range: a regression head answers in these units."""
    low, high = min(task.values), max(task.values)
    return (low + high) / 2, (high - low) / 2


def _tail_mask(batch: Batch, words: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Every word goes on from the prompt as if it stood there alone: a mask, and positions that say so."""
    length, device = batch.ids.shape[1], batch.ids.device
    mask = torch.ones(length, length, dtype=torch.bool, device=device).tril().repeat(len(batch.rows), 1, 1)
    positions = torch.arange(length, device=device).repeat(len(batch.rows), 1)
    owners = torch.tensor([number for number, word in enumerate(words) for _ in word[1:]], device=device)
    order = torch.tensor([place for word in words for place in range(len(word) - 1)], device=device)
    own = (owners[:, None] == owners[None, :]) & (order[:, None] >= order[None, :])
    for row, start in enumerate(batch.lengths.tolist()):
        tail = slice(start, start + batch.n_tail)
        mask[row, tail, tail] = own
        positions[row, tail] = start + order
    return mask[:, None], positions


def _check_loss(loss: Loss, family: Family, task: Task) -> None:
    if loss is Loss.SQUARED_ERROR and family is Family.CAUSAL:
        raise JobFailed("loss: squared_error needs a regression head, which only an encoder gets", Fault.PARAMS)
    if loss is Loss.SQUARED_ERROR and not task.is_ordered:
        raise JobFailed("loss: squared_error needs a rating task; these labels have no numbers", Fault.PARAMS)


def check_logits(backbone: Backbone) -> None:
    """Raise ConfigError where the maker bends the logits after the last matrix, which words' scores would miss."""
    config = backbone.model.config.get_text_config().to_dict()
    for name in ("final_logit_softcapping", "logits_scaling", "logit_scale"):
        value = config.get(name)
        if isinstance(value, int | float) and not math.isclose(value, 1.0):
            raise ConfigError(f"trainer.model: its config has {name} {value}, which is not supported; choose another")
