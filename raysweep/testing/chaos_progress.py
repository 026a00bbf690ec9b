"""How far each job's saved state has come, watched: it must never go back."""

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

_HEADER_BYTES = 8
"""Of a safetensors file: the length of what follows, which is JSON."""


class Progress:
    """The saved states in a sweep's folder, of trainers that are known to keep one there."""

    def __init__(self, folder: Path) -> None:
        self._jobs = folder / "jobs"
        self._seen: dict[Path, tuple[int, float]] = {}
        self.problems: list[str] = []

    def look(self) -> None:
        """Read what has changed since the last look; note what has gone back."""
        for name, read in _READERS.items():
            for path in self._jobs.glob(f"*/{name}"):
                self._look_at(path, read)

    def _look_at(self, path: Path, read: Callable[[bytes], float]) -> None:
        try:
            changed = path.stat().st_mtime_ns
            before = self._seen.get(path)
            if before is not None and before[0] == changed:
                return
            now = read(path.read_bytes())
        except FileNotFoundError:
            return  # moved away at this moment
        if before is not None and now < before[1]:
            self.problems.append(f"{path.parent.name}: its saved state went back from {before[1]:g} to {now:g}")
        self._seen[path] = (changed, now)


def _epochs(text: bytes) -> float:
    return float(json.loads(text)["epoch"])


def _steps(text: bytes) -> float:
    (length,) = struct.unpack("<Q", text[:_HEADER_BYTES])
    metadata = json.loads(text[_HEADER_BYTES : _HEADER_BYTES + length])["__metadata__"]
    return float(json.loads(metadata["progress"])["counts"]["step"])


_READERS: Mapping[str, Callable[[bytes], float]] = {"state.json": _epochs, "state.safetensors": _steps}
"""What a job has trained, by the file that it keeps: the synthetic trainer's in epochs, the local one's in steps."""
