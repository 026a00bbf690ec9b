"""What a synthetic job is told to get wrong."""

import os
import signal
import time
from dataclasses import dataclass

from raysweep.config import SyntheticTrainer as Settings
from raysweep.errors import ConfigError, Fault, JobFailed

FAULT_WORDS = ("setup", "step", "nan", "kill", "host", "data", "memory", "block", "no_metric")
"""What `faults` can ask for: an error in submit; an error in advance; a loss that is not a number; the worker killed
by SIGKILL; the host's fault; the data's fault; memory that runs out; `block:S`, a call that blocks for S seconds
whatever happens; an evaluation without the objective. Each but `setup` strikes before the first evaluation. A number
after the others but `no_metric`, as in `kill:2`, lets them strike in the first so many attempts only."""

_FAILURES = {
    "nan": ("the training loss is not a number", Fault.PARAMS),
    "host": ("scripted failure of the host", Fault.HOST),
    "data": ("scripted failure of the data", Fault.DATA),
    "memory": ("scripted failure: memory ran out", Fault.MEMORY),
}


@dataclass(frozen=True)
class ScriptedFault:
    """The fault of one trial; an empty word for none."""

    word: str
    number: float | None

    def strikes(self, word: str, n_before: int) -> bool:
        """Whether it is this one, and comes once more after so many times, or attempts."""
        return self.word == word and (self.number is None or n_before < self.number)

    def failure(self, n_before: int) -> JobFailed | None:
        """How the job fails, where it does so by itself."""
        return next((JobFailed(*said) for word, said in _FAILURES.items() if self.strikes(word, n_before)), None)

    def set_up(self, n_before: int) -> None:
        """Raise what a trainer should not raise from submit, if so told."""
        if self.strikes("setup", n_before):
            raise RuntimeError("scripted error in set-up")

    def step(self, n_before: int) -> None:
        """Raise, block or die in advance, if so told."""
        if self.word == "block":
            time.sleep(self.number or 30)  # on purpose deaf to cancel, like a host that does not answer
        elif self.strikes("kill", n_before):
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.strikes("step", n_before):
            raise RuntimeError("scripted error in a step")


def scripted_fault(settings: Settings, trial: int) -> ScriptedFault:
    """What this trial is told; raises ConfigError for what is no fault."""
    said = settings.faults.get(trial, "")
    word, _, number = said.partition(":")
    if said and word not in FAULT_WORDS:
        raise ConfigError(f"trainer.faults.{trial}: {said!r} is no fault; known: {', '.join(FAULT_WORDS)}")
    try:
        return ScriptedFault(word, float(number) if number else None)
    except ValueError as error:
        raise ConfigError(f"trainer.faults.{trial}: {said!r}: write a number after the colon") from error
