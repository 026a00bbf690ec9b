"""One curve, walked in real time by whoever calls `advance`; it goes on from the record in its folder."""

import json
import logging
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from raysweep.errors import DiskError
from raysweep.holding import Hold
from raysweep.jobs import Evaluation, Progress
from raysweep.trainers.synthetic_curve import Curve
from raysweep.trainers.synthetic_faults import ScriptedFault
from raysweep.whole import write_whole

RECORD = "state.json"
MODEL = "model.json"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Record:
    """How far a job has come."""

    epoch: float = 0.0
    made: tuple[Evaluation, ...] = ()
    """Every evaluation, handed out or not."""


class SyntheticJob:
    """Trains nothing at `epoch_s` seconds an epoch; whatever `advance` has returned is on disk."""

    def __init__(self, curve: Curve, fault: ScriptedFault) -> None:
        """Touches nothing yet."""
        self.id = f"synthetic-{curve.spec.key}"
        self._curve = curve
        self._fault = fault
        self._folder = curve.spec.folder
        self._hold = Hold(self._folder)
        self._cancelled = threading.Event()
        self._record: _Record | None = None
        self._n_told = curve.spec.n_evaluations

    def advance(self, timeout_s: float) -> Progress:
        """Wait for the next evaluation of the curve; raises what the script says, DiskError, or JobFailed (host)."""
        return self._hold.turn(lambda: self._advance(time.monotonic() + timeout_s))

    def cancel(self) -> None:
        """Wake whoever waits; the moment stands in the folder."""
        if not self._hold.is_final and not self._cancelled.is_set():
            self._cancelled.set()
            self._hold.let_go()
            write_whole(self._folder / "cancelled.json", json.dumps({"at": time.time()}))

    def _advance(self, until_s: float) -> Progress:
        if self._cancelled.is_set() or not self._hold.take(until_s - time.monotonic(), self._cancelled):
            return self._progress(self._record or _Record())
        record = self._record or _read(self._folder / RECORD)
        self._record = record
        points = self._curve.spec.evaluate_at
        while len(record.made) <= self._n_told < len(points):
            if not record.made:
                self._strike()
            record, is_due = self._walked(record, until_s)
            self._save(record)
            if not is_due:
                return self._progress(record)
        return self._handed_out(record)

    def _strike(self) -> None:
        n_before = self._curve.spec.attempt - 1
        failure = self._fault.failure(n_before)
        if failure is not None:
            raise failure
        self._fault.step(n_before)

    def _walked(self, record: _Record, until_s: float) -> tuple[_Record, bool]:
        """The record after the next evaluation, or as far as time and a cancel let it come."""
        number, epoch_s = len(record.made), self._curve.settings.epoch_s
        target = self._curve.spec.evaluate_at[number]
        begun_s = time.monotonic()
        wait_s = (target - record.epoch) * epoch_s
        if self._cancelled.wait(max(0.0, min(wait_s, until_s - begun_s))) or time.monotonic() < begun_s + wait_s:
            walked = (time.monotonic() - begun_s) / epoch_s if epoch_s else 0.0
            return replace(record, epoch=min(record.epoch + walked, target)), False
        return _Record(target, (*record.made, self._curve.evaluation(number))), True

    def _handed_out(self, record: _Record) -> Progress:
        points = self._curve.spec.evaluate_at
        evaluation = record.made[self._n_told] if self._n_told < len(record.made) else None
        self._n_told += evaluation is not None
        is_final = self._n_told >= len(points)
        epoch = evaluation.epoch if evaluation else points[-1]
        model = self._model() if is_final else None
        return Progress(epoch, self._curve.tokens(epoch), evaluation, is_final, model)

    def _progress(self, record: _Record) -> Progress:
        return Progress(record.epoch, self._curve.tokens(record.epoch))

    def _save(self, record: _Record) -> None:
        write_whole(
            self._folder / RECORD, json.dumps({"epoch": record.epoch, "made": [asdict(one) for one in record.made]})
        )
        self._record = record

    def _model(self) -> str:
        path = self._folder / MODEL
        if not path.is_file():
            write_whole(path, json.dumps(self._curve.model()))
        return str(path)


def _read(path: Path) -> _Record:
    """What was saved there; an empty record where nothing was, or what no job has written."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return _Record(float(values["epoch"]), tuple(Evaluation(**one) for one in values["made"]))
    except FileNotFoundError:
        return _Record()
    except OSError as error:
        raise DiskError(f"{path}: cannot be read: {error}; mend the disk") from error
    except (ValueError, KeyError, TypeError) as error:
        _LOG.warning("%s: damaged (%s); the job starts anew", path, error)
        return _Record()
