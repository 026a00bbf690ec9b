"""TensorBoard: one run a trial, its metrics by epoch and its params in the HPARAMS tab, while the sweep runs."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.api_pb2 import Status
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData, SessionEndInfo
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboardX.summary import hparams, scalar

from raysweep.entries import Entry, Evaluated, TrialEnded, TrialProposed
from raysweep.jobs import Outcome
from raysweep.space import Params, ParamValue
from raysweep.state import SweepState
from raysweep.views.told import names_for

STEPS_PER_EPOCH = 1000
"""TensorBoard's steps are whole numbers, so they count thousandths of an epoch: 1500 is epoch 1.5."""

FOLDER = "tensorboard"


class TensorBoardView:
    """Writes `tensorboard/trial_0007` in the sweep's folder; a trial's file is open only while it runs.

    Each entry is on disk when `show` returns; raises OSError where the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._writers: dict[int, EventsWriter] = {}

    def show(self, entry: Entry, state: SweepState) -> None:
        """Write what a trial's entry says; other entries leave nothing."""
        match entry:
            case TrialProposed():
                # Only the session's start: TensorBoard takes the columns of the whole table from the first run
                # that describes the experiment, and that run lacks the params of branches it did not take.
                _, start, _ = hparams(flat(entry.params), {})
                self._write(entry.trial, entry.at, [start])
            case Evaluated():
                names = names_for(entry.metrics)
                made = [scalar(names[name], value) for name, value in entry.metrics.items() if value is not None]
                self._write(entry.trial, entry.at, made, step=round(entry.epoch * STEPS_PER_EPOCH))
            case TrialEnded():
                self._write(entry.trial, entry.at, [_session_end(entry)])
                self._writers.pop(entry.trial).close()
            case _:
                return

    def tick(self) -> None:
        """Nothing: all is on disk already."""

    def close(self, state: SweepState) -> None:
        """Close the files that are still open."""
        while self._writers:
            self._writers.popitem()[1].close()

    def _write(self, trial: int, at: datetime, summaries: Sequence[Summary], step: int = 0) -> None:
        writer = self._writers.get(trial) or self._open(trial)
        for summary in summaries:
            writer.write_event(Event(wall_time=at.timestamp(), step=step, summary=summary))
        writer.flush()

    def _open(self, trial: int) -> EventsWriter:
        # Not SummaryWriter: it writes in a thread of its own, up to two minutes later, and hangs on a full disk.
        run = self._folder / f"trial_{trial:04d}"
        run.mkdir(parents=True, exist_ok=True)
        attempt = len(list(run.iterdir()))  # the name has seconds only, and a former file must not be overwritten
        self._writers[trial] = EventsWriter(str(run / "events"), f".{attempt}")
        return self._writers[trial]


def flat(params: Params) -> dict[str, str | int | float | bool]:
    """Params as the HPARAMS tab takes them: lists as one string, None as `none`."""
    return {name: _flat_value(value) for name, value in params.items()}


def _flat_value(value: ParamValue) -> str | int | float | bool:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ", ".join(str(_flat_value(item)) for item in value)
    return value


def _session_end(entry: TrialEnded) -> Summary:
    """The trial's status, in the words that TensorBoard has: a pruned trial has served its purpose."""
    match entry.outcome:
        case Outcome.COMPLETED | Outcome.PRUNED:
            status = "STATUS_SUCCESS"
        case Outcome.FAILED | Outcome.ERRORED:
            status = "STATUS_FAILURE"
        case Outcome.CANCELLED:
            status = "STATUS_UNKNOWN"
    end = SessionEndInfo(status=Status.Value(status), end_time_secs=entry.at.timestamp())
    content = HParamsPluginData(session_end_info=end, version=0).SerializeToString()
    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=content)
    value = Summary.Value(tag="_hparams_/session_end_info", metadata=SummaryMetadata(plugin_data=plugin))
    return Summary(value=[value])
