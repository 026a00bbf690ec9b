"""TensorBoard: one run a trial, its metrics by epoch and its params in the HPARAMS tab, while the sweep runs."""

from pathlib import Path

from tensorboardX import SummaryWriter
from tensorboardX.proto.api_pb2 import Status
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData, SessionEndInfo
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboardX.summary import hparams

from raysweep.jobs import Outcome
from raysweep.ledger import Entry, Evaluated, TrialEnded, TrialProposed
from raysweep.space import Params, ParamValue
from raysweep.state import SweepState

STEPS_PER_EPOCH = 1000
"""TensorBoard's steps are whole numbers, so they count thousandths of an epoch: 1500 is epoch 1.5."""

FOLDER = "tensorboard"


class TensorBoardView:
    """Writes `tensorboard/trial_0007` in the sweep's folder; a trial's writer is open only while it runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._writers: dict[int, SummaryWriter] = {}

    def show(self, entry: Entry, state: SweepState) -> None:
        """Write what a trial's entry says and flush it; other entries leave nothing."""
        match entry:
            case TrialProposed():
                self._propose(entry)
            case Evaluated():
                self._evaluate(entry)
            case TrialEnded():
                self._end(entry)
            case _:
                return

    def tick(self) -> None:
        """Nothing: all is flushed already."""

    def close(self, state: SweepState) -> None:
        """Close the writers that are still open."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _propose(self, entry: TrialProposed) -> None:
        # Only the session's start: TensorBoard takes the columns of the whole table from the first run that
        # describes the experiment, and that run lacks the params of branches it did not take.
        _, start, _ = hparams(flat(entry.params), {})
        writer = self._writer(entry.trial)
        writer.file_writer.add_summary(start, walltime=entry.at.timestamp())
        writer.flush()

    def _evaluate(self, entry: Evaluated) -> None:
        writer = self._writer(entry.trial)
        step = round(entry.epoch * STEPS_PER_EPOCH)
        for name, value in entry.metrics.items():
            if value is not None:
                writer.add_scalar(name, value, step, walltime=entry.at.timestamp())
        writer.flush()

    def _end(self, entry: TrialEnded) -> None:
        writer = self._writer(entry.trial)
        writer.file_writer.add_summary(_session_end(entry), walltime=entry.at.timestamp())
        writer.close()
        del self._writers[entry.trial]

    def _writer(self, trial: int) -> SummaryWriter:
        if trial not in self._writers:
            self._writers[trial] = SummaryWriter(str(self._folder / f"trial_{trial:04d}"))
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
