"""A sweep's results: a fold of its ledger, as data frames and as Parquet."""

import errno
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep import entries, ledger
from raysweep.certainty import Certainty
from raysweep.certainty import find as find_certainty
from raysweep.errors import DiskError
from raysweep.frames import evaluations_table, trials_table
from raysweep.gap import Gap, gap_of
from raysweep.luck import Luck, luck_of
from raysweep.predictions import Kept, Place
from raysweep.predictions import find as find_predictions
from raysweep.state import SweepState, TrialState, fold
from raysweep.winner import Ruling

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SCHEMA_VERSION = 1
"""Of both Parquet files; written into their metadata."""

TRIALS_FILE = "trials.parquet"
EVALUATIONS_FILE = "evaluations.parquet"


@dataclass(frozen=True)
class Results:
    """What a sweep has found so far; later entries of a running sweep need another `load`."""

    folder: Path
    state: SweepState

    @property
    def trials(self) -> "pd.DataFrame":
        """One row a trial; `raysweep.frames.COLUMNS` says what the columns mean."""
        return _to_frame(trials_table(self.state))

    @property
    def evaluations(self) -> "pd.DataFrame":
        """One row an evaluation; `raysweep.frames.EVALUATION_COLUMNS` says what the columns mean."""
        return _to_frame(evaluations_table(self.state))

    @property
    def best(self) -> TrialState | None:
        """The winner: the best completed trial, by the mean over its seeds where there are replicas; None for none."""
        return self.state.best if self.state.started else None

    @property
    def finals(self) -> tuple[entries.FinalScored, ...]:
        """What was scored after the search, on a split that ranked no trial; in the order scored."""
        return self.state.finals

    @property
    def predictions(self) -> Kept | None:
        """What the best trial's model said of the test rows; None where that was not kept.

        Raises SweepFolderError for a file that cannot be read.
        """
        best = self.best
        return find_predictions(self.folder, Place("best", best.number, "test")) if best else None

    @property
    def certainty(self) -> Certainty | None:
        """How sure the best trial's test scores are, and whether they differ from the baselines'.

        None where its predictions were not kept. Raises SweepFolderError for predictions that cannot be read.
        """
        best, state = self.best, self.state
        return find_certainty(self.folder, best.number, state.bare_metric, state.rivals) if best else None

    @property
    def ruling(self) -> Ruling | None:
        """Who has won by the winner's rule, how every finalist's seeds scored, and what is a tie.

        None where no trial has completed yet. Raises as `certainty` does.
        """
        return self.state.ruling(self.certainty) if self.state.started else None

    @property
    def gap(self) -> Gap | None:
        """How much better the winner looked on validation than on test, and what would explain that.

        None where nobody knows. Raises as `certainty` does.
        """
        return gap_of(self.state, self.certainty, self.luck)

    @property
    def luck(self) -> Luck | None:
        """What being chosen has given the best trial's score on validation; None where that cannot be told."""
        return luck_of(self.state, self.folder)


def load(folder: str | Path) -> Results:
    """The results in a sweep's folder, at any moment of the sweep.

    Raises SweepFolderError where there is no ledger, or one with a line that is not an entry.
    """
    path = Path(folder)
    return Results(path, fold(ledger.read(path)))


def write(results: Results) -> None:
    """Write `trials.parquet` and `evaluations.parquet` into the sweep's folder, each replaced as a whole.

    The file's metadata has the sweep and its finals, each field's metadata a `description`.
    Raises DiskError where the folder is full or cannot be written; the files before are then still there.
    """
    _write(trials_table(results.state), results, results.folder / TRIALS_FILE)
    _write(evaluations_table(results.state), results, results.folder / EVALUATIONS_FILE)


def are_written(folder: Path) -> bool:
    """Whether both tables are there and younger than the ledger's last entry."""
    tables = [folder / name for name in (TRIALS_FILE, EVALUATIONS_FILE)]
    last_ns = (folder / ledger.FILE_NAME).stat().st_mtime_ns
    return all(table.is_file() and table.stat().st_mtime_ns >= last_ns for table in tables)


def _write(table: "pa.Table", results: Results, path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    typed = pa.Table.from_pandas(_to_frame(table), schema=table.schema, preserve_index=False)
    typed = typed.replace_schema_metadata({**typed.schema.metadata, **_metadata(results.state)})
    scratch = path.with_name(path.name + ".tmp")
    try:
        parquet.write_table(typed, scratch)
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        remedy = "free some space and write the results again" if error.errno == errno.ENOSPC else "make it writable"
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise DiskError(f"{path}: {reason}; {remedy}") from error


def _to_frame(table: "pa.Table") -> "pd.DataFrame":
    import pandas as pd
    import pyarrow as pa

    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype(), pa.string(): pd.StringDtype()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=nullable.get)
    return frame


def _metadata(state: SweepState) -> dict[str, str]:
    started = state.started
    return {
        "raysweep.schema_version": str(SCHEMA_VERSION),
        "raysweep.sweep_id": state.sweep_id,
        "raysweep.objective_metric": started.metric if started else "",
        "raysweep.objective_mode": started.mode if started else "",
        "raysweep.finals": json.dumps([asdict(final) | {"at": final.at.isoformat()} for final in state.finals]),
    }
