"""The user's own metrics, from their settings to functions that were tried."""

import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from raysweep.config import SweepConfig
from raysweep.config.metrics import MetricSection
from raysweep.errors import ConfigError
from raysweep.scoring import Prediction, call_own, own_function
from raysweep.task import Example, OwnMetric, Task

N_TRIED = 3
"""Rows of each label that a function is tried on."""


def with_own_metrics(task: Task, config: SweepConfig, examples: Sequence[Example]) -> Task:
    """The task with the settings' own metrics, each tried on a few of these examples and made-up predictions.

    Raises ConfigError for a function that cannot be imported, does not take (task, labels, predictions), breaks, or
    gives what is no number.
    """
    needed = {config.goal.metric, config.stopping_goal.metric}
    made = [_metric(name, one, is_needed=f"val_{name}" in needed) for name, one in config.metrics.items()]
    labels = _few(examples)
    for metric in made:
        _try(metric, task, labels)
    return replace(task, metrics=tuple(made))


def helps(config: SweepConfig) -> dict[str, str]:
    """What each of the settings' own metrics means, by name."""
    return {name: one.help or f"{one.function}, the sweep's own metric." for name, one in config.metrics.items()}


def _metric(name: str, settings: MetricSection, *, is_needed: bool) -> OwnMetric:
    folder = settings.anchored().folder
    return OwnMetric(name, settings.function, str(folder) if folder else None, is_needed)


def _few(examples: Sequence[Example]) -> tuple[str, ...]:
    taken: Counter[str] = Counter()
    for example in examples:
        if taken[example.label] < N_TRIED:
            taken[example.label] += 1
    return tuple(taken.elements())


def _try(metric: OwnMetric, task: Task, labels: Sequence[str]) -> None:
    """Call it with a guess that knows nothing: every label is as likely as the others."""
    _check_signature(metric, own_function(metric))
    uniform = Prediction((1 / len(task.labels),) * len(task.labels))
    try:
        call_own(metric, task, labels, [uniform] * len(labels))
    except ValueError as error:
        raise ConfigError(f"{error} (tried on {len(labels)} rows, every label as likely as the others)") from error


def _check_signature(metric: OwnMetric, function: Callable[..., object]) -> None:
    try:
        signature = inspect.signature(function)
    except ValueError:  # written in C: the trial call shows whether it fits
        return
    try:
        signature.bind(None, None, None)
    except TypeError as error:
        raise ConfigError(
            f"metrics.{metric.name}: {metric.function}{signature} does not take (task, labels, predictions): {error}; "
            "give it these three"
        ) from error
