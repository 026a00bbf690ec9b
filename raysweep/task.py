"""What the model is to learn: labels with their order and numbers, or free text, and the words of the prompt."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from raysweep.writing import Writing

PLACEHOLDER = "{prompt}"
"""Where a template takes in the row's text."""


class TaskKind(StrEnum):
    """The kinds of task; a rating's labels are ordered and have numbers, a generation has none: any text is right."""

    CLASSIFICATION = "classification"
    RATING = "rating"
    GENERATION = "generation"


@dataclass(frozen=True)
class OwnMetric:
    """A metric that the user brings: a function of the task, the right labels and the predictions."""

    name: str
    """Without the split's prefix."""
    function: str
    """`module:function`, or the name of an entry point of the group `raysweep.metrics`."""
    folder: str | None = None
    """Where the module lies if it is not installed; absolute, and looked into wherever the metric is made."""
    is_needed: bool = False
    """Whether the sweep ranks or stops trials by it: then a trial cannot do without."""


@dataclass(frozen=True)
class Task:
    """A set of labels, in order; for a rating each has a number. Or free text, without labels."""

    kind: TaskKind
    labels: tuple[str, ...] = ()
    """As they stand in the completion column, ascending for a rating; empty for a generation."""
    values: tuple[float, ...] = ()
    """One number a label for a rating, ascending; empty for a classification.

    Left empty for a rating they are the labels read as numbers, or 0, 1, 2... where a label is none.
    """
    writing: Writing | None = None
    """Of a generation, and of it alone: its defaults where it is left out."""
    metrics: tuple[OwnMetric, ...] = field(default=(), repr=False)  # caches are keyed by the rest
    """Made besides the shipped ones."""

    def __post_init__(self) -> None:
        """Fill in the values of a rating; raises ValueError for labels or values that make no task."""
        if self.kind is TaskKind.GENERATION:
            _check_writing(self)
            object.__setattr__(self, "writing", self.writing or Writing())
            return
        _check_labels(self.labels)
        if self.writing is not None:
            raise ValueError(f"a {self.kind} has labels to say and writes nothing; make it a generation")
        if self.kind is TaskKind.RATING and not self.values:
            object.__setattr__(self, "values", _default_values(self.labels))
        _check_values(self)

    @property
    def is_ordered(self) -> bool:
        """Whether squared error and its kin mean anything."""
        return self.kind is TaskKind.RATING

    def index(self, label: str) -> int:
        """The label's place; raises ValueError for one that is not the task's."""
        return self.labels.index(label)


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: str
    """`system`, `user` or `assistant`."""
    content: str


@dataclass(frozen=True)
class Example:
    """One row of data: a conversation whose last turn is the assistant's, without any prompt applied."""

    messages: tuple[Message, ...]
    """Everything before the label: at least one user turn."""
    label: str
    """The completion, as it stands in the data: one of the task's labels, or any text for a generation."""
    is_chat: bool = False
    """Whether the row came as chat messages rather than as a prompt column."""
    place: str = field(default="", compare=False, repr=False)  # the row is the same wherever it stands
    """The file and line that it was read from, for people; empty where nobody knows."""


@dataclass(frozen=True)
class Prompt:
    """How an example is put to the model; the same for training and for scoring.

    Each field can be a dimension of the space under the same name.
    """

    template: str = "{prompt}"
    """Applied to the last user turn; `{prompt}` is where its text goes, other braces stay as they are."""
    system: str | None = None
    """A system message; replaces the row's own where there is one; an empty one takes it away."""
    label_words: tuple[str, ...] = ()
    """What the model is taught to say for each of the task's labels; empty: the labels themselves."""

    def __post_init__(self) -> None:
        """Raises ValueError for a template that would lose the row's text."""
        if PLACEHOLDER not in self.template:
            raise ValueError(f"template {self.template!r} has no {PLACEHOLDER}: write it where the row's text goes")


@dataclass(frozen=True)
class Rendered:
    """An example as the model sees it."""

    messages: tuple[Message, ...]
    """The turns before the label, with system message and template applied."""
    text: str
    """The same turns as plain text, for models without a chat template."""
    completion: str
    """The label's word, or the free text."""
    is_chat: bool
    """Whether the row came as chat messages, so that a chat template applies to it."""


