"""Learning curves by formula, with noise, costs and scripted faults: a sweep in seconds that trains nothing.

The objective's ceiling falls off with the square of the distance to the best learning rate in decades, a little with
dropout's, and rises a little with rank; it is approached exponentially. A learning rate far too high collapses.
"""

import json
import math
import os
import signal
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raysweep.config import SyntheticTrainer as Settings
from raysweep.dataset import Splits
from raysweep.errors import ConfigError, Fault, JobFailed
from raysweep.jobs import (
    Capabilities,
    DataRefs,
    Estimate,
    Evaluation,
    JobSpec,
    JobView,
    ParamDoc,
    Progress,
    TokenView,
)
from raysweep.scoring import Prediction
from raysweep.space import Params
from raysweep.task import Example, Task
from raysweep.trainers.prompting import PROMPT_PARAMS

BEST_LEARNING_RATE = 2e-3
FAULT_WORDS = ("setup", "step", "nan", "kill", "host", "data", "block", "no_metric")
"""What `faults` can ask for: an error in submit; an error in advance; a loss that is not a number; the worker killed
by SIGKILL; the host's fault; the data's fault; `block:S`, a call that blocks for S seconds whatever happens; an
evaluation without the objective. Each but `setup` strikes before the first evaluation."""

_PARAMS = {
    "learning_rate": ParamDoc(default=1e-3, low=1e-8, high=1e3, help="Best at 0.002; collapses above 1."),
    "rank": ParamDoc(default=8, low=1, high=1024, help="A little better when larger."),
    "dropout": ParamDoc(default=0.0, low=0.0, high=0.9, help="Best at 0.05."),
    "batch_size": ParamDoc(default=16, low=1, high=4096, help="Has no effect but on the table."),
    "n_epochs": ParamDoc(default=3, low=0.1, high=100, help="The trial's budget."),
    **PROMPT_PARAMS,
}


def ceiling(params: Params) -> float:
    """Weighted F1 that the params would reach after very many epochs."""
    decades = math.log10(_number(params, "learning_rate") / BEST_LEARNING_RATE)
    rank_bonus = 0.02 * min(math.log2(_number(params, "rank")), 5) / 5
    dropout_malus = 2.0 * (_number(params, "dropout") - 0.05) ** 2
    return max(0.1, 0.55 - 0.12 * decades**2 + rank_bonus - dropout_malus)


def curve(params: Params, epoch: float) -> float:
    """Weighted F1 after so many epochs, without noise."""
    return 0.1 + (ceiling(params) - 0.1) * (1 - math.exp(-1.5 * epoch))


@dataclass(frozen=True)
class _Model:
    quality: float
    seed: int


class SyntheticTrainer:
    """Makes jobs that follow a formula. Raises ConfigError for a fault that it does not know."""

    def __init__(self, settings: Settings, task: Task) -> None:
        for trial, fault in settings.faults.items():
            if fault.partition(":")[0] not in FAULT_WORDS:
                raise ConfigError(f"trainer.faults.{trial}: {fault!r} is no fault; known: {', '.join(FAULT_WORDS)}")
        self._settings = settings
        self._task = task

    def describe(self) -> Capabilities:
        """A few params; every metric of the task; evaluates anywhere; a tenth of a core."""
        names = ["accuracy", "f1_weighted", "f1_macro", "log_loss"]
        names += ["mse", "mae", "qwk", "mse_expected"] if self._task.is_ordered else []
        return Capabilities(
            params=_PARAMS,
            metrics=frozenset({"train_loss", *(f"val_{name}" for name in names)}),
            evaluates_anywhere=True,
            cpus=0.1,
        )

    def prepare(self, data: Splits) -> DataRefs:
        """Nothing to do."""
        return DataRefs(data.fingerprint, data)

    def submit(self, spec: JobSpec, data: DataRefs) -> "SyntheticJob":
        """Go on from the folder's record, if it has one."""
        if self._fault(spec) == "setup":
            raise RuntimeError("scripted error in set-up")
        return SyntheticJob(self._settings, self._task, spec, len(data.splits.train))

    def jobs(self, sweep_id: str) -> Iterable[JobView]:
        """None: a synthetic job lives and dies with its process."""
        return ()

    def cancel(self, job_id: str) -> None:
        """Nothing: there is no host."""

    def predict(self, model: str, examples: Sequence[Example]) -> Sequence[Prediction]:
        """Right as often as the model is good; the same rows are hard for every model."""
        made = _Model(**json.loads(Path(model).read_text(encoding="utf-8")))
        hardness = np.random.default_rng(0).random(len(examples))
        n_labels = len(self._task.labels)
        predictions = []
        for place, example in enumerate(examples):
            right = self._task.index(example.label)
            shift = 0 if hardness[place] < made.quality else 1 + place % (n_labels - 1)
            likely = (right + shift) % n_labels
            rest = 0.4 / (n_labels - 1)
            predictions.append(Prediction(tuple(0.6 if label == likely else rest for label in range(n_labels))))
        return predictions

    def estimate(self, spec: JobSpec, data: DataRefs) -> Estimate:
        """By the settings' tokens and price."""
        tokens = round(spec.evaluate_at[-1] * self._settings.tokens_per_epoch)
        return Estimate(tokens, tokens * self._settings.usd_per_million_tokens / 1e6)

    def preview(self, params: Params, examples: Sequence[Example], n: int) -> Sequence[Sequence[TokenView]]:
        """None: nothing is tokenised."""
        return ()

    def _fault(self, spec: JobSpec) -> str:
        return self._settings.faults.get(spec.trial, "").partition(":")[0]


