"""The driver's decisions without Ray: reports go in by hand, the clock is simulated."""

import math
from pathlib import Path

import pytest

from raysweep.clock import SimulatedClock
from raysweep.entries import CancelRequested, JobAccepted, SweepEnded, TrialEnded
from raysweep.errors import DiskError, Fault, JobFailed, RaysweepError
from raysweep.goal import Goal
from raysweep.jobs import Evaluation, JobSpec, Outcome, Progress
from raysweep.recorder import Recorder
from raysweep.search.draw import RandomProposer
from raysweep.search.history import Done, History, Wait
from raysweep.search.prune import Asha, NoPruning, Rungs
from raysweep.space import Space
from raysweep.state import SweepState
from raysweep.tuning.driver import Driver, Report, Rules

GOAL = Goal("val_f1_weighted", "max")


class Memory:
    """A ledger in a list; full after so many entries."""

    def __init__(self, room=1000):
        self.entries = []
        self.room = room

    def append(self, entry):
        if len(self.entries) >= self.room:
            raise DiskError("full; free some space")
        self.entries.append(entry)


class Deaf:
    def show(self, entry, state):
        assert isinstance(state, SweepState)


def make_driver(*, trials=3, concurrency=2, pruner=None, target=None, time_s=None, room=1000, stopping=GOAL):
    from raysweep.dimensions import Uniform

    space = Space({"learning_rate": Uniform("uniform", 0.0, 1.0)})
    history = History(RandomProposer(space, seed=0), GOAL, n_trials=trials, concurrency=concurrency)
    memory = Memory(room)
    clock = SimulatedClock()

    def make_spec(suggestion):
        return JobSpec("abcd1234", suggestion.number, 1, suggestion.params, 0, Path("nowhere"), (0.5, 1.0))

    driver = Driver(
        Rules(GOAL, stopping, ("learning_rate",), target, time_s),
        history=history,
        pruner=pruner or NoPruning(),
        make_spec=make_spec,
        recorder=Recorder(memory, Deaf()),
        clock=clock,
    )
    return driver, memory.entries, clock


def evaluated(value, epoch=0.5, *, is_final=False, **others):
    metrics = {"val_f1_weighted": value, **others}
    evaluation = Evaluation(epoch, round(100 * epoch), round(1000 * epoch), metrics)
    return Report(
        "job", "host", Progress(epoch, round(1000 * epoch), evaluation, is_final, "model" if is_final else None)
    )


def last(entries, kind):
    return [entry for entry in entries if isinstance(entry, kind)][-1]


def test_a_trial_is_written_down_before_anybody_hears_of_it():
    driver, entries, _ = make_driver()

    spec = driver.suggest()

    assert (spec.trial, spec.key, spec.params) == (entries[-1].trial, entries[-1].key, entries[-1].params)


def test_full_slots_wait_and_an_end_frees_one():
    driver, _, _ = make_driver()
    driver.suggest(), driver.suggest()

    assert isinstance(driver.suggest(), Wait)
    assert not driver.report(0, evaluated(0.5, 1.0, is_final=True))
    assert driver.suggest().trial == 2
    assert isinstance(driver.suggest(), Done)


def test_the_job_is_accepted_once():
    driver, entries, _ = make_driver()
    driver.suggest()

    assert driver.report(0, Report("job", "host"))
    assert driver.report(0, evaluated(0.3))

    assert len([entry for entry in entries if isinstance(entry, JobAccepted)]) == 1


def test_a_completed_trial_has_its_last_evaluation_as_objective():
    driver, entries, _ = make_driver()
    driver.suggest()

    driver.report(0, evaluated(0.6))
    driver.report(0, evaluated(0.4, 1.0, is_final=True))

    ended = last(entries, TrialEnded)
    assert (Outcome.COMPLETED, 0.4, "model", 1000) == (
        ended.outcome,
        ended.objective,
        ended.model,
        ended.trained_tokens,
    )


def test_a_trial_below_the_cutoff_is_cancelled_and_pruned():
    driver, entries, _ = make_driver(pruner=Asha(Rungs((0.5,)), GOAL, eta=2))
    driver.suggest(), driver.suggest()

    assert driver.report(0, evaluated(0.6))
    assert not driver.report(1, evaluated(0.2))

    assert last(entries, CancelRequested).trial == 1
    ended = last(entries, TrialEnded)
    assert (1, Outcome.PRUNED, 0.2) == (ended.trial, ended.outcome, ended.objective)
    assert "0.6" in ended.reason


def test_pruning_can_look_at_another_metric_than_the_objective():
    stopping = Goal("train_loss", "min")
    driver, _, _ = make_driver(pruner=Asha(Rungs((0.5,)), stopping, eta=2), stopping=stopping)
    driver.suggest(), driver.suggest()

    assert driver.report(0, evaluated(0.1, train_loss=0.1))
    assert not driver.report(1, evaluated(0.9, train_loss=0.9))


