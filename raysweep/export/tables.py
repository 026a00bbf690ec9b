"""A sweep's tables as CSV: every trial, every evaluation, every column."""

from pathlib import Path

from raysweep.results import Results
from raysweep.whole import write_whole

TRIALS, EVALUATIONS = "trials.csv", "evaluations.csv"


def write_tables(found: Results, folder: Path) -> tuple[Path, Path]:
    """Write both files, each whole or not at all; raises DiskError. Nulls are empty cells."""
    trials, evaluations = folder / TRIALS, folder / EVALUATIONS
    write_whole(trials, found.trials.to_csv(index=False))
    write_whole(evaluations, found.evaluations.to_csv(index=False))
    return trials, evaluations
