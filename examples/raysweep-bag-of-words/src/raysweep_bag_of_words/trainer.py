"""The trainer: what it takes, its jobs, its models' predictions, and the entry point that raysweep finds."""

import pickle
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier

from raysweep.config import Section
from raysweep.dataset import Splits
from raysweep.errors import Fault, JobFailed
from raysweep.jobs import Capabilities, DataRefs, Estimate, JobSpec, JobView, ParamDoc, TokenView
from raysweep.scoring import Prediction, metrics_of
from raysweep.space import Params
from raysweep.task import Example, Task
from raysweep_bag_of_words.job import BagOfWordsJob, predicted, texts

PARAMS = {
    "learning_rate": ParamDoc(default=0.3, low=1e-4, high=1e2, help="Of plain gradient descent; rows have length 1."),
    "l2": ParamDoc(default=1e-5, low=0.0, high=1.0, help="Weight of the penalty on squared weights."),
    "n_features": ParamDoc(default=2**14, low=2, high=2**20, help="Places that words are hashed into."),
    "n_epochs": ParamDoc(default=10, low=0.1, high=1000, help="The trial's budget."),
}


class BagOfWords(Section):
    """What stands beside `trainer.kind: bag_of_words`: the same for all trials."""

    n_grams: Annotated[int, Field(ge=1, le=3)] = 1
    """Words are counted by themselves, and up to so many in a row."""


@dataclass(frozen=True)
class BagOfWordsTrainer:
    """Makes jobs that run in whatever process asks for them; holds no open file, so that it is cheap to make."""

    settings: BagOfWords
    task: Task

    def describe(self) -> Capabilities:
        """Every metric of the task, at any fraction of an epoch; one core a job."""
        metrics = frozenset(f"val_{name}" for name in metrics_of(self.task))
        return Capabilities(PARAMS, metrics, evaluates_anywhere=True, cpus=1.0)

    def prepare(self, data: Splits) -> DataRefs:
        """Nothing to upload: the rows travel with the sweep."""
        return DataRefs(data.fingerprint, data)

    def submit(self, spec: JobSpec, data: DataRefs) -> BagOfWordsJob:
        """A job that goes on from its folder, if it was begun there. Raises JobFailed for params out of range."""
        number = {name: _checked(name, spec.params[name]) for name in PARAMS}
        n_grams = (1, self.settings.n_grams)
        vectorizer = HashingVectorizer(n_features=int(number["n_features"]), ngram_range=n_grams)
        classifier = SGDClassifier(
            "log_loss", alpha=number["l2"], learning_rate="constant", eta0=number["learning_rate"], shuffle=False
        )
        return BagOfWordsJob(self.task, spec, data, vectorizer, classifier)

    def jobs(self, sweep_id: str) -> Iterable[JobView]:
        """None: jobs end with their process."""
        return ()

    def cancel(self, job_id: str) -> None:
        """Nothing: no host knows a job by its name."""

    def predict(self, model: str, examples: Sequence[Example]) -> Sequence[Prediction]:
        """By the file that a job has left."""
        return predicted(pickle.loads(Path(model).read_bytes()).predict_proba(texts(examples)))

    def estimate(self, spec: JobSpec, data: DataRefs) -> Estimate:
        """Words, and no money."""
        words = sum(len(text.split()) for text in texts(data.splits.train))
        return Estimate(round(words * spec.evaluate_at[-1]), usd=None)

    def preview(self, params: Params, examples: Sequence[Example], n: int) -> Sequence[Sequence[TokenView]]:
        """None: there are no tokens."""
        return ()


def _checked(name: str, value: object) -> float:
    """The number; a search keeps to the ranges, but a param may also be given by hand."""
    low, high = PARAMS[name].low or 0.0, PARAMS[name].high or 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise JobFailed(f"{name}: {value!r} is not a number from {low:g} to {high:g}", Fault.PARAMS)
    return value


class BagOfWordsPlugin:
    """The entry point: pyproject.toml names it `bag_of_words` in the group `raysweep.trainers`."""

    settings = BagOfWords

    @staticmethod
    def make(settings: BagOfWords, task: Task) -> BagOfWordsTrainer:
        """Called in the driver and in every trial's process."""
        return BagOfWordsTrainer(settings, task)
