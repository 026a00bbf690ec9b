"""The user's rows as examples: read, checked, split, fingerprinted."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from raysweep.errors import DataError
from raysweep.near import near_leaks
from raysweep.readers import read_table
from raysweep.rows import Columns, Limits, Row, leaks, parse_rows, repeats
from raysweep.rules import KEEPABLE, SETTINGS, Policy, RowProblem, Rule, refuse
from raysweep.splitting import SPLIT_NAMES, split_rows
from raysweep.task import Example, Task, TaskKind, infer_labels

MAX_INFERRED_LABELS = 50
"""More distinct completions than this are a mistake rather than labels, unless the task names them."""


@dataclass(frozen=True)
class Splits:
    """The examples that train, that rank trials, and that no trial sees."""

    train: tuple[Example, ...] = field(repr=False)
    validation: tuple[Example, ...] = field(repr=False)
    test: tuple[Example, ...] = field(repr=False)
    fingerprint: str
    """16 hex digits over every row's content and its split."""


@dataclass(frozen=True)
class DataSettings:
    """Where the rows are, what they must be, and how they are split."""

    source: Path | None = None
    """One file, to be split; else the three below."""
    train: Path | None = None
    validation: Path | None = None
    test: Path | None = None
    prompt: str = "prompt"
    """Name of the column with the text."""
    completion: str = "completion"
    """Name of the column with the label."""
    messages: str | None = None
    """Name of a column of chat messages, which then takes the place of prompt and completion."""
    group: str | None = None
    """Name of a column; rows that are equal in it never come into two splits."""
    sizes: tuple[float, float, float] = (0.6, 0.2, 0.2)
    """Train, validation and test of one file: counts, or shares below 1."""
    seed: int = 0
    """Of the split."""
    stratify: bool = True
    """Whether every split gets the labels in the file's proportions."""
    policies: Mapping[Rule, Policy] = field(default_factory=dict)
    """Where they differ from the defaults: refuse, but keep a duplicate inside a split, and few near duplicates."""
    min_words: int = 1
    max_words: int | None = None
    max_chars: int | None = None
    max_tokens: int | None = None
    """Looked at where `load` is given a way to count them."""


@dataclass(frozen=True)
class Loaded:
    """Rows that are fit to be used, and what was wrong with the others."""

    splits: Splits
    report: tuple[RowProblem, ...]
    """Every problem that did not refuse the data: rows dropped, or kept all the same."""
    task: Task
    """The task asked for, or the one inferred from the labels found."""
    left_out: frozenset[Rule] = frozenset()
    """The rules whose rows were dropped; those of others were kept."""


def load(settings: DataSettings, task: Task | TaskKind, *, n_tokens: Callable[[str], int] | None = None) -> Loaded:
    """Read, check and split; a mere kind of task gets the labels that are found.

    `n_tokens` counts the tokens of a text. Raises DataError with every row that breaks a rule whose policy is to
    refuse, for files that cannot be read, and for a label that a split lacks.
    """
    policies = _policies(settings.policies)
    labels = task.labels if isinstance(task, Task) else ()
    limits = Limits(settings.min_words, settings.max_words, settings.max_chars, settings.max_tokens, n_tokens)
    parts, problems = _read(settings, labels, limits)
    problems = _distinct(problems + [problem for rows in parts.values() for problem in repeats(rows)] + _leaks(parts))
    refuse(problems, policies)
    kept = _without(parts, problems, policies)
    if settings.source:
        kept = split_rows(kept["source"], settings.sizes, seed=settings.seed, stratify=settings.stratify)
    near, policies = near_leaks(kept, policies)
    refuse(near, policies)
    kept, problems = _without(kept, near, policies), [*problems, *near]
    made = task if isinstance(task, Task) else _infer(task, [row for rows in kept.values() for row in rows])
    _need_every_label(kept, made)
    left_out = frozenset(rule for rule, policy in policies.items() if policy is Policy.DROP)
    return Loaded(_splits(kept), tuple(problems), made, left_out)


