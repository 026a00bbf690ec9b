"""The settings of what thinks of the next trial; a field is documented by the string below it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from raysweep.config.sections import Section
from raysweep.dimensions import ParamValue


class HyperoptSearch(Section):
    """Tree-structured Parzen estimators: learns from ended trials where to look."""

    kind: Literal["hyperopt"] = "hyperopt"
    random_start: Annotated[int, Field(ge=1)] | None = None
    """Trials before the model is asked, given points among them; None: a third of the sweep's, and never more."""
    default_first: bool = True
    """Whether the first trial is the space's default configuration."""
    points: tuple[dict[str, ParamValue], ...] = ()
    """Configurations to try first; what a point leaves out takes its default."""
    ordered: bool = False
    """Whether the same seed and the same results give the same suggestions in whatever order results arrive."""


class OptunaSearch(Section):
    """Optuna's tree-structured Parzen estimators, which draw the params of a trial together."""

    kind: Literal["optuna"]
    random_start: Annotated[int, Field(ge=1)] | None = None
    """Trials before the model is asked, given points among them; None: a third of the sweep's, and never more."""
    default_first: bool = True
    """Whether the first trial is the space's default configuration."""
    points: tuple[dict[str, ParamValue], ...] = ()
    """Configurations to try first; what a point leaves out takes its default."""
    ordered: bool = False
    """Whether the same seed and the same results give the same suggestions in whatever order results arrive."""


class RandomSearch(Section):
    """Independent random draws."""

    kind: Literal["random"]
    default_first: bool = True
    """Whether the first trial is the space's default configuration."""
    points: tuple[dict[str, ParamValue], ...] = ()
    """Configurations to try first; what a point leaves out takes its default."""


class GridSearch(Section):
    """Every combination of choices and integers, each once."""

    kind: Literal["grid"]


SearchSection = Annotated[HyperoptSearch | OptunaSearch | RandomSearch | GridSearch, Field(discriminator="kind")]


class EarlierRuns(Section):
    """Runs that were made before this sweep, from which its search learns."""

    path: Path
    """A sweep's folder, or a table of runs: CSV, JSONL or Parquet, by its ending, one run a row."""
    metric: str | None = None
    """What they are compared by: a metric of that sweep, or a column of the table; None: the objective."""
    mode: Literal["auto", "max", "min"] = "auto"
    """Of that metric; auto knows the direction of the objective and of the metrics that raysweep makes."""
    params: dict[str, str] = Field(default_factory=dict)
    """Where they call a param otherwise than this space: `theirs: ours`."""
