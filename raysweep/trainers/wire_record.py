"""What a job at a host leaves in its folder: the intent before it is made, its id, and its end once it is known."""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from raysweep.errors import DiskError
from raysweep.jobs import Evaluation
from raysweep.task import Message, Prompt
from raysweep.whole import write_whole

NAME, MODEL_NAME = "wire.json", "model.json"
Kind = TypeVar("Kind")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class End:
    """How a job ended well."""

    model: str
    """The path of the model's note."""
    trained_tokens: int
    evaluations: tuple[Evaluation, ...]
    """All of them."""
    usd: float | None = None
    """What it has cost; None: nothing."""


@dataclass(frozen=True)
class Record:
    """One attempt."""

    key: str
    is_creating: bool = False
    """Whether a create was sent whose answer is not known."""
    job_id: str = ""
    files: tuple[str, ...] = ()
    """Those that the job was given."""
    end: End | None = None


@dataclass(frozen=True)
class ModelNote:
    """A tuned model, and how rows are put to it."""

    model: str
    """Its name at the host."""
    key: str
    prompt: Prompt
    is_untuned: bool = False
    """Whether it is a base model, which answers as it comes."""
    says: str = ""
    """What is added to its system message."""
    before: tuple[Message, ...] = ()
    """Turns that precede every row."""


def load(folder: Path, key: str) -> Record:
    """What is known of the attempt; an empty record where the folder holds another's, or none."""
    record = _read(folder / NAME, Record)
    if record is None and (folder / NAME).exists():  # damaged: nobody knows whether a create was sent
        return Record(key, is_creating=True)
    return record if record is not None and record.key == key else Record(key)


def save(folder: Path, record: Record) -> None:
    """In one move: a crash leaves the old record or the new one, and so does a power cut. Raises DiskError."""
    write_whole(folder / NAME, json.dumps(asdict(record)))


def save_model(folder: Path, model: str, key: str, prompt: Prompt) -> str:
    """Note a tuned model; the path of the note."""
    return save_note(folder, ModelNote(model, key, prompt))


def save_note(folder: Path, note: ModelNote) -> str:
    """In one move; the note's path. Raises DiskError."""
    path = folder / MODEL_NAME
    write_whole(path, json.dumps(asdict(note)))
    return str(path)


def load_model(model: str) -> ModelNote:
    """The note at the path; any other word is a model's own name at the host, with rows as they stand."""
    path = Path(model)
    note = _read(path, ModelNote) if path.suffix == ".json" else None
    return note or ModelNote(model, "", Prompt())


def _read(path: Path, kind: type[Kind]) -> Kind | None:
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DiskError(f"{path}: cannot be read: {error}; mend the disk") from error
    except ValidationError:
        _LOG.warning("%s: damaged; the host is asked instead", path)
        return None
