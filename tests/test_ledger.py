from datetime import UTC, datetime

import pytest

from raysweep import entries, ledger
from raysweep.entries import Evaluated, SweepEnded, SweepStarted, TrialEnded, TrialProposed
from raysweep.errors import DiskError, SweepFolderError
from raysweep.jobs import Outcome
from raysweep.ledger import Ledger

AT = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)
ENTRIES = [
    SweepStarted(AT, "abcd1234", "test", "val_f1_weighted", "max", 3, "0123", "0.1.0"),
    TrialProposed(AT, 0, 1, "abcd1234-0000-1", {"rank": 8, "label_words": ("a", "b"), "system": None}, ("rank",)),
    Evaluated(AT, 0, 1, 0.5, 100, 2000, {"val_f1_weighted": 0.25, "val_log_loss": None}),
    TrialEnded(AT, 0, Outcome.COMPLETED, "", 0.25, "somewhere", 2000),
    SweepEnded(AT, "all trials have ended"),
]


def test_what_is_appended_reads_back_equal(tmp_path):
    with Ledger(tmp_path) as opened:
        for entry in ENTRIES:
            opened.append(entry)

    assert list(ledger.read(tmp_path)) == ENTRIES


def test_an_entry_is_on_disk_when_append_returns(tmp_path):
    with Ledger(tmp_path) as opened:
        opened.append(ENTRIES[0])

        assert list(ledger.read(tmp_path)) == ENTRIES[:1]


def test_a_second_holder_is_refused(tmp_path):
    with Ledger(tmp_path), pytest.raises(SweepFolderError, match="another sweep is writing here"):
        Ledger(tmp_path)

    Ledger(tmp_path).close()


def test_a_number_that_is_not_finite_is_never_written(tmp_path):
    with Ledger(tmp_path) as opened, pytest.raises(ValueError, match="JSON"):
        opened.append(Evaluated(AT, 0, 1, 0.5, 1, 1, {"val_f1_weighted": float("nan")}))

    assert list(ledger.read(tmp_path)) == []


@pytest.mark.parametrize(
    "line", ["nonsense", '{"entry": "Unknown"}', '{"entry": "SweepEnded"}', '{"at": 1}', "[]", "1"]
)
def test_a_line_that_is_no_entry_is_refused_by_number(tmp_path, line):
    (tmp_path / ledger.FILE_NAME).write_text(entries.encode(ENTRIES[0]) + "\n" + line + "\n", encoding="utf-8")

    with pytest.raises(SweepFolderError, match="line 2"):
        list(ledger.read(tmp_path))


def test_a_folder_without_a_ledger_is_refused(tmp_path):
    with pytest.raises(SweepFolderError, match="not a sweep's folder"):
        list(ledger.read(tmp_path))


def test_a_folder_that_is_gone_is_a_disk_error(tmp_path):
    with pytest.raises(DiskError, match="nowhere"):
        Ledger(tmp_path / "nowhere")


def test_a_full_disk_is_a_disk_error_with_a_remedy(tmp_path):
    (tmp_path / ledger.FILE_NAME).symlink_to("/dev/full")

    with Ledger(tmp_path) as opened, pytest.raises(DiskError, match="free some space"):
        opened.append(ENTRIES[0])


def test_a_line_that_did_not_fit_is_taken_back(tmp_path):
    import subprocess
    import sys

    code = (
        "import resource, signal, sys; from pathlib import Path; sys.path.insert(0, sys.argv[2]);"
        "from test_ledger import ENTRIES; from raysweep.entries import encode; from raysweep.ledger import Ledger;"
        "from raysweep.errors import DiskError;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); opened = Ledger(Path(sys.argv[1])); opened.append(ENTRIES[0]);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (len(encode(ENTRIES[0])) + 30,) * 2)\n"
        "try: opened.append(ENTRIES[1])\n"
        "except DiskError: print('full')"
    )
    from pathlib import Path

    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", code, str(tmp_path), here]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    assert printed.stdout.strip() == "full"
    assert list(ledger.read(tmp_path)) == ENTRIES[:1]
    assert (tmp_path / ledger.FILE_NAME).read_bytes().endswith(b"\n")
