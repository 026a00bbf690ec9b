"""The task, as settings."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from raysweep.config.metrics import FunctionSection, spelled_out
from raysweep.config.sections import Section
from raysweep.writing import ModelGrader


class GraderSection(FunctionSection):
    """A function that grades one text: of the prompt, the right text and the written one; a number, or None."""


class ModelGraderSection(Section):
    """A model at the wire trainer's host that grades one text; what it costs is part of the budget."""

    model: str
    """Its name at the host, or its deployment's."""
    prompt: str = (
        "Asked:\n{prompt}\n\nThe right answer:\n{completion}\n\nThe answer given:\n{answer}\n\n"
        "How good is the answer given, from 0 (wrong) to 1 (as good as the right one)? Reply with the number alone."
    )
    """`{answer}` is where the text goes, `{prompt}` and `{completion}` where the row's own go."""
    scale: tuple[float, float] = (0.0, 1.0)
    """The worst and the best grade; a reply without a number on it is no grade."""
    max_tokens: Annotated[int, Field(ge=1, le=4096)] = 8
    """Of a reply."""
    input_usd_per_million: Annotated[float, Field(ge=0)] | None = None
    """Price of the tokens that it reads; wanted where the host is paid."""
    output_usd_per_million: Annotated[float, Field(ge=0)] | None = None
    """Price of the tokens that it writes; wanted where the host is paid."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.made()
        return self

    def made(self) -> ModelGrader:
        """The grader; raises ValueError for a prompt without the text, or a scale that does not ascend."""
        prices = (self.input_usd_per_million, self.output_usd_per_million)
        return ModelGrader(self.model, self.prompt, *self.scale, self.max_tokens, *prices)


def _is_model(raw: object) -> str:
    has_model = "model" in raw if isinstance(raw, dict) else isinstance(raw, ModelGraderSection)
    return "model" if has_model else "function"


_Function = Annotated[GraderSection, BeforeValidator(spelled_out, json_schema_input_type=GraderSection | str)]
_Grader = Annotated[
    Annotated[_Function, Tag("function")] | Annotated[ModelGraderSection, Tag("model")], Discriminator(_is_model)
]


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
    """Of a generation: a function of your own, or a model, that grades each text: the metric `grade`."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = {"max_new_tokens": self.max_new_tokens, "scored_rows": self.scored_rows, "grader": self.grader}
        strange = [name for name, value in given.items() if value is not None]
        if self.kind != "generation" and strange:
            raise ValueError(f"{strange[0]}: a {self.kind} writes no free text; leave it out, or set kind=generation")
        return self

    def beside(self, folder: Path) -> Self:
        """With the folder of its grader where that lies beside the settings' file."""
        grader = self.grader
        return self.model_copy(update={"grader": grader.beside(folder)}) if isinstance(grader, GraderSection) else self

    def anchored(self) -> Self:
        """With an absolute folder of its grader."""
        grader = self.grader
        return self.model_copy(update={"grader": grader.anchored()}) if isinstance(grader, GraderSection) else self