def _policies(chosen: Mapping[Rule, Policy]) -> dict[Rule, Policy]:
    for rule, policy in chosen.items():
        if policy is Policy.KEEP and rule not in KEEPABLE:
            raise DataError(f"data.{SETTINGS[rule]}: keep is not possible for {rule}; choose refuse or drop")
    defaults = {Rule.DUPLICATE: Policy.KEEP, Rule.NEAR_DUPLICATE_ACROSS_SPLITS: Policy.KEEP_FEW}
    return dict.fromkeys(Rule, Policy.REFUSE) | defaults | dict(chosen)


def _without(
    parts: Mapping[str, list[Row]], problems: Sequence[RowProblem], policies: Mapping[Rule, Policy]
) -> dict[str, list[Row]]:
    dropped = {(problem.path, problem.line) for problem in problems if policies[problem.rule] is Policy.DROP}
    return {name: [row for row in rows if (row.path, row.line) not in dropped] for name, rows in parts.items()}


def _read(
    settings: DataSettings, labels: Sequence[str], limits: Limits
) -> tuple[dict[str, list[Row]], list[RowProblem]]:
    columns = Columns(settings.prompt, settings.completion, settings.messages, settings.group)
    parts: dict[str, list[Row]] = {}
    problems: list[RowProblem] = []
    for name, path in _files(settings).items():
        parts[name], found = parse_rows(read_table(path), columns, labels=labels, limits=limits)
        problems += found
    return parts, problems


def _files(settings: DataSettings) -> dict[str, Path]:
    three = dict(zip(SPLIT_NAMES, (settings.train, settings.validation, settings.test), strict=True))
    given = {name: path for name, path in three.items() if path is not None}
    if settings.source is not None:
        if given:
            raise DataError(f"data: both source and {', '.join(given)}; give one file to split, or three")
        return {"source": settings.source}
    missing = [name for name in three if name not in given]
    if missing:
        raise DataError(f"data: no {', '.join(missing)}; give one file as source, or train, validation and test")
    return given


def _leaks(parts: Mapping[str, list[Row]]) -> list[RowProblem]:
    """Training rows that measure too, and validation rows of the test split; the earlier split gives way."""
    if "source" in parts:
        return []
    train, validation, test = (parts[name] for name in SPLIT_NAMES)
    return leaks(train, [*validation, *test]) + leaks(validation, test)


def _distinct(problems: Sequence[RowProblem]) -> list[RowProblem]:
    return list(dict.fromkeys(problems))


def _infer(kind: TaskKind, rows: Sequence[Row]) -> Task:
    labels = infer_labels([row.example.label for row in rows])
    if not 2 <= len(labels) <= MAX_INFERRED_LABELS:
        raise DataError(
            f"data: the completions hold {len(labels)} different labels, 2 to {MAX_INFERRED_LABELS} can be inferred; "
            "check data.completion, or name the labels under task.labels"
        )
    try:
        return Task(kind, labels)
    except ValueError as error:
        raise DataError(f"data: the labels found, {list(labels)}, make no {kind}: {error}") from error


def _need_every_label(parts: Mapping[str, list[Row]], task: Task) -> None:
    for name, rows in parts.items():
        found = Counter(row.example.label for row in rows)
        for label in task.labels:
            if not found[label]:
                raise DataError(
                    f"data: the {name} split has no row labelled {label!r} among its {len(rows)}; "
                    "add some, ask for a larger data.split, or take the label out of task.labels"
                )


def _splits(parts: Mapping[str, list[Row]]) -> Splits:
    digest = hashlib.sha256()
    for name in SPLIT_NAMES:
        for row in parts[name]:
            one = row.example
            turns = [[message.role, message.content] for message in one.messages]
            digest.update(json.dumps([name, turns, one.label, one.is_chat]).encode() + b"\n")
    train, validation, test = (tuple(row.example for row in parts[name]) for name in SPLIT_NAMES)
    return Splits(train, validation, test, digest.hexdigest()[:16])
