"""Learning curves by formula, with noise.

The objective's ceiling falls off with the square of the distance to the best learning rate in decades, a little with
dropout's, and rises a little with rank; it is approached exponentially. A learning rate far too high collapses.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raysweep.config import SyntheticTrainer as Settings
from raysweep.dataset import Splits
from raysweep.errors import Fault, JobFailed
from raysweep.jobs import Evaluation, JobSpec, ParamDoc
from raysweep.scoring import Prediction, own_scores
from raysweep.space import Params
from raysweep.task import Example, Task
from raysweep.trainers.prompting import PROMPT_PARAMS
from raysweep.trainers.synthetic_texts import guessed_texts, scored_texts

BEST_LEARNING_RATE = 2e-3
PARAMS = {
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
class Curve:
    """What a job of this spec measures, wherever and however often it is asked."""

    settings: Settings
    task: Task
    spec: JobSpec
    splits: Splits

    def __post_init__(self) -> None:
        """Raises JobFailed (params) for a number that is none, or out of its range."""
        for name, doc in PARAMS.items():
            if doc.low is not None and doc.high is not None and name in self.spec.params:
                value = _number(self.spec.params, name)
                if not doc.low <= value <= doc.high:
                    raise JobFailed(f"{name}: {value:g} is not within {doc.low:g} to {doc.high:g}", Fault.PARAMS)

    def evaluation(self, number: int) -> Evaluation:
        """The one at this place of `evaluate_at`, the same for the same seed."""
        epoch = self.spec.evaluate_at[number]
        return Evaluation(epoch, round(epoch * len(self.splits.train)), self.tokens(epoch), self._metrics(epoch))

    def tokens(self, epoch: float) -> int:
        """Trained by then."""
        return round(epoch * self.settings.tokens_per_epoch)

    def model(self) -> dict[str, float]:
        """What `predict` needs to know of the tuned model."""
        return {"quality": curve(self.spec.params, self.spec.evaluate_at[-1]), "seed": self.spec.seed}

    def _metrics(self, epoch: float) -> dict[str, float | None]:
        noise = np.random.default_rng([self.spec.seed, round(epoch * 1000)]).normal(0, self.settings.noise)
        quality = min(max(curve(self.spec.params, epoch) + float(noise), 0.0), 1.0)
        metrics: dict[str, float | None] = {"train_loss": -math.log(max(quality, 1e-3)) * 0.9}
        if self.task.writing is not None:
            made = scored_texts(self.task, self.splits.validation, quality)
            return metrics | {f"val_{name}": value for name, value in made.items()}
        metrics |= {
            "val_accuracy": quality,
            "val_f1_weighted": quality,
            "val_f1_macro": quality * 0.98,
            "val_log_loss": -math.log(max(quality, 1e-3)),
        }
        if self.task.is_ordered:
            metrics |= {"val_mse": 4 * (1 - quality), "val_mae": 2 * (1 - quality)}
            metrics |= {"val_qwk": quality, "val_mse_expected": 3 * (1 - quality)}
        if self.settings.faults.get(self.spec.trial) == "no_metric":
            metrics["val_f1_weighted"] = None
        return metrics | self._own_metrics(quality)

    def _own_metrics(self, quality: float) -> dict[str, float | None]:
        """By their functions, of what so good a model says: nobody has a formula for them."""
        if not self.task.metrics:
            return {}
        examples = self.splits.validation
        labels = [example.label for example in examples]
        scores = own_scores(self.task, labels, guesses(self.task, examples, quality))
        return {f"val_{name}": value for name, value in scores.items()}


def guesses(task: Task, examples: Sequence[Example], quality: float) -> list[Prediction]:
    """Right as often as the model is good; the same rows are hard for every model."""
    if task.writing is not None:
        return guessed_texts(examples, quality)
    hardness = np.random.default_rng(0).random(len(examples))
    n_labels = len(task.labels)
    rest = 0.4 / (n_labels - 1)
    predictions = []
    for place, example in enumerate(examples):
        shift = 0 if hardness[place] < quality else 1 + place % (n_labels - 1)
        likely = (task.index(example.label) + shift) % n_labels
        predictions.append(Prediction(tuple(0.6 if label == likely else rest for label in range(n_labels))))
    return predictions


def _number(params: Params, name: str) -> float:
    value = params[name]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise JobFailed(f"{name}: {value!r} is not a number", Fault.PARAMS)
