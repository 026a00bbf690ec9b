import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from raysweep import encoding, lease, ledger
from raysweep.clock import SimulatedClock
from raysweep.entries import Evaluated, JobSettled, SweepEnded, SweepStarted, TrialEnded, TrialProposed
from raysweep.errors import DiskError, SweepFolderError
from raysweep.jobs import Outcome
from raysweep.ledger import Ledger
from raysweep.lines import seal
from raysweep.state import fold

AT = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)
ENTRIES = [
    SweepStarted(AT, "abcd1234", "test", "val_f1_weighted", "max", 3, "0123", "0.1.0"),
    TrialProposed(AT, 0, 1, "abcd1234-0000-1", {"rank": 8, "label_words": ("a", "b"), "system": None}, ("rank",)),
    Evaluated(AT, 0, 1, 0.5, 100, 2000, {"val_f1_weighted": 0.25, "val_log_loss": None}),
    TrialEnded(AT, 0, Outcome.COMPLETED, "", 0.25, "somewhere", 2000),
    SweepEnded(AT, "all trials have ended"),
]
VERSION_1 = (
    '{"entry": "SweepStarted", "at": "2026-05-01T12:30:00+00:00", "sweep_id": "abcd1234", "name": "test", '
    '"metric": "val_f1_weighted", "mode": "max", "trials": 3, "data_fingerprint": "0123", '
    '"raysweep_version": "0.1.0", "schema_version": 1}\n'
    '{"entry": "TrialProposed", "at": "2026-05-01T12:30:00+00:00", "trial": 0, "attempt": 1, '
    '"key": "abcd1234-0000-1", "params": {"rank": 8, "label_words": ["a", "b"], "system": null}, '
    '"sampled": ["rank"], "reserved_usd": null}\n'
    '{"entry": "Evaluated", "at": "2026-05-01T12:30:00+00:00", "trial": 0, "attempt": 1, "epoch": 0.5, '
    '"examples": 100, "trained_tokens": 2000, "metrics": {"val_f1_weighted": 0.25, "val_log_loss": null}}\n'
    '{"entry": "TrialEnded", "at": "2026-05-01T12:30:00+00:00", "trial": 0, "outcome": "completed", "reason": "", '
    '"objective": 0.25, "model": "somewhere", "trained_tokens": 2000, "usd": null}\n'
)
VERSION_2 = (
    '{"entry": "SweepStarted", "at": "2026-01-01T00:00:00+00:00", "sweep_id": "abcd1234", "name": "reviews", '
    '"metric": "val_mse", "mode": "min", "trials": 2, "data_fingerprint": "ffffffffffffffff", '
    '"raysweep_version": "0.1.0", "schema_version": 2, "concurrency": 1, "folder": null, "settings": {}, '
    '"metrics": {}, "crc": "f80fdd4b"}\n'
    '{"entry": "TrialProposed", "at": "2026-01-01T00:00:00+00:00", "trial": 0, "attempt": 1, '
    '"key": "abcd1234-0000-1", "params": {"rank": 8}, "sampled": ["rank"], "reserved_usd": null, "crc": "f3ec1ab5"}\n'
    '{"entry": "TrialEnded", "at": "2026-01-01T00:00:00+00:00", "trial": 0, "outcome": "pruned", '
    '"reason": "others were better", "objective": 0.5, "model": null, "trained_tokens": 7, "usd": null, '
    '"crc": "356be3d2"}\n'
    '{"entry": "FinalScored", "at": "2026-01-01T00:00:00+00:00", "name": "tfidf", "trial": null, "split": "test", '
    '"metrics": {"test_mse": 1.5}, "crc": "3849f486"}\n'
)
"""As it was written before entries had money."""
VERSION_3 = (
    '{"entry": "SweepStarted", "at": "2026-01-01T00:00:00+00:00", "sweep_id": "abcd1234", "name": "reviews", '
    '"metric": "val_mse", "mode": "min", "trials": 2, "data_fingerprint": "ffffffffffffffff", '
    '"raysweep_version": "0.1.0", "schema_version": 3, "concurrency": 1, "folder": null, "settings": {}, '
    '"metrics": {}, "earlier": "", "max_usd": 3.0, "crc": "29fd4f55"}\n'
    '{"entry": "TrialProposed", "at": "2026-01-01T00:00:00+00:00", "trial": 0, "attempt": 1, '
    '"key": "abcd1234-0000-1", "params": {"rank": 8}, "sampled": ["rank"], "reserved_usd": 1.5, "crc": "982068dc"}\n'
    '{"entry": "TrialEnded", "at": "2026-01-01T00:00:00+00:00", "trial": 0, "outcome": "completed", "reason": "", '
    '"objective": 0.5, "model": "somewhere", "trained_tokens": 7, "usd": 0.5, "is_settled": true, "crc": "28a6808f"}\n'
)
"""As it was written before finalists had replicas."""
HERE = str(Path(__file__).parent)


