"""Metrics that the user brings."""

import logging
from collections.abc import Callable, Sequence

from raysweep.errors import Fault, JobFailed
from raysweep.functions import find_at, number_of
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
    return find_at(_place(metric), metric.function, metric.folder)


def call_own(metric: OwnMetric, task: Task, labels: Sequence[str], predictions: Sequence[Prediction]) -> float | None:
    """What the metric's function says of these predictions; None also for a number that is not finite.

    Raises ConfigError where it cannot be imported, ValueError for whatever it raises or gives that is no number.
    """
    function = own_function(metric)
    return number_of(_place(metric), metric.function, lambda: function(task, labels, predictions))


def _place(metric: OwnMetric) -> str:
    return f"metrics.{metric.name}"
