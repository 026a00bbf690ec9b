"""Records parsed into rows that hold an example, and what is wrong with each, by line."""

import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from raysweep.readers import Record, Table, need_column
from raysweep.rules import RowProblem, Rule
from raysweep.task import Example, Message


@dataclass(frozen=True)
class Row:
    """A row that could be read as an example."""

    path: Path
    line: int
    example: Example
    group: str | None
    """Rows of one group never come into two splits."""
    key: str
    """Its text without case, punctuation and extra spaces: equal for duplicates."""


@dataclass(frozen=True)
class Columns:
    """Which column holds what."""

    prompt: str
    completion: str
    messages: str | None
    group: str | None


@dataclass(frozen=True)
class Limits:
    """How long a row's text may be; None: any length."""

    min_words: int = 1
    max_words: int | None = None
    max_chars: int | None = None
    max_tokens: int | None = None
    n_tokens: Callable[[str], int] | None = None
    """Counts the tokens of a text; None: `max_tokens` is not looked at."""


class _Unusable(Exception):  # noqa: N818
    """Control flow: the record is no example."""

    def __init__(self, rule: Rule, detail: str) -> None:
        super().__init__(rule, detail)
        self.rule = rule
        self.detail = detail


def parse_rows(
    table: Table, columns: Columns, *, labels: Sequence[str], limits: Limits
) -> tuple[list[Row], list[RowProblem]]:
    """The rows that could be read, and all that is wrong with any; `labels` empty: any label is taken.

    A row that is too long or too short is in both lists. Raises DataError for a missing column.
    """
    _need_columns(table, columns)
    rows: list[Row] = []
    problems: list[RowProblem] = []
    for record in table.records:
        try:
            row = _row(table.path, record, columns, labels)
        except _Unusable as error:
            problems.append(RowProblem(table.path, record.line, error.rule, error.detail))
            continue
        rows.append(row)
        problems += _length_problems(row, limits)
    return rows, problems


def repeats(rows: Iterable[Row]) -> list[RowProblem]:
    """Each row whose text an earlier one has."""
    first: dict[str, Row] = {}
    return [
        RowProblem(row.path, row.line, Rule.DUPLICATE, f"the same text as line {first[row.key].line}")
        for row in rows
        if first.setdefault(row.key, row) is not row
    ]


def leaks(rows: Sequence[Row], held_out: Sequence[Row]) -> list[RowProblem]:
    """Each of `rows` whose text or group is among those that measure."""
    texts = {row.key: row for row in held_out}
    groups = {row.group: row for row in held_out if row.group is not None}
    found = []
    for row in rows:
        if row.key in texts:
            twin, rule, what = texts[row.key], Rule.DUPLICATE_ACROSS_SPLITS, "text"
        elif row.group in groups:
            twin, rule, what = groups[row.group], Rule.GROUP_ACROSS_SPLITS, f"group {row.group!r}"
        else:
            continue
        found.append(RowProblem(row.path, row.line, rule, f"the same {what} as {twin.path.name} line {twin.line}"))
    return found


def _need_columns(table: Table, columns: Columns) -> None:
    if columns.messages:
        need_column(table, columns.messages, setting="messages")
    else:
        need_column(table, columns.prompt, setting="prompt")
        need_column(table, columns.completion, setting="completion")
    if columns.group:
        need_column(table, columns.group, setting="group")


def _row(path: Path, record: Record, columns: Columns, labels: Sequence[str]) -> Row:
    if record.broken:
        raise _Unusable(Rule.BROKEN_ROW, record.broken)
    if record.is_badly_encoded:
        raise _Unusable(Rule.BAD_ENCODING, "bytes that are not UTF-8; save the file as UTF-8")
    example = _chat(record, columns.messages) if columns.messages else _pair(record, columns)
    if not example.label:
        raise _Unusable(Rule.UNLABELLED, "the completion is empty")
    if labels and example.label not in labels:
        raise _Unusable(Rule.UNKNOWN_LABEL, f"{_short(example.label)!r} is none of {', '.join(labels)}")
    group = _as_text(record.fields.get(columns.group)) if columns.group else ""
    key = normalise(" ".join(message.content for message in example.messages))
    placed = replace(example, place=f"{path.name} line {record.line}")
    return Row(path, record.line, placed, group or None, key)


def _pair(record: Record, columns: Columns) -> Example:
    prompt = _as_text(record.fields.get(columns.prompt))
    if not prompt:
        raise _Unusable(Rule.EMPTY_PROMPT, f"nothing in column {columns.prompt!r}")
    return Example((Message("user", prompt),), _as_text(record.fields.get(columns.completion)))


def _chat(record: Record, column: str) -> Example:
    turns = record.fields.get(column)
    try:
        turns = json.loads(turns) if isinstance(turns, str) else turns
    except json.JSONDecodeError as error:
        raise _Unusable(Rule.BAD_MESSAGES, f"column {column!r} is not JSON: {error}") from error
    if not isinstance(turns, list) or not turns:
        raise _Unusable(Rule.BAD_MESSAGES, f"column {column!r} needs a list of turns with role and content")
    messages = [_message(turn) for turn in turns]
    if messages[-1].role != "assistant":
        raise _Unusable(
            Rule.BAD_MESSAGES, f"the last turn must be the assistant's label, not the {messages[-1].role}'s"
        )
    asked = [message.content for message in messages[:-1] if message.role == "user"]
    if not asked or not asked[-1].strip():
        raise _Unusable(Rule.EMPTY_PROMPT, "no user turn with a text before the label")
    return Example(tuple(messages[:-1]), messages[-1].content.strip(), is_chat=True)


def _message(turn: object) -> Message:
    match turn:
        case {"role": "system" | "user" | "assistant" as role, "content": str(content)}:
            return Message(role, content)
        case _:
            wanted = "a role (system, user, assistant) and a content that is a text"
            raise _Unusable(Rule.BAD_MESSAGES, f"a turn needs {wanted}: {_short(str(turn))}")


def _length_problems(row: Row, limits: Limits) -> list[RowProblem]:
    text = "\n\n".join(message.content for message in row.example.messages)
    counts = [("words", len(text.split()), limits.max_words), ("characters", len(text), limits.max_chars)]
    if limits.n_tokens and limits.max_tokens is not None:
        counts.append(("tokens", limits.n_tokens(text), limits.max_tokens))
    problems = [
        RowProblem(row.path, row.line, Rule.TOO_LONG, f"{count} {unit}, at most {limit} allowed")
        for unit, count, limit in counts
        if limit is not None and count > limit
    ]
    n_words = counts[0][1]
    if n_words < limits.min_words:
        detail = f"{n_words} words, at least {limits.min_words} wanted"
        problems.append(RowProblem(row.path, row.line, Rule.TOO_SHORT, detail))
    return problems[:1]


def normalise(text: str) -> str:
    """The text without case, punctuation and extra spaces; as it is where nothing else would be left."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.findall(r"[^\W_]+", folded)) or text.strip()


def _as_text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return "" if math.isnan(value) else str(int(value)) if value.is_integer() else str(value)
        case _:
            return str(value).strip()


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
