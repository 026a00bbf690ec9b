"""What was said of each row of a split that ranked no trial, kept in the sweep's folder as Parquet."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep.errors import SweepFolderError
from raysweep.scoring import Answers, Prediction, Texts, answers_of
from raysweep.task import Task, TaskKind
from raysweep.whole import write_whole_bytes

if TYPE_CHECKING:
    import pyarrow as pa

FOLDER = "predictions"
TASK_KEY = "raysweep.task"
N_VALIDATION_KEY = "raysweep.n_validation"
HELP = {
    "row": "The row's place in its split, from 0, in the order of the data.",
    "label": "The right label, or the right text.",
    "probabilities": "One a label, in the task's order; null where the model gives none.",
    "value": "The expected rating, where the model answers with a number.",
    "text": "What the model wrote, where it writes; a label where that is its word.",
    "loss": "Of a free text: nats of the right one, all its tokens together.",
    "tokens": "Of a free text: tokens of the right one.",
    "grade": "Of a free text: what the task's grader says of it.",
}
"""What each column means; the row's own prompt is not among them."""
OF_LABELS, OF_TEXTS = ("probabilities", "value"), ("loss", "tokens", "grade")
"""Columns that only a task with labels has, or only one of free text."""


@dataclass(frozen=True)
class Kept:
    """One model's predictions of one split, with what they have to be held against."""

    task: Task
    """Without metrics of the user's own."""
    labels: tuple[str, ...]
    """The right ones."""
    predictions: tuple[Prediction, ...]
    n_validation: int = 0
    """How many rows ranked the trials; 0: not known."""

    @property
    def answers(self) -> Answers | Texts:
        """The predictions as arrays."""
        return answers_of(self.task, self.labels, self.predictions)


@dataclass(frozen=True)
class Place:
    """Whose predictions, and of which rows."""

    name: str
    """`best`, `finalist`, `default`, `replica` or a baseline's."""
    trial: int | None
    split: str
    """`val` or `test`."""

    def path(self, folder: Path) -> Path:
        """The file in a sweep's folder."""
        trial = "" if self.trial is None else f"_trial_{self.trial:04d}"
        return folder / FOLDER / f"{self.name}{trial}_{self.split}.parquet"


def keep(folder: Path, place: Place, kept: Kept) -> None:
    """Write the file, whole or not at all; raises DiskError."""
    from pyarrow import BufferOutputStream, parquet

    stream = BufferOutputStream()
    parquet.write_table(_table(kept), stream)
    write_whole_bytes(place.path(folder), stream.getvalue().to_pybytes())


def find(folder: Path, place: Place) -> Kept | None:
    """What was kept, None where nothing was; raises SweepFolderError for a file that cannot be read."""
    from pyarrow import ArrowInvalid, parquet

    path = place.path(folder)
    if not path.is_file():
        return None
    try:
        table = parquet.read_table(path)
        told = table.schema.metadata
        return Kept(
            task_from_json(json.loads(told[TASK_KEY.encode()])),
            tuple(table.column("label").to_pylist()),
            tuple(map(_prediction, table.to_pylist())),
            int(told[N_VALIDATION_KEY.encode()]),
        )
    except (OSError, ArrowInvalid, KeyError, TypeError, ValueError) as error:
        raise SweepFolderError(f"{path}: not predictions as they were written ({error}); delete it") from error


def of_trial(folder: Path, trial: int) -> Kept | None:
    """What a trial's model said of the test rows, under whichever name; raises as `find` does."""
    found = (find(folder, Place(name, trial, "test")) for name in ("best", "finalist", "default", "replica"))
    return next((kept for kept in found if kept is not None), None)


def _table(kept: Kept) -> "pa.Table":
    import pyarrow as pa

    known = {
        "row": pa.int64(),
        "label": pa.string(),
        "probabilities": pa.list_(pa.float64()),
        "value": pa.float64(),
        "text": pa.string(),
        "loss": pa.float64(),
        "tokens": pa.int64(),
        "grade": pa.float64(),
    }
    left_out = OF_LABELS if kept.task.writing else OF_TEXTS
    types = {name: one for name, one in known.items() if name not in left_out}
    said = kept.predictions
    columns: dict[str, Sequence[object]] = {
        "row": range(len(kept.labels)),
        "label": kept.labels,
        "probabilities": [one.probabilities for one in said],
        "value": [one.value for one in said],
        "text": [one.text for one in said],
        "loss": [one.loss for one in said],
        "tokens": [None if one.loss is None else one.n_tokens for one in said],
        "grade": [one.grade for one in said],
    }
    fields = [pa.field(name, one, metadata={"description": HELP[name]}) for name, one in types.items()]
    schema = pa.schema(
        fields, metadata={TASK_KEY: json.dumps(task_in_json(kept.task)), N_VALIDATION_KEY: str(kept.n_validation)}
    )
    return pa.table({name: pa.array(columns[name], types[name]) for name in types}, schema=schema)


def task_in_json(task: Task) -> dict[str, object]:
    """A task as JSON has it, without metrics of the user's own."""
    return {"kind": task.kind.value, "labels": task.labels, "values": task.values}


def task_from_json(told: Mapping[str, object]) -> Task:
    """The task that `task_in_json` put so; raises KeyError, TypeError or ValueError for anything else."""
    labels, values = told["labels"], told["values"]
    if not isinstance(labels, list) or not isinstance(values, list):
        raise TypeError("its task has no labels")
    return Task(TaskKind(str(told["kind"])), tuple(map(str, labels)), tuple(map(float, values)))


def _prediction(row: dict[str, object]) -> Prediction:
    probabilities, value, text = row.get("probabilities"), row.get("value"), row["text"]
    loss, n_tokens, grade = row.get("loss"), row.get("tokens"), row.get("grade")
    return Prediction(
        tuple(map(float, probabilities)) if isinstance(probabilities, list) else None,
        value if isinstance(value, float) else None,
        text if isinstance(text, str) else None,
        loss if isinstance(loss, float) else None,
        n_tokens if isinstance(n_tokens, int) else 0,
        grade if isinstance(grade, float) else None,
    )
