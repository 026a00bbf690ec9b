"""What the results of a sweep rest on: paths that mean the same everywhere, and a digest of each section."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from raysweep.config.sections import LoraTrainer
from raysweep.config.sweep import SweepConfig

SESSION_SETTINGS = (
    *("trials", "concurrency", "time_s", "budget", "target", "retries", "on_interrupt", "final", "recorders"),
)
"""What may be another in a later session: how much is run, and what is done with it, but not what a trial is."""

_ELSEWHERE = ("name", "data", "runs_folder")
"""Told by the ledger, the rows' fingerprint and the sweep's folder."""


def digests(config: SweepConfig) -> Mapping[str, str]:
    """A digest of each section that a trial's results rest on; a setting at its default counts as not given."""
    given = config.model_dump(mode="json", exclude_defaults=True)
    names = [name for name in SweepConfig.model_fields if name not in SESSION_SETTINGS and name not in _ELSEWHERE]
    return {name: _digest(given[name]) for name in names if name in given}


def anchored(config: SweepConfig) -> SweepConfig:
    """The same settings with absolute paths, so that they can be read again from another working directory."""
    data = config.data.model_copy(
        update={
            "source": _absolute(config.data.source),
            "train": _absolute(config.data.train),
            "validation": _absolute(config.data.validation),
            "test": _absolute(config.data.test),
        }
    )
    changed: dict[str, object] = {"data": data, "runs_folder": config.runs_folder.absolute()}
    changed["task"] = config.task.anchored()
    changed["metrics"] = {name: one.anchored() for name, one in config.metrics.items()}
    changed["warm_start"] = tuple(
        one.model_copy(update={"path": one.path.expanduser().absolute()}) for one in config.warm_start
    )
    if isinstance(config.trainer, LoraTrainer) and Path(config.trainer.model).is_dir():
        changed["trainer"] = config.trainer.model_copy(update={"model": str(Path(config.trainer.model).absolute())})
    return config.model_copy(update=changed)


def _absolute(path: str | None) -> str | None:
    is_file = path is not None and not path.startswith(("asset:", "shipped:", "~"))
    return str(Path(path).absolute()) if path is not None and is_file else path


def _digest(section: object) -> str:
    return hashlib.sha256(json.dumps(section, sort_keys=True).encode()).hexdigest()[:16]
