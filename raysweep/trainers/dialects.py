"""What differs between hosts of the fine-tuning wire, as data. Nowhere else is a host asked for by its name.

A limit carries its source's year; what nobody has measured is None, not a guess.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal, TypeVar

from raysweep.config.wire import LimitsSection, PollsSection, WireTrainer
from raysweep.errors import ConfigError
from raysweep.jobs import ParamDoc

Known = TypeVar("Known")
NOWHERE = "http://127.0.0.1:9/v1"
"""Where a rehearsal looks until its server runs: nothing listens at the discard port."""
UNKNOWN_LAG_S = 30.0
"""How long reconcile waits before its second look where nobody knows the listing lag."""


@dataclass(frozen=True)
class Limits:
    """What an account is allowed; None where there is no such limit, or nobody knows it."""

    running: int = 3
    queued: int = 0
    creates_per_day: int | None = None
    jobs: int | None = None
    files: int | None = None
    deployments: int | None = None
    requests_per_minute: int = 300
    tokens_per_minute: int = 200_000

    @property
    def active(self) -> int:
        """Jobs that are not final."""
        return self.running + self.queued


@dataclass(frozen=True)
class Polls:
    """How often a host is asked."""

    shortest_s: float = 5.0
    longest_s: float = 300.0


@dataclass(frozen=True)
class Dialect:
    """One host's way to speak the wire."""

    name: str
    params: Mapping[str, ParamDoc]
    """What can be searched, by the host's own names; a default of None leaves the choice to the host."""
    base_url: str | None = None
    key_env: str = "RAYSWEEP_HOST_API_KEY"
    url_form: Literal["plain", "versioned"] = "plain"
    """`versioned`: `/openai/...?api-version=`, and the model's name stands in the URL of a chat completion."""
    api_version: str | None = None
    identities: frozenset[str] = frozenset({"key"})
    final_states: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})
    """Every other word means a job that goes on."""
    waiting_states: frozenset[str] = frozenset({"validating_files", "queued", "paused"})
    """In which nothing new is to be read."""
    metadata_filter: bool = False
    listing_lag_s: float | None = None
    """None: nobody knows; an attempt whose create was lost is then unknown for good."""
    newest_events_first: bool | None = None
    """None: nobody knows, so all pages are read."""
    has_metric_events: bool = True
    counts_validation: bool = False
    """Whether the validation file's tokens are charged in each epoch too."""
    hyperparameters_in: Literal["method", "top"] = "method"
    training_type: str | None = None
    max_suffix: int = 64
    deletes_jobs: bool = False
    needs_deployment: bool = False
    is_paid: bool = True
    """Whether a price that nobody knows is refused rather than taken for nothing."""
    overhead_s: float | None = None
    """Of a job besides its training; None: nobody knows."""
    step_s: float | None = None
    """Of a training step; None: nobody knows."""
    limits: Limits = field(default_factory=Limits)
    polls: Polls = field(default_factory=Polls)

    @property
    def lag_s(self) -> float:
        """How long a reconciler waits for what may not be listed yet."""
        return UNKNOWN_LAG_S if self.listing_lag_s is None else self.listing_lag_s


_EPOCHS = ParamDoc(default=3, low=1, high=50, help="The trial's budget: passes over the training file, whole ones.")
_BATCH = ParamDoc(default=None, low=1, high=256, help="Examples a step; left out, the host chooses by the file's size.")
_MULTIPLIER = ParamDoc(
    default=None, low=1e-4, high=100, help="Times the rate that the host thinks right; left out, it chooses."
)
_RATE = ParamDoc(default=None, low=1e-7, high=1, help="The optimiser's rate itself; left out, the host chooses.")
_LORA: Mapping[str, ParamDoc] = {
    "lora_r": ParamDoc(default=None, low=1, high=256, help="The adapters' rank."),
    "lora_alpha": ParamDoc(default=None, low=1, high=1024, help="The adapters' scale times their rank."),
    "lora_dropout": ParamDoc(default=None, low=0, high=0.9, help="Dropout in front of the adapters."),
    "warmup_ratio": ParamDoc(default=None, low=0, high=1, help="Share of the steps in which the rate climbs."),
    "weight_decay": ParamDoc(default=None, low=0, high=10, help="AdamW's decoupled decay."),
    "max_grad_norm": ParamDoc(default=None, low=0, high=100, help="Gradients are clipped to this norm."),
}
_PLAIN = MappingProxyType({"n_epochs": _EPOCHS, "batch_size": _BATCH, "learning_rate_multiplier": _MULTIPLIER})
_OPEN = MappingProxyType({"n_epochs": _EPOCHS, "batch_size": _BATCH, "learning_rate": _RATE, **_LORA})

