"""A ledger's lines: one entry each, closed by a checksum that also covers the line before; made, and checked."""

import re
import shlex
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from raysweep.encoding import decode, encode, version_of
from raysweep.entries import SCHEMA_VERSION, Entry
from raysweep.errors import SweepFolderError

CHECKED_SINCE = 2
"""The schema version from which on every line carries a checksum."""
_ENDING = re.compile(rb', "crc": "([0-9a-f]{8})"\}')
_ENDING_LENGTH = len(b', "crc": "01234567"}')
_BEGINNING = b'{"entry"'
_FIRST = b'{"entry": "SweepStarted"'


@dataclass(frozen=True)
class Line:
    """One whole line of a ledger."""

    number: int
    """From 1."""
    entry: Entry
    crc: int | None
    """Its checksum; None for a line of schema version 1."""
    start: int
    """The offset of its first byte."""
    end: int
    """The offset of the byte after it, its newline included."""
    has_newline: bool
    """False for a last line that is whole but for its newline."""


def seal(entry: Entry, before: int) -> tuple[bytes, int]:
    """The entry's line, newline included, and its checksum: a CRC-32 of the line's text, begun with the one before.

    The first line's `before` is 0. Raises ValueError for a number that is not finite.
    """
    text = encode(entry).removesuffix("}").encode()
    crc = zlib.crc32(text, before)
    return b'%s, "crc": "%08x"}\n' % (text, crc), crc


def check(lines: Iterable[bytes], path: Path) -> Iterator[Line]:
    r"""Every whole line, in order; a last line that its writer did not come to the end of is left out.

    Lines are split at `\n` alone. Raises SweepFolderError for any other line that is not as it was written, with its
    number and the remedy, and for a ledger of a newer schema version; `path` is for the message.
    """
    before: int | None = None
    start = 0
    for number, raw in enumerate(lines, start=1):
        has_newline = raw.endswith(b"\n")
        text = raw.removesuffix(b"\n") if has_newline else raw.rstrip(b"\0")  # zeros: what power loss leaves of a tail
        try:
            plain, crc = _unseal(text, before)
            if number == 1:
                _check_first(plain, crc, path)
            entry = decode(plain.decode())
        except (ValueError, KeyError, TypeError) as error:
            if not has_newline and _is_cut(text, is_first=number == 1):
                return
            raise _damaged(path, number, start, error) from error
        before = crc
        yield Line(number, entry, crc, start, start + len(text) + has_newline, has_newline)
        start += len(raw)


def _unseal(text: bytes, before: int | None) -> tuple[bytes, int | None]:
    """The line without its checksum, and that; once a line has one, all later ones must."""
    found = _ENDING.fullmatch(text[-_ENDING_LENGTH:])
    if found is None and before is not None:
        raise ValueError("it has no checksum")
    if found is None:
        return text, None
    plain = text[:-_ENDING_LENGTH]
    crc = zlib.crc32(plain, before or 0)
    if crc != int(found[1], base=16):
        raise ValueError("its checksum fits neither it nor the line before: altered, lost, doubled or out of place")
    return plain + b"}", crc


def _check_first(plain: bytes, crc: int | None, path: Path) -> None:
    """Looks at the version before anything else is decoded: a newer one may hold what we do not know."""
    version, raysweep_version = version_of(plain.decode())
    if version > SCHEMA_VERSION:
        raise SweepFolderError(
            f"{path}: was written by raysweep {raysweep_version} (ledger version {version}), "
            f"this one reads up to {SCHEMA_VERSION}: upgrade raysweep"
        )
    if version >= CHECKED_SINCE and crc is None:
        raise ValueError("it has no checksum")


def _is_cut(text: bytes, *, is_first: bool) -> bool:
    """Whether text without a newline can be what a torn write left: the beginning of one line and nothing after it."""
    ending = _ENDING.search(text)
    holds_more = text.count(_BEGINNING) > 1 or (ending is not None and ending.end() < len(text))
    begins_well = text.startswith(_FIRST) or _FIRST.startswith(text)
    return not holds_more and (begins_well or not is_first)


def _damaged(path: Path, number: int, start: int, why: Exception) -> SweepFolderError:
    remedy = "restore the file from a backup"
    if number > 1:
        command = f"truncate -s {start} {shlex.quote(str(path))}"
        remedy += f", or cut it before that line, which forgets all that came after, and go on from there: {command}"
    return SweepFolderError(f"{path}, line {number}: not a ledger entry as it was written ({why}); {remedy}")
