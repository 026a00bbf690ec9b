"""A driver that dies after any entry, and one that goes on from there: no Ray, reports go in by script."""

import math
from dataclasses import replace

import pytest
from test_driver import GOAL, evaluated, make_driver

from raysweep.entries import CancelRequested, Evaluated, TrialEnded, TrialProposed
from raysweep.errors import Fault, JobFailed
from raysweep.jobs import Outcome
from raysweep.search.history import Done, Wait
from raysweep.search.prune import Asha, Rungs, Threshold
from raysweep.state import fold
from raysweep.tuning.replay import replay
from raysweep.tuning.report import Report

POINTS = (0.5, 1.0)


def curve(spec, place):
    """The trial's own curve: a function of its params alone."""
    return round(math.sin(37 * spec.params["learning_rate"]) / 2 + 0.1 * place, 6)


def drive(driver, *, n_reports=10_000):
    """Whoever began first reports first, one evaluation a turn; until the end, or so many reports."""
    live = []
    while True:
        answer = driver.suggest()
        while not isinstance(answer, Wait | Done):
            live.append((answer, answer.n_evaluations))
            answer = driver.suggest()
        if not live or n_reports == 0:
            return
        n_reports -= 1
        spec, place = live.pop(0)
        if place == len(POINTS):  # all was handed out before the driver died
            place -= 1
        is_final = place == len(POINTS) - 1
        if driver.report(spec.trial, evaluated(curve(spec, place), POINTS[place], is_final=is_final)):
            live.append((spec, place + 1))


def pruners():
    rungs = Rungs((0.5,))
    return {"none": None, "threshold": Threshold(rungs, (0.1,), GOAL), "asha": Asha(rungs, GOAL, eta=2)}


def resumed(entries, kind, trials, **rules):
    driver, memory, clock = make_driver(trials=trials, pruner=pruners()[kind], past=tuple(entries), **rules)
    replay(driver, tuple(entries), lambda params: params)
    return driver, memory, clock


def table(entries):
    state = fold(entries)
    return {
        number: (trial.params, trial.outcome, [one.metrics for one in trial.evaluations], trial.ended.model)
        for number, trial in state.trials.items()
    }


@pytest.mark.parametrize("kind", ["none", "threshold", "asha"])
def test_a_driver_that_dies_after_any_entry_goes_on_as_if_it_had_not(kind):
    driver, entries, _ = make_driver(trials=6, pruner=pruners()[kind])
    drive(driver)
    undisturbed = table(entries)

    for cut in range(len(entries) + 1):
        after, found, _ = resumed(entries[:cut], kind, trials=6)
        drive(after)

        if kind != "asha":  # ASHA compares with whoever came first, and that may be another one now
            assert undisturbed == table(found)
        assert list(entries[:cut]) == found[:cut]
        assert {outcome for _, outcome, _, _ in table(found).values()} <= {Outcome.COMPLETED, Outcome.PRUNED}
        rows = [(entry.trial, entry.epoch) for entry in found if isinstance(entry, Evaluated)]
        assert len(rows) == len(set(rows))


def test_the_rungs_are_those_of_the_ledger():
    driver, entries, _ = make_driver(trials=8, pruner=pruners()["asha"])
    drive(driver, n_reports=7)

    after, found, _ = resumed(entries, "asha", trials=8)
    drive(after)

    again = Asha(Rungs((0.5,)), GOAL, eta=2)
    stopped = set()
    for entry in found:
        if isinstance(entry, Evaluated):
            decision = again.decide(entry.trial, entry.epoch, entry.metrics[GOAL.metric], POINTS[-1])
            stopped |= {entry.trial} if hasattr(decision, "cutoff") else set()
    assert stopped == {entry.trial for entry in found if isinstance(entry, CancelRequested)}
    assert stopped


