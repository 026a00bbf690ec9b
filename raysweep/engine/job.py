"""One fine-tune in this process, driven by whoever calls `advance`."""

import hashlib
import json
import math
import statistics
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from peft import PeftModel

from raysweep.clock import Clock
from raysweep.engine.answer import Answerer
from raysweep.engine.batches import Collator
from raysweep.engine.loop import Plan, Training
from raysweep.engine.model import adapted_layers, add_adapters, load_backbone
from raysweep.engine.params import LoraParams, Loss, parse_params
from raysweep.engine.place import Place
from raysweep.engine.prefix import Prefix, weights_stamp
from raysweep.engine.saved import SavedModel, save_model
from raysweep.engine.state import load_state, save_state
from raysweep.engine.tokens import Rows, cached_rows
from raysweep.errors import Fault, JobFailed
from raysweep.jobs import DataRefs, Evaluation, JobSpec, Progress
from raysweep.scoring import Prediction, score

STATE = "state.safetensors"
MODEL = "model"


@dataclass(frozen=True)
class _Opened:
    """What exists once the job has begun."""

    training: Training
    adapted: PeftModel
    saved: SavedModel


class _CancelledError(Exception):
    """Leaves a long computation; never leaves this module."""


class LoraJob:
    """A job that trains in its caller's thread; it goes on from what its folder holds."""

    def __init__(self, place: Place, spec: JobSpec, data: DataRefs, clock: Clock) -> None:
        """Raises JobFailed for params that are refused; loads nothing yet."""
        self._place = place
        self._spec = spec
        self._data = data
        self._clock = clock
        self._params = parse_params(spec.params, place.task)
        self._cancelled = threading.Event()
        self._opened: _Opened | None = None
        self._failure: JobFailed | None = None
        self._final: Progress | None = None

    @property
    def id(self) -> str:
        """The spec's key: a local job has no other name."""
        return self._spec.key

    def cancel(self) -> None:
        """Stop before the next step, or the next batch of an evaluation; the state is saved."""
        self._cancelled.set()

    def advance(self, timeout_s: float) -> Progress:
        """Train until the next evaluation, the end or the time-out, which neither loading nor evaluating minds.

        The state is on disk whenever this returns, so that a later job with the same spec goes on from there.
        """
        if self._failure is not None:
            raise self._failure
        if self._final is not None:
            return self._final
        try:
            return self._advance(self._clock.monotonic_s() + timeout_s)
        except _CancelledError:
            return self._progress()
        except JobFailed as failure:
            self._failure = failure
            raise

    def _advance(self, deadline_s: float) -> Progress:
        self._check_cancelled()
        opened = self._opened = self._opened or self._open()
        if self._place.placement.device.type == "cpu":
            torch.set_num_threads(1)  # one worker a core: two threads in one worker do less than two workers
        training = opened.training
        has_stepped = False
        while True:
            self._check_collapse(training)
            if self._is_evaluation_due(training):
                return self._evaluate(training)
            if training.is_done:
                return self._finish(opened)
            if self._cancelled.is_set() or (has_stepped and self._clock.monotonic_s() >= deadline_s):
                self._save(training)
                return self._progress()
            training.step()
            has_stepped = True

    def _open(self) -> _Opened:
        torch.set_num_threads(1) if self._place.placement.device.type == "cpu" else None
        train, validation = self._rows("train"), self._rows("validation")
        self._check_cancelled()
        with torch.random.fork_rng():
            torch.manual_seed(self._spec.seed)
            backbone = load_backbone(self._place.model, self._place.family, self._place.placement)
            adapted = add_adapters(backbone, self._params)
            answerer = Answerer(backbone, self._place.task, self._params.loss, train.words)
        feeds = self._feeds(answerer, [Collator(train), Collator(validation)])
        plan = Plan(self._params, len(train), self._spec.evaluate_at[-1], self._spec.seed)
        training = Training(answerer, plan, *feeds)
        found = load_state(self._spec.folder / STATE, self._digest())
        if found is not None:
            training.restore(*found)
        encoding = self._place.encoding(self._params.prompt)
        saved = SavedModel(encoding, self._place.settings.model, self._params.loss, train.words)
        return _Opened(training, adapted, saved)

    def _rows(self, split: str) -> Rows:
        splits = self._data.splits
        examples = splits.train if split == "train" else splits.validation
        return cached_rows(
            self._place.encoding(self._params.prompt),
            examples,
            fingerprint=f"{self._data.fingerprint} {split}",
            folder=self._place.cache / "tokens",
        )

    def _feeds(self, answerer: Answerer, collators: list[Collator]) -> list[Collator]:
        prefix = Prefix(
            answerer,
            adapted_layers(self._params, answerer.backbone.n_layers)[0],
            stamp=weights_stamp(self._place.model),
            folder=self._place.cache / "prefix",
            cap_bytes=int(self._place.settings.prefix_cache_gb * 1e9),
        )
        return prefix.collators(collators, self._check_cancelled) if prefix.fits(collators) else collators

    def _is_evaluation_due(self, training: Training) -> bool:
        number = training.counts.n_evaluations
        points = self._spec.evaluate_at
        return number < len(points) and training.counts.step >= training.plan.step_at(points[number])

    def _evaluate(self, training: Training) -> Progress:
        predictions = training.predictions(self._check_cancelled)
        _check_finite(predictions, self._params)
        scores = score(self._place.task, training.validation_targets(), predictions)
        metrics = {f"val_{name}": value for name, value in scores.items()} | {"train_loss": training.take_loss()}
        counts = training.counts
        epoch = self._spec.evaluate_at[counts.n_evaluations]
        n_bad = counts.n_bad + 1 if self._is_bad(training.validation_targets(), scores) else 0
        training.counts = replace(training.counts, n_evaluations=counts.n_evaluations + 1, n_bad=n_bad)
        self._save(training)  # before it is handed out: a job that goes on from here does not repeat it
        return self._progress(Evaluation(epoch, counts.examples, counts.tokens, metrics))

    def _is_bad(self, targets: Sequence[int], scores: Mapping[str, float | None]) -> bool:
        """Whether every row got the same label; a regression, which begins there, must also be no better than that."""
        if scores["n_predicted_labels"] != 1 or len(set(targets)) == 1:
            return False
        error = scores.get("mse_expected")
        if self._params.loss is not Loss.SQUARED_ERROR or error is None:
            return True
        return error >= statistics.pvariance([self._place.task.values[target] for target in targets])

    def _check_collapse(self, training: Training) -> None:
        n_bad = training.counts.n_bad
        if n_bad >= self._place.settings.max_bad_evaluations:
            rate = self._params.learning_rate
            raise JobFailed(
                f"collapsed: {n_bad} evaluations in a row gave every row the same label (learning_rate {rate:g})",
                Fault.PARAMS,
            )

    def _finish(self, opened: _Opened) -> Progress:
        folder = self._spec.folder / MODEL
        save_model(folder, opened.adapted, opened.training.answerer, opened.saved)
        self._save(opened.training)
        self._final = replace(self._progress(), is_final=True, model=str(folder))
        return self._final

    def _save(self, training: Training) -> None:
        save_state(self._spec.folder / STATE, training.state(), training.counts, self._digest())

    def _progress(self, evaluation: Evaluation | None = None) -> Progress:
        if self._opened is None:
            return Progress(0.0, 0)
        training = self._opened.training
        return Progress(training.plan.epoch_at(training.counts.step), training.counts.tokens, evaluation)

    def _check_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise _CancelledError

    def _digest(self) -> str:
        """What the saved state must agree with; not the attempt, so that a further one goes on from it."""
        parts = (sorted(self._spec.params.items()), self._spec.seed, self._spec.evaluate_at)
        words = json.dumps([repr(parts), self._data.fingerprint, self._place.model, repr(self._place.placement)])
        return hashlib.sha256(words.encode()).hexdigest()[:16]


def final_model(folder: Path) -> Path | None:
    """The model that a job has left in its folder, if it came to its end."""
    model = folder / MODEL
    return model if model.is_dir() else None


def _check_finite(predictions: list[Prediction], params: LoraParams) -> None:
    numbers = [one.value if one.probabilities is None else sum(one.probabilities) for one in predictions]
    if not all(number is not None and math.isfinite(number) for number in numbers):
        reason = f"its predictions are not finite: learning_rate {params.learning_rate:g} is too high"
        raise JobFailed(reason, Fault.PARAMS)