def write(folder, these=tuple(ENTRIES)):
    """Its bytes, line by line."""
    with Ledger(folder) as opened:
        for entry in these:
            opened.append(entry)
    return opened.path.read_bytes().splitlines(keepends=True)


def put(folder, *parts):
    (folder / ledger.FILE_NAME).write_bytes(b"".join(parts))


def contents(folder):
    return (folder / ledger.FILE_NAME).read_bytes()


def refused(folder):
    """What reading says, once opening has refused the same and changed nothing."""
    before = contents(folder)
    with pytest.raises(SweepFolderError) as reading:
        list(ledger.read(folder))
    with pytest.raises(SweepFolderError) as opening:
        Ledger(folder)
    assert str(reading.value) == str(opening.value)
    assert before == contents(folder)
    assert ledger.holder(folder) is None
    assert not (folder / lease.FILE_NAME).exists()
    return str(reading.value)


# What is written


def test_what_is_appended_reads_back_equal(tmp_path):
    write(tmp_path)

    assert list(ledger.read(tmp_path)) == ENTRIES


def test_an_entry_is_on_disk_when_append_returns(tmp_path):
    with Ledger(tmp_path) as opened:
        opened.append(ENTRIES[0])

        assert list(ledger.read(tmp_path)) == ENTRIES[:1]


def test_every_line_is_an_object_whose_last_field_is_its_checksum(tmp_path):
    lines = [json.loads(line) for line in write(tmp_path)]

    assert all(list(line)[-1] == "crc" and len(line["crc"]) == 8 for line in lines)
    assert [json.loads(encoding.encode(entry)) for entry in ENTRIES] == [
        {name: value for name, value in line.items() if name != "crc"} for line in lines
    ]


def test_a_checksum_is_the_crc_32_of_all_text_so_far(tmp_path):
    import zlib

    texts = [line[: line.index(b', "crc": ')] for line in write(tmp_path)]

    assert f"{zlib.crc32(b''.join(texts)):08x}" == json.loads(contents(tmp_path).splitlines()[-1])["crc"]


def test_a_ledger_goes_on_in_another_session(tmp_path):
    whole = write(tmp_path)
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()

    for entry in ENTRIES:
        write(tmp_path, [entry])

    assert b"".join(whole) == contents(tmp_path)


def test_a_number_that_is_not_finite_is_never_written(tmp_path):
    write(tmp_path, ENTRIES[:1])
    with Ledger(tmp_path) as opened:
        with pytest.raises(ValueError, match="JSON"):
            opened.append(Evaluated(AT, 0, 1, 0.5, 1, 1, {"val_f1_weighted": float("nan")}))
        opened.append(ENTRIES[1])

    assert list(ledger.read(tmp_path)) == ENTRIES[:2]


def test_a_closed_ledger_takes_nothing(tmp_path):
    opened = Ledger(tmp_path)
    opened.close()
    opened.close()

    with pytest.raises(ValueError, match="closed"):
        opened.append(ENTRIES[0])


# Damage that is refused, by line


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b'{"entry": "Unknown"}',
        b'{"entry": "SweepEnded"}',
        b'{"at": 1}',
        b"[]",
        b"1",
        b"",
        b"\0",
        b"\xff",
        b"[" * 100_000,
        b'{"entry": "SweepEnded", "at": "2026-05-01T12:30:00", "reason": ""}',
        b'{"entry": "SweepEnded", "at": "2026-05-01T12:30:00+00:00", "reason": "", "more": 1}',
        b'{"entry": "Evaluated", "at": "2026-05-01T12:30:00+00:00", "trial": 0, "attempt": 1, "epoch": NaN, '
        b'"examples": 1, "trained_tokens": 1, "metrics": {}}',
        b'{"entry": "TrialProposed", "at": "2026-05-01T12:30:00+00:00", "trial": 0, "attempt": 1, "key": "", '
        b'"params": 7, "sampled": []}',
    ],
)
def test_a_line_that_is_no_entry_is_refused_by_number_in_every_version(tmp_path, line):
    for first in (seal(ENTRIES[0], 0)[0], VERSION_1.encode().splitlines(keepends=True)[0]):
        put(tmp_path, first, line, b"\n")

        assert "line 2: not a ledger entry" in refused(tmp_path)


