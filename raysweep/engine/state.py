"""A training's state in one file, from which it goes on as if it had never stopped."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from raysweep.errors import DiskError, Fault, JobFailed


@dataclass(frozen=True)
class Counts:
    """How far a training has come."""

    step: int = 0
    examples: int = 0
    tokens: int = 0
    loss_sum: float = 0.0
    """Over the examples since the last evaluation."""
    loss_examples: int = 0
    n_evaluations: int = 0
    """Handed out already."""
    n_bad: int = 0
    """Evaluations in a row, the last ones, in which all rows got the same label."""


def save_state(path: Path, tensors: Mapping[str, torch.Tensor], counts: Counts, job: str) -> None:
    """Replace the file in one move: a crash leaves the old one or the new one. `job` says whose state it is."""
    write_tensors(path, tensors, {"counts": json.dumps(asdict(counts)), "job": job})


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


def load_state(path: Path, job: str) -> tuple[dict[str, torch.Tensor], Counts] | None:
    """What was saved there; None where nothing was. Raises JobFailed (host) for another job's state."""
    if not path.is_file():
        return None
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        if metadata["job"] != job:
            raise JobFailed(f"{path}: the state of another job ({metadata['job']}); remove the folder", Fault.HOST)
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118  # no mapping
    return tensors, Counts(**json.loads(metadata["counts"]))
