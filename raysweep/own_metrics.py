"""The user's own metrics, from their settings to functions that were tried."""

import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from raysweep.config import SweepConfig, WireTrainer
from raysweep.config.metrics import MetricSection
from raysweep.errors import ConfigError
from raysweep.scoring import Prediction, call_grader, call_own, grading_function, own_function
from raysweep.task import Example, OwnMetric, Task
from raysweep.writing import Grader, ModelGrader

N_TRIED = 3
"""Rows of each label that a function is tried on."""


def with_own_metrics(task: Task, config: SweepConfig, examples: Sequence[Example]) -> Task:
    """The task with the settings' own metrics, each tried on a few of these examples and made-up predictions.

    The task's grader is tried too. Raises ConfigError for a function that cannot be imported, does not take (task,
    labels, predictions), or (prompt, right, written), breaks, or gives what is no number.
    """
    needed = {config.goal.metric, config.stopping_goal.metric}
    made = [_metric(name, one, is_needed=f"val_{name}" in needed) for name, one in config.metrics.items()]
    labels = _few(task, examples)
    for metric in made:
        _try(metric, task, labels)
    _try_grader(task, config, examples)
    return replace(task, metrics=tuple(made))


def helps(config: SweepConfig) -> dict[str, str]:
    """What each of the settings' own metrics means, by name."""
    return {name: one.help or f"{one.function}, the sweep's own metric." for name, one in config.metrics.items()}


def _metric(name: str, settings: MetricSection, *, is_needed: bool) -> OwnMetric:
    folder = settings.anchored().folder
    return OwnMetric(name, settings.function, str(folder) if folder else None, is_needed)


def _few(task: Task, examples: Sequence[Example]) -> tuple[str, ...]:
    if task.writing is not None:
        return tuple(example.label for example in examples[:N_TRIED])
    taken: Counter[str] = Counter()
    for example in examples:
        if taken[example.label] < N_TRIED:
            taken[example.label] += 1
    return tuple(taken.elements())


def _try(metric: OwnMetric, task: Task, labels: Sequence[str]) -> None:
    """Call it with a guess that knows nothing: every label is as likely as the others, or the first text each time."""
    _check_signature(metric, own_function(metric))
    if task.writing is not None:
        guess, how = Prediction(None, text=labels[0]), "the first one's text written for each"
    else:
        guess = Prediction((1 / len(task.labels),) * len(task.labels))
        how = "every label as likely as the others"
    try:
        call_own(metric, task, labels, [guess] * len(labels))
    except ValueError as error:
        raise ConfigError(f"{error} (tried on {len(labels)} rows, {how})") from error


def _try_grader(task: Task, config: SweepConfig, examples: Sequence[Example]) -> None:
    grader = task.writing.grader if task.writing else None
    if isinstance(grader, ModelGrader) and not isinstance(config.trainer, WireTrainer):
        raise ConfigError(
            f"task.grader: {grader.model} is asked at the host of a wire trainer, and this one is "
            f"{config.trainer.kind}; name a function"
        )
    if not isinstance(grader, Grader):
        return
    function = grading_function(grader)
    try:
        for example in examples[:N_TRIED]:
            call_grader(function, grader, example, examples[0].label)
    except ValueError as error:
        raise ConfigError(
            f"{error} (tried on the first {N_TRIED} rows, the first one's text written for each)"
        ) from error


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
