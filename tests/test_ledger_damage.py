"""Random damage to a ledger's bytes: it is read up to the damage, or refused by the line; never anything else.

The oracle knows the true file alone: the first line whose bytes are no longer those that were written is the damaged
one, and only what lies before it may ever be told.
"""

import random
import re
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from scripted_sweep import accepted, at, ended, evaluated, finals, proposed, sweep

from raysweep import ledger
from raysweep.entries import SweepEnded, SweepResumed, TrialInterrupted
from raysweep.errors import Fault, SweepFolderError
from raysweep.jobs import Outcome
from raysweep.ledger import Ledger
from raysweep.lines import seal
from raysweep.state import fold

N_DAMAGES = 1_700
"""Of each of six kinds."""
NEXT = SweepEnded(at(99), "the next session's end")


def eventful_sweep():
    """Trials of every outcome, one interrupted twice and tried again, a session that broke off, and the next one."""
    yield from list(sweep())[:13]
    yield proposed(2, 20)
    yield accepted(2, 20)
    yield evaluated(2, 0.5, 0.31, 21)
    yield TrialInterrupted(at(22), 2, 0, Fault.HOST, "the actor died\nout of \u2028memory")
    yield proposed(2, 23, attempt=1)
    yield TrialInterrupted(at(24), 2, 1, None, "its driver went away")
    yield SweepResumed(at(24) + timedelta(hours=1), 30, "0.1.0")
    yield proposed(2, 3700, attempt=1)
    yield evaluated(2, 1.0, 0.33, 3701)
    yield ended(2, Outcome.PRUNED, 0.33, seconds=3702, reason="rung 1: below the best third")
    yield from finals()


ENTRIES = list(eventful_sweep())


@pytest.fixture
def folder():
    """In memory where the system has that: ten thousand files on a disk take minutes."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as made:
        yield Path(made)


def true_lines():
    lines, crc = [], 0
    for entry in ENTRIES:
        line, crc = seal(entry, crc)
        lines.append(line)
    return lines


LINES = true_lines()
WHOLE = b"".join(LINES)
FOLDS = [fold(ENTRIES[:n]) for n in range(len(ENTRIES) + 1)]


def cut(draw):
    return WHOLE[: draw.randrange(len(WHOLE))]


def flip(draw):
    damaged = bytearray(WHOLE)
    for _ in range(draw.randint(1, 3)):
        # a third of the flips where they hurt most: in a line's last bytes, its checksum and newline
        place = draw.randrange(len(WHOLE)) if draw.random() < 0.67 else near_an_end(draw)
        damaged[place] ^= 1 << draw.randrange(8)
    return bytes(damaged)


def near_an_end(draw):
    ends = [place for place, byte in enumerate(WHOLE) if byte == ord("\n")]
    return draw.choice(ends) - draw.choice([0, 0, draw.randrange(25)])


def remove(draw):
    first, last = sorted(draw.sample(range(len(WHOLE) + 1), 2))
    last = min(last, first + draw.choice([1, 20, 200, len(WHOLE)]))
    return WHOLE[:first] + WHOLE[last:]


def double(draw):
    first, last, to = sorted(draw.sample(range(len(LINES) + 1), 3))
    if draw.random() < 0.5:
        return b"".join(LINES[:to] + LINES[first:last] + LINES[to:])
    return b"".join(LINES[:last] + LINES[first:last] + LINES[last:])


def swap(draw):
    lines = list(LINES)
    one, other = draw.sample(range(len(lines)), 2)
    lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def zero(draw):
    first, last = sorted(draw.sample(range(len(WHOLE) + 1), 2))
    choice = draw.random()
    if choice < 0.3:
        return WHOLE[:first] + bytes(last - first) + WHOLE[last:]
    if choice < 0.6:
        return WHOLE[:first] + bytes(len(WHOLE) - first)  # a tail that never reached the disk
    if choice < 0.8:
        return WHOLE[:first] + bytes(4096 - first % 4096)
    return WHOLE + bytes(draw.randint(1, 4096))


def n_untouched(damaged):
    """How many lines stand as they were written, from the first on; one that lacks but its newline is one of them."""
    start = 0
    for number, line in enumerate(LINES):
        if damaged[start : start + len(line)] != line:
            tail = damaged[start:].rstrip(b"\0")
            return number + (tail + b"\n" == line)
        start += len(line)
    return len(LINES)


def with_next(n_lines):
    """The first lines as they were written, and the next entry's."""
    return b"".join(LINES[:n_lines]) + seal(NEXT, int(LINES[n_lines - 1][-11:-3], base=16) if n_lines else 0)[0]


