"""The driver's decisions without Ray: reports go in by hand, the clock is simulated."""

import math
from pathlib import Path

import pytest

from raysweep.clock import SimulatedClock
from raysweep.entries import (
    CancelRequested,
    Evaluated,
    JobAccepted,
    SweepEnded,
    TrialEnded,
    TrialInterrupted,
    TrialProposed,
)
from raysweep.errors import DiskError, Fault, JobFailed, RaysweepError
from raysweep.goal import Goal
from raysweep.jobs import Evaluation, JobSpec, Outcome, Progress
from raysweep.recorder import Recorder
from raysweep.search.draw import RandomProposer
from raysweep.search.history import Done, History, Wait
from raysweep.search.prune import Asha, NoPruning, Rungs
from raysweep.space import Space
from raysweep.state import SweepState, fold
from raysweep.tuning.driver import Driver
from raysweep.tuning.report import Report
from raysweep.tuning.rules import Rules

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


def make_driver(*, trials=3, concurrency=2, pruner=None, room=1000, stopping=GOAL, past=(), means=None, **rules):
    from raysweep.dimensions import Uniform

    space = Space({"learning_rate": Uniform("uniform", 0.0, 1.0)})
    history = History(RandomProposer(space, seed=0), GOAL, n_trials=trials, concurrency=concurrency)
    memory = Memory(room)
    clock = SimulatedClock()

    def make_spec(suggestion):
        return JobSpec("abcd1234", suggestion.number, 1, suggestion.params, 0, Path("nowhere"), (0.5, 1.0))

    memory.entries.extend(past)
    driver = Driver(
        Rules(GOAL, stopping, ("learning_rate",), concurrency=concurrency, **rules),
        history=history,
        pruner=pruner or NoPruning(),
        make_spec=make_spec,
        recorder=Recorder(memory, Deaf(), fold(past), clock=clock, patience_s=0),
        clock=clock,
        means=means,
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
    assert isinstance(driver.suggest(), Wait)  # trials 1 and 2 may be lost, and tried again
    driver.report(1, evaluated(0.5, 1.0, is_final=True))
    driver.report(2, evaluated(0.5, 1.0, is_final=True))
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
    driver.history._proposer = Listener(Space({"learning_rate": Uniform("uniform", 0.0, 1.0)}), seed=0)
    driver.suggest(), driver.suggest()
    driver.report(1, evaluated(0.6, 0.25))
    driver.report(0, evaluated(0.3, 0.5))
    driver.report(0, evaluated(0.2, 1.0, is_final=True))

    assert not driver.report(1, evaluated(None, 0.5))

    assert told == {0: -0.2, 1: -0.2}


def failed(fault, reason="it broke"):
    return Report("job", "host", failure=JobFailed(reason, fault))


def test_a_trial_whose_host_failed_is_tried_again_after_a_wait_and_goes_on_where_it_was():
    driver, entries, clock = make_driver(trials=1, attempts=3, wait_s=5)
    driver.suggest()
    driver.report(0, evaluated(0.3))

    assert not driver.report(0, failed(Fault.HOST))

    assert isinstance(driver.suggest(), Wait)
    clock.advance_to(5)
    again = driver.suggest()
    assert (0, 2, 1, "abcd1234-0000-2") == (again.trial, again.attempt, again.n_evaluations, again.key)
    assert [1, 2] == [entry.attempt for entry in entries if isinstance(entry, TrialProposed)]
    assert (Fault.HOST, "it broke", 1) == (
        last(entries, TrialInterrupted).fault,
        last(entries, TrialInterrupted).reason,
        last(entries, TrialInterrupted).attempt,
    )
    driver.report(0, evaluated(0.4, 1.0, is_final=True))
    assert last(entries, TrialEnded).outcome is Outcome.COMPLETED
    assert isinstance(driver.suggest(), Done)


def test_attempts_are_bounded_and_the_slot_comes_back():
    driver, entries, clock = make_driver(trials=2, concurrency=1, attempts=3, wait_s=1)
    for now_s in (0, 1, 5):
        clock.advance_to(now_s)
        assert driver.suggest().trial == 0
        driver.lose(0, "its process died")

    ended = last(entries, TrialEnded)
    assert (Outcome.ERRORED, "its process died (attempt 3 of 3)") == (ended.outcome, ended.reason)
    assert driver.suggest().trial == 1


def test_memory_that_runs_out_twice_is_a_result_for_the_search():
    driver, entries, _ = make_driver(trials=1, attempts=4)
    driver.suggest()
    driver.lose(0, "killed", Fault.MEMORY)
    driver.suggest()
    driver.report(0, failed(Fault.MEMORY, "no memory for the batch"))

    ended = last(entries, TrialEnded)
    assert Outcome.FAILED is ended.outcome
    assert "no memory for the batch" in ended.reason


def test_a_lost_actors_job_is_taken_up_under_its_own_key_where_a_host_keeps_it():
    driver, _, _ = make_driver(trials=1, attempts=3, has_host=True)
    first = driver.suggest()
    driver.lose(0, "its process died")

    assert first.key == driver.suggest().key

    driver.report(0, failed(Fault.HOST))
    assert driver.suggest().key == "abcd1234-0000-2"


def test_no_more_trials_are_worked_on_at_once_than_allowed_also_when_some_wait():
    driver, _, _ = make_driver(trials=4, concurrency=2, attempts=3)
    driver.suggest(), driver.suggest()
    driver.lose(0, "gone")
    driver.lose(1, "gone")

    assert [0, 1] == [driver.suggest().trial, driver.suggest().trial]
    assert isinstance(driver.suggest(), Wait)


def test_an_evaluation_that_comes_twice_is_written_once(caplog):
    driver, entries, _ = make_driver()
    driver.suggest()
    driver.report(0, evaluated(0.3))

    assert driver.report(0, evaluated(0.3))

    assert len([entry for entry in entries if isinstance(entry, Evaluated)]) == 1
    assert "repeats" in caplog.text


def test_a_trial_stopped_by_hand_ends_at_once_and_its_actor_is_stopped_at_its_next_report():
    driver, entries, _ = make_driver()
    driver.suggest(), driver.suggest()
    driver.report(1, evaluated(0.3))

    driver.stop_trial(1, Outcome.CANCELLED, "stopped by hand")

    ended = last(entries, TrialEnded)
    assert (1, Outcome.CANCELLED, "stopped by hand", 0.3) == (ended.trial, ended.outcome, ended.reason, ended.objective)
    assert not driver.report(1, evaluated(0.9, 1.0))
    assert driver.suggest().trial == 2


def test_a_waiting_trial_is_cancelled_with_its_sweep():
    driver, entries, _ = make_driver(attempts=3, wait_s=60)
    driver.suggest()
    driver.lose(0, "gone")

    driver.interrupt("SIGTERM")
    driver.close()

    assert (0, Outcome.CANCELLED) == (last(entries, TrialEnded).trial, last(entries, TrialEnded).outcome)


RAYS_WORDS = (
    "2 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 127.0.0.1) was 9GB used / "
    "10GB limit. pid=77"
)


@pytest.mark.parametrize(
    ("pids", "faults"),
    [
        ({0: 77, 1: 78}, {0: Fault.MEMORY, 1: None}),
        ({0: 77, 1: 77}, {0: Fault.MEMORY, 1: Fault.MEMORY}),
        ({}, {0: Fault.HOST, 1: Fault.HOST}),
    ],
)
def test_only_the_trial_whose_process_ran_out_of_memory_is_at_fault(pids, faults):
    from raysweep.tuning.run import lose_to_memory

    driver, entries, _ = make_driver(attempts=2)
    driver.suggest(), driver.suggest()

    lose_to_memory(driver, RAYS_WORDS, pids)

    assert faults == {entry.trial: entry.fault for entry in entries if isinstance(entry, TrialInterrupted)}
    assert [0, 1] == [driver.suggest().trial, driver.suggest().trial]
    assert "9GB used / 10GB limit" in last(entries, TrialInterrupted).reason or faults[1] is None


def test_an_interrupt_that_leaves_jobs_ends_no_trial_that_may_have_one():
    driver, entries, _ = make_driver(trials=3, concurrency=3, attempts=3, wait_s=60, has_host=True, leaves_jobs=True)
    driver.suggest(), driver.suggest(), driver.suggest()
    driver.report(0, evaluated(0.3))
    driver.report(1, Report("job", "host", failure=JobFailed("it failed there", Fault.HOST)))

    driver.interrupt("SIGTERM")
    driver.close()

    left = [(one.trial, one.is_job_over) for one in entries if isinstance(one, TrialInterrupted) and not one.fault]
    assert [(0, False), (2, False)] == left
    assert [1] == [one.trial for one in entries if isinstance(one, TrialEnded)]
    assert [True, False, True] == [trial.is_left for trial in driver.recorder.state.trials.values()]


@pytest.mark.parametrize(
    "end",
    [
        lambda driver: driver.stop("trial 0 reached the target"),
        lambda driver: driver.abort(RaysweepError("the rows are at fault")),
    ],
    ids=["by itself", "broken"],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_only_a_signal_leaves_jobs(end, is_first):
    driver, entries, _ = make_driver(trials=1, has_host=True, leaves_jobs=True)
    driver.suggest()

    for act in (end, lambda driver: driver.interrupt("SIGINT")) if is_first else (end,):
        act(driver)
    driver.close()

    assert not driver.is_leaving
    assert Outcome.CANCELLED is last(entries, TrialEnded).outcome


def test_a_sweep_that_breaks_after_its_interrupt_leaves_nothing():
    driver, entries, _ = make_driver(trials=1, has_host=True, leaves_jobs=True)
    driver.suggest()
    driver.interrupt("SIGINT")

    driver.abort(RaysweepError("the disk is full"))
    driver.close()

    assert Outcome.CANCELLED is last(entries, TrialEnded).outcome
