"""`raysweep compare`: sweeps side by side, and whether their winners differ by more than chance."""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from raysweep.clock import RealClock
from raysweep.errors import DiskError
from raysweep.folder import find
from raysweep.report import paint
from raysweep.report.compare import plot
from raysweep.report.compare.page import page
from raysweep.report.compare.pairs import headline, pairs
from raysweep.report.compare.runs import Comparison, compare
from raysweep.report.compare.table import rows
from raysweep.report.compare.text import Compared, markdown, terminal
from raysweep.whole import write_whole

PAGE, TEXT = "comparison.html", "comparison.md"


def run(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> tuple[str, ...]:
    """Compare, and write page, text and picture; what the terminal shows."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="two or more: a sweep's folder, or its id in runs")
    parser.add_argument("--metric", metavar="NAME", help="what to compare by (default: the objective, if all share it)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: compare-ID-ID-…")
    parsed = parser.parse_args(arguments)
    found = compare([find(one) for one in parsed.runs], parsed.metric)
    judged = pairs(found)
    compared = Compared(found, rows(found), judged, headline(found, judged))
    folder = parsed.out or Path("-".join(("compare", *(one.found.state.sweep_id for one in found.contenders))))
    written = _write(compared, folder)
    return (
        *terminal(compared, shutil.get_terminal_size().columns),
        "",
        f"page in {written}, as text in {folder / TEXT}",
    )


def _write(compared: Compared, folder: Path) -> Path:
    svg = _draw(compared.found, folder)
    made_at = f"{RealClock().now():%Y-%m-%d %H:%M} UTC"
    write_whole(folder / TEXT, markdown(compared, f"{plot.NAME}.svg" if svg else None))
    write_whole(folder / PAGE, page(compared, svg, made_at=made_at))
    return folder / PAGE


def _draw(found: Comparison, folder: Path) -> str | None:
    """The picture as SVG, and into the folder; None where there is nothing to draw."""
    with paint.style():
        drawn = plot.best_so_far(found)
        if drawn is None:
            return None
        svg = paint.svg(drawn, plot.NAME)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            paint.save(drawn, svg, folder, plot.NAME)
        except OSError as error:
            raise DiskError(f"{folder}: {error.strerror or error}; choose another folder with --out") from error
    return svg