_AZURE = Dialect(
    name="azure",
    params=_PLAIN,
    key_env="AZURE_OPENAI_API_KEY",
    identities=frozenset({"key", "entra"}),
    waiting_states=frozenset({"created", "pending", "queued", "validating_files", "pausing", "paused", "resuming"}),
    training_type="globalStandard",
    max_suffix=18,
    deletes_jobs=True,
    needs_deployment=True,
    # Azure OpenAI quotas and limits, 2026-02: standard and global tiers.
    limits=Limits(running=3, queued=20, jobs=100, files=100, deployments=10),
    overhead_s=900.0,
    step_s=1.0,
)
DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        "openai": Dialect(
            name="openai",
            params=_PLAIN,
            base_url="https://api.openai.com/v1",
            key_env="OPENAI_API_KEY",
            metadata_filter=True,
            newest_events_first=True,
            # About 3 at once and 5 to 16 creates a day were reported in 2026; the rest waits in the host's queue.
            limits=Limits(running=3, queued=0),
            # Published jobs of small models, 2024 to 2026: about a step a second, 5 min before and up to 20 min after.
            overhead_s=900.0,
            step_s=1.0,
        ),
        "azure": _AZURE,
        "azure_classic": replace(
            _AZURE,
            name="azure_classic",
            url_form="versioned",
            api_version="2025-04-01-preview",
        ),
        "nebius": Dialect(
            name="nebius",
            params=_OPEN,
            base_url="https://api.tokenfactory.nebius.com/v1/",
            key_env="NEBIUS_API_KEY",
            newest_events_first=False,
            has_metric_events=False,
            hyperparameters_in="top",
            limits=Limits(running=3, queued=0),
        ),
        "raysweep": Dialect(
            name="raysweep",
            params=MappingProxyType({**_PLAIN, "learning_rate": _RATE, **_LORA}),
            key_env="RAYSWEEP_SERVER_API_KEY",
            is_paid=False,
            metadata_filter=True,
            listing_lag_s=0.0,
            newest_events_first=True,
            limits=Limits(running=4, queued=1000, requests_per_minute=6000, tokens_per_minute=10_000_000),
            polls=Polls(shortest_s=0.2, longest_s=5.0),
        ),
        "custom": Dialect(name="custom", params=_PLAIN, limits=Limits(running=1, queued=0)),
    }
)
"""By the name that stands in `trainer.host`."""


def dialect_of(settings: WireTrainer) -> Dialect:
    """The host's dialect with what the settings know better. Raises ConfigError for settings that do not fit it."""
    known = _rehearsed(settings) if settings.rehearsal else DIALECTS[settings.host]
    dialect = replace(
        known,
        base_url=settings.base_url or known.base_url,
        key_env=known.key_env if settings.rehearsal else settings.key_env or known.key_env,
        api_version=settings.api_version or known.api_version,
        training_type=settings.training_type or known.training_type,
        listing_lag_s=_first(settings.listing_lag_s, known.listing_lag_s),
        metadata_filter=_first(settings.metadata_filter, known.metadata_filter),
        newest_events_first=_first(settings.newest_events_first, known.newest_events_first),
        has_metric_events=_first(settings.metric_events, known.has_metric_events),
        counts_validation=_first(settings.counts_validation, known.counts_validation),
        limits=replace(known.limits, **_given(settings.limits)),
        polls=replace(known.polls, **_given(settings.polls)),
    )
    _check(settings, dialect)
    return dialect


def _rehearsed(settings: WireTrainer) -> Dialect:
    """The host's dialect as our own server speaks it; the host itself and its key are out of reach."""
    ours, theirs = DIALECTS["raysweep"], DIALECTS[settings.host]
    running = (settings.rehearsal and settings.rehearsal.running) or theirs.limits.running
    limits = replace(theirs.limits, running=running, requests_per_minute=ours.limits.requests_per_minute)
    return replace(
        theirs,
        base_url=NOWHERE,
        key_env=ours.key_env,
        listing_lag_s=ours.listing_lag_s,
        metadata_filter=ours.metadata_filter,
        has_metric_events=ours.has_metric_events,
        newest_events_first=None,
        is_paid=False,
        limits=replace(limits, tokens_per_minute=ours.limits.tokens_per_minute),
        polls=ours.polls,
    )


def _first(given: Known | None, known: Known) -> Known:
    return known if given is None else given


def _given(section: LimitsSection | PollsSection) -> dict[str, int]:
    return {name: value for name, value in section.model_dump().items() if value is not None}


def _check(settings: WireTrainer, dialect: Dialect) -> None:
    if dialect.base_url is None:
        raise ConfigError(f"trainer.base_url: missing; {dialect.name} has no address of its own, so say where it is")
    if settings.identity not in dialect.identities:
        known = ", ".join(sorted(dialect.identities))
        raise ConfigError(f"trainer.identity: {dialect.name} knows no {settings.identity}; known: {known}")
    if settings.azure is not None and settings.identity != "entra" and settings.rehearsal is None:
        raise ConfigError(
            "trainer.identity: deployments are made by a token, not by a key; set trainer.identity=entra, or leave "
            "trainer.azure out"
        )
    if settings.api_version is not None and dialect.url_form == "plain":
        raise ConfigError(f"trainer.api_version: {dialect.name} wants none in its URLs; leave it out")
    if settings.score == "all" and dialect.needs_deployment and settings.azure is None:
        raise ConfigError(
            f"trainer.azure: missing; {dialect.name} answers by deployments, so trainer.score=all wants subscription, "
            "resource_group and account; or use trainer.score=finalists"
        )
    if dialect.polls.shortest_s > dialect.polls.longest_s:
        raise ConfigError(
            f"trainer.polls: shortest_s {dialect.polls.shortest_s:g} is above longest_s {dialect.polls.longest_s:g}"
        )
