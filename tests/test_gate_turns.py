"""Pace, permits and intervals: pure rules on a clock that stands still."""

import random

import pytest

from raysweep.clock import SimulatedClock
from raysweep.trainers.dialects import Limits, Polls
from raysweep.trainers.gate_calls import Calls
from raysweep.trainers.gate_pace import BURST_S, Pace
from raysweep.trainers.gate_permits import DAY_S, LEASE_S, Permits
from raysweep.trainers.gate_pulse import Pulse, Steps
from raysweep.trainers.host_errors import HostError, No
from raysweep.trainers.hosted import Point


@pytest.fixture
def clock():
    return SimulatedClock(1000.0)


def ask(permits, key, n_active=0, n_jobs=0):
    return permits.ask(key.split("-")[0], key, n_active=n_active, n_jobs=n_jobs)


def test_requests_go_out_evenly_after_a_small_burst(clock):
    pace = Pace(60, clock)

    for _ in range(62):
        pace.take()

    assert pytest.approx(1000 + 62 - BURST_S) == clock.elapsed_s


def test_a_pause_that_a_host_asks_for_holds_everything(clock):
    pace = Pace(6000, clock)

    pace.hold(20)
    pace.take()

    assert pytest.approx(1020) == clock.elapsed_s


def test_permits_stop_at_the_limit_and_come_back(clock):
    permits = Permits(Limits(running=2, queued=1), clock)

    granted = [ask(permits, f"a-{number}", n_active=1) for number in range(4)]
    permits.give_back("a-0")

    assert [True, True, False, False] == granted
    assert [True, False] == [ask(permits, "a-2", n_active=1), ask(permits, "a-3", n_active=1)]


def test_permits_are_fair_between_sweeps_and_first_come_within_one(clock):
    permits = Permits(Limits(running=1), clock)
    waiting = ["a-1", "a-2", "a-3", "b-1", "b-2"]
    for key in waiting:
        ask(permits, key, n_active=1)
    order = []

    while len(order) < 5:
        for key in [one for one in waiting if one not in order]:
            if ask(permits, key):
                order.append(key)
                permits.give_back(key)

    assert ["a-1", "b-1", "a-2", "b-2", "a-3"] == order


def test_whoever_stops_asking_loses_its_place(clock):
    permits = Permits(Limits(running=1), clock)
    ask(permits, "a-dead", n_active=1)
    ask(permits, "a-alive", n_active=1)

    before = ask(permits, "a-alive")
    clock.sleep_s(LEASE_S)
    after = ask(permits, "a-alive")

    assert (False, True) == (before, after)


def test_creates_a_day_are_counted_over_restarts(clock):
    permits = Permits(Limits(running=9, creates_per_day=3), clock)
    permits.count_earlier([10.0, DAY_S + 1])
    for key in ("a-1", "a-2"):
        assert ask(permits, key)
        permits.made(key)

    assert not ask(permits, "a-3")
    clock.sleep_s(DAY_S - 9)
    assert ask(permits, "a-3")


def test_jobs_in_all_are_a_limit_too_and_so_is_a_host_that_says_no(clock):
    permits = Permits(Limits(running=9, jobs=5), clock)

    assert not ask(permits, "a-1", n_jobs=5)
    permits.close(15)
    assert not ask(permits, "a-1", n_jobs=4)
    clock.sleep_s(15)
    assert ask(permits, "a-1", n_jobs=4)


def test_intervals_grow_while_nothing_changes_and_shrink_when_something_does(clock):
    pulse = Pulse(Polls(5.0, 60.0), random.Random(0), 0.0)
    waits = []

    for now_s in range(0, 800, 100):
        pulse.looked(now_s, is_new=False)
        waits.append(pulse.due_s - now_s)
    pulse.looked(800, is_new=True)

    assert waits[0] < 9
    assert 54 <= waits[-1] <= 66
    assert pulse.due_s - 800 < 0.6 * waits[-1]
    pulse.hurry(900)
    assert 900 == pulse.due_s


def test_the_next_epochs_end_is_foreseen():
    steps = Steps()
    steps.add(Point(10, 300), 100.0)
    steps.add(Point(60, 300), 200.0)

    assert pytest.approx(80.0) == steps.seconds_to_epoch(3)
    assert steps.seconds_to_epoch(None) is None


@pytest.mark.parametrize(
    ("known", "new", "is_enough"),
    [
        (150, range(201, 301), True),  # the first epoch's end, 400, is still to come
        (350, range(401, 501), False),  # it may be just behind the page, rounded
        (350, range(390, 490), True),
        (350, range(701, 801), False),  # two epochs have ended since
        (402, range(501, 601), False),  # nobody knows whether its losses were told with its step
        (0, range(901, 1001), False),
        (0, (), False),
    ],
)
def test_news_are_read_backwards_until_no_epochs_end_is_left_out(known, new, is_enough):
    steps = Steps()
    steps.add(Point(known, 1200), 0.0)

    assert is_enough == steps.is_enough([Point(step) for step in new], n_epochs=3)
    assert not steps.is_enough([Point(step) for step in new], n_epochs=None)


def test_what_may_pass_is_tried_again_and_what_will_not_is_not(clock):
    calls = Calls(Pace(6000, clock), clock)
    said = []

    def refuse(no, after_s=None, times=2):
        def call():
            said.append(no)
            if said.count(no) <= times:
                raise HostError("x", no, "", after_s)
            return "yes"

        return call

    assert "yes" == calls.again(refuse(No.BROKEN))
    before_s = clock.elapsed_s
    assert "yes" == calls.again(refuse(No.RATE, 7.0, times=1))
    assert clock.elapsed_s >= before_s + 7
    for no, after_s in ((No.KEY, None), (No.SILENT, 121.0)):
        with pytest.raises(HostError):
            calls.again(refuse(no, after_s))
        assert 1 == said.count(no)
