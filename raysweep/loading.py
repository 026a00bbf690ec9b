"""A sweep's rows and labels, as its settings say."""

from pathlib import Path

from raysweep import assets
from raysweep.config import SweepConfig, shipped_file
from raysweep.config.task import GraderSection, ModelGraderSection, TaskSection
from raysweep.dataset import DataSettings, Loaded, load
from raysweep.errors import ConfigError
from raysweep.rules import SETTINGS, Policy
from raysweep.task import Task, TaskKind
from raysweep.writing import Grader, ModelGrader, Writing

ASSET = "asset:"
"""What a data source that is an asset begins with."""
SHIPPED = "shipped:"
"""What a small data source begins with that lies beside the shipped configs."""


def load_rows(config: SweepConfig) -> Loaded:
    """The rows, checked and split, with their task. Raises ConfigError, DataError or AssetError."""
    return load(_data_settings(config), _task(config))


def _task(config: SweepConfig) -> Task | TaskKind:
    kind = TaskKind(config.task.kind)
    if kind is TaskKind.GENERATION:
        return _generation(config.task)
    if config.task.labels is None:
        if config.task.values is not None:
            raise ConfigError("task.values: numbers without task.labels; name the labels they belong to")
        return kind
    try:
        return Task(kind, config.task.labels, config.task.values or ())
    except ValueError as error:
        raise ConfigError(f"task: {error}") from error


def _generation(asked: TaskSection) -> Task:
    if asked.labels is not None or asked.values is not None:
        raise ConfigError("task.labels: a generation has none, its completions are free text; leave them out")
    writing = Writing(asked.max_new_tokens or Writing.max_new_tokens, asked.scored_rows, _grader(asked.grader))
    return Task(TaskKind.GENERATION, writing=writing)


def _grader(asked: GraderSection | ModelGraderSection | None) -> Grader | ModelGrader | None:
    if asked is None:
        return None
    if isinstance(asked, ModelGraderSection):
        return asked.made()
    anchored = asked.anchored()
    return Grader(anchored.function, str(anchored.folder) if anchored.folder else None)


def _data_settings(config: SweepConfig) -> DataSettings:
    data = config.data
    policies = data.model_dump(include=set(SETTINGS.values()))
    return DataSettings(
        source=_path(data.source),
        train=_path(data.train),
        validation=_path(data.validation),
        test=_path(data.test),
        prompt=data.prompt,
        completion=data.completion,
        messages=data.messages,
        group=data.group,
        sizes=(data.split.train, data.split.validation, data.split.test),
        seed=data.split.seed,
        stratify=data.split.stratify and config.task.kind != "generation",
        policies={rule: Policy(policies[setting]) for rule, setting in SETTINGS.items()},
        min_words=data.min_words,
        max_words=data.max_words,
        max_chars=data.max_chars,
    )


def _path(source: str | None) -> Path | None:
    if source is None:
        return None
    if source.startswith(ASSET):
        return assets.path(source.removeprefix(ASSET))
    if source.startswith(SHIPPED):
        return shipped_file(source.removeprefix(SHIPPED))
    try:
        return Path(source).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"data: {source}: {error}") from error
