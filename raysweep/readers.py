"""Files of rows, CSV, TSV, JSONL or Parquet, read into records that know their line."""

import csv
import difflib
import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep.errors import DataError

if TYPE_CHECKING:
    import pyarrow

Fields = Mapping[str, object]

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".pq")
"""How files of rows are called."""


@dataclass(frozen=True)
class Record:
    """One row as it stands in its file."""

    line: int
    """Where it begins, from 1; in a Parquet file the row's number."""
    fields: Fields
    """By column; empty for a row that could not be read."""
    broken: str | None = None
    """Why it could not be read."""
    is_badly_encoded: bool = False
    """Whether bytes in it are not UTF-8."""


@dataclass(frozen=True)
class Table:
    """A file's records."""

    path: Path
    columns: tuple[str, ...]
    records: tuple[Record, ...]


def read_table(path: Path) -> Table:
    """Every record of the file, in its order; a record that cannot be read says why.

    Raises DataError for a file that is missing, unreadable, empty or of an unknown kind.
    """
    read = _reader(path)
    try:
        columns, records = read(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file{_neighbours(path)}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check the path and its rights") from error
    if not records:
        raise DataError(f"{path}: holds no rows; give a file with at least one")
    return Table(path, columns, tuple(records))


def need_column(table: Table, name: str, *, setting: str) -> None:
    """Raises DataError, with the nearest name there is, where the table lacks a column."""
    if name in table.columns:
        return
    near = nearest(name, table.columns)
    hint = f"did you mean {near!r}? " if near else ""
    if "messages" in table.columns and setting != "messages":
        hint = "it has chat messages: set data.messages to 'messages'. "
    known = ", ".join(table.columns)
    raise DataError(f"{table.path}: no column {name!r} (data.{setting}); {hint}columns there: {known}")


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known name that is spelt most like it, if any is."""
    by_case = {each.casefold(): each for each in known}
    found = difflib.get_close_matches(name.casefold(), by_case, n=1, cutoff=0.6)
    return by_case[found[0]] if found else None


def _reader(path: Path) -> Callable[[Path], tuple[tuple[str, ...], list[Record]]]:
    match path.suffix.lower():
        case ".csv":
            return _read_csv
        case ".tsv":
            return partial(_read_csv, delimiter="\t")
        case ".jsonl" | ".ndjson":
            return _read_jsonl
        case ".parquet" | ".pq":
            return _read_parquet
        case other:
            raise DataError(f"{path}: unknown kind of file {other!r}; known: {', '.join(SUFFIXES)}")


def _neighbours(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; there is no folder {path.parent} either"
    near = nearest(path.name, [each.name for each in path.parent.iterdir() if each.is_file()])
    return f"; did you mean {near!r}?" if near else f" in {path.parent.absolute()}"


def _text(path: Path) -> str:
    """The file's text, without a byte order mark; bytes that are not UTF-8 become lone surrogates."""
    content = path.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path}: is UTF-16; save it as UTF-8")
    return content.decode("utf-8", errors="surrogateescape").removeprefix("\ufeff")


def _is_badly_encoded(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text) if not text.isascii() else False


def _read_csv(path: Path, delimiter: str = ",") -> tuple[tuple[str, ...], list[Record]]:
    rows = _csv_rows(_text(path), delimiter)
    _, header, broken = next(rows, (1, [], None))
    if broken or not header:
        raise DataError(f"{path}: the first line must name the columns{f' ({broken})' if broken else ''}")
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise DataError(f"{path}: two columns are called {repeated[0]!r}; rename one")
    return tuple(header), [_csv_record(line, cells, header, broken) for line, cells, broken in rows]


def _csv_rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str], str | None]]:
    """(the line it begins at, its cells, why it is broken), blank lines left out."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, [], str(error)
        else:
            if cells:
                yield line, cells, None


def _csv_record(line: int, cells: list[str], header: list[str], broken: str | None) -> Record:
    if broken is None and len(cells) != len(header):
        broken = f"{len(cells)} cells where the header has {len(header)}"
    if broken:
        return Record(line, {}, broken)
    is_bad = any(_is_badly_encoded(cell) for cell in cells)
    return Record(line, dict(zip(header, cells, strict=True)), is_badly_encoded=is_bad)


def _read_jsonl(path: Path) -> tuple[tuple[str, ...], list[Record]]:
    lines = _text(path).split("\n")
    records = [_json_record(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    columns = dict.fromkeys(name for record in records for name in record.fields)
    if records and not columns and records[0].broken:
        raise DataError(f"{path}: line {records[0].line}: {records[0].broken}, and no other line is better")
    return tuple(columns), records


def _json_record(number: int, line: str) -> Record:
    if _is_badly_encoded(line):
        return Record(number, {}, is_badly_encoded=True)
    try:
        fields = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        return Record(number, {}, f"not JSON: {error}")
    if not isinstance(fields, dict):
        return Record(number, {}, "not a JSON object")
    if "\\u" in line and _is_badly_encoded(json.dumps(fields, ensure_ascii=False)):  # half of an escaped pair
        return Record(number, {}, is_badly_encoded=True)
    return Record(number, fields)


def _read_parquet(path: Path) -> tuple[tuple[str, ...], list[Record]]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except pyarrow.ArrowInvalid as error:
        raise DataError(f"{path}: is not a Parquet file ({str(error).splitlines()[0]}); write it anew") from error
    names = tuple(table.column_names)
    rows = zip(*([_cell(scalar) for scalar in column] for column in table.columns), strict=True)
    return names, [_parquet_record(number, dict(zip(names, row, strict=True))) for number, row in enumerate(rows, 1)]


def _cell(scalar: "pyarrow.Scalar") -> object:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return scalar.as_buffer().to_pybytes().decode("utf-8", errors="surrogateescape")


def _parquet_record(number: int, fields: Fields) -> Record:
    is_bad = any(isinstance(value, str) and _is_badly_encoded(value) for value in fields.values())
    return Record(number, {} if is_bad else fields, is_badly_encoded=is_bad)
