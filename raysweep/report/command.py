"""`raysweep report`: of a sweep, or of any table of trials."""

import argparse
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from raysweep import folder as folders
from raysweep.clock import RealClock
from raysweep.errors import ConfigError, DataError
from raysweep.readers import SUFFIXES
from raysweep.report.from_run import read_run
from raysweep.report.from_table import read_table
from raysweep.report.record import Record
from raysweep.report.statistics import Threshold, given_threshold
from raysweep.report.write import write_report

_LOG = logging.getLogger(__name__)

FOLLOW_S = 10.0
"""Between two reports of a running sweep."""


def run(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> tuple[str, str]:
    """Make the report, with `--follow` again until the sweep has ended; its headline, and where it lies."""
    parsed = _parsed(parser, arguments)
    is_table = Path(parsed.run).suffix.lower() in SUFFIXES
    _refuse_mixed(parsed, is_table=is_table)
    threshold = _threshold(parsed.failed_threshold)
    while True:
        record = _table(parsed) if is_table else read_run(folders.find(parsed.run))
        target = parsed.out or _target(parsed.run, record)
        written = write_report(record, target, RealClock().now(), threshold)
        if not (parsed.follow and record.is_running):
            break
        time.sleep(FOLLOW_S)
    return written.findings.winner, f"report in {written.page}, as text in {written.text}"


def report_end(folder: Path, say: Callable[[str], None] | None) -> None:
    """The report of a sweep that has just ended; says where it lies, or logs why there is none. Never raises.

    The sweep's results are on disk before, so nothing is lost with it.
    """
    try:
        written = write_report(read_run(folder), folder, RealClock().now())
    except Exception as error:  # noqa: BLE001  # a picture must not make a sweep that was paid look like a failure
        _LOG.warning("no report: %s: %s; `raysweep report %s` tries again", type(error).__name__, error, folder)
        return
    if say:
        say(f"report in {written.page}")


def _parsed(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    parser.add_argument(
        "run", metavar="RUN|TABLE", help=f"a sweep's folder or id, or a table of trials ({', '.join(SUFFIXES)})"
    )
    parser.add_argument("--metric", metavar="COLUMN", help="of a table: what ranks its trials")
    parser.add_argument(
        "--mode", choices=["auto", "max", "min"], default="auto", help="of a table: whether more of it is better"
    )
    parser.add_argument(
        "--params",
        nargs="+",
        default=[],
        metavar="COLUMN",
        help="of a table: its hyperparameters (default: columns named params/…, params_… or config/…)",
    )
    parser.add_argument(
        "--failed-threshold",
        metavar="VALUE",
        help="trials with a worse score count as failed; `none`: none do (default: found from a gap in the scores)",
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: the sweep's; for a table NAME-report")
    parser.add_argument("--follow", action="store_true", help="make it again until a running sweep has ended")
    return parser.parse_args(arguments)


def _refuse_mixed(parsed: argparse.Namespace, *, is_table: bool) -> None:
    if is_table:
        if not Path(parsed.run).is_file():
            raise DataError(f"{parsed.run}: no such file")
        return
    if parsed.metric or parsed.params or parsed.mode != "auto":
        raise ConfigError(f"{parsed.run}: --metric, --mode and --params are for tables; a sweep knows its own")


def _table(parsed: argparse.Namespace) -> Record:
    return read_table(
        Path(parsed.run), parsed.metric, parsed.mode, [part for one in parsed.params for part in _split(one)]
    )


def _split(names: str) -> list[str]:
    return [name for name in names.split(",") if name]


def _threshold(given: str | None) -> Threshold | None:
    if given is None:
        return None
    if given == "none":
        return given_threshold(None)
    try:
        return given_threshold(float(given))
    except ValueError as error:
        raise ConfigError(f"--failed-threshold {given}: not a number; give a score, or none") from error


def _target(run: str, record: Record) -> Path:
    return Path(record.sweep.folder) if record.sweep else Path(f"{Path(run).stem}-report")
