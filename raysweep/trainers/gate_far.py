"""A gate that is in another process: every method as one call, over whatever carries calls."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import methodcaller
from typing import TypeVar

from raysweep.errors import Fault, InputError, JobFailed, RaysweepError
from raysweep.trainers.hosted import (
    Answer,
    Deployment,
    Gate,
    HostedJob,
    HostedModel,
    JobRequest,
    Look,
    Point,
    Question,
)

Call = Callable[[Gate], object]
"""What is to be done with the gate, where it is; picklable."""
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Reply:
    """What a gate answered."""

    value: object = None
    error: RaysweepError | None = None


def carry_out(gate: Gate, call: Call) -> Reply:
    """Do it, where the gate is; what is raised goes back as a value."""
    try:
        return Reply(call(gate))
    except InputError as error:  # for a driver; a trial would take it for its params' fault
        return Reply(error=JobFailed(str(error), Fault.ACCOUNT))
    except RaysweepError as error:
        return Reply(error=error)
    except Exception as error:  # noqa: BLE001  # the border of the process: not every exception can be pickled
        return Reply(error=RaysweepError(f"the gate broke: {type(error).__name__}: {error}"))


class FarGate:
    """Keeps every promise of `hosted.Gate`, by way of `carry`."""

    def __init__(self, carry: Callable[[Call], Reply]) -> None:
        self._carry = carry

    def model(self, name: str) -> HostedModel:
        """A model that the host knows."""
        return _is(HostedModel, self._ask(methodcaller("model", name)))

    def file(self, name: str) -> str | None:
        """The id of a file of this name that can be trained on now."""
        found = self._ask(methodcaller("file", name))
        return None if found is None else _is(str, found)

    def upload(self, name: str, content: bytes) -> str:
        """The id of the one file of this name."""
        return _is(str, self._ask(methodcaller("upload", name, content)))

    def find(self, sweep_id: str, key: str, *, thorough: bool) -> HostedJob | None:
        """The job that carries the key."""
        found = self._ask(methodcaller("find", sweep_id, key, thorough=thorough))
        return None if found is None else _is(HostedJob, found)

    def create(self, request: JobRequest) -> HostedJob | None:
        """The one job of the request's key; None while there is no permit."""
        made = self._ask(methodcaller("create", request))
        return None if made is None else _is(HostedJob, made)

    def admit(self, sweep_id: str) -> None:
        """The sweep may have jobs made."""
        self._ask(methodcaller("admit", sweep_id))

    def dismiss(self, sweep_id: str | None) -> None:
        """No job is made for the sweep any more."""
        self._ask(methodcaller("dismiss", sweep_id))

    def watch(self, job_id: str, *, version: int, n_points: int, timeout_s: float) -> Look:
        """Wait until there is more than the asker knows, or the time is up."""
        call = methodcaller("watch", job_id, version=version, n_points=n_points, timeout_s=timeout_s)
        return _is(Look, self._ask(call))

    def cancel(self, job_id: str) -> HostedJob | None:
        """Stop a job and say what has become of it."""
        found = self._ask(methodcaller("cancel", job_id))
        return None if found is None else _is(HostedJob, found)

    def jobs(self, sweep_id: str | None) -> Sequence[HostedJob]:
        """All of a sweep's jobs that the host lists."""
        return _are(HostedJob, self._ask(methodcaller("jobs", sweep_id)))

    def checkpoints(self, job_id: str) -> Sequence[Point]:
        """The points of the checkpoints that were kept."""
        return _are(Point, self._ask(methodcaller("checkpoints", job_id)))

    def result(self, file_id: str) -> bytes:
        """What a result file holds."""
        return _is(bytes, self._ask(methodcaller("result", file_id)))

    def ask(self, model: str, questions: Sequence[Question]) -> Sequence[Answer]:
        """A model's answers, in order."""
        return _are(Answer, self._ask(methodcaller("ask", model, tuple(questions))))

    def release(self, job_id: str) -> None:
        """Nobody needs the job's record any more."""
        self._ask(methodcaller("release", job_id))

    def discard(self, kind: str, name: str) -> bool:
        """Delete something; False where the host does not let go of it."""
        return _is(bool, self._ask(methodcaller("discard", kind, name)))

    def deploy(self, name: str, model: str) -> Deployment | None:
        """The one deployment of this name; None while there is no place for it."""
        found = self._ask(methodcaller("deploy", name, model))
        return None if found is None else _is(Deployment, found)

    def deployments(self) -> Sequence[Deployment]:
        """All that the account has."""
        return _are(Deployment, self._ask(methodcaller("deployments")))

    def _ask(self, call: Call) -> object:
        reply = self._carry(call)
        if reply.error is not None:
            raise reply.error
        return reply.value


def _is(kind: type[Kind], value: object) -> Kind:
    if not isinstance(value, kind):
        raise RaysweepError(
            f"the gate answered with {type(value).__name__}, not {kind.__name__}: are both one version?"
        )
    return value


def _are(kind: type[Kind], values: object) -> list[Kind]:
    return [_is(kind, value) for value in values] if isinstance(values, list | tuple) else []
