"""The checks of money in proofs by chaos: able to fail, and fed with what the sweeps there truly take."""

from dataclasses import replace

import pytest
from scripted_sweep import at, ended, proposed, started

from raysweep.config.load import parse
from raysweep.entries import JobSettled
from raysweep.forecast import Forecaster
from raysweep.jobs import Outcome
from raysweep.preflight import make_ready
from raysweep.testing.chaos_host import Made
from raysweep.testing.chaos_money import FINAL_USD, JOB_USD, SLACK, USED_USD, budget_usd, money_holds
from raysweep.testing.chaos_schedule import Action, Place, Schedule, Strike, make_sweep
from raysweep.testing.chaos_settings import settings, write_reviews

SWEEP = make_sweep(0, 0, trainer="wire")


def entries(*, max_usd=2.0, settled=0.4, attempts=(1,)):
    """A trial that reserves a dollar for each attempt, is pruned, and then settled."""
    end = replace(ended(0, Outcome.PRUNED), usd=0.1, is_settled=False)
    tries = [replace(proposed(0, attempt=one), reserved_usd=1.0, key=f"abcd1234-0000-{one}") for one in attempts]
    said = [] if settled is None else [JobSettled(at(9), 0, attempts[-1], settled)]
    return [replace(started(), max_usd=max_usd), *tries, end, *said]


def job(tokens, attempt=1):
    return Made(f"abcd1234-0000-{attempt}", has_failed=False, trained_tokens=tokens)


def test_a_ledger_that_pays_for_all_that_was_trained_within_its_budget_is_well():
    assert [] == list(money_holds(entries(), [job(3000), job(0, attempt=2)]))
    assert [] == list(money_holds(entries(attempts=(1, 2)), [job(10_000), job(4000, attempt=2)]))


@pytest.mark.parametrize(
    ("found", "made", "words"),
    [
        (entries(max_usd=0.9), [job(3000)], "entry 2, TrialProposed"),
        (entries(max_usd=None), [job(3000)], "has no budget"),
        (entries(settled=None), [job(3000)], "1.0000 USD are still reserved"),
        (entries(settled=0.0), [job(3000)], "abcd1234-0000-1: has trained for 0.3000 USD at the host, 0.0000 are paid"),
        (entries(attempts=(1, 2)), [job(3000), job(4001, attempt=2)], "abcd1234-0000-2: has trained for 0.4001"),
        (entries(), [job(3000), job(2000, attempt=7)], "the host has trained for 0.5000 USD, and the ledger paid 0.40"),
    ],
)
def test_what_is_wrong_with_money_is_found(found, made, words):
    assert any(words in problem for problem in money_holds(found, made))


def test_the_budget_lets_every_trial_run_but_not_the_last_two_reserve_at_once(tmp_path):
    tree = settings(SWEEP, "wire", data=write_reviews(tmp_path / "reviews.csv"), host="http://127.0.0.1:9/v1")
    most = Forecaster(make_ready(parse(tree, "test")), SWEEP.n_trials).forecast().dearest

    assert most.usd == pytest.approx(JOB_USD, rel=0.001)
    assert most.final_usd == pytest.approx(FINAL_USD, rel=0.01)
    assert USED_USD + SLACK * JOB_USD >= JOB_USD
    assert 2 * USED_USD + SLACK * JOB_USD < 2 * JOB_USD


def test_strikes_that_end_jobs_are_paid_for():
    def budget(action):
        strikes = (Strike(action, "Evaluated", 1, 0.0),)
        return budget_usd(SWEEP, Schedule(0, 0, SWEEP, Place.PROCESSES, strikes))

    assert budget_usd(SWEEP) < budget(Action.SIGKILL) < budget(Action.SIGINT)
    assert budget(Action.SIGINT) - budget(Action.SIGKILL) == pytest.approx(SWEEP.concurrency * JOB_USD)
