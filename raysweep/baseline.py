"""What needs no fine-tune: TF-IDF and logistic regression, scored like any trial."""

from raysweep.dataset import Splits
from raysweep.scoring import Prediction, score
from raysweep.task import Example, Task


def tfidf(splits: Splits, task: Task, *, seed: int) -> dict[str, float | None]:
    """Every metric of the task on validation and test (`val_...`, `test_...`), trained on the training split.

    Single words, logarithmic counts, C = 3; the prompt's text alone, whatever template a trial uses.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=3.0, max_iter=2000, random_state=seed)
    )
    model.fit(_texts(splits.train), [task.index(one.label) for one in splits.train])
    metrics: dict[str, float | None] = {}
    for prefix, examples in (("val", splits.validation), ("test", splits.test)):
        rows = model.predict_proba(_texts(examples))
        predictions = [Prediction(tuple(map(float, row))) for row in rows]
        scores = score(task, [one.label for one in examples], predictions)
        metrics |= {f"{prefix}_{name}": value for name, value in scores.items()}
    return metrics


def _texts(examples: tuple[Example, ...]) -> list[str]:
    return ["\n\n".join(message.content for message in one.messages) for one in examples]