def test_a_refusal_says_how_to_go_on(tmp_path):
    lines = write(tmp_path)
    put(tmp_path, *lines[:2], lines[2].replace(b"0.25", b"0.26"), *lines[3:])

    said = refused(tmp_path)

    size = len(lines[0] + lines[1])
    assert "line 3" in said
    assert "restore the file from a backup" in said
    assert said.endswith(f"truncate -s {size} {tmp_path / ledger.FILE_NAME}")
    subprocess.run(said.rpartition(": ")[2], shell=True, check=True, timeout=60)
    assert list(ledger.read(tmp_path)) == ENTRIES[:2]


@pytest.mark.parametrize("order", [[0, 2, 3, 4], [0, 1, 1, 2], [0, 2, 1, 3], [0, 1, 2, 3, 4, 4]])
def test_lines_that_are_whole_but_lost_doubled_or_swapped_are_found(tmp_path, order):
    lines = write(tmp_path)
    put(tmp_path, *(lines[place] for place in order))
    first_wrong = next(at for at, place in enumerate([*order, -1]) if at != place) + 1

    assert f"line {first_wrong}:" in refused(tmp_path)


@pytest.mark.parametrize("character", ["\r", "\u2028", "\x85", "\x0b"])
def test_a_line_ends_at_a_newline_alone(tmp_path, character):
    lines = write(tmp_path)
    torn = lines[2].replace(b'"epoch"', character.encode() + b'"epoch"')
    put(tmp_path, *lines[:2], torn, *lines[3:])

    assert "line 3:" in refused(tmp_path)


def test_a_line_without_its_checksum_is_refused(tmp_path):
    write(tmp_path, ENTRIES[:2])
    put(tmp_path, contents(tmp_path), encoding.encode(ENTRIES[2]).encode(), b"\n")

    assert "line 3: not a ledger entry as it was written (it has no checksum)" in refused(tmp_path)


def test_a_first_line_without_its_checksum_is_refused(tmp_path):
    put(tmp_path, encoding.encode(ENTRIES[0]).encode(), b"\n")

    said = refused(tmp_path)

    assert "line 1:" in said
    assert "truncate" not in said


def test_a_ledger_begins_with_the_sweep(tmp_path):
    put(tmp_path, seal(ENTRIES[1], 0)[0])

    assert "line 1:" in refused(tmp_path)


def test_a_line_whose_newline_was_altered_is_not_taken_for_a_cut_one(tmp_path):
    lines = write(tmp_path)
    put(tmp_path, *lines[:3], lines[3][:-1] + b"\x0b", lines[4][:-1] + b"\x0b")

    assert "line 4:" in refused(tmp_path)


def test_a_file_of_something_else_is_left_alone(tmp_path):
    put(tmp_path, b"not yours")

    assert "line 1:" in refused(tmp_path)


# Cut tails


def test_a_last_line_that_was_cut_is_left_out_then_taken_out(tmp_path):
    lines = write(tmp_path)
    put(tmp_path, *lines[:4], lines[4][:30])
    assert list(ledger.read(tmp_path)) == ENTRIES[:4]

    with Ledger(tmp_path) as opened:
        assert opened.repaired == f"{opened.path}: after line 4 30 bytes of a line that was cut short were taken out"
        assert b"".join(lines[:4]) == contents(tmp_path)
        opened.append(ENTRIES[4])

    assert b"".join(lines) == contents(tmp_path)


def test_a_last_line_that_lacks_but_its_newline_counts(tmp_path):
    lines = write(tmp_path)
    put(tmp_path, *lines[:3], lines[3][:-1])
    assert list(ledger.read(tmp_path)) == ENTRIES[:4]

    with Ledger(tmp_path) as opened:
        assert opened.repaired == f"{opened.path}: line 4 got its newline"
        opened.append(ENTRIES[4])

    assert b"".join(lines) == contents(tmp_path)


