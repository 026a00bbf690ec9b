"""Metrics that the user brings."""

import logging
import math
import numbers
from collections.abc import Callable, Sequence

from raysweep import plugins
from raysweep.errors import ConfigError, Fault, JobFailed
from raysweep.functions import find_function
from raysweep.scoring.answers import Prediction
from raysweep.task import OwnMetric, Task

logger = logging.getLogger(__name__)


def own_scores(task: Task, labels: Sequence[str], predictions: Sequence[Prediction]) -> dict[str, float | None]:
    """The task's own metrics, by name; None where the function gives None or a number that is not finite.

    A function that breaks leaves None and a warning in the log, or raises JobFailed, the params' fault, where the
    sweep cannot do without: it was tried before the sweep began, so what breaks it now is what this model predicts.
    Raises ConfigError where the function cannot be imported on this machine.
    """
    made: dict[str, float | None] = {}
    for metric in task.metrics:
        try:
            made[metric.name] = call_own(metric, task, labels, predictions)
        except ValueError as error:
            if metric.is_needed:
                raise JobFailed(str(error), Fault.PARAMS) from error
            logger.warning("%s", error)
            made[metric.name] = None
    return made


def own_function(metric: OwnMetric) -> Callable[..., object]:
    """The metric's function; raises ConfigError where it cannot be imported on this machine."""
    try:
        return find_function(metric.function, plugins.METRICS, metric.folder)
    except ConfigError as error:
        raise ConfigError(f"metrics.{metric.name}: {error}") from error


def call_own(metric: OwnMetric, task: Task, labels: Sequence[str], predictions: Sequence[Prediction]) -> float | None:
    """What the metric's function says of these predictions; None also for a number that is not finite.

    Raises ConfigError where it cannot be imported, ValueError for whatever it raises or gives that is no number.
    """
    place = f"metrics.{metric.name}"
    function = own_function(metric)
    try:
        value = function(task, labels, predictions)
    except Exception as error:  # the function is the user's and may raise anything
        words = f"{type(error).__name__}: {error}"
        raise ValueError(f"{place}: {metric.function} broke: {words}; mend it, or let it return None there") from error
    if value is None:
        return None
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        given = f"{type(value).__name__} {value!r}"
        raise ValueError(  # noqa: TRY004  # one kind of error for all that a function can do wrong
            f"{place}: {metric.function} returned {given:.100}, not a number; make it a float, or None"
        )
    return float(value) if math.isfinite(value) else None
