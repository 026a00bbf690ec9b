"""Memory that runs out, as a failure of the job that says whose doing it was."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from raysweep.errors import Fault, JobFailed


@contextmanager
def out_of_memory_as_failure() -> Iterator[None]:
    """The machine's memory, whoever fills it: its fault at first, that of the params when it comes again."""
    try:
        yield
    except (MemoryError, OSError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        reason = f"the machine's memory ran out: {error or 'no more of it'}; fewer jobs at once need less"
        raise JobFailed(reason, Fault.MEMORY) from error


@contextmanager
def gpu_out_of_memory_as_failure(batch_size: int) -> Iterator[None]:
    """A GPU that this process alone fills is the params' fault, one that others fill the host's."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
        fault = Fault.PARAMS if torch.cuda.memory_reserved() > total / 2 else Fault.HOST
        reason = f"the GPU's memory does not hold a batch of {batch_size}; lower batch_size, rank or max_length"
        raise JobFailed(reason, fault) from error


def is_out_of_memory(error: Exception) -> bool:
    """Whether the machine had no more memory to give; torch says so in words only."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    words = ("can't allocate memory", "Cannot allocate memory")
    return isinstance(error, MemoryError) or any(one in str(error) for one in words)
