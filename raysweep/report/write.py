"""A report's files: `findings.md`, `report.html` and `plots/`, each replaced as a whole."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from raysweep.errors import DiskError
from raysweep.report import paint
from raysweep.report.findings import Findings
from raysweep.report.gallery import Picture, pictures
from raysweep.report.markdown import markdown
from raysweep.report.page import page
from raysweep.report.record import Record
from raysweep.report.statistics import Threshold, choose_threshold

PAGE = "report.html"
TEXT = "findings.md"
PLOTS = "plots"


@dataclass(frozen=True)
class Written:
    """Where a report lies, and what it found."""

    page: Path
    text: Path
    findings: Findings


def write_report(record: Record, folder: Path, made_at: datetime, threshold: Threshold | None = None) -> Written:
    """Make the report in a folder; raises DiskError where it cannot be written.

    `threshold` says which scores count as failed; None: as `choose_threshold` finds.
    """
    chosen = threshold or choose_threshold(record.scores[record.is_tried], record.goal)
    findings = Findings(record, chosen)
    drawn = pictures(findings)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_plots(drawn, folder)
        _replace(folder / TEXT, markdown(findings, drawn))
        _replace(folder / PAGE, page(findings, drawn, made_at=f"{made_at:%Y-%m-%d %H:%M} UTC"))
    except OSError as error:
        remedy = "free some space, or choose another folder with --out"
        raise DiskError(f"{error.filename or folder}: {error.strerror or error}; {remedy}") from error
    return Written(folder / PAGE, folder / TEXT, findings)


def _write_plots(drawn: tuple[Picture, ...], folder: Path) -> None:
    """Each as a whole; no picture of an older report stays, but whatever else lies there."""
    target = folder / PLOTS
    target.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix=f".{PLOTS}.", dir=folder) as scratch:
        with paint.style():
            for one in drawn:
                paint.save(one.drawn, one.svg, Path(scratch), one.name)
        made = [path.replace(target / path.name) for path in Path(scratch).iterdir()]
    for path in {*target.glob("plot_*.svg"), *target.glob("plot_*.png")} - set(made):
        path.unlink(missing_ok=True)


def _replace(path: Path, text: str) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
