"""The gate of a host and account as a named Ray actor, which all trials on the cluster reach, of several sweeps too.

It lives for as long as anybody asks it, whichever driver made it. The key comes in a method call: constructor
arguments and runtime environments are shown by Ray's dashboard.
"""

import hashlib
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import ray

from raysweep import environment
from raysweep.config import WireTrainer
from raysweep.errors import RaysweepError
from raysweep.trainers import TrainerRecipe
from raysweep.trainers.dialects import dialect_of
from raysweep.trainers.gate_far import Call, FarGate, Reply, carry_out
from raysweep.trainers.host_errors import HostError, No
from raysweep.trainers.hosted import Gate
from raysweep.tuning.heard import Heard
from raysweep.tuning.runner import Ticker

_LOG = logging.getLogger(__name__)

NAMESPACE = "raysweep"
THREADS = 600
"""Each trial that waits for news holds one."""
IDLE_S = 600.0
"""A gate that nobody asks for so long has outlived every sweep."""
KEEP_S = 5.0


class GateHost:
    """The actor."""

    def __init__(self) -> None:
        self._gate: Gate | None = None
        self._heard = Heard()
        self._opening = threading.Lock()
        self._asked_at_s = time.monotonic()
        threading.Thread(target=self._end_when_idle, name="idle", daemon=True).start()

    def open(self, settings: WireTrainer, key: str | None) -> str | None:
        """Make the gate, once; why it could not be made."""
        self._asked_at_s = time.monotonic()
        with self._opening:
            if self._gate is None:
                from raysweep.trainers.gate import open_gate

                try:
                    self._gate = open_gate(settings, key=key)
                except RaysweepError as error:
                    return str(error)
        return None

    def carry(self, call: Call) -> Reply:
        """Do it, and say what came of it."""
        self._asked_at_s = time.monotonic()
        if self._gate is None:
            return Reply(error=HostError("the gate", No.NOT_ASKED, "it has only just begun"))
        return carry_out(self._gate, call)

    def heard(self, number: int) -> tuple[int, tuple[str, ...]]:
        """How many warnings there have been, and those after the first `number`."""
        return self._heard.after(number)

    def _end_when_idle(self) -> None:
        while time.monotonic() < self._asked_at_s + IDLE_S:
            time.sleep(KEEP_S)
        os._exit(0)


@dataclass(frozen=True)
class RayLink:
    """Leads to the gate of that name."""

    name: str

    def connect(self) -> Gate:
        """The gate, as seen from this process."""
        return FarGate(self.carry)

    def carry(self, call: Call) -> Reply:
        """Take a call to the gate and its answer back. Raises RaysweepError where the gate has died.

        HostError (not asked) where it had died before: nobody heard the call.
        """
        try:
            host: Any = ray.get_actor(self.name, namespace=NAMESPACE)  # Ray's handles have no types
        except ValueError:
            raise HostError(f"gate {self.name}", No.NOT_ASKED, "there is none at the moment") from None
        try:
            reply: Reply = ray.get(host.carry.remote(call))
        except (ValueError, ray.exceptions.RayError) as error:
            raise RaysweepError(f"gate {self.name}: does not answer ({type(error).__name__})") from error
        return reply


@contextmanager
def kept(recipe: TrainerRecipe, ticker: Ticker, sweep_id: str = "") -> Iterator[tuple[TrainerRecipe, Ticker]]:
    """The recipe with a link to its gate, and a ticker that makes the gate anew should it die; others as they are.

    `sweep_id`: of the sweep that has jobs made meanwhile, and none afterwards: a trial that was killed may have left a
    create on its way. Raises RaysweepError where the gate cannot be made.
    """
    if not isinstance(recipe.settings, WireTrainer):
        yield recipe, ticker
        return
    keeper = _Keeper(recipe.settings, ticker)
    said = ray.get(keeper.open())
    if said is not None:
        raise RaysweepError(str(said))
    link = RayLink(keeper.name)
    link.connect().admit(sweep_id)
    try:
        yield replace(recipe, gate=link), keeper
    finally:
        try:
            link.connect().dismiss(sweep_id)
        except RaysweepError as error:  # it has died, and what it had under way with it
            _LOG.warning("%s", error)


class _Keeper:
    """Sees to it that the gate lives, and repeats what it warns of."""

    def __init__(self, settings: WireTrainer, ticker: Ticker) -> None:
        self._settings = settings
        self._ticker = ticker
        self._key = environment.secret(dialect_of(settings).key_env) if settings.identity == "key" else None
        self._kept_at_s = time.monotonic()
        self._n_heard: int | None = None
        self._hearing: ray.ObjectRef[tuple[int, tuple[str, ...]]] | None = None
        self.name = _name(settings, self._key)

    def open(self) -> "ray.ObjectRef[str | None]":
        """Find the actor, or make it, and hand it the key."""
        host: Any = ray.remote(GateHost)  # Ray's handles have no types
        made = host.options(
            name=self.name,
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_concurrency=THREADS,
        ).remote()
        opened: ray.ObjectRef[str | None] = made.open.remote(self._settings, self._key)
        if self._hearing is None:
            self._hearing = made.heard.remote(self._n_heard or 0)
        return opened

    def tick(self) -> None:
        """Time has passed."""
        if time.monotonic() > self._kept_at_s + KEEP_S:
            self._kept_at_s = time.monotonic()
            self._repeat()
            self.open()
        self._ticker.tick()

    def _repeat(self) -> None:
        """What it has warned of since; not what it told others before this sweep came."""
        if self._hearing is None or not ray.wait([self._hearing], timeout=0)[0]:
            return
        try:
            n_heard, warnings = ray.get(self._hearing)
        except ray.exceptions.RayError:  # it has died, and is made anew: it counts from the start
            n_heard, warnings = 0, ()
        for words in warnings if self._n_heard is not None else ():
            _LOG.warning("%s", words)
        self._n_heard, self._hearing = n_heard, None


def _name(settings: WireTrainer, key: str | None) -> str:
    """One a host and account; nobody can read the key from it."""
    dialect = dialect_of(settings)
    told = "\n".join((version("raysweep"), dialect.name, dialect.base_url or "", key or settings.identity))
    return f"gate-{dialect.name}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
