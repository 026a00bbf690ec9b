"""Everything that can be refused before anything is spent: settings against data, task and trainer."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import assert_never

from raysweep.config import SweepConfig, WireTrainer
from raysweep.dataset import Loaded
from raysweep.dimensions import (
    Branch,
    Choice,
    Dimension,
    Fixed,
    Integer,
    LogUniform,
    Params,
    ParamValue,
    QUniform,
    SpaceError,
    Uniform,
    nested,
)
from raysweep.earlier import Earlier, read_earlier
from raysweep.errors import ConfigError
from raysweep.jobs import Capabilities, ParamDoc, Trainer
from raysweep.loading import load_rows
from raysweep.own_metrics import with_own_metrics
from raysweep.plan import BUDGET, budget_epochs, make_pruner
from raysweep.search.chosen import chosen_proposer
from raysweep.search.earlier import tell_earlier
from raysweep.search.propose import Proposer
from raysweep.search.prune import Pruner
from raysweep.space import Space
from raysweep.task import Task, words_of
from raysweep.trainers import TrainerRecipe, facts, make_trainer
from raysweep.trainers.facts import Facts
from raysweep.trainers.prompting import PROMPT_PARAMS, prompt_of
from raysweep.views.plugin import load_recorders


@dataclass(frozen=True)
class Ready:
    """A sweep that may start: every part of it fits the others."""

    config: SweepConfig
    space: Space
    loaded: Loaded
    recipe: TrainerRecipe
    trainer: Trainer
    capabilities: Capabilities
    defaults: Params
    """The params that the space says nothing about: the prompt section's, and the trainer's defaults."""
    earlier: Earlier = field(default_factory=Earlier)
    """What its proposer is told before the first trial."""
    facts: Facts | None = None
    """What was measured at the trainer's host; the recipe's settings have it, those of the config do not."""

    @property
    def task(self) -> Task:
        """The task, with the labels that were asked for or found."""
        return self.loaded.task

    def facts_words(self, now: datetime) -> Iterator[str]:
        """What was measured at the host, and what the sweep uses of it, for a person; nothing where nothing was."""
        if self.facts and isinstance(self.config.trainer, WireTrainer):
            yield f"[bold]host[/bold] {facts.words(self.config.trainer, self.facts, now)}"

    def complete(self, point: Params) -> Params:
        """A point of the space with everything else that the trainer takes."""
        return {**self.defaults, **point}

    def make_proposer(self) -> Proposer:
        """A fresh proposer that knows the earlier runs; raises ConfigError for a space that it cannot search."""
        config = self.config
        try:
            proposer = chosen_proposer(
                config.search, self.space, seed=config.seed, n_trials=config.trials, points=config.points
            )
        except SpaceError as error:
            raise ConfigError(f"search: {error}") from error
        tell_earlier(proposer, self.earlier.runs)
        return proposer

    def make_pruner(self) -> Pruner:
        """A fresh pruner, as the settings ask for."""
        return make_pruner(self.config, len(self.loaded.splits.train))


def make_ready(config: SweepConfig, earlier: Earlier | None = None) -> Ready:
    """Read the data, make the trainer, and hold the settings against both.

    `earlier`: what a sweep that has begun was told before its first trial; None: read it from the settings' sources.
    Raises InputError, which names the setting, the value and the remedy.
    """
    loaded = load_rows(config)
    loaded = replace(loaded, task=with_own_metrics(loaded.task, config, loaded.splits.validation))
    recipe, measured = TrainerRecipe(config.trainer, loaded.task), None
    if isinstance(config.trainer, WireTrainer):
        measured = facts.find(config.trainer)
        recipe = replace(recipe, settings=facts.filled(config.trainer, measured))
    trainer = make_trainer(recipe)
    capabilities = trainer.describe()
    defaults = {name: doc.default for name, doc in capabilities.params.items()}
    prompt = {name: value for name, value in config.prompt.model_dump().items() if name in defaults}
    ready = Ready(
        config,
        Space(config.space),
        loaded,
        recipe,
        trainer,
        capabilities,
        {**defaults, **prompt},
        read_earlier(config) if earlier is None else earlier,
        measured,
    )
    load_recorders(config.recorders)
    _check_interrupt(config, capabilities)
    _check_budget(config, capabilities.params)
    _check_params(config.space, capabilities.params)
    _check_metrics(config, capabilities)
    if config.final.test and capabilities.cannot_predict:
        raise ConfigError(f"final.test: {capabilities.cannot_predict}")
    _check_prompts(ready)
    _check_rungs(ready)
    ready.make_proposer()
    return ready


def possible_values(dimension: Dimension) -> tuple[ParamValue, ...]:
    """The values that tell whether a trainer takes all of the dimension: the ends of a range, every choice."""
    match dimension:
        case Fixed():
            return (dimension.value,)
        case Choice():
            return dimension.values
        case Branch():
            return tuple(dimension.branches)
        case Uniform() | LogUniform() | QUniform() | Integer():
            return (dimension.low, dimension.high)
        case _:
            assert_never(dimension)


def searched_values(space: Mapping[str, Dimension], name: str) -> tuple[ParamValue, ...]:
    """The possible values of a param wherever it stands in the space; none where it does not."""
    found = [one for other, _, one in _dimensions(space, "space") if other == name]
    return tuple(dict.fromkeys(value for one in found for value in possible_values(one)))


def _dimensions(dimensions: Mapping[str, Dimension], place: str) -> Iterator[tuple[str, str, Dimension]]:
    for name, dimension in dimensions.items():
        yield name, f"{place}.{name}", dimension
        if isinstance(dimension, Branch):
            for branch in dimension.branches:
                yield from _dimensions(nested(dimension, branch), f"{place}.{name}.branches.{branch}")


def _check_interrupt(config: SweepConfig, capabilities: Capabilities) -> None:
    if config.on_interrupt == "leave" and not capabilities.has_host:
        raise ConfigError(
            f"on_interrupt: leave: the jobs of this {config.trainer.kind} trainer live at no host and end with their "
            "process, so there is nothing to leave; set it to cancel: `raysweep resume` goes on from what they saved"
        )


def _check_budget(config: SweepConfig, known: Mapping[str, ParamDoc]) -> None:
    if BUDGET not in known:
        raise ConfigError(f"trainer.kind: {config.trainer.kind} describes no {BUDGET}, by which trials end; amend it")


def _check_params(space: Mapping[str, Dimension], known: Mapping[str, ParamDoc]) -> None:
    for name, place, dimension in _dimensions(space, "space"):
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(sorted(known))}"
            raise ConfigError(f"{place}: the trainer takes no such param; {hint}")
        for value in possible_values(dimension):
            _check_value(place, value, known[name])


def _check_value(place: str, value: ParamValue, doc: ParamDoc) -> None:
    if doc.values and value not in doc.values:
        raise ConfigError(f"{place}: {value!r} is not a value of this param; known: {', '.join(map(str, doc.values))}")
    if doc.low is None and doc.high is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{place}: {value!r} is not a number, and this param is one")
    if (doc.low is not None and value < doc.low) or (doc.high is not None and value > doc.high):
        raise ConfigError(f"{place}: {value:g} lies outside {doc.low} to {doc.high}, which the trainer takes")


def _check_metrics(config: SweepConfig, capabilities: Capabilities) -> None:
    at_end = capabilities.metrics | capabilities.final_metrics
    wanted = {"objective.metric": (config.goal.metric, at_end)}
    if config.early_stopping.kind != "none":
        wanted["early_stopping.metric"] = (config.stopping_goal.metric, capabilities.metrics)
    for place, (metric, made) in wanted.items():
        if metric not in made:
            nearest = difflib.get_close_matches(metric, made, n=1)
            hint = f"did you mean {nearest[0]}? " if nearest else ""
            if metric in at_end:
                hint = "it is made of completed jobs only, so early stopping needs a metric of its own; "
            known = ", ".join(sorted(made))
            raise ConfigError(f"{place}: nobody makes {metric} on this task; {hint}known: {known}")


def _check_prompts(ready: Ready) -> None:
    """Every template and every list of label words that a trial may get."""
    plain = {name: doc.default for name, doc in PROMPT_PARAMS.items()}
    asked = [(f"prompt.{name}", name, value) for name, value in ready.config.prompt.model_dump().items()]
    for place, name, value in asked:
        if name not in ready.defaults and value != plain[name]:
            raise ConfigError(f"{place}: the trainer {ready.config.trainer.kind} puts no prompts; leave it out")
    for name, place, dimension in _dimensions(ready.config.space, "space"):
        if name in PROMPT_PARAMS:
            asked += [(place, name, value) for value in possible_values(dimension)]
    for place, name, value in asked:
        try:
            words_of(prompt_of({**plain, name: value}), ready.task)
        except ValueError as error:
            raise ConfigError(f"{place}: {error}") from error


def _check_rungs(ready: Ready) -> None:
    values = searched_values(ready.config.space, BUDGET) or (ready.defaults[BUDGET],)
    budgets = [budget_epochs({BUDGET: value}) for value in values]
    asked = ready.config.early_stopping
    every = ready.config.evaluation.every_epochs
    if not ready.capabilities.evaluates_anywhere and every != int(every):
        raise ConfigError(
            f"evaluation.every_epochs: this trainer evaluates at the ends of epochs only, not every {every:g}; "
            "use a whole number"
        )
    if asked.kind == "none":
        return
    if not ready.make_pruner().rungs_for(max(budgets)):
        raise ConfigError(
            f"early_stopping.rungs: none of {list(asked.rungs)} ({asked.unit}) lies below a trial's budget of "
            f"{max(budgets):g} epochs; lower them, or set early_stopping.kind=none"
        )
    points = ready.make_pruner().rungs_for(max(budgets))
    if not ready.capabilities.evaluates_anywhere and any(point != int(point) for point in points):
        raise ConfigError(
            f"early_stopping.rungs: this trainer evaluates at the ends of epochs only, not at {sorted(points)}; "
            "use whole epochs"
        )
