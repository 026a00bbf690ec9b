"""A host and a ledger made to agree: the plan by hand-made states, its execution against a host in memory."""

from dataclasses import replace

from scripted_sweep import at, ended, evaluated, proposed, started

from raysweep.clock import SimulatedClock
from raysweep.entries import TrialInterrupted
from raysweep.errors import RaysweepError
from raysweep.jobs import Capabilities, JobView, Outcome
from raysweep.reconcile import Adopt, Cancel, plan, reconcile
from raysweep.state import fold


def job(trial, attempt=1, *, is_final=False):
    key = f"abcd1234-{trial:04d}-{attempt}"
    return JobView(key, f"job-{key}", is_final)


def state(*entries):
    return fold([started(), *entries])


class Host:
    """Jobs that a host lists, from a moment on."""

    def __init__(self, clock, *jobs, appears_s=0.0, lag_s=0.0, has_host=True, refuses=()):
        self.clock = clock
        self.finals = {}
        self.all = {view.id: view for view in jobs}
        self.appears_s, self.lag_s, self.has_host, self.refuses = appears_s, lag_s, has_host, refuses
        self.cancelled = []
        self.looks = 0

    def describe(self):
        return Capabilities({}, frozenset(), True, has_host=self.has_host, listing_lag_s=self.lag_s)

    def jobs(self, sweep_id):
        assert sweep_id == "abcd1234"
        self.looks += 1
        return list(self.all.values()) if self.clock.monotonic_s() >= self.appears_s else []

    def cancel(self, job_id):
        if job_id in self.refuses:
            raise RaysweepError("the host does not answer")
        self.cancelled.append(job_id)
        self.all[job_id] = JobView(self.all[job_id].key, job_id, True)


def carried_out(host, at_the_end, *entries):
    return reconcile(host, "abcd1234", lambda: state(*entries), host.clock, is_over=at_the_end)


def test_a_job_whose_trial_goes_on_is_kept():
    assert (Adopt(job(0), 0),) == plan(state(proposed(0, attempt=1)), [job(0)], is_over=False).actions


def test_jobs_without_an_owner_are_cancelled_each_with_the_reason():
    entries = (
        proposed(0, attempt=1),
        ended(0, Outcome.PRUNED),
        proposed(1, attempt=1),
        proposed(1, attempt=2),
        proposed(2, attempt=1),
    )

    made = plan(state(*entries), [job(0), job(1), job(1, 2), job(2), job(7)], is_over=False).actions

    reasons = {action.job.key: action.reason for action in made if isinstance(action, Cancel)}
    assert {
        "abcd1234-0000-1": "trial 0 has ended: pruned",
        "abcd1234-0001-1": "trial 1 has a further attempt",
        "abcd1234-0007-1": "the ledger knows no trial with this key",
    } == reasons


def test_a_job_that_its_trial_has_given_up_is_cancelled_and_not_kept_beside_a_further_attempt():
    given_up = TrialInterrupted(at(1), 0, 1, None, "its job was cancelled by hand", is_job_over=True)
    lost = replace(given_up, is_job_over=False)

    made = [plan(state(proposed(0, attempt=1), one), [job(0)], is_over=False).actions for one in (given_up, lost)]

    assert [(Cancel(job(0), "trial 0 goes on without it"),), (Adopt(job(0), 0),)] == made


def test_at_the_end_nobody_goes_on_so_every_job_is_cancelled():
    (action,) = plan(state(proposed(0, attempt=1)), [job(0)], is_over=True).actions

    assert isinstance(action, Cancel)


def test_final_jobs_are_left_alone():
    assert () == plan(state(), [job(0, is_final=True), job(9, is_final=True)], is_over=True).actions


def test_every_key_that_may_have_an_unlisted_job_is_named():
    entries = (
        proposed(0, attempt=1),
        ended(0, objective=0.5),
        proposed(1, attempt=1),
        ended(1, Outcome.CANCELLED),
        proposed(2, attempt=1),
        evaluated(2, 0.5, 0.3),
        proposed(2, attempt=2),
    )

    unseen = plan(state(*entries), [job(2, 2)], is_over=False).unseen

    assert ("abcd1234-0001-1", "abcd1234-0002-1") == unseen


def test_a_job_that_is_listed_late_is_found_by_the_second_look():
    host = Host(SimulatedClock(), job(0), appears_s=30, lag_s=60)

    done = carried_out(host, True, proposed(0, attempt=1))

    assert ["job-abcd1234-0000-1"] == host.cancelled
    assert [action.job.key for action in done.cancelled] == ["abcd1234-0000-1"]
    assert 60 == host.clock.monotonic_s()


def test_nothing_is_waited_for_where_every_key_is_final():
    host = Host(SimulatedClock(), job(0, is_final=True), lag_s=60)

    assert () == carried_out(host, True, proposed(0, attempt=1), ended(0, objective=0.5)).cancelled
    assert (1, 0) == (host.looks, host.clock.monotonic_s())


def test_a_host_that_refuses_is_a_problem_in_words_and_the_other_jobs_are_cancelled():
    host = Host(SimulatedClock(), job(0), job(1), refuses=("job-abcd1234-0000-1",))

    done = carried_out(host, True, proposed(0, attempt=1), proposed(1, attempt=1))

    assert ["job-abcd1234-0001-1"] == host.cancelled
    assert any("job-abcd1234-0000-1" in problem and "does not answer" in problem for problem in done.problems)


def test_a_trainer_without_a_host_is_not_asked():
    host = Host(SimulatedClock(), job(0), has_host=False)

    assert () == carried_out(host, True, proposed(0, attempt=1)).cancelled
    assert 0 == host.looks
