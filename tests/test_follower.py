"""A tracker that is slow, down or late costs a sweep nothing but a warning."""

import threading

from scripted_sweep import ended, evaluated, proposed, started, sweep

from raysweep.state import SweepState
from raysweep.views.follower import Follower


class Tracker:
    """Remembers what it was told; fails as often as it was asked to, or waits for `gate`."""

    def __init__(self, n_failures=0, gate=None):
        self.states, self.left, self.n_failures, self.gate = [], [], n_failures, gate
        self.was_told = threading.Event()

    def follow(self, state):
        if self.gate:
            self.gate.wait(10)
        if self.n_failures:
            self.n_failures -= 1
            raise ConnectionError("no answer from https://me:secret@tracker.example/api")
        self.states.append(state)
        self.was_told.set()

    def leave(self, state):
        self.left.append(state)


def show(follower, *entries):
    state = SweepState()
    for entry in entries:
        state = state.apply(entry)
        follower.show(entry, state)
    return state


def test_a_tracker_is_told_the_last_state_and_let_go():
    tracker = Tracker()
    follower = Follower("toy", tracker)

    state = show(follower, *sweep())
    follower.close(state)
    follower.close(state)

    assert state is tracker.states[-1]
    assert [state] == tracker.left


def test_a_tracker_that_was_down_is_told_what_it_missed_and_the_failure_is_logged_once_without_credentials(caplog):
    tracker = Tracker(n_failures=2)
    follower = Follower("toy", tracker, retry_s=0.01)

    state = show(follower, started(), proposed(0), evaluated(0, 1.0, 0.5))
    assert tracker.was_told.wait(5)
    follower.close(state)

    assert state is tracker.states[0]
    (record,) = caplog.records
    assert "toy failed; the sweep goes on" in record.getMessage()
    assert "tracker.example" in record.getMessage()
    assert "secret" not in caplog.text


def test_a_tracker_that_is_down_for_good_does_not_hold_up_the_end(caplog):
    tracker = Tracker(n_failures=1000)
    follower = Follower("toy", tracker, retry_s=100)

    follower.close(show(follower, started(), proposed(0), ended(0)))

    assert 1 == len(tracker.left)
    assert "toy was not told of the sweep's end; what it lacks it is told by `raysweep resume`" in caplog.text


def test_a_tracker_that_hangs_holds_up_neither_the_sweep_nor_for_long_its_end(caplog):
    gate = threading.Event()
    tracker = Tracker(gate=gate)
    follower = Follower("toy", tracker, close_s=0.05)

    state = show(follower, *sweep())
    follower.close(state)

    assert "toy has not answered for 0 s and is left behind" in caplog.text
    gate.set()
