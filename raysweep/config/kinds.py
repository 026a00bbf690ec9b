"""Sections whose `kind` may be a plug-in's: its own settings stand beside `kind`, checked by its own model."""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, ClassVar, Protocol, Self, get_args, runtime_checkable

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from raysweep import plugins
from raysweep.config.search import SearchSection
from raysweep.config.sections import LoraTrainer, Section, SyntheticTrainer
from raysweep.config.wire import WireTrainer
from raysweep.dimensions import ParamValue
from raysweep.errors import ConfigError

TrainerSection = Annotated[LoraTrainer | SyntheticTrainer | WireTrainer, Field(discriminator="kind")]
SHIPPED_TAG = "(shipped)"
PLUGIN_TAG = "(plug-in)"
"""What pydantic puts into an error's location for the two; no setting can have such a name."""


@runtime_checkable
class Configured(Protocol):
    """What a trainer's and a proposer's plug-in have in common."""

    @property
    def settings(self) -> type[BaseModel]:
        """The settings of its own: a subclass of `raysweep.config.Section`, or as frozen and as closed as one."""
        ...


class PluginSection(Section):
    """The settings of a plug-in, on one level with what raysweep itself wants to know."""

    GROUP: ClassVar[str]
    SHIPPED: ClassVar[frozenset[str]]

    kind: str
    """The name of the entry point."""
    settings: SerializeAsAny[BaseModel]
    """The plug-in's own."""

    @classmethod
    def own_names(cls) -> frozenset[str]:
        """The settings that are raysweep's, whatever the plug-in."""
        return frozenset(cls.model_fields) - {"settings"}

    @classmethod
    def own_model(cls, kind: str) -> type[BaseModel]:
        """The model of the plug-in's own settings. Raises ConfigError where it has none that will do."""
        plugin = plugins.load(cls.GROUP, kind, cls.SHIPPED)
        place = f"{cls.GROUP}: {kind}"
        model = plugin.settings if isinstance(plugin, Configured) else None
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise ConfigError(f"{place}: {plugin!r} has no pydantic model as `settings`; its package has to be mended")
        if not model.model_config.get("frozen") or model.model_config.get("extra") != "forbid":
            raise ConfigError(f"{place}: {model.__name__} must be frozen and forbid extras; derive it from Section")
        taken = sorted(cls.own_names() & set(model.model_fields))
        if taken:
            raise ConfigError(f"{place}: {model.__name__} has {', '.join(taken)}, which raysweep itself reads; rename")
        return model

    @model_validator(mode="before")
    @classmethod
    def _part(cls, raw: object) -> object:
        if not isinstance(raw, Mapping) or isinstance(raw.get("settings"), BaseModel):
            return raw
        ours = {name: value for name, value in raw.items() if name in cls.own_names()}
        theirs = {name: value for name, value in raw.items() if name not in ours}
        return {**ours, "settings": cls.own_model(str(raw["kind"])).model_validate(theirs)}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        model = self.own_model(self.kind)
        if not isinstance(self.settings, model):
            raise ValueError(f"settings of {self.kind} are a {model.__name__}, not a {type(self.settings).__name__}")  # noqa: TRY004  # pydantic reports ValueError only
        return self

    @model_serializer(mode="wrap")
    def _flatten(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        dumped: dict[str, object] = handler(self)
        theirs = dumped.pop("settings", {})
        return {**dumped, **theirs} if isinstance(theirs, dict) else dumped

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Open: another machine's plug-ins are not known here."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        del schema["properties"]["settings"]
        schema["required"].remove("settings")
        schema["properties"]["kind"]["not"] = {"enum": sorted(cls.SHIPPED)}
        schema["additionalProperties"] = True
        return schema


def _kinds(annotation: object) -> Iterator[str]:
    """The literals of the field `kind` of every section in a union."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield from get_args(annotation.model_fields["kind"].annotation)
    for argument in get_args(annotation):
        yield from _kinds(argument)


class PluginTrainer(PluginSection):
    """A trainer that another package brings."""

    GROUP = plugins.TRAINERS
    SHIPPED = frozenset(_kinds(TrainerSection))


class PluginSearch(PluginSection):
    """A proposer that another package brings."""

    GROUP = plugins.PROPOSERS
    SHIPPED = frozenset(_kinds(SearchSection))

    default_first: bool = True
    """Whether the first trial is the space's default configuration."""
    points: tuple[dict[str, ParamValue], ...] = ()
    """Configurations to try first; what a point leaves out takes its default."""


PLUGIN_SECTIONS: Mapping[str, type[PluginSection]] = {"trainer": PluginTrainer, "search": PluginSearch}
"""By the name of the setting that holds it."""


def _refusing(section: type[PluginSection]) -> Callable[[object], object]:
    """A check that the kind is one that raysweep or an installed package has."""

    def check(raw: object) -> object:
        if not isinstance(raw, Mapping):
            return raw
        known = {*section.SHIPPED, *plugins.names(section.GROUP)}
        if "kind" not in raw:
            raise ValueError(f"kind: missing; known: {', '.join(sorted(known))}")
        kind = raw["kind"]
        if not isinstance(kind, str) or kind not in known:
            raise ValueError(f"kind: {plugins.unknown(section.GROUP, kind, section.SHIPPED)}")
        if kind in section.SHIPPED:
            plugins.refuse_taken(section.GROUP, kind)
        return raw

    return check


def _choosing(section: type[PluginSection]) -> Callable[[object], str]:
    def tag(raw: object) -> str:
        is_theirs = isinstance(raw, section) or (isinstance(raw, Mapping) and raw["kind"] not in section.SHIPPED)
        return PLUGIN_TAG if is_theirs else SHIPPED_TAG

    return tag


def _check_recorder(name: str) -> str:
    shipped = plugins.SHIPPED_RECORDERS
    if name not in shipped and name not in plugins.names(plugins.RECORDERS):
        raise ValueError(plugins.unknown(plugins.RECORDERS, name, shipped))
    return name


Recorder = Annotated[str, AfterValidator(_check_recorder)]
AnyTrainer = Annotated[
    Annotated[TrainerSection, Tag(SHIPPED_TAG)] | Annotated[PluginTrainer, Tag(PLUGIN_TAG)],
    Discriminator(_choosing(PluginTrainer)),
    BeforeValidator(_refusing(PluginTrainer)),
]
AnySearch = Annotated[
    Annotated[SearchSection, Tag(SHIPPED_TAG)] | Annotated[PluginSearch, Tag(PLUGIN_TAG)],
    Discriminator(_choosing(PluginSearch)),
    BeforeValidator(_refusing(PluginSearch)),
]
