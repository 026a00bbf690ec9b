"""Every entry's way to the disk, also when that is away for a while."""

import pytest
from scripted_sweep import proposed, started

from raysweep.clock import SimulatedClock
from raysweep.errors import DiskError
from raysweep.recorder import PATIENCE_S, Recorder


class Storage:
    """A ledger whose disk comes back at a moment."""

    def __init__(self, clock, back_s):
        self.clock, self.back_s, self.entries, self.tries = clock, back_s, [], 0

    def append(self, entry):
        self.tries += 1
        if self.clock.monotonic_s() < self.back_s:
            raise DiskError("ledger.jsonl: gone; make it writable")
        self.entries.append(entry)


class Shown(list):
    def show(self, entry, state):
        self.append((entry, state))


def recorder(back_s):
    clock, shown = SimulatedClock(), Shown()
    storage = Storage(clock, back_s)
    return Recorder(storage, shown, clock=clock), storage, shown


def test_storage_that_is_gone_for_a_minute_is_waited_for(caplog):
    made, storage, shown = recorder(back_s=60)

    made.record(started())

    assert [started()] == storage.entries
    assert 1 == len(shown)
    assert 1 == caplog.text.count("waits for it")


def test_storage_that_stays_away_is_given_up_and_nobody_is_told():
    made, storage, shown = recorder(back_s=10_000)

    with pytest.raises(DiskError):
        made.record(started())

    assert PATIENCE_S <= storage.clock.monotonic_s() < PATIENCE_S + 10
    assert [] == shown
    assert made.state.started is None


def test_after_it_was_given_up_once_nothing_waits_again():
    made, storage, _ = recorder(back_s=10_000)
    with pytest.raises(DiskError):
        made.record(started())
    before_s, tries = storage.clock.monotonic_s(), storage.tries

    with pytest.raises(DiskError):
        made.record(proposed(0))

    assert (before_s, tries + 1) == (storage.clock.monotonic_s(), storage.tries)


def test_somebody_who_wants_the_sweep_to_end_does_not_wait():
    made, storage, _ = recorder(back_s=10_000)
    made.hurry()

    with pytest.raises(DiskError):
        made.record(started())

    assert 0 == storage.clock.monotonic_s()