def infer_labels(found: Sequence[str]) -> tuple[str, ...]:
    """The distinct labels in their natural order: by number where all are numbers, else by alphabet."""
    distinct = sorted(set(found))
    numbers = [_number(label) for label in distinct]
    if any(number is None for number in numbers):
        return tuple(distinct)
    return tuple(sorted(distinct, key=float))


def words_of(prompt: Prompt, task: Task) -> tuple[str, ...]:
    """One word a label, in the task's order; raises ValueError where they do not tell the labels apart.

    None for a generation, which must not be given any.
    """
    if task.writing is not None and prompt.label_words:
        raise ValueError(f"label_words {list(prompt.label_words)}: a generation has no labels; leave them out")
    words = prompt.label_words or task.labels
    if len(words) != len(task.labels):
        raise ValueError(
            f"label_words {list(words)}: {len(words)} words for {len(task.labels)} labels; give one a label"
        )
    if len({word.strip() for word in words}) < len(words):
        raise ValueError(f"label_words {list(words)}: two labels share a word; make them distinct")
    if not all(word.strip() for word in words):
        raise ValueError(f"label_words {list(words)}: a word is empty; give every label one")
    return words


def render(example: Example, prompt: Prompt, task: Task) -> Rendered:
    """Put an example to the model, alike for training and for scoring.

    Raises ValueError for label words that do not fit the task, or a label that is not the task's.
    """
    words = words_of(prompt, task)
    messages = _with_system(_with_template(example.messages, prompt.template), prompt.system)
    return Rendered(
        messages=messages,
        text="\n\n".join(message.content for message in messages),
        completion=example.label if task.writing is not None else words[task.index(example.label)],
        is_chat=example.is_chat,
    )


def _with_template(messages: tuple[Message, ...], template: str) -> tuple[Message, ...]:
    last = max((place for place, message in enumerate(messages) if message.role == "user"), default=None)
    if last is None:
        raise ValueError("an example without a user turn cannot be rendered")
    user = Message("user", template.replace(PLACEHOLDER, messages[last].content))
    return (*messages[:last], user, *messages[last + 1 :])


def _with_system(messages: tuple[Message, ...], system: str | None) -> tuple[Message, ...]:
    if system is None:
        return messages
    others = tuple(message for message in messages if message.role != "system")
    return (Message("system", system), *others) if system else others


def _check_writing(task: Task) -> None:
    if task.labels or task.values:
        raise ValueError(
            f"labels {list(task.labels)}: a generation has none, its completions are free text; leave them"
        )


def _check_labels(labels: tuple[str, ...]) -> None:
    if len(labels) < 2:
        raise ValueError(f"labels {list(labels)}: a task needs at least two")
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise ValueError(f"labels {list(labels)}: {repeated[0]!r} is there twice; name each once")
    if not all(label.strip() for label in labels):
        raise ValueError(f"labels {list(labels)}: one is empty; name every label")


def _check_values(task: Task) -> None:
    if task.kind is TaskKind.CLASSIFICATION:
        if task.values:
            raise ValueError(
                f"values {list(task.values)}: a classification has none; make it a rating or leave them out"
            )
        return
    if len(task.values) != len(task.labels):
        raise ValueError(
            f"values {list(task.values)}: {len(task.values)} for {len(task.labels)} labels; give one a label"
        )
    ascending = all(low < high for low, high in zip(task.values, task.values[1:], strict=False))
    if not ascending or not all(math.isfinite(value) for value in task.values):
        raise ValueError(f"values {list(task.values)}: must be finite and ascending; order the labels from low to high")


def _default_values(labels: tuple[str, ...]) -> tuple[float, ...]:
    numbers = [_number(label) for label in labels]
    read = tuple(number for number in numbers if number is not None)
    return read if len(read) == len(labels) else tuple(float(place) for place in range(len(labels)))


def _number(label: str) -> float | None:
    try:
        number = float(label)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
