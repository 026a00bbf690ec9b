"""Grades of free texts, by a function that the user brings."""

import logging
import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import replace

from raysweep import plugins
from raysweep.errors import ConfigError
from raysweep.functions import find_function
from raysweep.scoring.answers import Prediction
from raysweep.task import Example, Task
from raysweep.writing import Grader

logger = logging.getLogger(__name__)


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
    try:
        return find_function(grader.function, plugins.METRICS, grader.folder)
    except ConfigError as error:
        raise ConfigError(f"task.grader: {error}") from error


def call_grader(function: Callable[..., object], grader: Grader, example: Example, text: str) -> float | None:
    """What the function says of the text; None also for a number that is not finite.

    It is called with the turns before the completion, the right completion and the text, as strings. Raises ValueError
    for whatever it raises, or gives that is no number.
    """
    asked = "\n\n".join(message.content for message in example.messages)
    try:
        grade = function(asked, example.label, text)
    except Exception as error:  # the function is the user's and may raise anything
        words = f"{type(error).__name__}: {error}"
        raise ValueError(f"task.grader: {grader.function} broke: {words}; mend it, or let it return None") from error
    if grade is None:
        return None
    if not isinstance(grade, numbers.Real):
        given = f"{type(grade).__name__} {grade!r}"
        raise ValueError(  # noqa: TRY004  # one kind of error for all that a function can do wrong
            f"task.grader: {grader.function} returned {given:.100}, not a number; make it a float, or None"
        )
    return float(grade) if math.isfinite(grade) else None
