"""What one job at a host tells of its end, at a gate that answers by hand."""

import pytest

from raysweep.clock import SimulatedClock
from raysweep.cost import Prices
from raysweep.errors import JobFailed
from raysweep.jobs import JobSpec
from raysweep.trainers import wire_record
from raysweep.trainers.dialects import DIALECTS
from raysweep.trainers.hosted import Gate, HostedJob, Look, Point
from raysweep.trainers.wire_begin import Beginning
from raysweep.trainers.wire_bill import Bill
from raysweep.trainers.wire_job import WireJob
from raysweep.trainers.wire_record import Record
from raysweep.trainers.wire_size import Size

TOKENS = 1000
USD_A_MILLION = 100.0


class Told(Gate):
    """Tells of one job that has failed, and of a quarter of its steps."""

    def __init__(self, trained_tokens):
        self.job = HostedJob("job", "k", "s", "failed", True, 0.0, error_code="server", trained_tokens=trained_tokens)

    def watch(self, job_id, *, version, n_points, timeout_s):
        return Look(self.job, 1, (Point(1, 4, train_loss=1.0),), 1, is_read_out=True)

    def release(self, job_id):
        pass


@pytest.mark.parametrize(("said", "paid"), [(None, TOKENS // 4), (10, TOKENS // 4), (TOKENS, TOKENS)])
def test_a_failed_job_costs_what_its_host_has_counted_where_its_steps_tell_less(tmp_path, said, paid):
    spec, clock = JobSpec("sweep001", 0, 1, {}, 7, tmp_path, (1.0,)), SimulatedClock(0.0)
    wire_record.save(tmp_path, Record(spec.key, job_id="job"))
    gate = Told(said)
    beginning = Beginning(spec, gate, DIALECTS["custom"], lambda: None, clock)
    size = Size(4, TOKENS, 1, Bill(Prices(USD_A_MILLION, 0.0, 0.0, 0.0), TOKENS, 1.0))

    with pytest.raises(JobFailed) as caught:
        WireJob(spec, gate, beginning, size=size, scorer=lambda note, is_stopped: {}, clock=clock).advance(1.0)

    assert pytest.approx(paid * USD_A_MILLION / 1e6) == caught.value.usd
