"""One fine-tune in this process, driven by whoever calls `advance`."""

import hashlib
import json
import math
import statistics
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from raysweep import ranking
from raysweep.clock import Clock
from raysweep.engine.loop import Plan, Training
from raysweep.engine.memory import out_of_memory_as_failure
from raysweep.engine.opening import Opened, open_training
from raysweep.engine.params import LoraParams, Loss, parse_params
from raysweep.engine.place import Place
from raysweep.engine.saved import save_model
from raysweep.engine.state import State, load_state, save_state
from raysweep.errors import Fault, JobFailed
from raysweep.holding import Hold
from raysweep.jobs import DataRefs, Evaluation, JobSpec, Progress
from raysweep.scoring import Prediction, answers_of, graded, score

STATE = "state.safetensors"
MODEL = "model"


class _CancelledError(Exception):
    """Leaves a long computation; never leaves this module."""


class LoraJob:
    """A job that trains in its caller's thread; it goes on from what its folder holds."""

    def __init__(self, place: Place, spec: JobSpec, data: DataRefs, clock: Clock) -> None:
        """Raises JobFailed for params that are refused; loads nothing yet, and touches no file."""
        self._place = place
        self._spec = spec
        self._data = data
        self._clock = clock
        self._params = parse_params(spec.params, place.task)
        self._plan = Plan(self._params, len(data.splits.train), spec.evaluate_at[-1], spec.seed)
        self._hold = Hold(spec.folder)
        self._cancelled = threading.Event()
        self._state = State()  # as it is on disk, without the tensors once these have been taken up
        self._is_loaded = False
        self._opened: Opened | None = None
        self._n_told = spec.n_evaluations

    @property
    def id(self) -> str:
        """The spec's key: a local job has no other name."""
        return self._spec.key

    def cancel(self) -> None:
        """Stop before the next step, or the next batch of an evaluation; the state is saved, the folder let go."""
        if not self._hold.is_final:
            self._cancelled.set()
            self._hold.let_go()

    def advance(self, timeout_s: float) -> Progress:
        """Train until the next evaluation, the end or the time-out, which neither loading nor evaluating minds.

        The state is on disk whenever this returns, so that a later job with the same spec goes on from there; a job
        that has raised raises the same again. While another process works in the folder, it waits for that one.
        """
        return self._hold.turn(lambda: self._advance(self._clock.monotonic_s() + timeout_s))

    @out_of_memory_as_failure()
    def _advance(self, deadline_s: float) -> Progress:
        try:
            self._check_cancelled()
            if not self._hold.take(deadline_s - self._clock.monotonic_s(), self._cancelled):
                return self._progress()
            if not self._is_loaded:
                self._state = load_state(self._spec.folder / STATE, self._digest())
                self._is_loaded = True
            return self._train(deadline_s)
        except _CancelledError:
            if self._opened is not None:
                self._save(self._opened.training)
            return self._progress()

    def _train(self, deadline_s: float) -> Progress:
        if self._place.placement.device.type == "cpu":
            torch.set_num_threads(1)  # one worker a core: two threads in one worker do less than two workers
        has_stepped = False
        while True:
            if self._n_told < len(self._state.made):
                self._n_told += 1
                return self._progress(self._state.made[self._n_told - 1])
            self._check_collapse()
            if self._state.counts.is_finished and self._model.is_dir():
                return replace(self._progress(), is_final=True, model=str(self._model))
            opened = self._opened = self._opened or self._open()
            training = opened.training
            if self._is_evaluation_due(training):
                self._evaluate(training)
            elif training.is_done:
                self._finish(opened)
            elif self._cancelled.is_set() or (has_stepped and self._clock.monotonic_s() >= deadline_s):
                self._save(training)
                return self._progress()
            else:
                training.step()
                has_stepped = True

    def _open(self) -> Opened:
        opened = open_training(self._place, self._plan, self._data, self._check_cancelled)
        if self._state.tensors:
            opened.training.restore(self._state.tensors, self._state.counts)
            self._state = replace(self._state, tensors={})
        return opened

    def _is_evaluation_due(self, training: Training) -> bool:
        number, points = len(self._state.made), self._spec.evaluate_at
        return number < len(points) and training.counts.step >= self._plan.step_at(points[number])

    def _evaluate(self, training: Training) -> None:
        """Measure, and save: what is handed out is on disk, and what a crash keeps from being handed out is too."""
        task, rows = self._place.task, self._data.splits.validation
        predictions = training.predictions(self._check_cancelled)
        _check_finite(predictions, self._params)
        if task.writing is not None:
            predictions = graded(task, rows, predictions)
        right = training.validation_targets() if task.writing is None else [one.label for one in rows]
        scores = score(task, right, predictions)
        metrics = {f"val_{name}": value for name, value in scores.items()} | {"train_loss": training.take_loss()}
        counts, made = training.counts, self._state.made
        n_bad = counts.n_bad + 1 if self._is_bad(training.validation_targets(), scores) else 0
        training.counts = replace(counts, n_bad=n_bad)
        evaluation = Evaluation(self._spec.evaluate_at[len(made)], counts.examples, counts.tokens, metrics)
        if len(made) + 1 == len(self._spec.evaluate_at):
            ranking.keep(self._spec.folder, task, answers_of(task, right, predictions))
        self._save(training, (*made, evaluation))

    def _is_bad(self, targets: Sequence[int], scores: Mapping[str, float | None]) -> bool:
        """Whether every row got the same label; a regression, which begins there, must also be no better than that.

        Never of free text, which has no labels.
        """
        if scores.get("n_predicted_labels") != 1 or len(set(targets)) == 1:
            return False
        error = scores.get("mse_expected")
        if self._params.loss is not Loss.SQUARED_ERROR or error is None:
            return True
        return error >= statistics.pvariance([self._place.task.values[target] for target in targets])

    def _check_collapse(self) -> None:
        n_bad = self._state.counts.n_bad
        if n_bad >= self._place.settings.max_bad_evaluations:
            rate = self._params.learning_rate
            raise JobFailed(
                f"collapsed: {n_bad} evaluations in a row gave every row the same label (learning_rate {rate:g})",
                Fault.PARAMS,
            )

    def _finish(self, opened: Opened) -> None:
        save_model(self._model, opened.adapted, opened.training.answerer, opened.saved)
        opened.training.counts = replace(opened.training.counts, is_finished=True)
        self._save(opened.training)

    def _save(self, training: Training, made: tuple[Evaluation, ...] | None = None) -> None:
        state = State(training.counts, self._state.made if made is None else made, training.state())
        if (state.counts, state.made) != (self._state.counts, self._state.made):
            save_state(self._spec.folder / STATE, state, self._digest())
            self._state = replace(state, tensors={})

    def _progress(self, evaluation: Evaluation | None = None) -> Progress:
        counts = self._state.counts if self._opened is None else self._opened.training.counts
        return Progress(self._plan.epoch_at(counts.step), counts.tokens, evaluation)

    @property
    def _model(self) -> Path:
        return self._spec.folder / MODEL

    def _check_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise _CancelledError

    def _digest(self) -> str:
        """What the saved state must agree with; not the attempt, so that a further one goes on from it."""
        parts = (sorted(self._spec.params.items()), self._spec.seed, self._spec.evaluate_at)
        words = json.dumps([repr(parts), self._data.fingerprint, self._place.model, repr(self._place.placement)])
        return hashlib.sha256(words.encode()).hexdigest()[:16]


def _check_finite(predictions: list[Prediction], params: LoraParams) -> None:
    numbers = [one.loss if one.value is None else one.value for one in predictions if one.probabilities is None]
    numbers += [sum(one.probabilities) for one in predictions if one.probabilities is not None]
    if not all(number is not None and math.isfinite(number) for number in numbers):
        reason = f"its predictions are not finite: learning_rate {params.learning_rate:g} is too high"
        raise JobFailed(reason, Fault.PARAMS)
