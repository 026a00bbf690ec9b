"""Metrics of the user's own, as settings."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, field_validator

from raysweep.config.sections import Section
from raysweep.scoring import F1_OF, METRICS

_TAKEN = {*METRICS, "loss"}
"""What raysweep or a host calls its own; `val_loss` is a host's."""
_SPLITS = ("val_", "test_", "train_")
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*|[\w.-]+")


class FunctionSection(Section):
    """A function of the user's own."""

    function: str
    """`module:function`, or the name of an entry point of the group `raysweep.metrics`."""
    folder: Path | None = None
    """Where the module lies if it is not installed; None: beside the settings' file, else the working directory."""

    @field_validator("function")
    @classmethod
    def _check_function(cls, function: str) -> str:
        if not _FUNCTION.fullmatch(function):
            raise ValueError(f"{function!r} is no function; write module:function, or an entry point's name")
        return function

    def beside(self, folder: Path) -> Self:
        """With the settings' own folder where it holds the module and no other is named; else as it was."""
        top = folder / self.function.partition(":")[0].partition(".")[0]
        holds_it = top.with_suffix(".py").is_file() or top.is_dir()
        return self.model_copy(update={"folder": folder}) if self.folder is None and holds_it else self

    def anchored(self) -> Self:
        """With the folder absolute, by default the working directory; an entry point has none."""
        folder = (self.folder or Path.cwd()).expanduser().absolute() if ":" in self.function else None
        return self.model_copy(update={"folder": folder})


class MetricSection(FunctionSection):
    """A function of the right labels and the predictions."""

    mode: Literal["max", "min"] | None = None
    """Which way is better; needed where the sweep ranks or stops trials by it."""
    help: str = ""
    """What it means, in a sentence: the description of its column."""


def spelled_out(raw: object) -> object:
    """The function alone as a section with nothing else."""
    return {"function": raw} if isinstance(raw, str) else raw


MetricEntry = Annotated[MetricSection, BeforeValidator(spelled_out, json_schema_input_type=MetricSection | str)]


def check_name(name: str) -> None:
    """Raise ValueError for a name that a metric of the user's own cannot have."""
    place = f"metrics.{name}"
    if name in _TAKEN or name.startswith(F1_OF):
        raise ValueError(f"{place}: the name is taken by a metric that is made anyway; choose another")
    if not (name.isascii() and name.isidentifier()):
        raise ValueError(f"{place}: {name!r} cannot be a metric's name; use letters, digits and underscores")
    if name.startswith(_SPLITS):
        raise ValueError(f"{place}: the split is put before the name by itself; call it {name.partition('_')[2]}")
