"""The parts of a sweep's settings; a field is documented by the string below it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A part of the settings: frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class LoraTrainer(Section):
    """Fine-tunes a small transformer with LoRA on this machine or this cluster."""

    kind: Literal["lora"]
    model: str = "minilm-l6"
    """An asset (`minilm-l6`, `smollm2-135m`), a local folder, or a name on a model hub."""
    family: Literal["auto", "encoder", "causal"] = "auto"
    """Encoder: mean pooling and a head. Causal: likelihood of the label words. Auto reads the model's config."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Auto takes a GPU where there is one."""
    gpu_share: Annotated[float, Field(gt=0)] = 1.0
    """Of a GPU, for each job that runs on one; below 1, several jobs share it."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the frozen weights; adapters and head are always float32. Auto: bfloat16 on CUDA, float32 on the CPU."""
    max_length: Annotated[int, Field(ge=8, le=8192)] = 64
    """In tokens; of a longer example the end of the last user turn is cut off."""
    chat_template: str | None = None
    """A Jinja template for chat messages; None: the tokenizer's own, and plain text for an encoder."""
    prefix_cache_gb: Annotated[float, Field(ge=0)] = 2.0
    """Cap on the file of frozen layers' activations that the trials of a node share; 0 switches it off."""
    max_bad_evaluations: Annotated[int, Field(ge=1)] = 2
    """A job that predicts one label for every row in so many evaluations running has collapsed: it fails."""


class SyntheticTrainer(Section):
    """Learning curves by formula: a rehearsal that takes seconds and trains nothing."""

    kind: Literal["synthetic"]
    noise: Annotated[float, Field(ge=0)] = 0.01
    """Standard deviation of a metric between evaluations."""
    epoch_s: Annotated[float, Field(ge=0)] = 0.0
    """Real seconds that an epoch takes."""
    tokens_per_epoch: Annotated[int, Field(gt=0)] = 50_000
    """Training tokens of an epoch."""
    usd_per_million_tokens: Annotated[float, Field(ge=0)] = 0.0
    """Price of training tokens."""
    faults: dict[int, str] = {}
    """What goes wrong, by trial number; see the trainer's documentation for the words."""
    host: Annotated[Path, AfterValidator(Path.absolute)] | None = None
    """A folder that plays a remote host, where jobs outlive whoever made them; None: they live in their process."""
    listing_lag_s: Annotated[float, Field(ge=0)] = 0.0
    """How long a job that was made is missing from that host's list."""


class SplitSection(Section):
    """How one file is split into three."""

    train: Annotated[int | float, Field(gt=0)] = 0.6
    """A count of rows, or a share where it is below 1."""
    validation: Annotated[int | float, Field(gt=0)] = 0.2
    """Ranks the trials."""
    test: Annotated[int | float, Field(gt=0)] = 0.2
    """Seen by no trial; the best one is scored on it at the end."""
    seed: int = 0
    """Of the shuffle; the same seed gives the same split on every machine."""
    stratify: bool = True
    """Whether each split gets the labels in the same proportions; free texts have none."""


Policy = Literal["refuse", "drop", "keep"]
"""What becomes of a row that breaks a rule: nothing runs, the row is left out, or it stays; each is reported."""


class DataSection(Section):
    """Where the rows are, and what to do about bad ones. Files are CSV (TSV), JSONL or Parquet, by their ending."""

    source: str | None = None
    """One file to be split, or `asset:NAME`; or name the three files below instead."""
    train: str | None = None
    """The training file, where the data is split already."""
    validation: str | None = None
    """The validation file, where the data is split already."""
    test: str | None = None
    """The test file, where the data is split already."""
    prompt: str = "prompt"
    """The column that holds the prompt's text."""
    completion: str = "completion"
    """The column that holds the label, or the free text."""
    messages: str | None = None
    """The column that holds chat messages; it takes the place of prompt and completion."""
    group: str | None = None
    """A column whose equal values must not be parted by the split: an author, a document."""
    split: SplitSection = SplitSection()
    """How `source` is split."""
    broken: Policy = "refuse"
    """A row that is not a row: not JSON, too many or too few cells, messages without roles."""
    badly_encoded: Policy = "refuse"
    """A row that is not UTF-8."""
    empty: Policy = "refuse"
    """A row whose prompt is empty."""
    unlabelled: Policy = "refuse"
    """A row without a completion, or whose completion is not one of the labels where there are some."""
    too_short: Policy = "refuse"
    """A row of fewer than `min_words`."""
    too_long: Policy = "refuse"
    """A row of more than `max_words` or `max_chars`."""
    repeats: Policy = "keep"
    """A row whose text stands earlier in the same split."""
    duplicates: Policy = "refuse"
    """A training row whose text (or group) stands in a split that measures, or a validation row of the test split."""
    near_duplicates: Literal["keep_few", "refuse", "drop", "keep"] = "keep_few"
    """A training row that holds most of the text of a row that measures, or a validation row of one of the test split.
    `keep_few`: kept where at most 2 % of the validation and of the test rows are touched, else refused."""
    min_words: Annotated[int, Field(ge=0)] = 1
    """The shortest prompt that is taken."""
    max_words: Annotated[int, Field(gt=0)] | None = None
    """The longest prompt that is taken; None: any length, cut at the trainer's `max_length`."""
    max_chars: Annotated[int, Field(gt=0)] | None = None
    """The longest prompt that is taken, in characters."""