@pytest.mark.parametrize("kept", [0, 30, -1])
def test_zeros_after_what_was_written_are_a_cut(tmp_path, kept):
    lines = write(tmp_path)
    put(tmp_path, *lines[:4], lines[4][:kept], bytes(4096))
    n_whole = 5 if kept == -1 else 4
    assert list(ledger.read(tmp_path)) == ENTRIES[:n_whole]

    with Ledger(tmp_path) as opened:
        assert opened.repaired is not None
        assert b"".join(lines[:n_whole]) == contents(tmp_path)


def test_a_whole_ledger_needs_no_repair(tmp_path):
    write(tmp_path)

    with Ledger(tmp_path) as opened:
        assert opened.repaired is None


@pytest.mark.parametrize("text", [b"", bytes(100), seal(ENTRIES[0], 0)[0][:40], seal(ENTRIES[0], 0)[0][:9] + bytes(9)])
def test_a_ledger_without_a_whole_first_line_holds_no_sweep_and_can_begin_one(tmp_path, text):
    put(tmp_path, text)
    with pytest.raises(SweepFolderError, match="no sweep was begun in it"):
        list(ledger.read(tmp_path))

    write(tmp_path)

    assert list(ledger.read(tmp_path)) == ENTRIES


def test_a_folder_without_a_ledger_is_refused(tmp_path):
    with pytest.raises(SweepFolderError, match="not a sweep's folder"):
        list(ledger.read(tmp_path))


# Other versions


def test_a_ledger_of_version_1_is_read(tmp_path):
    put(tmp_path, VERSION_1.encode())

    found = list(ledger.read(tmp_path))

    assert 1 == found[0].schema_version
    assert ENTRIES[1:4] == found[1:]


def test_a_ledger_of_version_1_goes_on_with_checksums_which_must_not_stop(tmp_path):
    put(tmp_path, VERSION_1.encode())

    write(tmp_path, ENTRIES[4:])
    write(tmp_path, ENTRIES[4:])

    assert [*ENTRIES[1:], ENTRIES[4]] == list(ledger.read(tmp_path))[1:]
    assert contents(tmp_path).startswith(VERSION_1.encode())
    assert 2 == contents(tmp_path).count(b'"crc"')
    put(tmp_path, contents(tmp_path), VERSION_1.encode().splitlines(keepends=True)[3])
    assert "line 7:" in refused(tmp_path)


def test_a_cut_ledger_of_version_1_is_repaired(tmp_path):
    put(tmp_path, VERSION_1.encode()[:-20])
    assert 3 == len(list(ledger.read(tmp_path)))

    write(tmp_path, ENTRIES[3:])

    assert ENTRIES[1:] == list(ledger.read(tmp_path))[1:]


def test_a_ledger_of_version_2_is_read_and_goes_on(tmp_path):
    put(tmp_path, VERSION_2.encode())

    write(tmp_path, [JobSettled(AT, 0, 1, 0.5)])

    found = list(ledger.read(tmp_path))
    assert (2, None) == (found[0].schema_version, found[0].max_usd)
    assert TrialEnded(found[2].at, 0, Outcome.PRUNED, "others were better", 0.5, None, 7) == found[2]
    state = fold(found)
    assert (0.0, 0.0, ()) == (state.spending.spent, state.spending.reserved, state.owed)
    assert contents(tmp_path).startswith(VERSION_2.encode())
    assert 5 == len(found)


def test_a_ledger_of_version_3_is_read_and_goes_on_with_a_replica(tmp_path):
    put(tmp_path, VERSION_3.encode())

    again = TrialProposed(AT, 10_000, 1, "abcd1234-10000-1", {"rank": 8}, ("rank",), 1.5, seed=7, replica_of=0)
    write(tmp_path, [again])

    state = fold(ledger.read(tmp_path))
    assert ([0], [10_000]) == (list(state.searched), [one.number for one in state.replicas])
    assert (None, None, 0) == (state.default, state.trials[0].proposed.seed, state.best.number)
    assert contents(tmp_path).startswith(VERSION_3.encode())
    assert again == list(ledger.read(tmp_path))[-1]


