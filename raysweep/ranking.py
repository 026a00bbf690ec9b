"""What a completed trial's model said of the validation rows, by which trials are ranked; kept in its job's folder.

From all trials' answers together, what being chosen has given the winner's score can be told (`luck`).
"""

import io
import json
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from raysweep.predictions import task_from_json, task_in_json
from raysweep.scoring import Answers
from raysweep.scoring.answers import Floats
from raysweep.task import Task
from raysweep.whole import write_whole_bytes

FILE_NAME = "validation.npz"
"""By numpy's own means: Parquet's library would double the memory of a process that only watches a job."""


def folder_of(sweep: Path, trial: int) -> Path:
    """A trial's job's own folder, in the sweep's."""
    return sweep / "jobs" / f"trial_{trial:04d}"


def keep(folder: Path, task: Task, answers: Answers) -> None:
    """Write what was said at a job's last evaluation into the job's folder, whole or not at all; raises DiskError."""
    stream, nothing = io.BytesIO(), np.empty(0)
    np.savez_compressed(
        stream,
        task=np.array(json.dumps(task_in_json(task))),
        right=answers.right.astype(np.int32),
        predicted=answers.predicted.astype(np.int32),
        probabilities=(nothing if answers.probabilities is None else answers.probabilities).astype(np.float32),
        expected=(nothing if answers.expected is None else answers.expected).astype(np.float32),
    )
    write_whole_bytes(folder / FILE_NAME, stream.getvalue())


def find(folder: Path) -> tuple[Task, Answers] | None:
    """What was kept in a job's folder, the task without metrics of the user's own; None where it cannot be read."""
    try:
        with np.load(folder / FILE_NAME, allow_pickle=False) as kept:
            task = task_from_json(json.loads(str(kept["task"])))
            return task, Answers(
                kept["right"].astype(np.int64),
                kept["predicted"].astype(np.int64),
                len(task.labels),
                np.array(task.values, dtype=np.float64),
                _floats(kept["probabilities"]),
                _floats(kept["expected"]),
            )
    except (OSError, EOFError, BadZipFile, KeyError, TypeError, ValueError):
        return None


def _floats(kept: npt.NDArray[np.float32]) -> Floats | None:
    return kept.astype(np.float64) if kept.size else None
