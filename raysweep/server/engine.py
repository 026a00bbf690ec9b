"""The seam between the server and whatever trains and answers behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from raysweep.server.chatfile import ChatFile
from raysweep.server.happenings import Timed
from raysweep.server.records import Job, Order, Plan, TunedModel


@dataclass(frozen=True)
class Ask:
    """One chat to be answered."""

    model: str
    """A base model's name, or a tuned one's."""
    tuned: TunedModel | None
    messages: tuple[tuple[str, str], ...]
    """Role and content of each turn."""
    max_tokens: int
    temperature: float
    n_top: int
    seed: int


@dataclass(frozen=True)
class Token:
    """One token of an answer, and what else it might have been."""

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...]
    """The likeliest tokens with their log-probabilities, best first."""


@dataclass(frozen=True)
class Answer:
    """What a model says."""

    tokens: tuple[Token, ...]
    is_cut: bool
    """Whether it was longer than allowed."""
    n_prompt_tokens: int


@dataclass(frozen=True)
class Data:
    """The files of a job, read."""

    train: ChatFile
    validation: ChatFile | None
    base: TunedModel | None = None
    """The model that is to be tuned further, where the order names a tuned one."""


class Engine(Protocol):
    """Trains jobs beside the server's loop; every method returns at once, `answer` aside."""

    @property
    def name(self) -> str:
        """Its word on the command line."""
        ...

    def note(self, file: ChatFile) -> None:
        """Look at a file that was uploaded: an engine that only plays needs to know the right answers."""
        ...

    def plan(self, order: Order, data: Data) -> Plan:
        """Numbers for every `auto`, and what the training will take."""
        ...

    def begin(self, job: Job, data: Data) -> None:
        """Train on from `job.step`, also after the server itself has been started anew."""
        ...

    def reports(self, job: Job, until_s: float) -> Sequence[Timed]:
        """What has happened since `job.step`, in its order; for a pausing job, that the pause has taken effect."""
        ...

    def ends_at_s(self, job: Job) -> float | None:
        """When a running job will have ended, where that can be known."""
        ...

    def halt(self, job: Job) -> None:
        """Stop a job that was cancelled, or is to pause."""
        ...

    def answer(self, ask: Ask) -> Answer:
        """A chat's answer; may take its time, and is called from several threads."""
        ...

    def close(self) -> None:
        """Stop everything; what was kept stays."""
        ...
