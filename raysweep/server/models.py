"""The host's models: the bases that it tunes, and what its jobs have left."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from raysweep.server.records import TunedModel
from raysweep.server.refusal import bad, no_such_model
from raysweep.server.store import Store

BASES = ("gpt-4.1-2025-04-14", "gpt-4.1-mini-2025-04-14", "gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18", "smollm2-135m")
"""Names that can be tuned."""


@dataclass(frozen=True)
class Found:
    """A model that answers: a base, or a tuned one."""

    name: str
    tuned: TunedModel | None


class Models:
    """All models, by name."""

    def __init__(self, store: Store, bases: Sequence[str]) -> None:
        self.bases = bases
        self._store = store
        self._tuned = {model.name: model for model in store.load(TunedModel)}

    def add(self, models: Iterable[TunedModel]) -> None:
        """Those of a job; the caller has saved them."""
        self._tuned.update({model.name: model for model in models})

    def find(self, name: str) -> Found:
        """The model. Raises Refusal where there is none."""
        if name in self.bases:
            return Found(name, None)
        if name not in self._tuned:
            raise no_such_model(name)
        return Found(name, self._tuned[name])

    def tuned_by_name(self, name: str) -> TunedModel | None:
        """None for a base model, and for an unknown one."""
        return self._tuned.get(name)

    def tuned(self) -> Sequence[TunedModel]:
        """In the order in which they were made."""
        return list(self._tuned.values())

    def delete(self, name: str) -> None:
        """Forget a tuned model. Raises Refusal for a base, and where there is none."""
        if self.find(name).tuned is None:
            raise bad(f"The model '{name}' is not yours to delete.", param="model", code=None)
        self._store.drop(TunedModel, name)
        del self._tuned[name]

    def check_tunable(self, name: str) -> None:
        """Raises Refusal for a model that cannot be tuned, further or at all."""
        if name not in self.bases and name not in self._tuned:
            message = f"Model {name} is not available for fine-tuning or does not exist."
            raise bad(message, param="model", code="model_not_available")