class PromptSection(Section):
    """How a row is put to the model; each field can be a dimension of the space instead."""

    template: str = "{prompt}"
    """Applied to the prompt's text, or to the last user turn of a chat."""
    system: str | None = None
    """A system message; it replaces the row's own."""
    label_words: tuple[str, ...] = ()
    """What the model learns to say for each label, in their order; empty: the labels themselves."""


class ObjectiveSection(Section):
    """What the sweep strives for."""

    metric: str = "val_f1_weighted"
    """A metric on the validation split."""
    mode: Literal["auto", "max", "min"] = "auto"
    """Auto knows the direction of the metrics that raysweep makes."""


class Asha(Section):
    """Stops a trial at a rung where it is not among the best 1/eta of those that came so far."""

    kind: Literal["asha"] = "asha"
    metric: str | None = None
    """None: the objective. A remote job that shows only losses while it runs needs its own."""
    mode: Literal["auto", "max", "min"] = "auto"
    """Of that metric."""
    rungs: tuple[Annotated[float, Field(gt=0)], ...] = (0.5, 1.0)
    """Where trials are compared, ascending, all below a trial's own budget."""
    unit: Literal["epochs", "examples", "fraction"] = "epochs"
    """What the rungs count; `fraction` is of the trial's own budget."""
    eta: Annotated[float, Field(gt=1)] = 3.0
    """Keep the best 1/eta at each rung."""


class Threshold(Section):
    """Stops a trial that is worse at a rung than the value given for it, whatever the others do."""

    kind: Literal["threshold"]
    metric: str | None = None
    """None: the objective."""
    mode: Literal["auto", "max", "min"] = "auto"
    """Of that metric."""
    rungs: tuple[Annotated[float, Field(gt=0)], ...]
    """Where trials are judged, ascending, all below a trial's own budget."""
    values: tuple[float, ...]
    """The worst value that goes on, one a rung."""
    unit: Literal["epochs", "examples", "fraction"] = "epochs"
    """What the rungs count; `fraction` is of the trial's own budget."""


class NoEarlyStopping(Section):
    """Every trial runs to its end."""

    kind: Literal["none"]


EarlyStoppingSection = Annotated[Asha | Threshold | NoEarlyStopping, Field(discriminator="kind")]


class EvaluationSection(Section):
    """When trials are measured."""

    every_epochs: Annotated[float, Field(ge=0.01)] = 0.5
    """On the validation split, besides at the rungs and at the end."""


class RetriesSection(Section):
    """What becomes of a trial whose machine or host failed."""

    attempts: Annotated[int, Field(ge=1)] = 4
    """How often a trial is tried in all; only faults of the machine or the host count."""
    wait_s: Annotated[float, Field(ge=0)] = 5.0
    """Before the second attempt; four times as long before each further one."""


class BudgetSection(Section):
    """What the sweep may spend."""

    max_usd: Annotated[float, Field(gt=0)] | None = None
    """Spent and reserved together never exceed it, all sessions together. None: for what costs nothing only."""


REPLICA_STEP = 10_000
"""Replica r of trial t is trial r x 10,000 + t: nobody has to write down who has which number."""


class FinalSection(Section):
    """What happens after the search."""

    test: bool = True
    """Whether the best completed trial is scored on the test split."""
    top: Annotated[int, Field(ge=1)] = 1
    """How many of the best completed trials are; validation chooses the winner, whatever they score there."""
    replicas: Annotated[int, Field(ge=0)] = 0
    """How often each of these is trained again with a fresh seed before the winner is named; each costs a whole job."""
    baseline: bool = True
    """Whether the commonest label, models on TF-IDF and the untuned base model, where it can be asked, are too."""
    shots: Annotated[int, Field(ge=0, le=20)] = 1
    """Training rows of each label that the untuned base model is told before every row; 0: only asked zero-shot."""
