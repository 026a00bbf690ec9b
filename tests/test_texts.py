"""Metrics of free text, against plain loops and by hand."""

import collections
import math
import re
import string
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.scoring import Prediction, metrics_of, read_texts, score
from raysweep.scoring.intervals import Bootstrap, differences, intervals
from raysweep.scoring.texts import exact_match, normalise, token_f1
from raysweep.task import Task, TaskKind
from raysweep.writing import Grader, Writing

TEXTS = Task(TaskKind.GENERATION)
FEW = Bootstrap(seed=1, n_by_example=800)
written = st.text(alphabet="ab the,.!A \n", max_size=30)


def squads_f1(right, answer):
    """SQuAD's own script, version 2.0, in short."""

    def tokens(text):
        bare = "".join(letter for letter in text.lower() if letter not in set(string.punctuation))
        return re.sub(r"\b(a|an|the)\b", " ", bare).split()

    gold, mine = tokens(right), tokens(answer)
    same = sum((collections.Counter(gold) & collections.Counter(mine)).values())
    if len(gold) == 0 or len(mine) == 0:
        return int(gold == mine)
    if same == 0:
        return 0
    precision, recall = same / len(mine), same / len(gold)
    return 2 * precision * recall / (precision + recall)


def rows(n, seed, wrong=0.4, with_loss=True):
    chance = np.random.default_rng(seed)
    right = [f"answer {number} of the many" for number in range(n)]
    said = []
    for text in right:
        words = text if chance.random() > wrong else "answer nothing"
        loss = float(chance.gamma(3.0)) if with_loss else None
        said.append(Prediction(None, text=words, loss=loss, n_tokens=int(chance.integers(1, 9)) if with_loss else 0))
    return right, said


@settings(deadline=None)
@given(right=written, answer=written)
def test_token_f1_and_exact_match_are_squads(right, answer):
    assert token_f1(right, answer) == pytest.approx(squads_f1(right, answer))
    assert exact_match(right, answer) == (normalise(right) == normalise(answer))
    assert token_f1(right, answer) == token_f1(answer, right)
    assert not exact_match(right, answer) or token_f1(right, answer) == 1


def test_case_punctuation_articles_and_spaces_do_not_count():
    assert exact_match("The Eiffel Tower.", " eiffel  tower") == 1
    assert exact_match("An apple", "apples") == 0
    assert token_f1("a red apple tree", "the red tree") == pytest.approx(2 * 2 / 5)
    assert token_f1("", "...") == 1
    assert token_f1("", "word") == 0


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 30))
def test_metrics_of_texts_are_plain_means(seed, n):
    right, said = rows(n, seed)

    found = score(TEXTS, right, said)

    pairs = list(zip(right, said, strict=True))
    loss = sum(one.loss for one in said) / sum(one.n_tokens for one in said)
    assert found == pytest.approx(
        {
            "exact_match": sum(exact_match(text, one.text) for text, one in pairs) / n,
            "token_f1": sum(squads_f1(text, one.text) for text, one in pairs) / n,
            "loss": loss,
            "perplexity": math.exp(loss),
        }
    )
    assert tuple(found) == metrics_of(TEXTS)


def test_what_a_model_does_not_give_is_null():
    right, said = rows(4, seed=0, with_loss=False)
    silent = [Prediction(None, loss=2.0, n_tokens=1)] * 4

    of_writer, of_silent = score(TEXTS, right, said), score(TEXTS, right, silent)

    assert (of_writer["loss"], of_writer["perplexity"]) == (None, None)
    assert (of_silent["exact_match"], of_silent["token_f1"]) == (None, None)
    assert of_silent["loss"] == 2.0
    assert score(TEXTS, right[:1], [Prediction(None, loss=1e9, n_tokens=1)])["perplexity"] is None


def test_rows_that_nobody_asked_for_do_not_count():
    right, said = rows(10, seed=1)
    asked = [*said[:3], *(Prediction(None, loss=one.loss, n_tokens=one.n_tokens) for one in said[3:])]

    found = score(TEXTS, right, asked)

    assert found["exact_match"] == score(TEXTS, right[:3], said[:3])["exact_match"]
    assert found["loss"] == score(TEXTS, right, said)["loss"]


def test_a_grade_is_a_metric_where_the_task_has_a_grader():
    graded = Task(TaskKind.GENERATION, writing=Writing(grader=Grader("own:grade")))
    said = [Prediction(None, text="a", grade=1.0), Prediction(None, text="b", grade=0.0), Prediction(None, text="c")]

    found = score(graded, ["a", "b", "c"], said)

    assert "grade" not in metrics_of(TEXTS)
    assert found["grade"] == 0.5


def test_a_loss_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="prediction 0: nan must be finite"):
        score(TEXTS, ["a"], [Prediction(None, loss=math.nan, n_tokens=1)])


def test_intervals_of_texts_are_those_of_drawing_rows_one_by_one():
    right, said = rows(150, seed=2)
    chance = np.random.default_rng(3)
    drawn = []
    for _ in range(400):
        places = chance.integers(0, 150, size=150)
        drawn.append(score(TEXTS, [right[place] for place in places], [said[place] for place in places]))

    found = intervals(TEXTS, read_texts(right, said), Bootstrap(seed=4))

    assert set(found) == {"exact_match", "token_f1", "loss", "perplexity"}
    values = score(TEXTS, right, said)
    for name, one in found.items():
        spread = np.array([each[name] for each in drawn], dtype=np.float64)
        ends = tuple(np.quantile(spread, [0.025, 0.975]))
        assert one.value == pytest.approx(values[name])
        assert (one.low, one.high) == pytest.approx(ends, abs=0.35 * spread.std()), name


def test_a_difference_of_texts_is_of_the_rows_that_both_wrote():
    right, better = rows(200, seed=5, wrong=0.2)
    better = [*better[:100], *(replace(one, text="") for one in better[100:])]
    _, worse = rows(200, seed=6, wrong=0.7, with_loss=False)
    worse = [*worse[:100], *([Prediction(None)] * 100)]

    found = differences(TEXTS, read_texts(right, better), read_texts(right, worse), FEW)

    both = [score(TEXTS, right[:100], one[:100])["exact_match"] for one in (better, worse)]
    assert set(found) == {"exact_match", "token_f1"}
    assert found["exact_match"].value == pytest.approx(both[0] - both[1])
    assert found["exact_match"].low > 0
    with pytest.raises(ValueError, match="the same examples"):
        differences(TEXTS, read_texts(right, better), read_texts(right[::-1], better), FEW)


def test_a_generation_has_no_labels_and_a_classification_writes_nothing():
    with pytest.raises(ValueError, match="a generation has none"):
        Task(TaskKind.GENERATION, ("a", "b"))
    with pytest.raises(ValueError, match="make it a generation"):
        Task(TaskKind.CLASSIFICATION, ("a", "b"), writing=Writing())
    assert Writing() == TEXTS.writing
