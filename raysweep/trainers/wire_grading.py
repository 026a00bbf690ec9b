"""A model at the host as the grader of free texts: what it is asked, what it says, what that may cost."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from raysweep.cost import Prices, Usage
from raysweep.errors import ConfigError
from raysweep.scoring import Prediction
from raysweep.task import Example, Message, Task
from raysweep.trainers.hosted import Gate, Question
from raysweep.trainers.wire_bill import TOKENS_A_MESSAGE, TOKENS_AN_EXAMPLE, most_tokens
from raysweep.writing import ModelGrader

_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
OTHER_TOKENS = 2
"""So many of the grader's tokens a tuned model's token makes at most: their vocabularies may differ."""
CHUNK = 32
"""Questions between two looks whether anybody still wants the grades."""


def grader_of(task: Task) -> ModelGrader | None:
    """The task's grader where that is a model."""
    grader = task.writing.grader if task.writing else None
    return grader if isinstance(grader, ModelGrader) else None


def graded_by_model(
    gate: Gate, task: Task, examples: Sequence[Example], said: Sequence[Prediction], is_stopped: Callable[[], bool]
) -> list[Prediction]:
    """The predictions with the grade of each written text; as they are where the grader is no model.

    What the grader says is read up to its first number; a reply without one, or off the scale, gives no grade. When
    stopped, the rest has none. May raise HostError.
    """
    grader = grader_of(task)
    if grader is None:
        return list(said)
    places = [place for place, one in enumerate(said) if one.text is not None]
    asked = [question(grader, examples[place], said[place].text or "") for place in places]
    made = list(said)
    for start in range(0, len(asked), CHUNK):
        if is_stopped():
            break
        answers = gate.ask(grader.model, asked[start : start + CHUNK])
        for place, answer in zip(places[start : start + CHUNK], answers, strict=True):
            made[place] = replace(made[place], grade=grade_of(grader, answer.text))
    return made


def question(grader: ModelGrader, example: Example, text: str) -> Question:
    """What the grader is asked of one text."""
    filled = {
        "{prompt}": "\n\n".join(message.content for message in example.messages),
        "{completion}": example.label,
        "{answer}": text,
    }
    pattern = re.compile("|".join(map(re.escape, filled)))  # at once: what a text holds is no place to fill
    asked = pattern.sub(lambda found: filled[found[0]], grader.prompt)
    return Question((Message("user", asked),), grader.max_tokens, wants_odds=False)


def grade_of(grader: ModelGrader, said: str) -> float | None:
    """The first number, if it is on the scale."""
    found = _NUMBER.search(said)
    grade = float(found[0]) if found else None
    return grade if grade is not None and grader.low <= grade <= grader.high else None


def most_grading_usd(task: Task, examples: Iterable[Example], *, is_paid: bool) -> float:
    """Of the texts that a model writes for the rows, at most.

    Raises ConfigError for a grader at a paid host whose price nobody has given.
    """
    grader = grader_of(task)
    if grader is None or task.writing is None:
        return 0.0
    given = (grader.input_usd_per_million, grader.output_usd_per_million)
    if is_paid and None in given:
        raise ConfigError(
            f"task.grader: nobody knows what {grader.model} costs, and nothing is taken for free; give "
            "task.grader.input_usd_per_million=… task.grader.output_usd_per_million=…"
        )
    read = written = 0
    for example in examples:
        asked = question(grader, example, "").messages[0].content
        read += most_tokens(asked) + TOKENS_A_MESSAGE + TOKENS_AN_EXAMPLE
        read += OTHER_TOKENS * task.writing.max_new_tokens
        written += grader.max_tokens
    prices = Prices(0.0, given[0] or 0.0, given[1] or 0.0, 0.0)
    return prices.usd(Usage(0.0, read, written))
