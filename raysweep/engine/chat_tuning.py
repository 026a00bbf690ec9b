"""Fine-tuning on chats with LoRA: the loss is that of the answers' tokens, over the whole vocabulary."""

import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel
from torch.nn import functional

from raysweep.engine.chat_tokens import ChatTokens, batch_of
from raysweep.engine.family import Family
from raysweep.engine.model import add_adapters, load_backbone
from raysweep.engine.params import LoraParams
from raysweep.engine.place import place_on
from raysweep.engine.quiet import quietly
from raysweep.engine.state import Counts, State, load_state, save_state
from raysweep.errors import Fault, JobFailed

STATE = "state.safetensors"
MEASURE_ROWS = 16
"""Chats of a forward pass without gradients."""


@dataclass(frozen=True)
class ChatPlan:
    """What a training does, decided before its first step."""

    model: str
    """The base model's folder."""
    adapter: str | None
    """A folder with the adapter to start from; None: a fresh one."""
    params: LoraParams
    seed: int
    n_steps: int
    steps_per_epoch: int


@dataclass(frozen=True)
class Measured:
    """Over the answers' tokens."""

    loss: float
    """Nats per token."""
    accuracy: float
    """Share of the tokens that were the likeliest, given the right ones before them."""


class ChatTraining:
    """One training; it goes on from its folder's state. The process's torch generator is its own."""

    def __init__(self, plan: ChatPlan, chats: Sequence[ChatTokens], folder: Path) -> None:
        """Raises JobFailed for params that do not fit the model, ConfigError for a model that cannot be loaded."""
        self.plan = plan
        self.step_number = 0
        self.n_tokens = sum(len(chat.ids) for chat in chats)
        self._chats = chats
        self._folder = folder
        torch.manual_seed(plan.seed)
        backbone = load_backbone(plan.model, Family.CAUSAL, place_on("auto", "auto"))
        self._backbone, self._device = backbone, backbone.placement.device
        if plan.adapter is None:
            self._model = add_adapters(backbone, plan.params)
        else:
            with quietly():
                self._model = PeftModel.from_pretrained(backbone.model, plan.adapter, is_trainable=True)
        self._trainable = {name: one for name, one in self._model.named_parameters() if one.requires_grad}
        self._optimizer = torch.optim.AdamW(self._trainable.values(), weight_decay=plan.params.weight_decay)
        self._restore()

    @property
    def is_done(self) -> bool:
        """Whether the last step is behind it."""
        return self.step_number >= self.plan.n_steps

    def step(self) -> Measured:
        """One optimiser step. Raises JobFailed when the loss, its gradient or the step itself is not finite."""
        params = self.plan.params
        torch.manual_seed(self.plan.seed * 1_000_003 + self.step_number)  # of the dropout, the same after a restart
        self._model.train()
        loss, measured = self._loss([self._chats[row] for row in self._rows()])
        self._check_finite("loss", measured.loss)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        norm = torch.nn.utils.clip_grad_norm_(self._trainable.values(), params.max_grad_norm or math.inf)
        self._check_finite("gradient's norm", float(norm))
        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate()
        self._check_finite("step", float(torch.tensor(1e3 * self._learning_rate(), dtype=torch.float32)))
        self._optimizer.step()
        self.step_number += 1
        return measured

    def measure(self, chats: Sequence[ChatTokens]) -> Iterator[Measured]:
        """The mean over the chats so far, after each batch; the last one is of them all."""
        self._model.eval()
        loss = right = 0.0
        n_tokens = 0
        for start in range(0, len(chats), MEASURE_ROWS):
            part = chats[start : start + MEASURE_ROWS]
            with torch.no_grad():
                _, measured = self._loss(part)
            n = sum(len(chat.ids) - chat.n_prompt for chat in part)
            loss, right, n_tokens = loss + measured.loss * n, right + measured.accuracy * n, n_tokens + n
            yield Measured(loss / n_tokens, right / n_tokens)

    def save_state(self) -> None:
        """Keep what a later process needs to go on from here."""
        tensors = {f"weight.{name}": one.detach() for name, one in self._trainable.items()}
        for name, one in self._trainable.items():
            tensors |= {f"adam.{key}.{name}": value for key, value in self._optimizer.state[one].items()}
        save_state(self._folder / STATE, State(Counts(step=self.step_number), (), tensors), self._digest())

    def save_adapter(self) -> Path:
        """Write the adapter as it is at this step, whole or not at all; gives its folder."""
        folder = self._folder / f"step-{self.step_number}"
        half = folder.with_suffix(".part")
        shutil.rmtree(half, ignore_errors=True)
        with quietly():
            self._model.save_pretrained(str(half))
        shutil.rmtree(folder, ignore_errors=True)
        half.rename(folder)
        return folder

    def _loss(self, chats: Sequence[ChatTokens]) -> tuple[torch.Tensor, Measured]:
        batch = batch_of(chats)
        # Padding stands on the right, where causal attention never looks: no mask is needed.
        inner = self._backbone.model.base_model  # holds the adapters; logits are made where a loss is taken, only
        hidden = inner(input_ids=batch.ids.to(self._device), use_cache=False).last_hidden_state
        is_target = (batch.targets != -100).to(self._device)
        vocabulary, targets = self._backbone.vocabulary(), batch.targets.to(self._device)[is_target]
        rows = (hidden[is_target].to(vocabulary.dtype) @ vocabulary.T).float()
        loss = functional.cross_entropy(rows, targets)
        accuracy = float((rows.argmax(1) == targets).float().mean())
        return loss, Measured(float(loss.detach()), accuracy)

    def _rows(self) -> list[int]:
        """Of this step: every chat once an epoch, in an order that seed and epoch decide."""
        epoch, place = divmod(self.step_number, self.plan.steps_per_epoch)
        generator = torch.Generator().manual_seed(self.plan.seed * 1_000_003 + epoch)
        order: list[int] = torch.randperm(len(self._chats), generator=generator).tolist()
        size = self.plan.params.batch_size
        return order[place * size : (place + 1) * size]

    def _learning_rate(self) -> float:
        n_warm = round(self.plan.params.warmup_ratio * self.plan.n_steps)
        if self.step_number < n_warm:
            return self.plan.params.learning_rate * (self.step_number + 1) / n_warm
        done = (self.step_number - n_warm) / max(1, self.plan.n_steps - n_warm)
        return self.plan.params.learning_rate * (1 - done)

    def _check_finite(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            raise self._too_high(what, value)

    def _too_high(self, what: str, value: float) -> JobFailed:
        rate = self.plan.params.learning_rate
        reason = f"the {what} became {value} at step {self.step_number + 1}: a learning rate of {rate:g} is too high"
        return JobFailed(reason, Fault.PARAMS)

    def _restore(self) -> None:
        state = load_state(self._folder / STATE, self._digest())
        if not state.counts.step:
            return
        self.step_number = state.counts.step
        with torch.no_grad():
            for name, one in self._trainable.items():
                one.copy_(state.tensors[f"weight.{name}"])
                adam = {key: state.tensors[f"adam.{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq")}
                self._optimizer.state[one] = {
                    key: value if key == "step" else value.to(one.device) for key, value in adam.items()
                }

    def _digest(self) -> str:
        """What the saved state must agree with."""
        return f"{self.plan!r} {len(self._chats)} {self.n_tokens}"


def take_one_core() -> None:
    """Let this process use one: of several workers on few cores, two threads in one do less than two workers."""
    torch.set_num_threads(1)
