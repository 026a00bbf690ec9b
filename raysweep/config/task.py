"""The task, as settings."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from raysweep.config.metrics import FunctionSection, spelled_out
from raysweep.config.sections import Section


class GraderSection(FunctionSection):
    """A function that grades one text: of the prompt, the right text and the written one; a number, or None."""


_Grader = Annotated[GraderSection, BeforeValidator(spelled_out, json_schema_input_type=GraderSection | str)]


class TaskSection(Section):
    """What the model is to say."""

    kind: Literal["classification", "rating", "generation"] = "classification"
    """A rating's labels are ordered and have numbers: squared error, MAE and QWK are scored too. A generation has no
    labels: its completions are free text."""
    labels: tuple[str, ...] | None = None
    """As they stand in the completion column, ascending for a rating; None: those of the data, sorted."""
    values: tuple[float, ...] | None = None
    """A rating's numbers, one a label; None: the labels themselves where they are numbers, else 0, 1, 2 …"""
    max_new_tokens: Annotated[int, Field(ge=1, le=4096)] | None = None
    """The longest free text that is trained on and asked for, in the model's tokens; None: 64."""
    scored_rows: Annotated[int, Field(ge=1)] | None = None
    """Of a generation: each evaluation writes texts for the first so many validation rows; None: for all."""
    grader: _Grader | None = None
    """Of a generation: a function of your own that grades each text, which makes the metric `grade`."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = {"max_new_tokens": self.max_new_tokens, "scored_rows": self.scored_rows, "grader": self.grader}
        strange = [name for name, value in given.items() if value is not None]
        if self.kind != "generation" and strange:
            raise ValueError(f"{strange[0]}: a {self.kind} writes no free text; leave it out, or set kind=generation")
        return self

    def beside(self, folder: Path) -> Self:
        """With the folder of its grader where that lies beside the settings' file."""
        return self.model_copy(update={"grader": self.grader and self.grader.beside(folder)})

    def anchored(self) -> Self:
        """With an absolute folder of its grader."""
        return self.model_copy(update={"grader": self.grader and self.grader.anchored()})
