"""Grades of free texts, by a function that the user brings."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from raysweep.functions import find_at, number_of
from raysweep.scoring.answers import Prediction
from raysweep.task import Example, Task
from raysweep.writing import Grader

logger = logging.getLogger(__name__)
PLACE = "task.grader"
"""The setting, for messages."""


def graded(task: Task, examples: Sequence[Example], predictions: Sequence[Prediction]) -> list[Prediction]:
    """The predictions with a grade wherever a text was written; as they are where the grader is no function.

    A text that the grader breaks on has none, and the log has one warning for all of them. Raises ConfigError where
    the grader cannot be imported on this machine.
    """
    grader = task.writing.grader if task.writing else None
    if not isinstance(grader, Grader):
        return list(predictions)
    function = grading_function(grader)
    made: list[Prediction] = []
    broken: list[str] = []
    for example, one in zip(examples, predictions, strict=True):
        grade = None
        try:
            grade = None if one.text is None else call_grader(function, grader, example, one.text)
        except ValueError as error:
            broken.append(str(error))
        made.append(replace(one, grade=grade))
    if broken:
        logger.warning("%d of %d texts have no grade: %s", len(broken), len(predictions), broken[0])
    return made


def grading_function(grader: Grader) -> Callable[..., object]:
    """The grader's function; raises ConfigError where it cannot be imported on this machine."""
    return find_at(PLACE, grader.function, grader.folder)


def call_grader(function: Callable[..., object], grader: Grader, example: Example, text: str) -> float | None:
    """What the function says of the text; None also for a number that is not finite.

    It is called with the turns before the completion, the right completion and the text, as strings. Raises ValueError
    for whatever it raises, or gives that is no number; true and false are one and zero.
    """
    asked = "\n\n".join(message.content for message in example.messages)
    return number_of(PLACE, grader.function, lambda: function(asked, example.label, text), takes_bool=True)