def test_the_default_configuration_and_a_replica_come_back_from_a_ledger_as_they_were(tmp_path):
    params = {"label_words": ("a", "b"), "system": None, "rank": 8}
    begun = replace(ENTRIES[0], default=params)
    write(tmp_path, [begun, TrialProposed(AT, 10_001, 1, "k", params, (), seed=7, replica_of=1)])

    assert [begun, TrialProposed(AT, 10_001, 1, "k", params, (), seed=7, replica_of=1)] == list(ledger.read(tmp_path))


def test_a_newer_version_is_refused_before_it_is_decoded(tmp_path):
    first = '{"entry": "SweepStarted", "hue": 1, "schema_version": 5, "raysweep_version": "9.1"}\n{"entry": "New"}\n'
    put(tmp_path, first.encode())

    assert refused(tmp_path).endswith(
        "was written by raysweep 9.1 (ledger version 5), this one reads up to 4: upgrade raysweep"
    )


def test_a_damaged_version_is_not_taken_for_a_newer_one(tmp_path):
    write(tmp_path)
    put(tmp_path, contents(tmp_path).replace(b'"schema_version": 4', b'"schema_version": 5', 1))

    assert "line 1:" in refused(tmp_path)


@pytest.mark.parametrize("version", ["0", "-1", "true", '"2"', "null", "1.5"])
def test_a_version_that_never_was_is_refused(tmp_path, version):
    put(tmp_path, VERSION_1.replace('"schema_version": 1', f'"schema_version": {version}').encode())

    assert "line 1:" in refused(tmp_path)


# Who holds it


def test_a_second_holder_is_refused_by_the_name_of_the_first(tmp_path):
    clock = SimulatedClock(start=AT)
    with Ledger(tmp_path, clock), pytest.raises(SweepFolderError) as caught:
        Ledger(tmp_path, clock)

    assert "another sweep is writing here" in str(caught.value)
    assert f"process {os.getpid()} on host " in str(caught.value)
    assert "since 2026-05-01 12:30:00 UTC; wait for it, stop it, or choose another folder" in str(caught.value)
    with Ledger(tmp_path) as opened:
        assert opened.taken_over_from is None


def test_a_refused_holder_leaves_the_name_of_the_other(tmp_path):
    clock = SimulatedClock(start=AT)
    with Ledger(tmp_path, clock):
        with pytest.raises(SweepFolderError):
            Ledger(tmp_path, clock)

        assert f"process {os.getpid()} on host" in str(ledger.holder(tmp_path))


def test_the_holder_is_named_while_it_holds_and_no_longer(tmp_path):
    assert ledger.holder(tmp_path) is None

    with Ledger(tmp_path, SimulatedClock(start=AT)):
        assert str(ledger.holder(tmp_path)).startswith(f"process {os.getpid()} on host ")
        assert str(ledger.holder(tmp_path)).endswith(" since 2026-05-01 12:30:00 UTC")

    assert ledger.holder(tmp_path) is None
    assert [tmp_path / ledger.FILE_NAME] == list(tmp_path.iterdir())


def test_a_look_at_the_holder_takes_nothing_from_who_comes_next(tmp_path):
    write(tmp_path, ENTRIES[:1])
    code = (
        "import sys, time; from pathlib import Path; from raysweep import ledger; print('looking', flush=True)\n"
        "while True: ledger.holder(Path(sys.argv[1])); time.sleep(0.0005)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as looker:
        try:
            assert b"looking\n" == looker.stdout.readline()
            until_s = time.monotonic() + 1.5
            while time.monotonic() < until_s:
                Ledger(tmp_path).close()
        finally:
            looker.kill()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ('{"host": "h", "pid": 7, "since": "2026-05-01T12:30:00+00:00"}', "process 7 on host h since 2026-05-01 12:30"),
        ('{"host": "h", "p', "a process without a name"),
        ("", "a process without a name"),
        ("[]", "a process without a name"),
    ],
)
def test_a_lease_beside_a_free_lock_is_a_dead_ones_and_taken_over(tmp_path, words, name):
    write(tmp_path, ENTRIES[:1])
    (tmp_path / lease.FILE_NAME).write_text(words)
    assert ledger.holder(tmp_path) is None

    with Ledger(tmp_path) as opened:
        assert str(opened.taken_over_from).startswith(name)
        assert f"process {os.getpid()} " in str(ledger.holder(tmp_path))

    assert not (tmp_path / lease.FILE_NAME).exists()


