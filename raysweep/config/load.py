"""From a YAML file and overrides to a SweepConfig, and back; what is wrong is said by place and remedy."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import get_args

import yaml
from pydantic import BaseModel, ValidationError

from raysweep.config.kinds import PLUGIN_SECTIONS, PLUGIN_TAG, SHIPPED_TAG, PluginSection
from raysweep.config.sweep import SweepConfig
from raysweep.errors import ConfigError

DEFAULT_NAME = "default"
"""The shipped config that is taken where none is named."""


def load_config(source: str | Path | None = None, overrides: Sequence[str] = ()) -> SweepConfig:
    """The settings of a file, or of a shipped config by its name, with `key=value` overrides.

    The folder of a metric's or grader's module is noted where that lies beside the file. Raises ConfigError that names
    every wrong place, its value and the nearest known name.
    """
    path = find(source)
    raw = _read(path)
    for override in overrides:
        _override(raw, override)
    config = parse(raw, " ".join([str(source or DEFAULT_NAME), *(["with", *overrides] if overrides else [])]))
    metrics = {name: one.beside(path.absolute().parent) for name, one in config.metrics.items()}
    task = config.task.beside(path.absolute().parent)
    return config.model_copy(update={"metrics": metrics, "task": task})


def parse(raw: Mapping[str, object], place: str) -> SweepConfig:
    """The settings of a tree as YAML gives it; `place` names it in messages. Raises ConfigError."""
    try:
        return SweepConfig.model_validate(raw)
    except ValidationError as error:
        lines = [_explain(dict(problem), raw) for problem in error.errors(include_url=False)]
        raise ConfigError(f"{place}: " + "\n  ".join(lines)) from error


def find(source: str | Path | None) -> Path:
    """The file that a path or a shipped config's name means; raises ConfigError with the known names."""
    text = str(source or DEFAULT_NAME)
    path = Path(text).expanduser()
    if path.is_file():
        return path
    shipped = _shipped_folder() / f"{text}.yaml"
    if "/" not in text and shipped.is_file():
        return shipped
    known = ", ".join(shipped_names())
    raise ConfigError(f"{text}: no such file, and no shipped config of that name; shipped: {known}")


def shipped_file(name: str) -> Path:
    """A file that lies beside the shipped configs; raises ConfigError where there is none of that name."""
    path = _shipped_folder() / name
    if Path(name).name != name or not path.is_file():
        raise ConfigError(f"shipped:{name}: no such file comes with raysweep; write a path instead")
    return path


def shipped_names() -> tuple[str, ...]:
    """Names of the configs that come with the package."""
    return tuple(sorted(path.stem for path in _shipped_folder().glob("*.yaml")))


def to_yaml(config: SweepConfig) -> str:
    """The resolved settings as YAML that `load_config` reads back to an equal tree."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _shipped_folder() -> Path:
    inside = Path(str(files("raysweep"))) / "conf"
    return inside if inside.is_dir() else inside.parent.parent / "conf"  # an editable install


class _Loader(yaml.SafeLoader):
    """YAML 1.1 with two mends: 3e-5 is a number, and a key that stands twice is refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        """Refuse a key that stands twice."""
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"{key!r} stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(?:\d[\d_]*\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)


def _read(path: Path) -> dict[str, object]:
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # a SafeLoader underneath
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    except (yaml.YAMLError, UnicodeDecodeError, TypeError) as error:
        raise ConfigError(f"{path}: not YAML: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: a mapping of settings is expected, not {type(raw).__name__}")
    return raw


def _override(raw: dict[str, object], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"{override}: an override is written key=value, for example trials=8")
    try:
        value = yaml.load(text, _Loader) if text else None  # a SafeLoader underneath
    except yaml.YAMLError as error:
        raise ConfigError(f"{override}: the value is not YAML: {error}") from error
    *path, last = key.split(".")
    section = raw
    for name in path:
        inner = section.setdefault(name, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{override}: {name} is {inner!r}, it has no settings of its own")
        section[name] = section = dict(inner)
    if last == "kind" and section.get("kind") != value:
        section.clear()  # another kind has settings of its own
    section[last] = value


def _explain(problem: Mapping[str, object], raw: Mapping[str, object]) -> str:
    location = problem["loc"]
    parts = location if isinstance(location, tuple) else ()
    names = [str(part) for part in parts if part not in (SHIPPED_TAG, PLUGIN_TAG)]
    place = ".".join(_without_tags(names, raw))
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        known = sorted(_known_names(names[:-1], raw))
        nearest = difflib.get_close_matches(names[-1], known, n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else f"known here: {', '.join(known)}"
        return f"{place}: no such setting; {hint}"
    if problem["type"] in ("value_error", "missing") or not names:
        return f"{place}: {message}" if place else message
    return f"{place}: {message}, not {problem['input']!r}"


def _without_tags(names: Sequence[str], raw: Mapping[str, object]) -> Iterator[str]:
    """The location as the user wrote it: without the union tags that pydantic puts into it."""
    here: object = raw
    for position, name in enumerate(names):
        is_tag = isinstance(here, Mapping) and here.get("kind") == name and name not in here
        is_last = position == len(names) - 1
        if is_tag and not is_last:
            continue
        if is_tag and is_last:
            return
        yield name
        here = here.get(name) if isinstance(here, Mapping) else None


def _known_names(names: Sequence[str], raw: Mapping[str, object]) -> Iterator[str]:
    """Field names of the section at a location; a union's tag picks its member, a plug-in's kind its model."""
    section: type[BaseModel] = SweepConfig
    for name in names:
        plugged = _plugged(section, name, raw)
        if plugged:
            yield from plugged.own_names() if len(names) == 1 else ()
            section = plugged.own_model(_kind(name, raw))
            continue
        field = section.model_fields.get(name)
        if field is None:
            continue  # a union's tag, taken care of below
        members = list(_models(field.annotation))
        tags = [member for member in members if _tag(member) in names]
        if members:
            section = (tags or members)[0]
    yield from section.model_fields


def _plugged(section: type[BaseModel], name: str, raw: Mapping[str, object]) -> type[PluginSection] | None:
    """The section of a plug-in, where that is what the sweep's setting holds."""
    plugged = PLUGIN_SECTIONS.get(name) if section is SweepConfig else None
    return plugged if plugged and _kind(name, raw) not in ("", *plugged.SHIPPED) else None


def _kind(name: str, raw: Mapping[str, object]) -> str:
    section = raw.get(name)
    return str(section.get("kind", "")) if isinstance(section, Mapping) else ""


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _tag(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("kind")
    arguments = get_args(field.annotation) if field else ()
    return str(arguments[0]) if arguments else None
