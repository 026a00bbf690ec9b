"""Who is tried again: the rule alone."""

import pytest

from raysweep.errors import Fault
from raysweep.jobs import Outcome
from raysweep.retries import Again, GiveUp, next_step

HOST, MEMORY = Fault.HOST, Fault.MEMORY


@pytest.mark.parametrize(("n_faults", "wait_s"), [(1, 5), (2, 20), (3, 80)])
def test_each_wait_is_four_times_the_one_before(n_faults, wait_s):
    assert Again(wait_s) == next_step([HOST] * n_faults, "gone", attempts=4, wait_s=5)


def test_the_waits_of_the_default_outlast_a_minute_without_storage():
    assert sum(next_step([HOST] * n, "gone", attempts=4, wait_s=5).wait_s for n in (1, 2, 3)) > 60


def test_the_last_attempt_is_the_last():
    assert GiveUp(Outcome.ERRORED, "gone (attempt 4 of 4)") == next_step([HOST] * 4, "gone", attempts=4, wait_s=5)


def test_a_single_attempt_is_not_counted_in_words():
    assert GiveUp(Outcome.ERRORED, "gone") == next_step([HOST], "gone", attempts=1, wait_s=5)


def test_memory_is_tried_again_once_and_then_the_params_doing():
    assert Again(5) == next_step([MEMORY], "killed", attempts=4, wait_s=5)
    assert Again(20) == next_step([MEMORY, HOST], "gone", attempts=4, wait_s=5)

    over = next_step([MEMORY, HOST, MEMORY], "killed", attempts=9, wait_s=5)

    assert Outcome.FAILED is over.outcome