def test_a_holder_whose_lease_was_lost_still_holds(tmp_path):
    with Ledger(tmp_path):
        (tmp_path / lease.FILE_NAME).unlink()

        assert "a process without a name" == ledger.holder(tmp_path)
        with pytest.raises(SweepFolderError, match="a process without a name"):
            Ledger(tmp_path)


HOLDER_WITH_CHILDREN = """
import os, subprocess, sys, time
from pathlib import Path
from raysweep.ledger import Ledger
opened = Ledger(Path(sys.argv[1]))
started = subprocess.Popen(["sleep", "50"], stdout=subprocess.DEVNULL, close_fds=False)
forked = os.fork()
if not forked:
    opened.close()
    os.write(1, b"closed\\n")
    time.sleep(50)
    os._exit(0)
os.write(1, f"{started.pid} {forked}\\n".encode())
time.sleep(50)
"""


def test_children_of_a_dead_holder_do_not_hold_for_it(tmp_path):
    command = [sys.executable, "-c", HOLDER_WITH_CHILDREN, str(tmp_path)]
    children = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        try:
            said = {parent.stdout.readline().strip() for _ in range(2)}
            children = [int(pid) for line in said - {"closed"} for pid in line.split()]

            assert f"process {parent.pid} " in str(ledger.holder(tmp_path)), "a forked child's close is its own"
            parent.kill()
            parent.wait()

            assert ledger.holder(tmp_path) is None
            with Ledger(tmp_path) as opened:
                assert f"process {parent.pid} on host" in str(opened.taken_over_from)
            for child in children:
                os.kill(child, 0)  # they live
        finally:
            parent.kill()
            for child in children:
                os.kill(child, signal.SIGKILL)
    assert 2 == len(children)


# Disks that are full, gone, and back


def test_a_folder_that_is_gone_is_a_disk_error(tmp_path):
    with pytest.raises(DiskError, match="nowhere"):
        Ledger(tmp_path / "nowhere")


def test_a_full_disk_is_a_disk_error_with_a_remedy(tmp_path):
    (tmp_path / ledger.FILE_NAME).symlink_to("/dev/full")

    with Ledger(tmp_path) as opened, pytest.raises(DiskError, match="free some space"):
        opened.append(ENTRIES[0])


def test_a_line_that_did_not_fit_is_taken_back_and_fits_later(tmp_path):
    code = (
        "import resource, signal, sys; from pathlib import Path; sys.path.insert(0, sys.argv[2]);"
        "from test_ledger import ENTRIES; from raysweep.encoding import encode; from raysweep.ledger import Ledger;"
        "from raysweep.errors import DiskError;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); opened = Ledger(Path(sys.argv[1])); opened.append(ENTRIES[0]);"
        "size = opened.path.stat().st_size; hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1];"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (size + 30, hard))\n"
        "try: opened.append(ENTRIES[1])\n"
        "except DiskError as error: print(error)\n"
        "print(opened.path.stat().st_size == size)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard)); opened.append(ENTRIES[1])"
    )

    command = [sys.executable, "-c", code, str(tmp_path), HERE]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    assert printed.stdout.splitlines() == [f"{tmp_path / ledger.FILE_NAME}: File too large; free some space", "True"]
    assert list(ledger.read(tmp_path)) == ENTRIES[:2]


def test_a_folder_that_was_moved_away_is_noticed_and_used_again_once_it_is_back(tmp_path):
    home, away = tmp_path / "home", tmp_path / "away"
    home.mkdir()
    with Ledger(home) as opened:
        opened.append(ENTRIES[0])
        home.rename(away)
        before = contents(away)
        for _ in range(2):
            with pytest.raises(DiskError, match="bring its folder back"):
                opened.append(ENTRIES[1])
        assert before == contents(away)

        away.rename(home)
        opened.append(ENTRIES[1])

    assert list(ledger.read(home)) == ENTRIES[:2]


