"""Notes that another process leaves in a sweep's folder for its driver: the ledger has one writer alone."""

import contextlib
import re
from pathlib import Path

_FOLDER = "requests"
_STOP = re.compile(r"stop_(\d+)")


def ask_to_stop(folder: Path, trial: int) -> Path:
    """Leave a note that the trial is to be stopped; gives the note, which is gone once the driver has taken it."""
    note = folder / _FOLDER / f"stop_{trial:04d}"
    note.parent.mkdir(exist_ok=True)
    note.touch()
    return note


def take_stops(folder: Path) -> tuple[int, ...]:
    """Numbers of the trials that are to be stopped; each is given once. Nothing while the storage is gone."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for note in sorted((folder / _FOLDER).iterdir()):
            match = _STOP.fullmatch(note.name)
            if match:
                note.unlink()
                found.append(int(match[1]))
    return tuple(found)
