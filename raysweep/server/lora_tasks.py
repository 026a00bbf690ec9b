"""What the lora engine's children are given to do: light to import, so that the server need not load torch."""

from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from raysweep.server.chatfile import Chat
from raysweep.server.records import Plan

PAUSE = "pause"
"""The one word that a training child is told."""


@dataclass(frozen=True)
class Work:
    """One job for a child."""

    model: str
    """The base model's folder."""
    adapter: str | None
    """Of the model to tune further."""
    folder: Path
    plan: Plan
    seed: int
    train: tuple[Chat, ...]
    validation: tuple[Chat, ...]
    seen_step: int = 0
    """The last step that the server knows of; what was measured after it is told again."""


def train(link: Connection, work: Work) -> None:
    """Train one job, in a process that has loaded torch already."""
    from raysweep.server import lora_worker

    lora_worker.train(link, work)


def answer(link: Connection, model: str) -> None:
    """Answer chats, in a process that has loaded torch already."""
    from raysweep.server import lora_worker

    lora_worker.answer(link, model)
