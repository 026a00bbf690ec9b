"""What a model writes, or finds likely, beside the right completions, and the metrics of that, row by row.

Normalisation, exact match and token F1 are those of SQuAD's evaluation script (Rajpurkar, Zhang, Lopyrev and Liang
2016; version 2.0 of the script, 2018). `weights` are (b, n): b countings of n rows. A metric is (b,); NaN where no row
has it.
"""

import math
import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from raysweep.scoring.answers import Floats, Prediction
from raysweep.scoring.counts import ratio

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)
OF_WRITTEN = ("exact_match", "token_f1")
"""Metrics of what was written beside the right text, from 0 to 1 for each row."""
OF_LIKELIHOOD = ("loss", "perplexity")
"""Metrics of how likely the right texts are: what was written says nothing of them."""
_MOST_NATS = 700.0
"""A loss beyond this has no perplexity that a float can hold."""


@dataclass(frozen=True)
class Texts:
    """One model's answers to n rows, as numbers; NaN where the model gives none."""

    right: tuple[str, ...]
    """The right completions, or digests of them: models that answered the same rows have the same."""
    matches: Floats
    """(n,): 1 where what was written is right, else 0."""
    overlaps: Floats
    """(n,): F1 of the words in common."""
    losses: Floats
    """(n,): nats of the right completion, all its tokens together."""
    n_tokens: Floats
    """(n,): tokens of the right completion."""
    grades: Floats
    """(n,): what the task's grader says of it."""

    @property
    def n(self) -> int:
        """How many rows."""
        return len(self.right)

    def n_with(self, metric: str) -> int:
        """How many rows the metric is made of: not all are written where the task scores the first few."""
        columns = {"exact_match": self.matches, "token_f1": self.overlaps, "grade": self.grades}
        return int(np.isfinite(columns.get(metric, self.losses)).sum())


def read_texts(right: Sequence[str], predictions: Sequence[Prediction]) -> Texts:
    """The predictions as arrays; raises ValueError for lengths that differ, or a number that is not finite."""
    if not right or len(right) != len(predictions):
        raise ValueError(f"{len(right)} completions and {len(predictions)} predictions: one each, at least one row")
    pairs = list(zip(right, predictions, strict=True))
    return Texts(
        tuple(right),
        _numbers([None if one.text is None else exact_match(text, one.text) for text, one in pairs]),
        _numbers([None if one.text is None else token_f1(text, one.text) for text, one in pairs]),
        _numbers([one.loss for one in predictions]),
        _numbers([None if one.loss is None else one.n_tokens for one in predictions]),
        _numbers([one.grade for one in predictions]),
    )


def exact_match(right: str, written: str) -> float:
    """1 where both are the same but for case, punctuation, articles and spaces."""
    return float(normalise(right) == normalise(written))


def token_f1(right: str, written: str) -> float:
    """Harmonic mean of precision and recall of the words; where one text has none, 1 if neither has."""
    ours, theirs = normalise(written).split(), normalise(right).split()
    if not ours or not theirs:
        return float(ours == theirs)
    n_common = (Counter(ours) & Counter(theirs)).total()
    return 2 * n_common / (len(ours) + len(theirs))


def normalise(text: str) -> str:
    """In lower case, without ASCII punctuation, English articles and extra spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split())


def in_common(first: Texts, second: Texts) -> tuple[Texts, Texts]:
    """Both, with NaN wherever the other has it; raises ValueError where they answer different rows."""
    if first.right != second.right:
        raise ValueError("a paired comparison needs two models' answers to the same examples")
    return _masked(first, second), _masked(second, first)


def text_scores(texts: Texts) -> dict[str, float | None]:
    """Every metric of `OF_TEXTS`; None where no row has it."""
    once = np.ones((1, texts.n))
    made = {name: float(metric(texts, once)[0]) for name, metric in OF_TEXTS.items()}
    return {name: value if math.isfinite(value) else None for name, value in made.items()}


def _masked(texts: Texts, other: Texts) -> Texts:
    def both(ours: Floats, theirs: Floats) -> Floats:
        return np.where(np.isnan(theirs), np.nan, ours)

    return replace(
        texts,
        matches=both(texts.matches, other.matches),
        overlaps=both(texts.overlaps, other.overlaps),
        losses=both(texts.losses, other.losses),
        n_tokens=both(texts.n_tokens, other.losses),
        grades=both(texts.grades, other.grades),
    )


def _numbers(values: Sequence[float | None]) -> Floats:
    wrong = next((row for row, one in enumerate(values) if one is not None and not math.isfinite(one)), None)
    if wrong is not None:
        raise ValueError(f"prediction {wrong}: {values[wrong]} must be finite")
    return np.array([math.nan if one is None else one for one in values], dtype=np.float64)


def _over(above: Floats, below: Floats, weights: Floats) -> Floats:
    """Sums over the rows that have both."""
    has = ~np.isnan(above) & ~np.isnan(below)
    return ratio(weights @ np.where(has, above, 0.0), weights @ np.where(has, below, 0.0))


def _mean(values: Floats, weights: Floats) -> Floats:
    return _over(values, np.ones_like(values), weights)


def _exact_match(texts: Texts, weights: Floats) -> Floats:
    return _mean(texts.matches, weights)


def _token_f1(texts: Texts, weights: Floats) -> Floats:
    return _mean(texts.overlaps, weights)


def _loss(texts: Texts, weights: Floats) -> Floats:
    return _over(texts.losses, texts.n_tokens, weights)


def _perplexity(texts: Texts, weights: Floats) -> Floats:
    loss = _loss(texts, weights)
    return np.where(loss > _MOST_NATS, np.nan, np.exp(np.minimum(loss, _MOST_NATS)))


def _grade(texts: Texts, weights: Floats) -> Floats:
    return _mean(texts.grades, weights)


OF_TEXTS: Mapping[str, Callable[[Texts, Floats], Floats]] = MappingProxyType(
    {
        "exact_match": _exact_match,
        "token_f1": _token_f1,
        "loss": _loss,
        "perplexity": _perplexity,
        "grade": _grade,
    }
)
"""For a task of free text."""