def test_a_deleted_folder_is_noticed_and_used_again_once_it_is_restored(tmp_path):
    home, backup = tmp_path / "home", tmp_path / "backup"
    home.mkdir()
    with Ledger(home) as opened:
        opened.append(ENTRIES[0])
        shutil.copytree(home, backup)
        shutil.rmtree(home)
        with pytest.raises(DiskError, match="bring its folder back"):
            opened.append(ENTRIES[1])

        shutil.copytree(backup, home)
        opened.append(ENTRIES[1])

        assert str(ledger.holder(home)).startswith(f"process {os.getpid()} ")
        with pytest.raises(SweepFolderError, match="another sweep is writing here"):
            Ledger(home)
        assert opened.taken_over_from is None
    assert list(ledger.read(home)) == ENTRIES[:2]
    assert not (home / lease.FILE_NAME).exists()


@pytest.mark.parametrize("change", ["shorter", "longer", "other"])
def test_another_file_at_its_path_is_not_written(tmp_path, change):
    home = tmp_path / "home"
    home.mkdir()
    with Ledger(home) as opened:
        opened.append(ENTRIES[0])
        opened.append(ENTRIES[1])
        whole = contents(home)
        wrong = {"shorter": whole[:-5], "longer": whole + b"{", "other": whole[:-5] + b'0"}\n'.rjust(5, b"0")}[change]
        (home / ledger.FILE_NAME).unlink()
        put(home, wrong)

        for _ in range(2):
            with pytest.raises(DiskError, match="put back what was there"):
                opened.append(ENTRIES[2])
        assert wrong == contents(home)
        put(home, whole)
        opened.append(ENTRIES[2])

    assert list(ledger.read(home)) == ENTRIES[:3]


def test_a_file_that_another_wrote_into_is_not_written(tmp_path):
    with Ledger(tmp_path) as opened:
        opened.append(ENTRIES[0])
        with opened.path.open("ab") as other:
            other.write(b"x")

        with pytest.raises(DiskError, match="put back what was there"):
            opened.append(ENTRIES[1])

        os.truncate(opened.path, opened.path.stat().st_size - 1)
        opened.append(ENTRIES[1])
    assert list(ledger.read(tmp_path)) == ENTRIES[:2]


def test_a_folder_that_another_process_took_meanwhile_is_its_own(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    with Ledger(home) as opened:
        opened.append(ENTRIES[0])
        shutil.copytree(home, tmp_path / "backup")
        shutil.rmtree(home)
        shutil.copytree(tmp_path / "backup", home)
        with Ledger(home), pytest.raises(SweepFolderError, match="another sweep is writing here"):
            opened.append(ENTRIES[1])

    assert list(ledger.read(home)) == ENTRIES[:1]


@pytest.mark.parametrize("failing", ["fsync", "write"])
@pytest.mark.parametrize("is_cut", [True, False])
def test_storage_that_fails_in_the_middle_of_a_line_loses_and_doubles_nothing(tmp_path, monkeypatch, failing, is_cut):
    """The kernel's answers are made up here: no disk fails on demand."""

    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    def write_half(descriptor, data, write=os.write):
        if len(data) < 100:
            raise OSError(errno.EIO, "Input/output error")
        return write(descriptor, data[: len(data) // 2])

    with Ledger(tmp_path) as opened:
        opened.append(ENTRIES[0])
        with monkeypatch.context() as broken:
            broken.setattr(os, failing, write_half if failing == "write" else fail)
            if not is_cut:
                broken.setattr(os, "ftruncate", fail)
            with pytest.raises(DiskError, match="Input/output error; bring its folder back"):
                opened.append(ENTRIES[1])
        other = ENTRIES[2]

        opened.append(other)

        assert str(ledger.holder(tmp_path)).startswith(f"process {os.getpid()} ")
    assert list(ledger.read(tmp_path)) == [ENTRIES[0], other]


def test_a_descriptor_that_went_stale_is_replaced(tmp_path):
    with Ledger(tmp_path) as opened:
        opened.append(ENTRIES[0])
        os.close(opened._descriptor)

        opened.append(ENTRIES[1])

        assert ledger.holder(tmp_path) is not None
    assert list(ledger.read(tmp_path)) == ENTRIES[:2]


def test_a_long_ledger_is_read_in_seconds(tmp_path):
    crc, made = 0, []
    for entry in [ENTRIES[0], ENTRIES[1], *[ENTRIES[2]] * 20_000]:
        line, crc = seal(entry, crc)
        made.append(line)
    put(tmp_path, *made)

    began_s = time.process_time()
    n_read = sum(1 for _ in ledger.read(tmp_path))

    assert 20_002 == n_read
    assert time.process_time() - began_s < 3
