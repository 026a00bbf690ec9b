"""The settings of the wire trainer; a field is documented by the string below it."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from raysweep.config.sections import Section

HostName = Literal["openai", "azure", "azure_classic", "nebius", "raysweep", "custom"]
"""The dialects; what each means is data in `raysweep.trainers.dialects`."""


class LimitsSection(Section):
    """What the account is allowed; a number left out is the dialect's."""

    running: Annotated[int, Field(ge=1)] | None = None
    """Jobs that train at once."""
    queued: Annotated[int, Field(ge=0)] | None = None
    """Jobs that may wait besides."""
    creates_per_day: Annotated[int, Field(ge=1)] | None = None
    """Jobs made within 24 hours."""
    jobs: Annotated[int, Field(ge=1)] | None = None
    """Jobs that the host keeps, final ones too."""
    files: Annotated[int, Field(ge=1)] | None = None
    """Files that the host keeps."""
    deployments: Annotated[int, Field(ge=1)] | None = None
    """Tuned models that are deployed at once."""
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    """Of all kinds together."""
    tokens_per_minute: Annotated[int, Field(ge=1)] | None = None
    """Of chat completions."""


class PollsSection(Section):
    """How often the host is asked what has become of its jobs; left out is the dialect's."""

    shortest_s: Annotated[float, Field(gt=0)] | None = None
    """While something happens."""
    longest_s: Annotated[float, Field(gt=0)] | None = None
    """While nothing does."""


class PricesSection(Section):
    """What the host charges, in USD; a number that is left out is that of raysweep's dated table, where it has one."""

    training_usd_per_million: Annotated[float, Field(ge=0)] | None = None
    """A million trained tokens."""
    input_usd_per_million: Annotated[float, Field(ge=0)] | None = None
    """A million tokens that a tuned model reads."""
    output_usd_per_million: Annotated[float, Field(ge=0)] | None = None
    """A million tokens that a tuned model writes."""
    hosting_usd_per_hour: Annotated[float, Field(ge=0)] | None = None
    """An hour of a deployed model."""
    base_input_usd_per_million: Annotated[float, Field(ge=0)] | None = None
    """A million tokens that the base model reads, asked as a baseline."""
    base_output_usd_per_million: Annotated[float, Field(ge=0)] | None = None
    """A million tokens that the base model writes."""

    @property
    def given(self) -> dict[str, float | None]:
        """By what has the price: `training`, `input`, `output`, `hosting`."""
        told = self.model_dump().items()
        return {name.partition("_")[0]: value for name, value in told if not name.startswith("base_")}

    @property
    def given_base(self) -> dict[str, float | None]:
        """The base model's: `input`, `output`."""
        return {"input": self.base_input_usd_per_million, "output": self.base_output_usd_per_million}


class AzureSection(Section):
    """Where tuned models are deployed; only hosts that answer by deployments read it."""

    subscription: Annotated[str, Field(min_length=1)]
    """The subscription's id."""
    resource_group: Annotated[str, Field(min_length=1)]
    """The resource's group."""
    account: Annotated[str, Field(min_length=1)]
    """The resource's name."""
    sku: str = "developertier"
    """Of a deployment; the developer tier has no fee by the hour and ends by itself after a day (Azure, 2026)."""
    capacity: Annotated[int, Field(ge=1)] = 50
    """Of a deployment, in thousands of tokens a minute."""
    management_url: str = "https://management.azure.com"
    """Where deployments are made."""
    api_version: str = "2024-10-21"
    """Of the management route."""


class RehearsalSection(Section):
    """A server of our own in the host's place; it begins and ends with the sweep, and nothing is paid."""

    engine: Literal["synthetic", "lora"] = "synthetic"
    """Curves by formula, or real fine-tunes of SmolLM2-135M, whatever the model's name."""
    epoch_s: Annotated[float, Field(ge=0)] = 1.0
    """How long an epoch takes the synthetic engine."""
    running: Annotated[int, Field(ge=1)] | None = None
    """Jobs that train at once; None: as many as at the host."""