def read(folder):
    """What reading gives: the entries, or the message of its refusal."""
    try:
        return list(ledger.read(folder))
    except SweepFolderError as error:
        return str(error)


def append_next(folder):
    """Whether opening it for one more entry went well; the message where it was refused."""
    try:
        with Ledger(folder) as opened:
            opened.append(NEXT)
    except SweepFolderError as error:
        return str(error)
    return None


def check_one(folder, damaged):
    """Whether it was read, refused or had no beginning."""
    path = folder / ledger.FILE_NAME
    path.write_bytes(damaged)
    n_left = n_untouched(damaged)

    found = read(folder)
    refusal = append_next(folder)

    if refusal is not None:
        assert refusal == found
        assert damaged == path.read_bytes()
        assert f"line {n_left + 1}:" in refusal, "the first damaged line is the one that is named"
        return "refused"
    if n_left == 0:
        assert "no sweep was begun in it" in found
        assert with_next(0) == path.read_bytes()
        return "no beginning"
    assert ENTRIES[:n_left] == found
    assert FOLDS[n_left] == fold(found)
    assert with_next(n_left) == path.read_bytes()
    return "read"


@pytest.mark.parametrize("damage", [cut, flip, remove, double, swap, zero])
def test_damage_is_read_up_to_or_refused_by_its_line(folder, damage):
    draw = random.Random(f"{damage.__name__} 1")
    seen = Counter()

    for number in range(N_DAMAGES):
        damaged = damage(draw)
        try:
            seen[check_one(folder, damaged)] += 1
        except BaseException as error:
            error.add_note(f"{damage.__name__}, number {number}: {damaged!r}")
            raise

    if damage is cut:
        assert seen["refused"] == 0, "a cut is never refused"
    elif damage in (double, swap):
        assert {"refused": N_DAMAGES} == seen
    else:
        assert seen["refused"] > N_DAMAGES / 5
    if damage in (cut, zero):
        assert seen["read"] > N_DAMAGES / 5


def test_every_beginning_with_one_more_entry_reads_as_that(folder):
    for n_lines in range(1, len(LINES) + 1):
        (folder / ledger.FILE_NAME).write_bytes(with_next(n_lines))

        assert [*ENTRIES[:n_lines], NEXT] == read(folder)


def test_every_cut_is_read_up_to(folder):
    from_here = len(WHOLE) - len(LINES[-1]) - len(LINES[-2]) - 2

    for place in range(from_here, len(WHOLE)):
        assert "read" == check_one(folder, WHOLE[:place])


def test_every_single_flip_is_found_and_drops_no_line_before_the_last(folder):
    path = folder / ledger.FILE_NAME
    whole = b"".join(LINES[:2])
    n_cut = 0
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)

        found = read(folder)

        if isinstance(found, str):
            assert re.search(rf"line {n_untouched(damaged) + 1}:", found)
        else:
            n_cut += 1
            assert ENTRIES[:1] == found
    assert n_cut <= 8, "only the last newline's"


def test_flips_that_join_the_last_lines_do_not_drop_them_silently(folder):
    ends = [len(b"".join(LINES[:n])) - 1 for n in range(1, len(LINES) + 1)]
    for bits in ((0, 0), (1, 3), (7, 2)):
        damaged = bytearray(WHOLE)
        for end, bit in zip(ends[-2:], bits, strict=True):
            damaged[end] ^= 1 << bit

        assert "refused" == check_one(folder, bytes(damaged))
