"""A gate for other processes of this machine: served by a thread of the driver, reached over a local socket.

Who connects proves that it knows a word which travels with the link and lives as long as the driver. The host's key
never leaves the driver's process.
"""

import logging
import secrets
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener, answer_challenge, deliver_challenge
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep.config import WireTrainer
from raysweep.errors import RaysweepError
from raysweep.trainers.gate_far import Call, FarGate, Reply, carry_out
from raysweep.trainers.hosted import Gate

if TYPE_CHECKING:
    from raysweep.trainers import TrainerRecipe

_LOG = logging.getLogger(__name__)
RETRY_S = 0.1
"""Between two tries to let somebody in, where the system does not let us: it is out of descriptors, for example."""


@dataclass(frozen=True)
class SocketLink:
    """Leads to the gate of a driver on this machine."""

    address: str
    word: bytes

    def connect(self) -> Gate:
        """The gate; each call has a connection of its own, so that one which waits holds up no other."""
        return FarGate(self.carry)

    def carry(self, call: Call) -> Reply:
        """Take a call to the gate and its answer back. Raises RaysweepError where the driver has gone."""
        try:
            with Client(self.address, family="AF_UNIX", authkey=self.word) as connection:
                connection.send(call)
                reply: Reply = connection.recv()
        except (OSError, EOFError, AuthenticationError) as error:
            raise RaysweepError(f"the gate of this sweep's driver does not answer: {error!r}") from error
        return reply


@contextmanager
def served(recipe: "TrainerRecipe") -> Iterator["TrainerRecipe"]:
    """The recipe with a link to a gate of this process, for as long as the block runs; others as they are."""
    if not isinstance(recipe.settings, WireTrainer) or recipe.gate is not None:
        yield recipe
        return
    from raysweep.trainers.gate import open_gate

    gate = open_gate(recipe.settings)
    word = secrets.token_bytes(32)
    with tempfile.TemporaryDirectory(prefix="raysweep_") as folder:
        address = str(Path(folder) / "gate")
        with Listener(address, family="AF_UNIX", backlog=128) as listener:
            door = _Door(listener, word, gate)
            threading.Thread(target=door.keep, name="gate", daemon=True).start()
            try:
                yield replace(recipe, gate=SocketLink(address, word))
            finally:
                gate.dismiss(None)
                gate.close()
                door.close(address)


class _Door:
    """Lets callers in. Whoever dies or stalls on the threshold holds up nobody else."""

    def __init__(self, listener: Listener, word: bytes, gate: Gate) -> None:
        self._listener = listener
        self._word = word
        self._gate = gate
        self._is_closed = threading.Event()

    def keep(self) -> None:
        """Until it is closed; each caller is answered by a thread of its own, the asking for the word included."""
        while not self._is_closed.is_set():
            try:
                connection = self._listener.accept()
            except (OSError, EOFError) as error:
                if not self._is_closed.wait(RETRY_S):
                    _LOG.warning("the gate's door: %r", error)
            else:
                threading.Thread(target=self._answer, args=(connection,), name="gate-call", daemon=True).start()

    def close(self, address: str) -> None:
        """No further callers."""
        self._is_closed.set()
        with suppress(OSError):  # wakes the thread, which then finds it closed
            Client(address, family="AF_UNIX").close()

    def _answer(self, connection: Connection) -> None:
        with suppress(OSError, EOFError), connection:  # whoever asked has died
            try:
                deliver_challenge(connection, self._word)
                answer_challenge(connection, self._word)
            except AuthenticationError as error:
                _LOG.warning("somebody knocked at the gate without its word: %s", error)
                return
            connection.send(carry_out(self._gate, connection.recv()))
