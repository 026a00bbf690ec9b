"""A task and rows that any trainer can take, small enough to train on in a test."""

from raysweep.dataset import Splits
from raysweep.task import Example, Message, Task, TaskKind

TOY_TASK = Task(TaskKind.RATING, ("1", "2", "3"))
"""Three grades."""

_WORDS = ("poor", "fair", "fine")


def _example(number: int) -> Example:
    label = number % len(_WORDS)
    text = " ".join(["the film was very"] * (1 + number % 3) + [_WORDS[label]])
    return Example((Message("user", text),), TOY_TASK.labels[label])


TOY_SPLITS = Splits(
    train=tuple(_example(number) for number in range(24)),
    validation=tuple(_example(number) for number in range(24, 36)),
    test=tuple(_example(number) for number in range(36, 42)),
    fingerprint="0123456789abcdef",
)
"""Sentences whose one adjective is their grade."""
