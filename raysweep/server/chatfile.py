"""A training file's chats: read, checked by the rules that hosts check by, and counted in tokens."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from raysweep.server.records import JobError

MIN_EXAMPLES = 10
ROLES = ("system", "user", "assistant", "tool", "developer")
MAX_LABELS = 50
"""Distinct answers beyond this are free text rather than labels."""
_TOKEN = re.compile(r"\s?\w+|[^\w\s]|\s+")


@dataclass(frozen=True)
class Chat:
    """One example: the turns before the answer, and the answer."""

    messages: tuple[tuple[str, str], ...]
    """Role and content of each turn before the last."""
    answer: str

    @property
    def asked(self) -> str:
        """The last user turn."""
        return next((content for role, content in reversed(self.messages) if role == "user"), "")


@dataclass(frozen=True)
class ChatFile:
    """A file that is fit to be trained on."""

    chats: tuple[Chat, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The distinct answers, sorted; no more than MAX_LABELS."""
        return tuple(sorted({chat.answer for chat in self.chats})[:MAX_LABELS])

    @property
    def n_tokens(self) -> int:
        """Words and signs of all turns, and four more a turn, as chat templates have."""
        return sum(n_tokens((*chat.messages, ("assistant", chat.answer))) for chat in self.chats)


def words_of(text: str) -> list[str]:
    """The text as this server's stand-in for a tokenizer cuts it; put together they are the text again."""
    return _TOKEN.findall(text)


def n_tokens(messages: tuple[tuple[str, str], ...]) -> int:
    """Of a conversation."""
    return sum(len(words_of(content)) + 4 for _, content in messages)


def read_chats(raw: bytes, param: str = "training_file") -> ChatFile | JobError:
    """The file's chats, or what a host would say of the first line that it refuses."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return JobError("invalid_file_format", f"The file is not UTF-8: {error}", param)
    chats: list[Chat] = []
    for number, line in _lines(text):
        chat = _chat(line)
        if isinstance(chat, str):
            return JobError("invalid_training_file", f"Invalid file format. Line {number}: {chat}", param)
        chats.append(chat)
    if len(chats) < MIN_EXAMPLES and param == "training_file":
        message = f"Training file has {len(chats)} example(s), but must have at least {MIN_EXAMPLES} examples"
        return JobError("invalid_n_examples", message, param)
    if not chats:
        return JobError("invalid_n_examples", "Validation file has no examples", param)
    return ChatFile(tuple(chats))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line


def _chat(line: str) -> Chat | str:
    """The line's chat, or what is wrong with it."""
    try:
        row = json.loads(line)
    except ValueError:
        return "not valid JSON."
    turns = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(turns, list) or not turns or not all(isinstance(turn, dict) for turn in turns):
        return 'expected an object with a key "messages" that holds an array of messages.'
    for turn in turns:
        problem = _problem(turn)
        if problem:
            return problem
    if turns[-1]["role"] != "assistant":
        return "the last message must be from the assistant."
    if turns[-1].get("weight") == 0:
        return "the last assistant message must not have weight 0."
    messages = tuple((str(turn["role"]), str(turn["content"])) for turn in turns)
    return Chat(messages[:-1], messages[-1][1])


def _problem(turn: Mapping[str, object]) -> str | None:
    role, content = turn.get("role"), turn.get("content")
    if role not in ROLES:
        return f"invalid role {role!r}; expected one of {', '.join(ROLES)}."
    if not isinstance(content, str) or not content:
        return "every message needs content that is a non-empty string."
    if "weight" in turn and (role != "assistant" or turn["weight"] not in (0, 1)):
        return "weight must be 0 or 1, on assistant messages only."
    return None
