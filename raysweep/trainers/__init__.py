"""Trainers by kind, each imported only when it is made."""

from dataclasses import dataclass
from typing import assert_never

from raysweep.config import LoraTrainer, SyntheticTrainer
from raysweep.jobs import Trainer
from raysweep.task import Task


@dataclass(frozen=True)
class TrainerRecipe:
    """All that is needed to make a trainer, in the driver and again in each actor."""

    settings: LoraTrainer | SyntheticTrainer
    task: Task


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
        case _:
            assert_never(settings)