class SyntheticJob:
    """One curve, walked in real time at `epoch_s` seconds an epoch."""

    def __init__(self, settings: Settings, task: Task, spec: JobSpec, n_train: int) -> None:
        self.id = f"synthetic-{spec.key}"
        self._settings = settings
        self._task = task
        self._spec = spec
        self._n_train = n_train
        self._cancelled = threading.Event()
        self._record = spec.folder / "state.json"
        spec.folder.mkdir(parents=True, exist_ok=True)
        self._done = self._read_done()

    def advance(self, timeout_s: float) -> Progress:
        """Wait for the next evaluation of the curve; raises JobFailed or whatever the script says."""
        self._strike()
        here = self._epoch()
        points = self._spec.evaluate_at
        wait_s = (points[self._done] - here) * self._settings.epoch_s
        if self._cancelled.wait(min(wait_s, timeout_s)) or wait_s > timeout_s:
            return Progress(here, self._tokens(here))
        epoch = points[self._done]
        self._done += 1
        self._write(self._record, {"done": self._done})
        evaluation = Evaluation(epoch, round(epoch * self._n_train), self._tokens(epoch), self._metrics(epoch))
        is_final = self._done == len(points)
        return Progress(epoch, self._tokens(epoch), evaluation, is_final, self._save() if is_final else None)

    def cancel(self) -> None:
        """Wake whoever waits; the moment stands in the folder."""
        if self._done < len(self._spec.evaluate_at) and not self._cancelled.is_set():
            self._cancelled.set()
            self._write(self._spec.folder / "cancelled.json", {"at": time.time()})

    def _strike(self) -> None:
        fault, _, argument = self._settings.faults.get(self._spec.trial, "").partition(":")
        if not fault or self._done > 0:
            return
        if fault == "block":
            time.sleep(float(argument or 30))  # on purpose deaf to cancel, like a host that does not answer
        elif fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif fault == "step":
            raise RuntimeError("scripted error in a step")
        elif fault in ("nan", "host", "data"):
            whose = {"nan": Fault.PARAMS, "host": Fault.HOST, "data": Fault.DATA}[fault]
            reason = "the training loss is not a number" if fault == "nan" else f"scripted failure of the {fault}"
            raise JobFailed(reason, whose)

    def _metrics(self, epoch: float) -> dict[str, float | None]:
        noise = np.random.default_rng([self._spec.seed, round(epoch * 1000)]).normal(0, self._settings.noise)
        quality = min(max(curve(self._spec.params, epoch) + float(noise), 0.0), 1.0)
        metrics: dict[str, float | None] = {
            "train_loss": -math.log(max(quality, 1e-3)) * 0.9,
            "val_accuracy": quality,
            "val_f1_weighted": quality,
            "val_f1_macro": quality * 0.98,
            "val_log_loss": -math.log(max(quality, 1e-3)),
        }
        if self._task.is_ordered:
            metrics |= {"val_mse": 4 * (1 - quality), "val_mae": 2 * (1 - quality)}
            metrics |= {"val_qwk": quality, "val_mse_expected": 3 * (1 - quality)}
        if self._settings.faults.get(self._spec.trial) == "no_metric":
            metrics["val_f1_weighted"] = None
        return metrics

    def _save(self) -> str:
        path = self._spec.folder / "model.json"
        self._write(path, {"quality": curve(self._spec.params, self._spec.evaluate_at[-1]), "seed": self._spec.seed})
        return str(path)

    def _epoch(self) -> float:
        return self._spec.evaluate_at[self._done - 1] if self._done else 0.0

    def _tokens(self, epoch: float) -> int:
        return round(epoch * self._settings.tokens_per_epoch)

    def _read_done(self) -> int:
        if not self._record.is_file():
            return 0
        return int(json.loads(self._record.read_text(encoding="utf-8"))["done"])

    def _write(self, path: Path, values: dict[str, float]) -> None:
        half = path.with_suffix(".tmp")
        half.write_text(json.dumps(values), encoding="utf-8")
        half.replace(path)


def _number(params: Params, name: str) -> float:
    value = params[name]
    if isinstance(value, int | float):
        return float(value)
    raise JobFailed(f"{name}: {value!r} is not a number", Fault.PARAMS)
