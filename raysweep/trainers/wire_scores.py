"""What a finished model's answers come to: the metrics that only the end of a job has."""

import math
from collections.abc import Sequence
from dataclasses import replace

from raysweep.scoring import OF_LIKELIHOOD, Prediction, metrics_of, score
from raysweep.task import Example, Task
from raysweep.trainers.hosted import Answer
from raysweep.trainers.wire_labels import Reading, place_of, read

COVERAGE = "host_label_coverage"
"""Mean share of the probability that the labels have among the likeliest tokens."""


def final_metrics(task: Task) -> frozenset[str]:
    """Their names on the validation split; of free text `val_loss` is the host's own."""
    if task.writing is not None:
        return frozenset(f"val_{name}" for name in metrics_of(task) if name not in OF_LIKELIHOOD)
    return frozenset(f"val_{name}" for name in metrics_of(task)) | {COVERAGE}


def asked_rows(examples: Sequence[Example], task: Task) -> Sequence[Example]:
    """The validation rows that a finished model answers: all of them, or as many as the task says."""
    return examples[: task.writing.scored_rows if task.writing else None]


def reading_of(answer: Answer, words: Sequence[str], task: Task) -> Reading:
    """An answer as the task sees it: a probability for each label, or the text; the label where that is its word."""
    if task.writing is not None:
        return Reading(Prediction(None, text=answer.text), None)
    reading, place = read(answer, words), place_of(answer.text, words)
    if place is None:
        return reading
    return replace(reading, prediction=replace(reading.prediction, text=task.labels[place]))


def scores_of(task: Task, examples: Sequence[Example], said: Sequence[Prediction]) -> dict[str, float | None]:
    """The metrics of `final_metrics`; of free text `said` has its grades already."""
    made = score(task, [example.label for example in examples], said)
    return {f"val_{name}": value for name, value in made.items() if f"val_{name}" in final_metrics(task)}


def coverage_of(task: Task, readings: Sequence[Reading]) -> dict[str, float | None]:
    """The mean coverage; nothing where there are no labels."""
    if task.writing is not None:
        return {}
    coverages = [reading.coverage for reading in readings if reading.coverage is not None]
    return {COVERAGE: math.fsum(coverages) / len(coverages) if coverages else None}
