"""The base model as it comes, as a baseline: what it is told before a row, and what is kept of who was asked."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from raysweep.predictions import FOLDER
from raysweep.task import Example, Message, Prompt, Task, render
from raysweep.whole import write_whole

ZERO_SHOT, FEW_SHOT = "zero_shot", "few_shot"
FILE_NAME = "untuned.json"


@dataclass(frozen=True)
class Asked:
    """A base model that was asked, or why it was not."""

    model: str
    n_shots: int
    """Training examples of each label that it was told before every row."""
    key: str = ""
    """Of model, prompt and examples: with another one its scores are another's."""
    splits: tuple[str, ...] = ()
    """Those that it has answered."""
    has_labels: bool = True
    """Whether the task has some; else the examples are so many in all."""
    reason: str = ""
    """Why it was not asked, as a sentence; empty where it was."""
    is_open: bool = False
    """Whether a later session asks: what kept it from being asked, as money or a host that failed, may be over then."""

    @property
    def sentence(self) -> str:
        """For findings."""
        if self.reason:
            return _not_asked(self.how, self.reason)
        rows = f"{self.n_shots} training {'row' if self.n_shots == 1 else 'rows'}"
        told = f", told {rows}{' of each label' if self.has_labels else ''} before every row"
        return f"The base model {self.how} is {self.model} without a fine-tune{told if self.n_shots else ''}."

    @property
    def how(self) -> str:
        """Zero-shot or few-shot."""
        return "few-shot" if self.n_shots else "zero-shot"


def sentences(asked: Mapping[str, Asked]) -> tuple[str, ...]:
    """For findings, one a way of asking; a reason that all share is told once."""
    ways, reasons = tuple(asked.values()), {one.reason for one in asked.values()}
    if len(ways) > 1 and len(reasons) == 1 and "" not in reasons:
        return (_not_asked(" or ".join(one.how for one in ways), ways[0].reason),)
    return tuple(one.sentence for one in ways)


def _not_asked(how: str, reason: str) -> str:
    return f"The base model was not asked {how}: {reason}."


def chosen_shots(rows: Sequence[Example], task: Task, n: int, *, seed: int) -> tuple[Example, ...]:
    """`n` examples of each label, or as many as there are, by seed alone; the labels take turns. Of free text, `n`.

    From the shorter half of each label's rows: every row that is asked about is preceded by all of them.
    """
    dice = random.Random(f"{seed}-shots")
    drawn = []
    families = [[one for one in rows if one.label == label] for label in task.labels] or [list(rows)]
    for family in families:
        own = sorted(family, key=_length)
        shorter = own[: max(n, len(own) // 2)]
        drawn.append(dice.sample(shorter, min(n, len(shorter))))
    turns = [[one[place] for one in drawn if place < len(one)] for place in range(n)]
    for turn in turns:
        dice.shuffle(turn)
    return tuple(example for turn in turns for example in turn)


def turns_of(shots: Sequence[Example], prompt: Prompt, task: Task) -> tuple[Message, ...]:
    """The examples as earlier turns of a chat, each with its answer; no system message among them."""
    bare, turns = replace(prompt, system=""), []
    for shot in shots:
        rendered = render(shot, bare, task)
        turns += [*rendered.messages, Message("assistant", rendered.completion)]
    return tuple(turns)


def after_system(messages: Sequence[Message], turns: Sequence[Message]) -> tuple[Message, ...]:
    """The messages with the turns behind the leading system messages."""
    n = next((place for place, one in enumerate(messages) if one.role != "system"), len(messages))
    return (*messages[:n], *turns, *messages[n:])


def keep(folder: Path, asked: Mapping[str, Asked]) -> None:
    """Write the sweep's file, whole or not at all; raises DiskError."""
    told = {name: asdict(one) for name, one in asked.items()}
    write_whole(folder / FOLDER / FILE_NAME, json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def find(folder: Path) -> dict[str, Asked]:
    """What was kept, by baseline; nothing where the file is not there or no longer what was written."""
    try:
        told = json.loads((folder / FOLDER / FILE_NAME).read_text(encoding="utf-8"))
        return {name: Asked(**one | {"splits": tuple(one["splits"])}) for name, one in told.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _length(example: Example) -> int:
    return sum(len(message.content) for message in example.messages)
