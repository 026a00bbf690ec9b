"""Small files that are whole or not there."""

import os
from pathlib import Path

from raysweep.errors import DiskError


def write_whole(path: Path, text: str) -> None:
    """In one move, its folder made if need be: a crash or a power cut leaves the old file or the new one.

    Raises DiskError.
    """
    half = path.with_suffix(".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with half.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())  # a power cut must not leave a name without its content
        half.replace(path)
    except OSError as error:
        raise DiskError(f"{path}: cannot be written: {error}; free space there") from error
