"""A sweep's folder: refused before anything is done, then made and held."""

import os
from pathlib import Path

from raysweep.config import SweepConfig, to_yaml
from raysweep.errors import DiskError, SweepFolderError
from raysweep.ledger import FILE_NAME, Ledger


def refuse_unusable(folder: Path) -> None:
    """Raises SweepFolderError for a folder that holds a sweep, or cannot be made or written."""
    if (folder / FILE_NAME).exists():
        raise SweepFolderError(f"{folder}: holds a sweep already; choose another folder")
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise SweepFolderError(f"{folder}: {there} is a file; choose another folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise SweepFolderError(f"{folder}: {there} cannot be written; choose another folder, or its owner")


def open_ledger(folder: Path, config: SweepConfig) -> Ledger:
    """The folder with its settings, held by this sweep alone; raises SweepFolderError or DiskError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ledger = Ledger(folder)
        if ledger.path.stat().st_size:
            ledger.close()
            raise SweepFolderError(f"{folder}: holds a sweep already; choose another folder")
        (folder / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
    except OSError as error:
        raise DiskError(f"{folder}: {error.strerror or error}; choose another folder, or make room") from error
    return ledger
