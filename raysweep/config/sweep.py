"""Everything about one sweep, as one frozen tree."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from raysweep.config.dimensions import SpaceEntry
from raysweep.config.kinds import AnySearch, AnyTrainer, Recorder
from raysweep.config.metrics import MetricEntry, check_name
from raysweep.config.search import EarlierRuns, GridSearch, HyperoptSearch
from raysweep.config.sections import (
    REPLICA_STEP,
    Asha,
    BudgetSection,
    DataSection,
    EarlyStoppingSection,
    EvaluationSection,
    FinalSection,
    ObjectiveSection,
    PromptSection,
    RetriesSection,
    Section,
    Threshold,
)
from raysweep.config.task import TaskSection
from raysweep.config.wire import WireTrainer
from raysweep.dimensions import ParamValue, SpaceError
from raysweep.goal import Goal
from raysweep.scoring import doc_of
from raysweep.space import Space


class SweepConfig(Section):
    """Everything about one sweep."""

    name: str = "sweep"
    """For people; the sweep's id is its own."""
    trainer: AnyTrainer
    """What carries out the fine-tunes."""
    task: TaskSection = TaskSection()
    """What the labels are."""
    data: DataSection
    """Where the rows are."""
    prompt: PromptSection = PromptSection()
    """How a row is put to the model."""
    space: dict[str, SpaceEntry]
    """What is searched: a bare value is fixed, a mapping with a `kind` is a dimension."""
    metrics: dict[str, MetricEntry] = Field(default_factory=dict)
    """Metrics of your own, by name without the split: `val_NAME` in every evaluation, `test_NAME` at the end."""
    objective: ObjectiveSection = ObjectiveSection()
    """What the sweep strives for."""
    search: AnySearch = HyperoptSearch()
    """Where the next trial comes from."""
    warm_start: tuple[EarlierRuns, ...] = ()
    """Earlier runs from which the search learns before its first trial; they are no trials of this sweep."""
    early_stopping: EarlyStoppingSection = Asha()
    """Which trials end early."""
    evaluation: EvaluationSection = EvaluationSection()
    """When trials are measured."""
    retries: RetriesSection = RetriesSection()
    """What becomes of a trial whose machine or host failed."""
    budget: BudgetSection = BudgetSection()
    """What the sweep may spend; demanded where something costs money."""
    final: FinalSection = FinalSection()
    """What happens after the search."""
    recorders: tuple[Recorder, ...] = ()
    """What follows the sweep besides TensorBoard: `mlflow`, `wandb` (each an extra), and what other packages offer by
    entry points of the group `raysweep.recorders`."""
    trials: Annotated[int, Field(ge=1)] = 24
    """How many trials the sweep makes."""
    concurrency: Annotated[int, Field(ge=1)] | None = None
    """How many at once; None: as many as the cluster's cores or GPUs hold."""
    time_s: Annotated[float, Field(gt=0)] | None = None
    """No new trial after so many seconds, and running ones are cancelled."""
    on_interrupt: Literal["cancel", "leave"] = "cancel"
    """What Ctrl-C and SIGTERM do to running jobs; `leave`: those at a host go on until `raysweep resume`."""
    target: float | None = None
    """The sweep ends when a completed trial's objective is this good."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of the search, and with a trial's number of everything random in its job."""
    runs_folder: Path = Path("runs")
    """Sweep folders are made in here."""

    @model_validator(mode="before")
    @classmethod
    def _default_kinds(cls, raw: object) -> object:
        """A section whose kind is left out is of the default kind."""
        if not isinstance(raw, dict):
            return raw
        kinds = {"search": "hyperopt", "early_stopping": "asha"}
        given = {name: {"kind": kind, **raw[name]} for name, kind in kinds.items() if isinstance(raw.get(name), dict)}
        return {**raw, **given}

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            space = Space(self.space)
        except SpaceError as error:
            raise ValueError(str(error)) from error
        if not space.is_searchable and self.trials > 1 and self.search.kind != "random":
            raise ValueError("space: nothing varies, so every trial would be the same; add a dimension or set trials=1")
        for number, point in enumerate(self.points):
            try:
                space.complete(point)
            except SpaceError as error:
                raise ValueError(f"search.points.{number}: {error}") from error
        rungs = self.early_stopping.rungs if isinstance(self.early_stopping, Asha | Threshold) else ()
        if list(rungs) != sorted(set(rungs)):
            raise ValueError(f"early_stopping.rungs: {list(rungs)} must ascend, each once")
        if isinstance(self.early_stopping, Threshold) and len(rungs) != len(self.early_stopping.values):
            given = list(self.early_stopping.values)
            raise ValueError(f"early_stopping.values: {given} for the rungs {list(rungs)}; give one a rung")
        for name in self.metrics:
            check_name(name)
        _ = self.goal, self.stopping_goal  # refuses a metric whose direction nobody knows
        self._check_warm_start()
        if self.final.replicas and self.trials > REPLICA_STEP:
            raise ValueError(
                f"final.replicas: at most {REPLICA_STEP} trials can have them; leave it out, or lower trials"
            )
        return self

    @property
    def points(self) -> tuple[dict[str, ParamValue], ...]:
        """Given points, lists as tuples."""
        given = () if isinstance(self.search, GridSearch) else self.search.points
        return tuple(given)

    @property
    def rehearsal_words(self) -> str:
        """What everybody who looks at a rehearsal has to know; empty where it is none."""
        return self.trainer.rehearsal_words if isinstance(self.trainer, WireTrainer) else ""

    @property
    def goal(self) -> Goal:
        """The objective as a goal; raises ValueError where its direction is not known."""
        return self._goal(self.objective.metric, self.objective.mode)

    @property
    def stopping_goal(self) -> Goal:
        """What early stopping compares."""
        if isinstance(self.early_stopping, Asha | Threshold) and self.early_stopping.metric is not None:
            return self._goal(self.early_stopping.metric, self.early_stopping.mode)
        return self.goal

    def earlier_goal(self, earlier: EarlierRuns) -> Goal:
        """What earlier runs are compared by."""
        if earlier.metric in (None, self.goal.metric) and earlier.mode == "auto":
            return self.goal
        return self._goal(earlier.metric or self.goal.metric, earlier.mode)

    def _check_warm_start(self) -> None:
        if self.warm_start and self.search.kind in ("random", "grid"):
            raise ValueError(
                f"warm_start: a search of kind {self.search.kind} learns nothing from earlier runs; "
                "set search.kind to hyperopt or optuna, or leave warm_start out"
            )
        names = Space(self.space).names()
        for number, earlier in enumerate(self.warm_start):
            place = f"warm_start.{number}"
            try:
                self.earlier_goal(earlier)
            except ValueError as error:
                raise ValueError(f"{place}.mode: {error}") from error
            for theirs, ours in earlier.params.items():
                if ours not in names:
                    raise ValueError(f"{place}.params.{theirs}: the space has no {ours!r}; known: {', '.join(names)}")

    def _goal(self, metric: str, mode: Literal["auto", "max", "min"]) -> Goal:
        bare = metric.removeprefix("val_")
        if mode != "auto" or not metric.startswith("val_") or bare not in self.metrics:
            return _goal(metric, mode)
        own = self.metrics[bare].mode
        if own is None:
            raise ValueError(f"metrics.{bare}.mode: missing, and the sweep goes by {metric}; set it to max or min")
        return Goal(metric, own)


_HOST_DIRECTIONS: dict[str, Literal["max", "min"]] = {"train_loss": "min", "val_loss": "min"}


def _goal(metric: str, mode: Literal["auto", "max", "min"]) -> Goal:
    if mode != "auto":
        return Goal(metric, mode)
    bare = metric.removeprefix("val_")
    doc = doc_of(bare)
    if metric.startswith("val_") and doc:
        return Goal(metric, doc.direction)
    if metric in _HOST_DIRECTIONS:
        return Goal(metric, _HOST_DIRECTIONS[metric])
    if doc:
        raise ValueError(f"{metric}: a metric's name begins with its split; did you mean val_{metric}?")
    raise ValueError(f"{metric}: not a metric whose direction is known; set its mode to max or min")
