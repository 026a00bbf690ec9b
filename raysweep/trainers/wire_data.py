"""The rows as a host of the wire trains on them: chat messages, one JSON object a line, named by their hash."""

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from raysweep.dataset import Splits
from raysweep.errors import DataError
from raysweep.task import Example, Prompt, Task, render, words_of
from raysweep.trainers.hosted import Gate, Question

PREFIX = "raysweep-"
_LINE = re.compile(r"\bline\s+#?(\d+)", re.IGNORECASE)
MIN_EXAMPLES = 10
"""Fewer are refused by every host of the wire that we know (OpenAI's guide, 2026)."""
CHARACTERS_A_TOKEN = 4.0
"""About what English text has; what a job really took is known at its end."""
TOKENS_A_MESSAGE = 4
"""That a chat template adds."""


@dataclass(frozen=True)
class Places:
    """Where the lines of the two uploaded files came from."""

    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()

    def named(self, words: str, param: str = "") -> str:
        """A host's words about a line, with the line of the user's own file behind them; others as they are."""
        found = _LINE.search(words)
        is_validation = "validation" in (param or words).lower()
        places = self.validation if is_validation else self.train
        line = int(found[1]) if found else 0
        if not 1 <= line <= len(places) or not places[line - 1]:
            return words
        name = "validation" if is_validation else "training"
        return f"{words} [line {line} of the {name} file is {places[line - 1]}]"


def places_of(splits: Splits) -> Places:
    """Of the files that are made of these splits."""
    return Places(*(tuple(one.place for one in rows) for rows in (splits.train, splits.validation)))


@dataclass(frozen=True)
class ChatFile:
    """A file for training or validation."""

    name: str
    content: bytes


def chat_file(examples: Sequence[Example], prompt: Prompt, task: Task) -> ChatFile:
    """The rows as this prompt puts them. Equal rows and prompts give a file of the same name."""
    lines = []
    for example in examples:
        rendered = render(example, prompt, task)
        turns = [{"role": one.role, "content": one.content} for one in rendered.messages]
        turns.append({"role": "assistant", "content": rendered.completion})
        lines.append(json.dumps({"messages": turns}, ensure_ascii=False))
    content = ("\n".join(lines) + "\n").encode()
    return ChatFile(f"{PREFIX}{hashlib.sha256(content).hexdigest()[:24]}.jsonl", content)


def uploaded(file: ChatFile, gate: Gate) -> str:
    """The file's id at the host; its content travels only where the host has none of this name."""
    return gate.file(file.name) or gate.upload(file.name, file.content)


def questions(examples: Sequence[Example], prompt: Prompt, task: Task) -> list[Question]:
    """The rows without their labels or texts."""
    if task.writing is not None:
        longest_text = task.writing.max_new_tokens
        asked = [render(example, prompt, task).messages for example in examples]
        return [Question(messages, longest_text, wants_odds=False) for messages in asked]
    longest = max(len(word) for word in words_of(prompt, task))
    max_tokens = max(4, math.ceil(longest / 2) + 2)
    return [Question(render(example, prompt, task).messages, max_tokens) for example in examples]


def tokens_of(examples: Sequence[Example], prompt: Prompt, task: Task) -> int:
    """About what one pass over the rows takes."""
    total = 0.0
    for example in examples:
        rendered = render(example, prompt, task)
        characters = sum(len(one.content) for one in rendered.messages) + len(rendered.completion)
        total += characters / CHARACTERS_A_TOKEN + TOKENS_A_MESSAGE * (len(rendered.messages) + 1)
    return max(1, round(total))


def check_rows(train: Sequence[Example], validation: Sequence[Example]) -> None:
    """Raises DataError for what every host refuses."""
    for name, rows in (("train", train), ("validation", validation)):
        if len(rows) < MIN_EXAMPLES:
            raise DataError(f"data: {len(rows)} {name} rows; a host wants {MIN_EXAMPLES} at least: add rows")
        for number, example in enumerate(rows):
            if any(not message.content.strip() for message in example.messages):
                place = example.place or f"{name} row {number + 1}"
                raise DataError(f"data: {place}: an empty message, which hosts refuse; drop the row")
