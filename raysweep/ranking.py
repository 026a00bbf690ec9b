"""What a completed trial's model said of the validation rows, by which trials are ranked; kept in its job's folder.

From all trials' answers together, what being chosen has given the winner's score can be told (`luck`).
"""

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from raysweep.predictions import task_from_json, task_in_json
from raysweep.scoring import Answers, Texts
from raysweep.scoring.answers import Floats
from raysweep.task import Task
from raysweep.whole import write_whole_bytes

Column = npt.NDArray[Any]

FILE_NAME = "validation.npz"
"""By numpy's own means: Parquet's library would double the memory of a process that only watches a job."""
DIGEST_BYTES = 8
"""Of a right text: the file has no text of any row."""


def folder_of(sweep: Path, trial: int) -> Path:
    """A trial's job's own folder, in the sweep's."""
    return sweep / "jobs" / f"trial_{trial:04d}"


def keep(folder: Path, task: Task, answers: Answers | Texts) -> None:
    """Write what was said at a job's last evaluation into the job's folder, whole or not at all; raises DiskError."""
    stream = io.BytesIO()
    columns = _of_texts(answers) if isinstance(answers, Texts) else _of_labels(answers)
    np.savez_compressed(stream, allow_pickle=False, task=np.array(json.dumps(task_in_json(task))), **columns)
    write_whole_bytes(folder / FILE_NAME, stream.getvalue())


def find(folder: Path) -> tuple[Task, Answers | Texts] | None:
    """What was kept in a job's folder, the task without metrics of the user's own; None where it cannot be read.

    Of free texts, digests stand in the right ones' place.
    """
    try:
        with np.load(folder / FILE_NAME, allow_pickle=False) as kept:
            task = task_from_json(json.loads(str(kept["task"])))
            return task, _texts(kept) if task.writing is not None else _answers(kept, task)
    except (OSError, EOFError, BadZipFile, KeyError, TypeError, ValueError):
        return None


def _of_labels(answers: Answers) -> dict[str, Column]:
    nothing = np.empty(0)
    return {
        "right": answers.right.astype(np.int32),
        "predicted": answers.predicted.astype(np.int32),
        "probabilities": (nothing if answers.probabilities is None else answers.probabilities).astype(np.float32),
        "expected": (nothing if answers.expected is None else answers.expected).astype(np.float32),
    }


def _of_texts(texts: Texts) -> dict[str, Column]:
    right = [hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).hexdigest() for text in texts.right]
    return {
        "right": np.array(right),
        "matches": texts.matches.astype(np.float32),
        "overlaps": texts.overlaps.astype(np.float32),
        "losses": texts.losses.astype(np.float32),
        "n_tokens": texts.n_tokens.astype(np.float32),
        "grades": texts.grades.astype(np.float32),
    }


def _answers(kept: Mapping[str, Column], task: Task) -> Answers:
    return Answers(
        kept["right"].astype(np.int64),
        kept["predicted"].astype(np.int64),
        len(task.labels),
        np.array(task.values, dtype=np.float64),
        _floats(kept["probabilities"]),
        _floats(kept["expected"]),
    )


def _texts(kept: Mapping[str, Column]) -> Texts:
    numbers = [kept[name].astype(np.float64) for name in ("matches", "overlaps", "losses", "n_tokens", "grades")]
    return Texts(tuple(kept["right"].tolist()), *numbers)


def _floats(kept: npt.NDArray[np.float32]) -> Floats | None:
    return kept.astype(np.float64) if kept.size else None
