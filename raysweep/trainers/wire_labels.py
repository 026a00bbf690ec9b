"""From a written answer and its likeliest tokens to a probability for each label."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from raysweep.scoring import Prediction
from raysweep.trainers.hosted import Answer, Token

FLOOR = 0.1
"""A label that is not among the likeliest tokens is less likely than the last of them: by so much."""


@dataclass(frozen=True)
class Reading:
    """An answer as the task sees it."""

    prediction: Prediction
    coverage: float | None
    """The labels' share of the probability, before it was made to sum to 1; None where there are no probabilities."""


def read(answer: Answer, words: Sequence[str]) -> Reading:
    """What the answer says of each label; `words` are the labels as the model was taught to write them.

    Without probabilities, or where no token begins any label, only the text is left.
    """
    if not answer.tokens or not answer.tokens[0].likeliest:
        return Reading(Prediction(None, text=answer.text), None)
    labels = [_plain(word) for word in words]
    shares = [0.0] * len(labels)
    for place, probability in _shares(answer.tokens, labels):
        shares[place] += probability
    coverage = sum(shares)
    if coverage <= 0:
        return Reading(Prediction(None, text=answer.text), 0.0)
    floor = FLOOR * min(math.exp(logprob) for _, logprob in answer.tokens[0].likeliest)
    filled = [share or min(floor, *(one for one in shares if one)) for share in shares]
    total = sum(filled)
    return Reading(Prediction(tuple(one / total for one in filled), text=answer.text), min(coverage, 1.0))


def place_of(text: str, words: Sequence[str]) -> int | None:
    """Of the word that the text is but for spaces, and for case where that leaves no doubt; None for another text."""
    same = [place for place, word in enumerate(words) if word.strip() == text.strip()]
    alike = same or [place for place, word in enumerate(words) if _plain(word) == _plain(text)]
    return alike[0] if len(alike) == 1 else None


def mean_coverage(readings: Sequence[Reading]) -> float | None:
    """Of the readings that have one."""
    coverages = [reading.coverage for reading in readings if reading.coverage is not None]
    return math.fsum(coverages) / len(coverages) if coverages else None


def _shares(tokens: Sequence[Token], labels: Sequence[str], before: str = "") -> Iterator[tuple[int, float]]:
    """Labels' places and probabilities; a token that begins several labels is followed to the next one."""
    written = _plain(before + tokens[0].text)
    for text, logprob in tokens[0].likeliest:
        said, probability = _plain(before + text), math.exp(logprob)
        begun = [place for place, label in enumerate(labels) if said and _begins(said, label)]
        if len(begun) > 1 and said == written and len(tokens) > 1:
            inside = list(_shares(tokens[1:], labels, before + text))
            yield from ((place, probability * share) for place, share in inside)
            rest = max(0.0, 1.0 - sum(share for _, share in inside))
            ended = [place for place in begun if labels[place] == said]
            yield from ((place, probability * rest) for place in ended)
        elif begun:
            whole = [place for place in begun if labels[place] == said] or begun
            yield from ((place, probability / len(whole)) for place in whole)


def _begins(said: str, label: str) -> bool:
    """Whether what was said may become the label, or is the label with something after it."""
    return label.startswith(said) or (said.startswith(label) and not said[len(label)].isalnum())


def _plain(text: str) -> str:
    return text.strip().casefold()
