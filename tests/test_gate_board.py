"""What a gate keeps in mind of its host's jobs, and when it forgets them: on a clock that stands still."""

import random
import threading
from dataclasses import replace

import pytest

from raysweep.clock import SimulatedClock
from raysweep.trainers.dialects import DIALECTS
from raysweep.trainers.gate_board import WATCHED_S, Board
from raysweep.trainers.gate_calls import Calls
from raysweep.trainers.gate_pace import Pace
from raysweep.trainers.gate_poll import PATIENCE_S, Poller
from raysweep.trainers.host_errors import HostError, No
from raysweep.trainers.hosted import HostedJob

DIALECT = replace(DIALECTS["raysweep"], listing_lag_s=20.0)
LONG_S = 100.0


class Host:
    """Lists what it has; its filter finds nothing."""

    def __init__(self, *names):
        self.refusal = None
        self.found = {name: HostedJob(name, f"s-{name}", "s", "running", False, 0.0) for name in names}

    def jobs(self, metadata=None):
        if self.refusal:
            raise self.refusal
        return [] if metadata else list(self.found.values())

    def job(self, name):
        return self.found[name]


@pytest.fixture
def clock():
    return SimulatedClock(1000.0)


@pytest.fixture
def host():
    return Host("a", "b", "c")


@pytest.fixture
def board():
    return Board(DIALECT, random.Random(0))


@pytest.fixture
def poller(board, host, clock):
    return Poller(DIALECT, host, Calls(Pace(6000, clock), clock), board, threading.Condition())


def test_jobs_that_others_deleted_count_no_more_once_the_host_is_counted_again(poller, host, board, clock):
    poller.stock()
    del host.found["a"], host.found["b"]

    clock.sleep_s(LONG_S)
    before = board.n_active, board.n_jobs
    poller.stock()

    assert ((3, 3), (1, 1)) == (before, (board.n_active, board.n_jobs))


def test_a_job_that_the_list_does_not_show_yet_is_kept(poller, host, board, clock):
    board.put(HostedJob("new", "s-new", "s", "running", False, 0.0), clock.monotonic_s())

    clock.sleep_s(DIALECT.lag_s - 1)
    poller.stock()
    kept = board.card("new") is not None
    clock.sleep_s(2)
    poller.stock()

    assert (True, None) == (kept, board.card("new"))


def test_a_job_that_was_made_while_the_list_was_read_is_kept_and_not_missed(poller, host, board, clock):
    asked_at_s = clock.monotonic_s()
    clock.sleep_s(LONG_S)
    board.put(HostedJob("new", "s-new", "s", "running", False, 0.0), clock.monotonic_s())
    board.card("new").asked_at_s = clock.monotonic_s()

    clock.sleep_s(LONG_S)
    missing = board.missing([], asked_at_s)
    board.drop_unlisted([], asked_at_s)

    assert ([], True) == (missing, board.card("new") is not None)


def test_a_job_that_somebody_waits_for_is_not_forgotten(poller, host, board, clock):
    poller.stock()
    clock.sleep_s(LONG_S)
    poller.watch("a", version=0, n_points=0, timeout_s=0)
    host.found.clear()

    poller.stock()
    is_kept = board.card("a") is not None
    clock.sleep_s(WATCHED_S)
    poller.stock()

    assert (True, 0) == (is_kept, board.n_jobs)


def test_a_filtered_list_lets_nothing_be_forgotten(poller, board, clock):
    poller.stock()
    clock.sleep_s(LONG_S)

    poller.search("s-a", thorough=False)
    poller.watch("a", version=0, n_points=0, timeout_s=0)
    poller.look_when_due()

    assert 3 == board.n_jobs


@pytest.mark.parametrize("no", [No.NOT_FOUND, No.PARAMS])
def test_a_list_that_is_refused_for_a_while_takes_no_trial_from_its_job(poller, host, clock, no):
    poller.watch("a", version=0, n_points=0, timeout_s=0)
    host.refusal = HostError("the list of jobs", no, "a gateway's")

    poller.look_when_due()
    look = poller.watch("a", version=1, n_points=0, timeout_s=0)
    clock.sleep_s(PATIENCE_S + 1)
    with pytest.raises(HostError, match="a gateway's") as caught:
        poller.watch("a", version=1, n_points=0, timeout_s=0)

    assert "running" == look.job.status
    assert No.BROKEN is caught.value.no  # neither a job that is gone nor params that were refused


def test_a_key_that_is_no_good_any_more_is_told_at_once(poller, host):
    poller.watch("a", version=0, n_points=0, timeout_s=0)
    host.refusal = HostError("the list of jobs", No.KEY, "no")

    poller.look_when_due()

    with pytest.raises(HostError) as caught:
        poller.watch("a", version=1, n_points=0, timeout_s=0)
    assert No.KEY is caught.value.no
