"""Free text by formula: the right one as often as a model is good, else another row's."""

import math
from collections.abc import Sequence

import numpy as np

from raysweep.scoring import Prediction, graded, score
from raysweep.task import Example, Task


def guessed_texts(examples: Sequence[Example], quality: float) -> list[Prediction]:
    """The same rows are hard for every model; a word of the right text costs -log(quality) nats."""
    hardness = np.random.default_rng(0).random(len(examples))
    nats = -math.log(min(max(quality, 1e-3), 0.999))
    made = []
    for place, example in enumerate(examples):
        other = examples[(place + 1) % len(examples)].label
        text = example.label if hardness[place] < quality else other if other != example.label else ""
        n_tokens = max(1, len(example.label.split()))
        made.append(Prediction(None, text=text, loss=nats * n_tokens, n_tokens=n_tokens))
    return made


def scored_texts(task: Task, examples: Sequence[Example], quality: float) -> dict[str, float | None]:
    """Every metric of the task, of what so good a model writes for the rows that are scored."""
    rows = examples[: task.writing.scored_rows if task.writing else None]
    said = graded(task, rows, guessed_texts(rows, quality))
    return score(task, [one.label for one in rows], said)
