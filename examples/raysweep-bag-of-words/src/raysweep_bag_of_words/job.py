"""One training run: goes on from its folder, hands out each evaluation once, stops when it is told to."""

import pickle
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline

from raysweep.errors import DiskError
from raysweep.holding import Hold
from raysweep.jobs import DataRefs, Evaluation, JobSpec, Progress
from raysweep.scoring import Prediction, score
from raysweep.task import Example, Task

CHUNK = 256
"""Rows between two looks at the clock and at a cancel: some milliseconds."""


@dataclass
class State:
    """All that a later job needs to go on as if nothing had happened."""

    classifier: SGDClassifier
    n_seen: int = 0
    """Training rows, of all epochs together."""
    n_words: int = 0
    made: tuple[Evaluation, ...] = ()
    """Every evaluation, handed out or not."""


class BagOfWordsJob:
    """Trains in its caller's thread; whatever `advance` has told of is on disk."""

    def __init__(
        self, task: Task, spec: JobSpec, data: DataRefs, vectorizer: HashingVectorizer, classifier: SGDClassifier
    ) -> None:
        """Touches nothing yet."""
        self._task, self._spec, self._splits = task, spec, data.splits
        self._vectorizer, self._classifier = vectorizer, classifier
        self._n_told = spec.n_evaluations
        self._hold = Hold(spec.folder)  # a predecessor on a machine that was lost may still be writing there
        self._cancelled = threading.Event()
        self._state: State | None = None

    @property
    def id(self) -> str:
        """The job lives in its process: the key is name enough."""
        return self._spec.key

    def cancel(self) -> None:
        """Stop before the next chunk of rows; from any thread."""
        self._cancelled.set()
        self._hold.let_go()

    def advance(self, timeout_s: float) -> Progress:
        """Train until the next evaluation, the end or the time-out; a job that has raised raises the same again."""
        return self._hold.turn(lambda: self._advance(time.monotonic() + timeout_s))

    def _advance(self, until_s: float) -> Progress:
        if self._cancelled.is_set() or not self._hold.take(until_s - time.monotonic(), self._cancelled):
            return self._progress(self._state)
        if self._state is None:
            self._state = self._read()
            self._rows = self._vectorizer.transform(texts(self._splits.train))
            self._labels = np.array([self._task.index(one.label) for one in self._splits.train])
            self._lengths = np.array([len(text.split()) for text in texts(self._splits.train)])
        state, n_before = self._state, self._state.n_seen
        while not self._cancelled.is_set():
            if self._n_told < len(state.made):
                self._n_told += 1
                return self._progress(state, state.made[self._n_told - 1])
            if len(state.made) == len(self._spec.evaluate_at):
                return self._finished(state)
            due = max(1, round(self._spec.evaluate_at[len(state.made)] * len(self._labels)))
            if state.n_seen >= due:
                self._evaluate(state)
            elif state.n_seen > n_before and time.monotonic() >= until_s:
                break
            else:
                self._train(state, due)
        self._write("state.pickle", state)
        return self._progress(state)

    def _train(self, state: State, due: int) -> None:
        """A chunk of the epoch's rows; their order follows from the seed, so it needs no saving."""
        epoch, place = divmod(state.n_seen, len(self._labels))
        order = np.random.default_rng([self._spec.seed, epoch]).permutation(len(self._labels))
        chunk = order[place : place + min(CHUNK, due - state.n_seen)]
        state.classifier.partial_fit(self._rows[chunk], self._labels[chunk], range(len(self._task.labels)))
        state.n_seen += len(chunk)
        state.n_words += int(self._lengths[chunk].sum())

    def _evaluate(self, state: State) -> None:
        """Measure, and save at once: what is handed out is on disk."""
        validation = self._splits.validation
        predictions = predicted(state.classifier.predict_proba(self._vectorizer.transform(texts(validation))))
        scores = score(self._task, [one.label for one in validation], predictions)
        metrics = {f"val_{name}": value for name, value in scores.items()}
        state.made += (Evaluation(self._spec.evaluate_at[len(state.made)], state.n_seen, state.n_words, metrics),)
        self._write("state.pickle", state)

    def _finished(self, state: State) -> Progress:
        model = self._write("model.pickle", make_pipeline(self._vectorizer, state.classifier))
        return Progress(self._spec.evaluate_at[-1], state.n_words, is_final=True, model=str(model))

    def _progress(self, state: State | None, evaluation: Evaluation | None = None) -> Progress:
        if state is None:  # another process is still at work in the folder
            return Progress(0.0, 0)
        return Progress(state.n_seen / len(self._labels), state.n_words, evaluation)

    def _read(self) -> State:
        """What a predecessor has saved; else a beginning."""
        path = self._spec.folder / "state.pickle"
        if not path.is_file():
            return State(self._classifier)
        saved: State = pickle.loads(path.read_bytes())
        return saved

    def _write(self, name: str, value: object) -> Path:
        """In one move: a crash leaves the old file or the new one."""
        path = self._spec.folder / name
        half = path.with_suffix(".tmp")
        try:
            half.write_bytes(pickle.dumps(value))
            return half.replace(path)
        except OSError as error:
            raise DiskError(f"{path}: cannot be written: {error}; free space there") from error


def texts(examples: Sequence[Example]) -> list[str]:
    """What each example's author wrote."""
    return ["\n\n".join(message.content for message in one.messages) for one in examples]


def predicted(probabilities: np.ndarray) -> list[Prediction]:
    """One a row; `probabilities` is (n, n_labels)."""
    return [Prediction(tuple(map(float, row))) for row in probabilities]
