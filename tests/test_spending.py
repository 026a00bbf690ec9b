"""Spent and reserved never exceed the budget: by every entry, in any order of events, over any number of drivers."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_sweep import SETTING
from test_driver import evaluated, last, make_driver

from raysweep.entries import (
    BUDGET_USED,
    FinalReserved,
    FinalScored,
    JobSettled,
    SweepEnded,
    SweepResumed,
    TrialEnded,
    TrialInterrupted,
    TrialProposed,
)
from raysweep.errors import Fault, JobFailed, RaysweepError
from raysweep.jobs import Estimate, Outcome, Progress
from raysweep.search.history import Done, Wait
from raysweep.spending import Account, Spending, total
from raysweep.state import SweepState, fold
from raysweep.tuning.purse import Means
from raysweep.tuning.replay import replay
from raysweep.tuning.report import Report
from raysweep.tuning.turns import PATIENCE_S
from raysweep.views.pace import savings

PRICE = 1.0


def means(max_usd=10.0, *, price=lambda spec: PRICE, final=0.0):
    return Means(lambda spec: Estimate(1000, price(spec), final_usd=final), max_usd, scores_best=final > 0)


def accepted():
    return Report("job", "host")


def progress(epoch, usd=None):
    return Report("job", "host", Progress(epoch, round(1000 * epoch), usd=usd))


def failed(fault, usd=None, *, job_id="job", is_job_over=True):
    return Report(job_id, "host", failure=JobFailed("it broke", fault, usd), is_job_over=is_job_over)


def spending(entries):
    return fold(entries).spending


def test_what_is_reserved_is_settled_by_what_was_used():
    account = Account().reserve(1, 2.0)

    assert (0.0, 2.0) == (total([account]).spent, total([account]).reserved)
    assert Account(1, None, 0.5) == account.settle(0.5)
    assert Account(1, None, 2.0) == account.settle(None)
    assert Account(1, None, 2.0) == account.settle(None).settle(None)


def test_every_attempt_counts_and_one_that_was_never_settled_has_used_all_it_had():
    account = Account().reserve(1, 2.0).settle(0.5).reserve(2, 2.0)

    assert (0.5, 2.0) == (account.settled_usd, account.open_usd)
    assert Account(2, 1.5, None) == Account().reserve(2, 2.0).reserve(2, 1.5)
    assert 2.5 == account.reserve(3, 2.0).settled_usd


def test_what_costs_nothing_is_never_reserved():
    driver, entries, _ = make_driver()

    driver.suggest()
    driver.report(0, evaluated(0.5, 1.0, is_final=True))

    assert [None] == [entry.reserved_usd for entry in entries if isinstance(entry, TrialProposed)]
    assert last(entries, TrialEnded).usd is None
    assert Spending(0, 0) == spending(entries)


def test_money_is_set_aside_before_a_job_exists_and_comes_back_at_its_end():
    driver, entries, _ = make_driver(means=means())

    driver.suggest()
    assert Spending(0.0, PRICE) == spending(entries)
    driver.report(0, accepted())
    driver.report(0, evaluated(0.5, 0.5))
    driver.stop_trial(0, Outcome.PRUNED, "poor")

    assert Spending(PRICE / 2, 0.0) == spending(entries)


def test_a_trainers_own_word_counts_before_a_share():
    driver, entries, _ = make_driver(means=means())
    driver.suggest()

    driver.report(0, progress(0.5, usd=0.2))
    driver.stop_trial(0, Outcome.CANCELLED, "by hand")

    assert 0.2 == last(entries, TrialEnded).usd


def test_a_trial_that_cannot_be_paid_waits_while_another_may_give_money_back():
    driver, entries, _ = make_driver(means=means(1.5))
    driver.suggest()

    assert isinstance(driver.suggest(), Wait)
    driver.report(0, accepted())
    driver.report(0, evaluated(0.5, 0.5))
    driver.stop_trial(0, Outcome.PRUNED, "poor")

    assert driver.suggest().trial == 1
    assert spending(entries).committed == pytest.approx(1.5)


def test_a_stopped_job_at_a_host_keeps_its_reservation_and_a_trial_that_it_could_pay_waits_for_it():
    driver, entries, clock = make_driver(means=means(1.5), has_host=True)
    driver.suggest()
    driver.report(0, accepted())
    driver.report(0, evaluated(0.5, 0.5))
    driver.stop_trial(0, Outcome.PRUNED, "poor")

    assert Spending(0.0, PRICE) == spending(entries)
    assert isinstance(driver.suggest(), Wait)
    clock.sleep_s(PATIENCE_S / 2)
    assert isinstance(driver.suggest(), Wait)
    driver.recorder.record(JobSettled(clock.now(), 0, 1, 0.5))

    assert driver.suggest().trial == 1


def test_a_host_that_never_shows_a_job_final_is_not_waited_for_for_ever():
    driver, entries, clock = make_driver(means=means(1.5), has_host=True)
    driver.suggest()
    driver.report(0, accepted())
    driver.stop_trial(0, Outcome.PRUNED, "poor")
    assert isinstance(driver.suggest(), Wait)

    clock.sleep_s(PATIENCE_S)

    assert isinstance(driver.suggest(), Done)
    assert driver.end_reason.startswith(BUDGET_USED)
    assert "1.00 are held for jobs that their host has not shown to be over" in driver.end_reason
    assert Spending(0.0, PRICE) == spending(entries)


def test_a_process_that_was_stopped_with_anothers_has_used_all_that_it_had():
    driver, entries, _ = make_driver(means=means(), has_host=True, attempts=3)
    driver.suggest()
    driver.report(0, accepted())
    driver.report(0, progress(0.25, usd=0.1))

    driver.lose(0, "stopped when trial 1 was killed for its memory", None)

    assert Spending(PRICE, 0.0) == spending(entries)


def test_a_final_score_is_reserved_before_and_spent_if_it_is_broken_off():
    driver, entries, clock = make_driver(means=means(), has_host=True)
    driver.suggest()
    driver.report(0, evaluated(0.5, 1.0, is_final=True))
    spent = spending(entries).spent
    reserved = [*entries, FinalReserved(clock.now(), "best", 0, "test", 0.25)]

    assert Spending(spent, 0.25) == spending(reserved)
    scored = [*reserved, FinalScored(clock.now(), "best", 0, "test", {}, 0.2)]
    assert Spending(pytest.approx(spent + 0.2), 0.0) == spending(scored)
    baseline = FinalScored(clock.now(), "tfidf", None, "test", {})
    assert Spending(spent, 0.25) == spending([*reserved, baseline])  # another's
    for after in (SweepEnded(clock.now(), "it broke"), SweepResumed(clock.now(), 3, "0.1.0")):
        assert Spending(spent + 0.25, 0.0) == spending([*reserved, after])
    again = FinalReserved(clock.now(), "best", 0, "test", 0.25)
    assert Spending(spent + 0.25, 0.25) == spending([*reserved, again])


def test_the_sweep_ends_when_nobody_can_be_paid_any_more():
    driver, entries, _ = make_driver(means=means(1.5))
    driver.suggest()
    driver.report(0, evaluated(0.5, 1.0, is_final=True))

    assert isinstance(driver.suggest(), Done)
    assert driver.end_reason.startswith(BUDGET_USED)
    assert "trial 1 may take 1.00 USD, and 0.50 of 1.50 USD are left" in driver.end_reason
    assert [0] == [entry.trial for entry in entries if isinstance(entry, TrialProposed)]


def test_money_to_score_the_best_is_kept_back():
    driver, _, _ = make_driver(means=means(2.2, final=0.3))
    spec = driver.suggest()
    driver.report(0, evaluated(0.5, 1.0, is_final=True))

    assert isinstance(driver.suggest(), Done)
    assert "0.30 are kept back to score the best" in driver.end_reason
    assert 0.3 == driver.purse.final_usd(spec)


def test_money_to_score_every_finalist_is_kept_back():
    for n_finalists, is_enough in ((1, True), (2, True), (3, False)):
        driver, _, _ = make_driver(means=replace(means(2.6, final=0.3), n_finalists=n_finalists))
        driver.suggest()
        driver.report(0, evaluated(0.5, 1.0, is_final=True))

        assert is_enough == (not isinstance(driver.suggest(), Done))


def test_final_scores_that_cannot_be_paid_are_refused():
    driver, _, _ = make_driver(means=means(2.0, final=0.3))
    spec = driver.suggest()
    driver.report(0, progress(0.5, usd=1.9))
    driver.stop_trial(0, Outcome.CANCELLED, "by hand")

    with pytest.raises(RaysweepError, match=r"not scored on the test split: that may cost 0\.30"):
        driver.purse.final_usd(spec)


def test_a_job_that_was_never_made_costs_nothing():
    driver, entries, _ = make_driver(means=means(), has_host=True)
    driver.suggest()

    driver.report(0, failed(Fault.PARAMS, job_id=""))

    assert 0.0 == last(entries, TrialEnded).usd


def test_an_attempt_whose_end_nobody_saw_keeps_its_reservation_until_its_host_speaks():
    driver, entries, _ = make_driver(means=means(), has_host=True, attempts=1)
    driver.suggest()
    driver.report(0, accepted())
    driver.report(0, progress(0.25))

    driver.lose(0, "its actor died")

    assert last(entries, TrialInterrupted).usd is None
    end = last(entries, TrialEnded)
    assert (PRICE, False) == (end.usd, end.is_settled)
    assert Spending(0.0, PRICE) == spending(entries)
    assert Spending(0.3, 0.0) == spending([*entries, JobSettled(end.at, 0, 1, 0.3)])
    assert Spending(0.0, PRICE) == spending([*entries, JobSettled(end.at, 0, 7, 0.3)])  # another attempt's


def test_an_attempt_that_goes_on_keeps_its_reservation_and_a_further_one_is_reserved_anew():
    driver, entries, _ = make_driver(means=means(), has_host=True, attempts=5)
    driver.suggest()
    driver.lose(0, "its actor died")
    assert Spending(0.0, PRICE) == spending(entries)

    driver.suggest()
    assert Spending(0.0, PRICE) == spending(entries)
    driver.report(0, accepted())
    driver.report(0, failed(Fault.HOST, usd=0.4))
    assert Spending(0.4, 0.0) == spending(entries)
    driver.suggest()

    assert [1, 1, 2] == [entry.attempt for entry in entries if isinstance(entry, TrialProposed)]
    assert Spending(0.4, PRICE) == spending(entries)


def test_a_driver_that_died_leaves_its_reservations_to_the_next():
    driver, entries, _ = make_driver(means=means(2.0), has_host=True)
    driver.suggest()
    driver.report(0, accepted())
    driver.suggest()

    after, found, _ = make_driver(means=means(2.0), has_host=True, past=tuple(entries))
    replay(after, tuple(entries), lambda params: params)

    assert Spending(0.0, 2 * PRICE) == spending(found)
    assert {0, 1} == {after.suggest().trial, after.suggest().trial}
    assert Spending(0.0, 2 * PRICE) == spending(found)


def test_a_larger_budget_goes_on_where_the_smaller_one_ended():
    driver, entries, _ = make_driver(trials=4, means=means(1.5))
    driver.suggest()
    driver.report(0, evaluated(0.5, 1.0, is_final=True))
    assert isinstance(driver.suggest(), Done)
    driver.close()

    after, found, _ = make_driver(trials=4, means=means(2.5), past=tuple(entries))
    replay(after, tuple(entries), lambda params: params)

    assert after.suggest().trial == 1
    assert Spending(PRICE, PRICE) == spending(found)


class _Chance:
    """Drives a driver by chance, its death included."""

    def __init__(self, seed, max_usd, *, has_host):
        self.dice = random.Random(seed)
        self.has_host = has_host
        self.max_usd = max_usd
        self.live = {}
        self.begin(())

    def begin(self, past):
        final = 0.2
        self.live.clear()
        self.driver, self.entries, self.clock = make_driver(
            trials=12,
            concurrency=3,
            means=means(self.max_usd, price=lambda spec: 0.5 + spec.params["learning_rate"], final=final),
            has_host=self.has_host,
            attempts=3,
            wait_s=1.0,
            past=past,
        )
        replay(self.driver, past, lambda params: params)

    def run(self, n_steps):
        for _ in range(n_steps):
            self.clock.sleep_s(self.dice.random())
            if self.dice.random() < 0.2:
                self.settle()
            if self.dice.random() < 0.05:
                self.begin(tuple(self.entries))
            answer = self.driver.suggest()
            if isinstance(answer, Done) and not self.live:
                return
            if not isinstance(answer, Wait | Done):
                self.live[answer.trial] = (answer, 0.0)
            elif self.live:
                self.step(self.dice.choice(sorted(self.live)))

    def settle(self):
        for trial in self.driver.recorder.state.owed:
            usd = trial.account.open_usd * self.dice.random()
            self.driver.recorder.record(JobSettled(self.clock.now(), trial.number, trial.account.attempt, usd))

    def step(self, trial):
        spec, epoch = self.live[trial]
        reserved = fold(self.entries).trials[trial].account.open_usd
        usd = self.dice.choice([None, reserved * self.dice.random()])
        epoch = min(1.0, epoch + 0.3 * self.dice.random())
        self.live[trial] = (spec, epoch)
        events = [
            lambda: self.driver.report(trial, accepted()),
            lambda: self.driver.report(trial, progress(epoch, usd)),
            lambda: self.driver.report(trial, evaluated(0.5, 1.0, is_final=True)),
            lambda: self.driver.report(trial, failed(self.dice.choice([Fault.PARAMS, Fault.HOST]), usd)),
            lambda: self.driver.report(trial, failed(Fault.HOST, is_job_over=False)),
            lambda: self.driver.report(trial, failed(Fault.UNKNOWN, is_job_over=False)),
            lambda: self.driver.lose(trial, "its actor died"),
            lambda: self.driver.stop_trial(trial, Outcome.PRUNED, "poor"),
        ]
        self.dice.choices(events, weights=[4, 8, 2, 2, 1, 1, 1, 2])[0]()
        if trial not in self.driver.live:
            del self.live[trial]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.8, 9.0), st.booleans())
def test_spent_and_reserved_stay_within_the_budget_whatever_happens(seed, max_usd, has_host):
    chance = _Chance(seed, max_usd, has_host=has_host)

    chance.run(200)
    chance.driver.close()
    chance.settle()

    state = SweepState()
    for entry in chance.entries:
        state = state.apply(entry)
        assert state.spending.committed <= max_usd - 0.2 + 1e-6, entry  # the final scores are kept back
    assert state.spending.reserved == pytest.approx(0.0)
    proposed = [entry for entry in chance.entries if isinstance(entry, TrialProposed)]
    attempts = {(entry.trial, entry.attempt): entry.reserved_usd for entry in proposed}
    assert state.spending.spent <= sum(attempts.values()) + 1e-6


def test_what_stopping_saved_is_reckoned_by_what_completed_trials_really_cost():
    driver, entries, _ = make_driver(means=means(10.0), trials=2)
    for trial, usd in ((0, 0.7), (1, 0.2)):
        driver.suggest()
        driver.report(trial, accepted())
        driver.report(trial, progress(1.0, usd))
    whole = evaluated(0.9, 2.0, is_final=True)
    driver.report(0, replace(whole, progress=replace(whole.progress, usd=0.75)))
    driver.stop_trial(1, Outcome.PRUNED, "poor")

    saved = savings(fold(entries), SETTING)

    assert saved.usd == pytest.approx(0.75 * PRICE - 0.2)
