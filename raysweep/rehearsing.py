"""A server of our own in a host's place, for as long as a sweep is driven or looked at."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from raysweep import environment, ledger
from raysweep.config import SweepConfig, WireTrainer
from raysweep.config.wire import RehearsalSection
from raysweep.earlier import Earlier
from raysweep.entries import SweepStarted
from raysweep.errors import ConfigError
from raysweep.folder import read_settings, refuse_moved
from raysweep.preflight import Ready, make_ready, searched_values
from raysweep.server.child import running_server
from raysweep.trainers import make_trainer
from raysweep.trainers.dialects import Dialect, dialect_of

FOLDER = "server"
"""Where a rehearsal's jobs are kept, in its sweep's folder: they are there when the sweep goes on."""


def rehearsed(config: SweepConfig) -> SweepConfig:
    """The same sweep, rehearsed: at our own server, with the synthetic engine where nothing else is said.

    Raises ConfigError for a trainer that asks no host anyway.
    """
    trainer = config.trainer
    if not isinstance(trainer, WireTrainer):
        raise ConfigError(f"--rehearse: the trainer {trainer.kind} asks no host; there is nothing to rehearse")
    changed = {"base_url": None, "identity": "key", "rehearsal": trainer.rehearsal or RehearsalSection()}
    return config.model_copy(update={"trainer": WireTrainer.model_validate({**trainer.model_dump(), **changed})})


@contextmanager
def staged(ready: Ready, folder: Path) -> Iterator[Ready]:
    """A rehearsal with its server, which runs as long as the block; other sweeps as they are.

    The settings stay what they are, only the trainer knows the address. The server's key is made for this one time and
    stands in this process's environment, where a trainer looks for it.
    """
    settings = ready.recipe.settings
    if not isinstance(settings, WireTrainer) or settings.rehearsal is None:
        yield ready
        return
    dialect = dialect_of(settings)
    models = {settings.model, *map(str, searched_values(ready.config.space, "model"))}
    bases = (word for model in sorted(models) for word in ("--base", model))
    with running_server(*_options(settings.rehearsal, dialect), *bases, folder=folder / FOLDER) as server:
        environment.mark(environment.SERVER_KEY, server.key)
        there = settings.model_copy(update={"base_url": _address(server.base_url, dialect)})
        recipe = replace(ready.recipe, settings=there)
        yield replace(ready, recipe=recipe, trainer=make_trainer(recipe))


@contextmanager
def looked_at(folder: Path, started: SweepStarted) -> Iterator[Ready]:
    """A begun sweep, for somebody else than its driver who wants something of its host.

    Raises SweepFolderError for a folder that was moved or copied, or whose settings are not those it began with;
    ConfigError for a rehearsal while its driver lives: that has the server.
    """
    refuse_moved(folder, started)
    ready = make_ready(read_settings(folder, started), Earlier())  # nobody searches here, and money cannot wait for it
    holder = ledger.holder(folder)
    settings = ready.recipe.settings
    if holder and isinstance(settings, WireTrainer) and settings.rehearsal:
        raise ConfigError(f"{folder}: {holder} rehearses this sweep, and the server ends with it; look afterwards")
    with staged(ready, folder) as there:
        yield there


def _options(rehearsal: RehearsalSection, dialect: Dialect) -> tuple[str, ...]:
    limits = dialect.limits
    said = [("--engine", rehearsal.engine), ("--epoch-s", rehearsal.epoch_s), ("--running", limits.running)]
    said += [("--queued", limits.queued)] if limits.queued else []
    totals = (("--total-jobs", limits.jobs), ("--total-files", limits.files), ("--deployments", limits.deployments))
    said += [(name, total) for name, total in totals if total is not None]
    words = [word for name, value in said for word in (name, str(value))]
    flags = {"--azure": dialect.needs_deployment, "--no-strict": "lora_r" in dialect.params}
    return (*words, *(name for name, is_set in flags.items() if is_set))


def _address(base_url: str, dialect: Dialect) -> str:
    """As the dialect wants it: where the API's version stands in each URL, the bare address."""
    if dialect.url_form == "plain":
        return base_url
    return urlunsplit((*urlsplit(base_url)[:2], "/", "", ""))
