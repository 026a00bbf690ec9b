"""The training loop: AdamW over adapters and head, with a state that can be saved between any two steps."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from raysweep.engine.batches import Collator, by_length, epoch_order, n_batches
from raysweep.engine.memory import gpu_out_of_memory_as_failure
from raysweep.engine.model import adapter_dropouts
from raysweep.engine.params import LoraParams, Schedule
from raysweep.engine.state import Counts
from raysweep.engine.writer import AnyAnswerer, Writer
from raysweep.errors import Fault, JobFailed
from raysweep.scoring import Prediction


@dataclass(frozen=True)
class Plan:
    """What a training does, decided before its first step."""

    params: LoraParams
    n_examples: int
    budget: float
    """In epochs."""
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """The last one may see fewer examples."""
        return n_batches(self.n_examples, self.params.batch_size)

    @property
    def n_steps(self) -> int:
        """Of the whole training."""
        return self.step_at(self.budget)

    def step_at(self, epoch: float) -> int:
        """The number of steps after which an epoch, or a fraction of one, is over."""
        return max(1, math.ceil(epoch * self.steps_per_epoch - 1e-6))

    def epoch_at(self, step: int) -> float:
        """Epochs trained after so many steps."""
        return step / self.steps_per_epoch

    def learning_rate(self, step: int) -> float:
        """Of the step with this number, from 0; above 0 for every step."""
        n_warm = round(self.params.warmup_ratio * self.n_steps)
        if step < n_warm:
            return self.params.learning_rate * (step + 1) / n_warm
        done = (step - n_warm) / max(1, self.n_steps - n_warm)
        match self.params.lr_schedule:
            case Schedule.LINEAR:
                return self.params.learning_rate * (1 - done)
            case Schedule.COSINE:
                return self.params.learning_rate * (1 + math.cos(math.pi * done)) / 2
            case Schedule.CONSTANT:
                return self.params.learning_rate


class Training:
    """One job's training. Its random numbers are its own: other jobs of the process do not change them."""

    def __init__(self, answerer: AnyAnswerer, plan: Plan, train: Collator, validation: Collator) -> None:
        self.plan = plan
        self.answerer = answerer
        self.counts = Counts()
        self._train = train
        self._validation = validation
        self._trainable = {name: one for name, one in answerer.named_parameters() if one.requires_grad}
        self._dropouts = list(adapter_dropouts(answerer))
        self._optimizer = torch.optim.AdamW(self._trainable.values(), weight_decay=plan.params.weight_decay)
        self._order: tuple[torch.Tensor, ...] = ()
        self._order_epoch = -1
        with torch.random.fork_rng(self._cuda_devices()):
            torch.manual_seed(plan.seed)
            self._randomness = self._generator_states()

    @property
    def is_done(self) -> bool:
        """Whether the last step is behind it."""
        return self.counts.step >= self.plan.n_steps

    def step(self) -> None:
        """One optimiser step. Raises JobFailed when the loss or its gradient is not finite, or memory runs out."""
        batch = self._train.batch(self._next_rows())
        with self._own_randomness(), gpu_out_of_memory_as_failure(self.plan.params.batch_size):
            loss = self.answerer.loss(batch, self.plan.params.label_smoothing)
            value = float(loss.detach())
            self._check_finite(value, "loss")
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        self._check_finite(self._clip(), "gradient's norm")
        for group in self._optimizer.param_groups:
            group["lr"] = self.plan.learning_rate(self.counts.step)
        self._optimizer.step()
        self._count(value, n_examples=len(batch.rows), n_tokens=batch.n_tokens)

    def predictions(self, check: Callable[[], None]) -> list[Prediction]:
        """One a validation row, in their order; `check` is called between batches, and may raise to interrupt."""
        writing = self.answerer.task.writing
        return predict_rows(self.answerer, self._validation, check, n_written=writing.scored_rows if writing else None)

    def validation_targets(self) -> list[int]:
        """The right labels' numbers, in the order of the predictions."""
        targets: list[int] = self._validation.rows.targets.tolist()
        return targets

    def take_loss(self) -> float | None:
        """The mean training loss since this was last asked; None where there was no step."""
        counts = self.counts
        self.counts = replace(counts, loss_sum=0.0, loss_examples=0)
        return counts.loss_sum / counts.loss_examples if counts.loss_examples else None

    def state(self) -> dict[str, torch.Tensor]:
        """Everything that `restore` needs but the counts."""
        tensors = {f"weight.{name}": one.detach() for name, one in self._trainable.items()}
        for name, one in self._trainable.items():
            tensors |= {f"adam.{key}.{name}": value for key, value in self._optimizer.state[one].items()}
        return tensors | {f"random.{place}": one for place, one in enumerate(self._randomness)}

    def restore(self, tensors: Mapping[str, torch.Tensor], counts: Counts) -> None:
        """Go on from where `state` was taken."""
        self.counts = counts
        with torch.no_grad():
            for name, one in self._trainable.items():
                one.copy_(tensors[f"weight.{name}"])
                keys = ("step", "exp_avg", "exp_avg_sq") if counts.step else ()
                self._optimizer.state[one] = {key: self._adam(tensors, key, name) for key in keys}
        self._randomness = [tensors[f"random.{place}"] for place in range(len(self._randomness))]

    def _adam(self, tensors: Mapping[str, torch.Tensor], key: str, name: str) -> torch.Tensor:
        value = tensors[f"adam.{key}.{name}"]
        return value if key == "step" else value.to(self._trainable[name].device)

    def _next_rows(self) -> torch.Tensor:
        epoch, place = divmod(self.counts.step, self.plan.steps_per_epoch)
        if epoch != self._order_epoch:
            lengths, batch_size = self._train.rows.lengths, self.plan.params.batch_size
            self._order = epoch_order(lengths, batch_size, seed=self.plan.seed, epoch=epoch)
            self._order_epoch = epoch
        return self._order[place]

    def _clip(self) -> float:
        limit = self.plan.params.max_grad_norm or math.inf
        return float(torch.nn.utils.clip_grad_norm_(self._trainable.values(), limit))

    def _check_finite(self, value: float, what: str) -> None:
        if not math.isfinite(value):
            rate = self.plan.params.learning_rate
            reason = f"the {what} became {value} at step {self.counts.step + 1}: learning_rate {rate:g} is too high"
            raise JobFailed(reason, Fault.PARAMS)

    def _count(self, loss: float, *, n_examples: int, n_tokens: int) -> None:
        counts = self.counts
        self.counts = replace(
            counts,
            step=counts.step + 1,
            examples=counts.examples + n_examples,
            tokens=counts.tokens + n_tokens,
            loss_sum=counts.loss_sum + loss * n_examples,
            loss_examples=counts.loss_examples + n_examples,
        )

    @contextmanager
    def _own_randomness(self) -> Iterator[None]:
        """Adapters drop out, by this training's own generator."""
        if not self._dropouts:
            yield
            return
        with torch.random.fork_rng(self._cuda_devices()):
            torch.set_rng_state(self._randomness[0])
            for device, one in zip(self._cuda_devices(), self._randomness[1:], strict=True):
                torch.cuda.set_rng_state(one, device)
            self._set_dropout(is_on=True)
            try:
                yield
            finally:
                self._set_dropout(is_on=False)
            self._randomness = self._generator_states()

    def _set_dropout(self, *, is_on: bool) -> None:
        for one in self._dropouts:
            one.train(is_on)

    def _generator_states(self) -> list[torch.Tensor]:
        return [torch.get_rng_state(), *(torch.cuda.get_rng_state(one) for one in self._cuda_devices())]

    def _cuda_devices(self) -> list[torch.device]:
        device = self.answerer.backbone.placement.device
        return [device] if device.type == "cuda" else []


def predict_rows(
    answerer: AnyAnswerer, rows: Collator, check: Callable[[], None], *, n_written: int | None = None
) -> list[Prediction]:
    """One prediction a row, in their order; `check` is called between batches, and may raise to interrupt.

    Of free text, the first `n_written` rows are written, None: all.
    """
    found: dict[int, Prediction] = {}
    with gpu_out_of_memory_as_failure(len(rows.rows)):
        for numbers in by_length(rows.rows.lengths, rows.n_tail):
            check()
            answers: Sequence[Prediction] = answerer.predictions(rows.batch(numbers))
            found |= zip(numbers.tolist(), answers, strict=True)
        if isinstance(answerer, Writer):
            texts = answerer.write(rows.rows, n_written, check)
            found |= {number: replace(found[number], text=text) for number, text in enumerate(texts)}
    return [found[number] for number in range(len(rows.rows))]
