"""Small files that are whole or not there."""

import os
from pathlib import Path

from raysweep.errors import DiskError


def write_whole(path: Path, text: str) -> None:
    """In one move, its folder made if need be: a crash or a power cut leaves the old file or the new one.

    Raises DiskError.
    """
    write_whole_bytes(path, text.encode())


def write_whole_bytes(path: Path, content: bytes) -> None:
    """As `write_whole`, of what is no text."""
    half = path.with_suffix(".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with half.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # a power cut must not leave a name without its content
        half.replace(path)
    except OSError as error:
        raise DiskError(f"{path}: cannot be written: {error}; free space there") from error