def test_what_the_pruner_had_just_judged_is_pruned_and_not_run_again():
    driver, entries, _ = make_driver(trials=1, pruner=Threshold(Rungs((0.5,)), (0.9,), GOAL))
    driver.suggest()
    driver.report(0, evaluated(0.1))
    died = [entry for entry in entries if not isinstance(entry, CancelRequested | TrialEnded)]

    after, found, _ = make_driver(trials=1, pruner=Threshold(Rungs((0.5,)), (0.9,), GOAL), past=tuple(died))
    replay(after, died, lambda params: params)

    assert fold(found).trials[0].outcome is Outcome.PRUNED
    assert isinstance(after.suggest(), Done)


def test_what_only_its_sweeps_end_cancelled_goes_on_and_what_was_stopped_by_hand_does_not():
    driver, entries, _ = make_driver(trials=2)
    driver.suggest(), driver.suggest()
    driver.report(0, evaluated(0.3))
    driver.stop_trial(1, Outcome.CANCELLED, "stopped by hand")
    driver.interrupt("SIGINT")
    driver.close()

    after, found, _ = resumed(entries, "none", trials=2)

    again = after.suggest()
    assert (0, 2, 1) == (again.trial, again.attempt, again.n_evaluations)
    assert isinstance(after.suggest(), Wait)
    after.report(0, evaluated(0.4, 1.0, is_final=True))
    assert isinstance(after.suggest(), Done)
    assert fold(found).trials[1].outcome is Outcome.CANCELLED


def test_a_finished_sweep_can_be_given_more_trials():
    driver, entries, _ = make_driver(trials=3)
    drive(driver)
    long, whole, _ = make_driver(trials=6)
    drive(long)

    after, found, _ = resumed(entries, "none", trials=6)
    drive(after)

    assert table(whole) == table(found)


def test_fewer_slots_than_unfinished_trials_are_kept_to():
    driver, entries, _ = make_driver(trials=4, concurrency=4)
    drive(driver, n_reports=0)

    after, _, _ = resumed(entries, "none", trials=4, concurrency=1)

    assert after.suggest().trial == 0
    assert isinstance(after.suggest(), Wait)


def test_the_time_that_was_driven_before_counts():
    from scripted_sweep import at, evaluated, proposed, started

    past = (started(), proposed(0, attempt=1), evaluated(0, 0.5, 0.3, 8))
    driver, _, clock = make_driver(trials=2, past=past, time_s=10)

    assert not driver.is_over()
    clock.advance_to(2)
    assert driver.is_over()
    assert at(0) == past[0].at


def test_a_job_at_a_host_is_taken_up_under_the_same_key():
    driver, entries, _ = make_driver(trials=1, has_host=True)
    driver.suggest()

    after, found, _ = resumed(entries, "none", trials=1, has_host=True)

    assert after.suggest().key == "abcd1234-0000-1"
    assert len({entry.key for entry in found if isinstance(entry, TrialProposed)}) == 1


def test_a_driver_that_died_while_a_failed_job_was_waited_for_makes_a_new_one():
    driver, entries, _ = make_driver(trials=1, attempts=3, wait_s=60, has_host=True)
    driver.suggest()
    driver.report(0, Report("job", "host", failure=JobFailed("it broke", Fault.HOST)))

    after, _, _ = resumed(entries, "none", trials=1, attempts=3, has_host=True)

    assert "abcd1234-0000-2" == after.suggest().key


def test_a_reached_target_is_remembered():
    driver, entries, _ = make_driver(trials=5, target=0.5)
    driver.suggest()
    driver.report(0, evaluated(0.6, 1.0, is_final=True))

    after, _, _ = resumed(entries, "none", trials=5, target=0.5)

    assert isinstance(after.suggest(), Done)
    assert "reached the target" in after.end_reason


def test_params_are_those_of_the_ledger_whatever_a_trainers_defaults_are_today():
    driver, entries, _ = make_driver(trials=1)
    params = driver.suggest().params

    after, _, _ = make_driver(trials=1, past=tuple(entries))
    make_spec = after.make_spec
    after.make_spec = lambda suggestion: replace(make_spec(suggestion), params={"learning_rate": -1.0})
    replay(after, entries, lambda params: params)

    assert params == after.suggest().params
