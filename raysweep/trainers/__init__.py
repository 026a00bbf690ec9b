"""Trainers by kind, each imported only when it is made."""

from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar, assert_never, runtime_checkable

from pydantic import BaseModel

from raysweep import plugins
from raysweep.config import LoraTrainer, PluginTrainer, SyntheticTrainer, WireTrainer
from raysweep.errors import ConfigError
from raysweep.jobs import Trainer
from raysweep.task import Task
from raysweep.trainers.hosted import Gate, GateLink

S = TypeVar("S", bound=BaseModel)


@runtime_checkable
class TrainerPlugin(Protocol[S]):
    """What an entry point of the group `raysweep.trainers` is: an object, a class or a module with these two."""

    @property
    def settings(self) -> type[S]:
        """The trainer's own settings, which stand beside `trainer.kind`: a subclass of `raysweep.config.Section`."""
        ...

    def make(self, settings: S, task: Task) -> Trainer:
        """A trainer, cheaply: once in the driver, and again in every trial's process.

        Raises InputError where the settings cannot work here.
        """
        ...


@dataclass(frozen=True)
class TrainerRecipe:
    """All that is needed to make a trainer, in the driver and again in each actor."""

    settings: LoraTrainer | SyntheticTrainer | WireTrainer | PluginTrainer
    task: Task
    gate: GateLink | None = None
    """Leads to the gate that all trials of a host share; None: a gate of its own, where one is needed."""


def make_trainer(recipe: TrainerRecipe) -> Trainer:
    """The trainer that the settings ask for; raises InputError where it cannot work here."""
    settings = recipe.settings
    match settings:
        case LoraTrainer():
            from raysweep.trainers import lora

            return lora.LoraTrainer(settings, recipe.task)
        case SyntheticTrainer():
            from raysweep.trainers import synthetic

            return synthetic.SyntheticTrainer(settings, recipe.task)
        case WireTrainer():
            from raysweep.trainers import wire

            return wire.WireTrainer(settings, recipe.task, partial(_gate, recipe.gate, settings))
        case PluginTrainer():
            return _from_plugin(settings, recipe.task)
        case _:
            assert_never(settings)


def _gate(link: GateLink | None, settings: WireTrainer) -> Gate:
    if link is not None:
        return link.connect()
    from raysweep.trainers.gate import open_gate

    return open_gate(settings)


def _from_plugin(settings: PluginTrainer, task: Task) -> Trainer:
    plugin = plugins.load(plugins.TRAINERS, settings.kind, settings.SHIPPED)
    if not isinstance(plugin, TrainerPlugin):
        raise ConfigError(
            f"{plugins.TRAINERS}: {settings.kind}: {plugin!r} has no `make`; its package has to be mended"
        )
    made: Trainer = plugin.make(settings.settings, task)
    return made