class WireTrainer(Section):
    """Fine-tunes at a host that speaks OpenAI's fine-tuning wire: Azure OpenAI, OpenAI, a gateway, our own server."""

    kind: Literal["wire"]
    host: HostName = "openai"
    """Whose dialect is spoken."""
    base_url: str | None = None
    """Where the host is; None: the dialect's own, where it has one. No variable of the environment changes it."""
    api_version: str | None = None
    """Only for hosts that want it in every URL."""
    model: str
    """The base model that is tuned."""
    training_type: str | None = None
    """What Azure calls `trainingType`: `standard`, `globalStandard`, `developerTier`; None: the dialect's."""
    key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """The NAME of the environment variable that holds the key; None: the dialect's. Never the key itself."""
    identity: Literal["key", "entra"] = "key"
    """Who we are: a key, or whoever Azure's DefaultAzureCredential finds (`pip install 'raysweep[azure]'`)."""
    suffix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] | None = None
    """What tuned models' names hold before the job's key; None: the key alone."""
    score: Literal["auto", "finalists", "all"] = "auto"
    """`all`: each completed job's model is scored on the validation split, so that `val_f1_weighted` can be strived
    for. `finalists`: trials are ranked by `val_loss`, and only the best model answers. Auto: all, but finalists where
    a model must be deployed before it answers."""
    top_logprobs: Annotated[int, Field(ge=0, le=20)] = 20
    """How many of an answer's likeliest tokens are asked for; 0: none, and no metric that needs probabilities."""
    scoring_concurrency: Annotated[int, Field(ge=1, le=64)] = 8
    """Chat completions in flight while a model is scored."""
    listing_lag_s: Annotated[float, Field(ge=0)] | None = None
    """How long a job that was made may be missing from the host's list; None, here and in the next four: what
    `raysweep probe` has measured, else the dialect's, where it is known."""
    metadata_filter: bool | None = None
    """Whether the host's list can be filtered by metadata."""
    newest_events_first: bool | None = None
    """Whether a job's events come newest first, so that those known already need not be read again."""
    metric_events: bool | None = None
    """Whether losses come as events while a job trains; else checkpoints are read in their place."""
    counts_validation: bool | None = None
    """Whether the tokens of the validation file are charged like those of the training file."""
    limits: LimitsSection = LimitsSection()
    """What the account is allowed."""
    polls: PollsSection = PollsSection()
    """How often the host is asked."""
    azure: AzureSection | None = None
    """Where tuned models are deployed."""
    base_deployments: dict[str, str] = Field(default_factory=dict)
    """Deployments of yours from which base models answer as a baseline, by the model's name; for hosts like Azure."""
    rehearsal: RehearsalSection | None = None
    """Where it is given, no host is asked: the sweep starts a server of our own that speaks the host's dialect."""
    prices: PricesSection = PricesSection()
    """What the host charges. A rehearsal counts by them too, though nothing is paid; our own server charges nothing."""

    @property
    def rehearsal_words(self) -> str:
        """What everybody who looks at a rehearsal has to know; empty where it is none."""
        if self.rehearsal is None:
            return ""
        how = (
            "curves by formula (synthetic engine)"
            if self.rehearsal.engine == "synthetic"
            else "real LoRA of a small model"
        )
        host = "a paid host" if self.host == "raysweep" else self.host
        return f"A rehearsal: at raysweep's own server, {how}; no money is paid; scores mean nothing for {host}."

    @model_validator(mode="after")
    def _check_urls(self) -> Self:
        for name, url in (("base_url", self.base_url), ("azure.management_url", self._management_url)):
            parts = urlsplit(url or "https://none")
            if parts.scheme not in ("http", "https") or not parts.netloc:
                raise ValueError(f"{name}: {url!r} is not a URL; write https://HOST/v1")
            if parts.username or parts.password or parts.query:
                raise ValueError(f"{name}: holds a user, a password or a query; give the key by `key_env`")
        return self

    @model_validator(mode="after")
    def _check_rehearsal(self) -> Self:
        if self.rehearsal and self.base_url and urlsplit(self.base_url).hostname != "127.0.0.1":
            raise ValueError(f"base_url: {self.base_url} is a host, and a rehearsal asks none; leave one of them out")
        if self.rehearsal and self.identity != "key":
            raise ValueError("rehearsal: tokens are not rehearsed; set identity=key")
        return self

    @property
    def _management_url(self) -> str | None:
        return self.azure.management_url if self.azure else None
