"""A host's base model asked as it comes: what it is told, what that costs, and why it may not be asked."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from raysweep.base_prices import SETTINGS
from raysweep.config import WireTrainer as Settings
from raysweep.cost import Prices
from raysweep.space import Params
from raysweep.task import Example, Message, Task, words_of
from raysweep.trainers import wire_record
from raysweep.trainers.dialects import Dialect
from raysweep.trainers.hosted import Question
from raysweep.trainers.prompting import prompt_of
from raysweep.trainers.wire_bill import most_reading
from raysweep.trainers.wire_costs import Costs
from raysweep.trainers.wire_data import questions
from raysweep.untuned import after_system, turns_of


@dataclass(frozen=True)
class Untuned:
    """The base models of one trainer."""

    settings: Settings
    dialect: Dialect
    task: Task
    costs: Costs

    def why_not(self, params: Params) -> str:
        """Why the base model cannot be asked; empty where it can."""
        model = str(params["model"])
        if self.dialect.needs_deployment and model not in self.settings.base_deployments:
            return f"at {self.dialect.name} {model} answers from a deployment; name yours in trainer.base_deployments"
        if self._prices(model) is None:
            return f"nobody knows what {model} costs at {self.dialect.name} untuned; give {SETTINGS}"
        return ""

    def usd(self, params: Params, shots: Sequence[Example], examples: Sequence[Example]) -> float | None:
        """What its answers cost at most; None: nothing."""
        prices = self._prices(str(params["model"]))
        grading_usd = self.costs.grading_usd(examples)
        if prices is None or (prices.is_free and not grading_usd):
            return None
        prompt = prompt_of(params)
        told = (Message("system", self._says(params)), *turns_of(shots, prompt, self.task))
        usage = most_reading(questions(examples, prompt, self.task))
        before = most_reading([Question(told, 0)]).input_tokens * len(examples)
        return prices.usd(replace(usage, input_tokens=usage.input_tokens + before)) + grading_usd

    def note(self, params: Params, shots: Sequence[Example], folder: Path) -> str:
        """What it is and what it is told, written down; the path of the note."""
        prompt, model = prompt_of(params), str(params["model"])
        return wire_record.save_note(
            folder,
            wire_record.ModelNote(
                self.settings.base_deployments.get(model, model) if self.dialect.needs_deployment else model,
                "",
                prompt,
                is_untuned=True,
                says=self._says(params),
                before=turns_of(shots, prompt, self.task),
            ),
        )

    def _says(self, params: Params) -> str:
        """A tuned model knows the labels, an untuned one has to be told; of free text nothing."""
        if self.task.writing is not None:
            return ""
        return f"Answer with one of these and nothing else: {', '.join(words_of(prompt_of(params), self.task))}"

    def _prices(self, model: str) -> Prices | None:
        return self.costs.base_prices(model)


def untuned_question(question: Question, note: wire_record.ModelNote) -> Question:
    """What an untuned model is asked in a tuned one's place: told the labels, then the examples."""
    first, *others = question.messages
    if not note.says:
        messages = question.messages
    elif first.role == "system":
        messages = (Message("system", f"{first.content}\n\n{note.says}"), *others)
    else:
        messages = (Message("system", note.says), first, *others)
    return replace(question, messages=after_system(messages, note.before), is_model_new=False)