def test_a_final_evaluation_is_never_pruned():
    driver, entries, _ = make_driver(pruner=Asha(Rungs((0.5,)), GOAL, eta=2))
    driver.suggest(), driver.suggest()
    driver.report(0, evaluated(0.6))

    driver.report(1, evaluated(0.1, 1.0, is_final=True))

    assert last(entries, TrialEnded).outcome is Outcome.COMPLETED


@pytest.mark.parametrize(
    ("fault", "outcome"), [(Fault.PARAMS, Outcome.FAILED), (Fault.HOST, Outcome.ERRORED), (Fault.DATA, Outcome.ERRORED)]
)
def test_a_failed_job_is_a_result_by_whose_fault_it_was(fault, outcome):
    driver, entries, _ = make_driver()
    driver.suggest()

    assert not driver.report(0, Report("job", "host", failure=JobFailed("it broke", fault)))

    ended = last(entries, TrialEnded)
    assert (outcome, "it broke", None) == (ended.outcome, ended.reason, ended.objective)


def test_bad_data_ends_the_sweep_and_others_do_not():
    driver, _, _ = make_driver()
    driver.suggest(), driver.suggest()

    driver.report(0, Report("job", "host", failure=JobFailed("diverged", Fault.PARAMS)))
    assert not driver.is_over()
    driver.report(1, Report("job", "host", failure=JobFailed("bad file", Fault.DATA)))

    assert driver.is_over()
    assert "bad file" in str(driver.error)


def test_a_lost_actor_is_errored_once():
    driver, entries, _ = make_driver()
    driver.suggest()

    driver.lose(0, "the actor died")
    driver.lose(0, "again")

    assert len([entry for entry in entries if isinstance(entry, TrialEnded)]) == 1
    assert last(entries, TrialEnded).outcome is Outcome.ERRORED


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_final_evaluation_without_the_objective_is_errored_and_says_so(value):
    driver, entries, _ = make_driver()
    driver.suggest()

    driver.report(0, evaluated(value, 1.0, is_final=True))

    ended = last(entries, TrialEnded)
    assert ended.outcome is Outcome.ERRORED
    assert "val_f1_weighted" in ended.reason


def test_the_sweep_ends_when_the_target_is_reached():
    driver, _, _ = make_driver(target=0.5)
    driver.suggest()

    driver.report(0, evaluated(0.55))
    assert not driver.is_over()
    driver.report(0, evaluated(0.51, 1.0, is_final=True))

    assert driver.is_over()
    assert "target" in driver.end_reason
    assert isinstance(driver.suggest(), Done)


def test_the_sweep_ends_when_its_time_is_up():
    driver, entries, clock = make_driver(time_s=10)
    driver.suggest()
    clock.advance_to(9.9)
    assert not driver.is_over()

    clock.advance_to(10)

    assert driver.is_over()
    driver.close()
    assert (Outcome.CANCELLED, "the time is up (10 s)") == (
        last(entries, TrialEnded).outcome,
        last(entries, TrialEnded).reason,
    )


def test_a_report_after_the_end_changes_nothing():
    driver, entries, _ = make_driver()
    driver.suggest()
    driver.report(0, evaluated(0.5, 1.0, is_final=True))
    before = list(entries)

    assert not driver.report(0, evaluated(0.9, 1.0, is_final=True))

    assert before == entries


def test_a_full_disk_ends_the_sweep_with_its_own_error():
    driver, _, _ = make_driver(room=1)
    driver.suggest()

    with pytest.raises(DiskError) as caught:
        driver.report(0, evaluated(0.5))
    driver.abort(caught.value)
    driver.close()

    assert driver.is_over()
    assert isinstance(driver.error, DiskError)


def test_a_broken_sweep_says_so_in_its_last_entry():
    driver, entries, _ = make_driver()
    driver.suggest()

    driver.abort(RaysweepError("no more"))
    driver.close()

    assert "no more" == last(entries, SweepEnded).reason
    assert last(entries, TrialEnded).outcome is Outcome.CANCELLED


def test_a_pruned_trial_whose_last_value_is_missing_is_told_as_the_worst():
    told = {}

    class Listener(RandomProposer):
        def tell(self, number, loss):
            told[number] = loss

    from raysweep.dimensions import Uniform

    driver, _, _ = make_driver(pruner=Asha(Rungs((0.5,)), GOAL, eta=2))
    driver._history._proposer = Listener(Space({"learning_rate": Uniform("uniform", 0.0, 1.0)}), seed=0)
    driver.suggest(), driver.suggest()
    driver.report(1, evaluated(0.6, 0.25))
    driver.report(0, evaluated(0.3, 0.5))
    driver.report(0, evaluated(0.2, 1.0, is_final=True))

    assert not driver.report(1, evaluated(None, 0.5))

    assert told == {0: -0.2, 1: -0.2}
