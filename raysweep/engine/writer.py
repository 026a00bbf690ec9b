"""Free text of a causal model: how likely it finds the right one, and what it writes itself."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional
from transformers import StoppingCriteria, StoppingCriteriaList

from raysweep.engine.answer import Answerer, check_logits
from raysweep.engine.batches import Batch
from raysweep.engine.model import Backbone
from raysweep.engine.tokens import Rows, Tokenizer
from raysweep.scoring import Prediction
from raysweep.task import Task
from raysweep.writing import Writing

WRITTEN_AT_ONCE = 32
"""Rows that are written together: the shortest waits for the longest."""


class Writer(nn.Module):
    """A causal model that is trained on completions, and writes them greedily. It has no head of its own."""

    def __init__(self, backbone: Backbone, task: Task, tokenizer: Tokenizer) -> None:
        """Adapters are in the backbone already, or come into its layers in place."""
        super().__init__()
        check_logits(backbone)
        self.backbone = backbone
        self.model = backbone.model  # as a submodule: its adapters are parameters of the writer
        self.task = task
        self.head: nn.Linear | None = None
        self._tokenizer = tokenizer
        self._layers = tuple(backbone.layers)  # all of them: training may start above the lowest

    @property
    def writing(self) -> Writing:
        """The task's; its defaults where it is no generation."""
        return self.task.writing or Writing()

    def scores(self, batch: Batch) -> torch.Tensor:
        """(batch, 1): nats of each row's completion."""
        losses, owners = self._losses(batch, 0.0)
        totals = torch.zeros(len(batch.rows), device=losses.device)
        return totals.index_add(0, owners, losses)[:, None]

    def loss(self, batch: Batch, label_smoothing: float) -> torch.Tensor:
        """The mean loss over the batch's completion tokens, a scalar."""
        losses, _ = self._losses(batch, label_smoothing)
        return losses.mean()

    def predictions(self, batch: Batch) -> list[Prediction]:
        """How likely each row's completion is; nothing is written."""
        with torch.no_grad():
            nats: list[float] = self.scores(batch)[:, 0].double().tolist()
        counts: list[int] = (batch.lengths - batch.targets).tolist()
        return [Prediction(None, loss=loss, n_tokens=count) for loss, count in zip(nats, counts, strict=True)]

    def write(self, rows: Rows, n: int | None, check: Callable[[], None]) -> list[str]:
        """What the model writes for the first n rows, None: for all; `check` is called at every token."""
        prompts = rows.prompts()[:n]
        order = sorted(range(len(prompts)), key=lambda number: -len(prompts[number]))
        texts: dict[int, str] = {}
        with self._whole(), torch.no_grad():
            for start in range(0, len(order), WRITTEN_AT_ONCE):
                numbers = order[start : start + WRITTEN_AT_ONCE]
                texts |= zip(numbers, self._written([prompts[number] for number in numbers], check), strict=True)
        return [texts[number] for number in range(len(prompts))]

    def _losses(self, batch: Batch, label_smoothing: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Each completion token's loss, and which of the batch's rows it is of."""
        batch = batch.to(self.backbone.placement.device)
        # Padding stands on the right, where causal attention never looks: no mask is needed.
        hidden = self.backbone.hidden(batch, None)[:, :-1]
        places = torch.arange(hidden.shape[1], device=hidden.device)
        is_asked = (places >= batch.targets[:, None] - 1) & (places < batch.lengths[:, None] - 1)
        vocabulary = self.backbone.vocabulary()
        logits = (hidden[is_asked].to(vocabulary.dtype) @ vocabulary.T).float()
        losses = functional.cross_entropy(
            logits, batch.ids[:, 1:][is_asked], reduction="none", label_smoothing=label_smoothing
        )
        return losses, is_asked.nonzero()[:, 0]

    def _written(self, prompts: Sequence[Sequence[int]], check: Callable[[], None]) -> list[str]:
        longest = max(map(len, prompts))
        ids = torch.zeros(len(prompts), longest, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):  # padded on the left: all go on from the same place
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            mask[row, longest - len(prompt) :] = 1
        device = self.backbone.placement.device
        made = self.backbone.model.generate(  # type: ignore[operator]  # transformers' own mix-in
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            max_new_tokens=self.writing.max_new_tokens,
            do_sample=False,
            eos_token_id=self._tokenizer.end,
            pad_token_id=self._tokenizer.end or 0,
            stopping_criteria=StoppingCriteriaList([_Checked(check)]),
        )
        return self._tokenizer.texts(made[:, longest:].tolist())

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Inside, the model has its lower layers again where training starts above them."""
        layers = self.backbone.layers
        kept = list(layers)
        _put(layers, self._layers)
        try:
            yield
        finally:
            _put(layers, kept)


AnyAnswerer = Answerer | Writer
"""What a model was made to say: labels, or text."""


class _Checked(StoppingCriteria):
    """Stops nothing by itself; `check` may raise."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: object) -> torch.Tensor:
        self._check()
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


def _put(layers: nn.ModuleList, wanted: Sequence[nn.Module]) -> None:
    for number, layer in enumerate(wanted):
        layers[number] = layer
