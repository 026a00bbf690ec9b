"""What needs no fine-tune, scored like any trial: the commonest answer, and what a bag of words leads to."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from raysweep.dataset import Splits
from raysweep.scoring import Prediction
from raysweep.task import Example, Task
from raysweep.untuned import FEW_SHOT, ZERO_SHOT

MAJORITY, RIDGE, TFIDF = "majority", "ridge", "tfidf"
COMMONEST, NEAREST = "commonest", "nearest"
LAST = (TFIDF, NEAREST)
"""Of any task's baselines the last: where it is scored, all are."""

WORDS: Mapping[str, str] = MappingProxyType(
    {
        MAJORITY: "the commonest label",
        RIDGE: "TF-IDF and ridge regression",
        TFIDF: "TF-IDF and logistic regression",
        ZERO_SHOT: "the base model zero-shot",
        FEW_SHOT: "the base model few-shot",
        COMMONEST: "the commonest text",
        NEAREST: "the text of the nearest prompt by TF-IDF",
    }
)
"""Each baseline for a sentence."""

Said = dict[str, list[Prediction]]
"""Predictions by split, `val` and `test`."""


def names_for(task: Task) -> tuple[str, ...]:
    """The baselines of such a task, one of LAST at the end."""
    if task.writing is not None:
        return (COMMONEST, NEAREST)
    return (MAJORITY, RIDGE, TFIDF) if task.is_ordered else (MAJORITY, TFIDF)


def predictions_of(name: str, splits: Splits, task: Task, *, seed: int) -> Said:
    """What the baseline says of validation and test, trained on the training split.

    The prompt's text alone, whatever template a trial uses: single words, logarithmic counts. The commonest label has
    the labels' shares in the training split for probabilities, logistic regression has C = 3. Ridge regression, for
    ratings, has alpha = 1, and gives an expected rating between the lowest and the highest. Of free text, the
    commonest one of the training split, or that of the training prompt with the highest cosine.
    """
    makers = {MAJORITY: _majority, RIDGE: _ridge, TFIDF: _logistic, COMMONEST: _commonest, NEAREST: _nearest}
    train = makers[name]
    predict = train(splits.train, task, seed)
    return {"val": predict(_texts(splits.validation)), "test": predict(_texts(splits.test))}


_Predict = Callable[[Sequence[str]], list[Prediction]]


def _majority(rows: Sequence[Example], task: Task, seed: int) -> _Predict:
    found = [task.index(one.label) for one in rows]
    shares = tuple(found.count(place) / len(found) for place in range(len(task.labels)))
    return lambda texts: [Prediction(shares)] * len(texts)


def _logistic(rows: Sequence[Example], task: Task, seed: int) -> _Predict:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=3.0, max_iter=2000, random_state=seed)
    )
    model.fit(_texts(rows), [task.index(one.label) for one in rows])
    return lambda texts: [Prediction(tuple(map(float, row))) for row in model.predict_proba(texts)]


def _ridge(rows: Sequence[Example], task: Task, seed: int) -> _Predict:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(sublinear_tf=True), Ridge(alpha=1.0, random_state=seed))
    model.fit(_texts(rows), [task.values[task.index(one.label)] for one in rows])
    low, high = task.values[0], task.values[-1]
    return lambda texts: [Prediction(None, min(high, max(low, float(value)))) for value in model.predict(texts)]


def _commonest(rows: Sequence[Example], task: Task, seed: int) -> _Predict:
    text, _ = Counter(one.label for one in rows).most_common(1)[0]
    return lambda texts: [Prediction(None, text=text)] * len(texts)


def _nearest(rows: Sequence[Example], task: Task, seed: int) -> _Predict:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.neighbors import NearestNeighbors

    vectors = TfidfVectorizer(sublinear_tf=True)
    nearest = NearestNeighbors(n_neighbors=1, metric="cosine").fit(vectors.fit_transform(_texts(rows)))

    def predict(texts: Sequence[str]) -> list[Prediction]:
        places = nearest.kneighbors(vectors.transform(texts), return_distance=False)[:, 0]
        return [Prediction(None, text=rows[place].label) for place in places.tolist()]

    return predict


def _texts(examples: Sequence[Example]) -> list[str]:
    return ["\n\n".join(message.content for message in one.messages) for one in examples]
