"""Durable records: a SQLite file beside the uploaded bytes. What `save` was told is there after a kill."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

from raysweep.errors import DiskError, InputError
from raysweep.server.records import Checkpoint, Deployment, Event, Job, StoredFile, TunedModel

T = TypeVar("T")
Record = Job | StoredFile | TunedModel | Checkpoint | Event | Deployment


@dataclass(frozen=True)
class Create:
    """A create's idempotency key, and what it was used for."""

    key: str
    digest: str
    """Of the body."""
    job_id: str


@dataclass(frozen=True)
class Count:
    """How often something has happened, over restarts."""

    name: str
    n: int


_TABLES: dict[type, str] = {
    Job: "jobs",
    StoredFile: "files",
    TunedModel: "models",
    Checkpoint: "checkpoints",
    Event: "events",
    Deployment: "deployments",
    Create: "creates",
    Count: "counts",
}


class Store:
    """One folder's records; opened by one server at a time."""

    def __init__(self, folder: Path, engine: str) -> None:
        """Raises InputError where the folder is in use or was another engine's, DiskError where it is not writable."""
        self._bytes = folder / "files"
        try:
            self._bytes.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(folder / "server.sqlite", timeout=0.2)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._make_tables(engine)
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise InputError(f"{folder}: another server uses it; end that one or name another --state") from error
            raise DiskError(f"{folder}: cannot be used: {error}; name another --state") from error
        except OSError as error:
            raise DiskError(f"{folder}: cannot be written: {error}; name another --state") from error
        found = self._database.execute("SELECT value FROM about WHERE name = 'engine'").fetchone()[0]
        if found != engine:
            raise InputError(f"{folder}: its jobs are those of the {found} engine, not {engine}; name another --state")

    def load(self, kind: type[T]) -> list[T]:
        """Every record of a kind, in the order in which they were first saved."""
        adapter = TypeAdapter(kind)
        rows = self._database.execute(f"SELECT body FROM {_TABLES[kind]} ORDER BY place")
        return [adapter.validate_json(body) for (body,) in rows]

    def save(self, records: Iterable[Record | Create | Count]) -> None:
        """Write or replace them, all or none. Raises DiskError where that cannot be done."""
        with self._writing():
            for record in records:
                body = json.dumps(asdict(record))  # NaN stays NaN: a diverged job's losses are
                self._database.execute(
                    f"INSERT INTO {_TABLES[type(record)]} (id, body) VALUES (?, ?)"
                    " ON CONFLICT (id) DO UPDATE SET body = excluded.body",
                    (_id(record), body),
                )

    def drop(self, kind: type, id_: str) -> None:
        """Forget a record. Raises DiskError where that cannot be done."""
        with self._writing():
            self._database.execute(f"DELETE FROM {_TABLES[kind]} WHERE id = ?", (id_,))

    def write_bytes(self, file_id: str, content: bytes) -> None:
        """Keep a file's bytes, whole or not at all; before its record is saved."""
        half = self._bytes / f"{file_id}.part"
        try:
            half.write_bytes(content)
            half.replace(self._bytes / file_id)
        except OSError as error:
            raise DiskError(f"{half}: cannot be written: {error}; free space there") from error

    def read_bytes(self, file_id: str) -> bytes | None:
        """A file's bytes; None where they are gone."""
        path = self._bytes / file_id
        return path.read_bytes() if path.is_file() else None

    def drop_bytes(self, file_id: str) -> None:
        """Delete a file's bytes."""
        (self._bytes / file_id).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the folder."""
        self._database.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with self._database:
                yield
        except sqlite3.Error as error:
            raise DiskError(f"{self._bytes.parent}: cannot be written: {error}; free space there") from error

    def _make_tables(self, engine: str) -> None:
        with self._database:
            for table in _TABLES.values():
                self._database.execute(
                    f"CREATE TABLE IF NOT EXISTS {table}"
                    " (place INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, body TEXT NOT NULL)"
                )
            self._database.execute("CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
            self._database.execute("INSERT OR IGNORE INTO about VALUES ('engine', ?)", (engine,))


def _id(record: Record | Create | Count) -> str:
    match record:
        case TunedModel() | Deployment() | Count():
            return record.name
        case Create():
            return record.key
        case _:
            return record.id
