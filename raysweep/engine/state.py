"""A training's state in one file, from which it goes on as if it had never stopped."""

import json
import logging
import os
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from raysweep.engine.memory import is_out_of_memory
from raysweep.errors import DiskError, Fault, JobFailed
from raysweep.jobs import Evaluation

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Counts:
    """How far a training has come."""

    step: int = 0
    examples: int = 0
    tokens: int = 0
    loss_sum: float = 0.0
    """Over the examples since the last evaluation."""
    loss_examples: int = 0
    n_bad: int = 0
    """Evaluations in a row, the last ones, in which all rows got the same label."""
    is_finished: bool = False
    """Whether the model was written."""


@dataclass(frozen=True)
class State:
    """All that a job keeps between two steps."""

    counts: Counts = Counts()
    made: tuple[Evaluation, ...] = ()
    """Every evaluation so far, handed out or not."""
    tensors: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """Weights, moments and random states; none before the first step."""


def save_state(path: Path, state: State, job: str) -> None:
    """Replace the file in one move: a crash leaves the old one or the new one. `job` says whose state it is.

    Raises DiskError where it cannot be written.
    """
    progress = json.dumps({"counts": asdict(state.counts), "made": [asdict(one) for one in state.made]})
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()}
    write_tensors(path, tensors, {"job": job, "progress": progress, "sum": _sum(job, progress, tensors)})


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file that is there whole or not at all; raises DiskError where it cannot be written."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, unfinished, metadata)
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)
    except (OSError, SafetensorError) as error:
        unfinished.unlink(missing_ok=True)
        raise DiskError(f"{path}: cannot be written: {error}; free space there, or choose another folder") from error


def load_state(path: Path, job: str) -> State:
    """What was saved there; an empty state where nothing was, or where the disk has damaged it.

    Raises JobFailed (host) for another job's state, DiskError where the file is there but cannot be read.
    """
    try:
        if not path.is_file():
            return State()
        metadata, tensors = _read(path)
        progress = json.loads(metadata["progress"])
        made = tuple(Evaluation(**one) for one in progress["made"])
        state = State(Counts(**progress["counts"]), made, tensors)
    except OSError as error:
        raise DiskError(f"{path}: cannot be read: {error}; mend the disk, or choose another folder") from error
    except (SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
        if is_out_of_memory(error):
            raise
        _LOG.warning("%s: damaged (%s: %s); the job starts anew", path, type(error).__name__, error)
        return State()
    if metadata["job"] != job:
        raise JobFailed(f"{path}: the state of another job ({metadata['job']}); remove the folder", Fault.HOST)
    return state


def _read(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Raises whatever it may be where the bytes are not those that were saved."""
    with safe_open(path, framework="pt") as file:
        metadata: dict[str, str] = file.metadata() or {}
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118  # no mapping
    if _sum(metadata["job"], metadata["progress"], tensors) != metadata["sum"]:
        raise ValueError("its checksum differs")
    return metadata, tensors


def _sum(job: str, progress: str, tensors: Mapping[str, torch.Tensor]) -> str:
    """Over every byte that is saved: the format itself has no checksum."""
    total = zlib.crc32(f"{job} {progress}".encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), total)
        if tensor.numel():
            total = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, total)
    return str(total)
