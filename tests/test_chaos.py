"""Proof by chaos, in small: a few schedules played, and checks that are able to fail."""

from dataclasses import replace

import pytest
from scripted_sweep import at, proposed, started

from raysweep.config.load import load_config, parse
from raysweep.entries import Evaluated, JobAccepted, SweepEnded, TrialEnded
from raysweep.folder import CONFIG_NAME
from raysweep.frames import evaluations_table, trials_table
from raysweep.jobs import Outcome
from raysweep.preflight import make_ready
from raysweep.server.records import Job, Order, Status
from raysweep.state import fold
from raysweep.sweep import Options, run_sweep
from raysweep.testing.chaos import Stage, summary
from raysweep.testing.chaos_check import (
    Evidence,
    check,
    gather,
    once,
    prefixes,
    rungs_are_the_ledgers,
    same_results,
    tables_are_the_ledgers,
)
from raysweep.testing.chaos_host import FolderHost, Made, host_is_clear, jobs_are_the_ledgers
from raysweep.testing.chaos_left import one_job_a_trial
from raysweep.testing.chaos_misfortune import FAILURES, NAMES, NEEDS_CURVES
from raysweep.testing.chaos_progress import Progress
from raysweep.testing.chaos_schedule import (
    OF_THE_DRIVER,
    SIGNALS,
    Action,
    Place,
    Pruning,
    Schedule,
    Strike,
    make_schedule,
)
from raysweep.testing.chaos_settings import settings, write_reviews
from raysweep.testing.processes import ProcessRunner
from raysweep.trainers.synthetic_host import HostedJob, SyntheticHost

pytestmark = pytest.mark.timeout(180)
SEED = 0


def schedules(n=200, trainer="synthetic"):
    return [make_schedule(SEED, index, trainer=trainer) for index in range(n)]


def sweep_of(pruning, index=0):
    return next(one.sweep for one in schedules()[index:] if one.sweep.pruning is pruning)


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with Stage(tmp_path_factory.mktemp("stage"), "synthetic") as stage:
        yield stage


@pytest.fixture(scope="module")
def asha(tmp_path_factory):
    """The folder of a sweep in which some trials were pruned."""
    folder = tmp_path_factory.mktemp("asha")
    sweep = replace(sweep_of(Pruning.ASHA), n_trials=6, concurrency=2, has_host=False, has_failure=False)
    tree = settings(sweep, "synthetic", data=write_reviews(folder / "reviews.csv"), host=str(folder / "host"))
    run_sweep(parse(tree, "test"), Options(folder=folder / "sweep", runner=ProcessRunner()))
    return folder / "sweep"


def changed(evidence, change):
    """The evidence of a ledger in which `change` gives what stands for each entry: that one, others, none."""
    entries = tuple(new for entry in evidence.entries for new in change(entry))
    state = fold(entries)
    trials, evaluations = trials_table(state).to_pylist(), evaluations_table(state).to_pylist()
    return Evidence(entries, state, trials, evaluations, (trials, evaluations))


def test_a_schedule_is_a_function_of_seed_and_index():
    assert schedules(40) == schedules(200)[:40]
    assert make_schedule(SEED, 7, trainer="synthetic") != make_schedule(SEED + 1, 7, trainer="synthetic")


def test_two_hundred_schedules_hold_all_that_is_promised():
    made = schedules()

    with_ray = [one for one in made if one.place is not Place.PROCESSES]
    actions = [strike.action for one in made for strike in one.strikes]
    assert len(with_ray) >= 30
    assert sum(action in (Action.NODE, Action.HEAD) for action in actions) >= 5
    assert {*Action} - {Action.SERVER} == set(actions)
    assert all(actions.count(action) >= 20 for action in (*OF_THE_DRIVER, Action.ACTOR))
    assert all(sum(one.sweep.pruning is pruning for one in made) >= 40 for pruning in Pruning)
    assert all(one.sweep.search == "random" for one in made if one.sweep.pruning is Pruning.ASHA)


def test_three_hundred_schedules_at_the_wire_hold_every_misfortune():
    made = schedules(300, trainer="wire")

    assert sum(one.place is not Place.PROCESSES for one in made) >= 30
    assert set(Action) == {strike.action for one in made for strike in one.strikes}
    assert {*NAMES} == {name for one in made for name in one.misfortunes}
    assert {*FAILURES, ""} == {one.sweep.failure for one in made}
    curves_matter = [one for one in made if one.sweep.pruning is not Pruning.NONE or one.sweep.failure]
    assert not any(NEEDS_CURVES & {*one.misfortunes} for one in curves_matter)  # nobody sees them in time, or ever


def test_a_sweep_at_a_server_that_misbehaves_and_dies_ends_like_an_undisturbed_one(tmp_path):
    sweep = replace(sweep_of(Pruning.NONE), n_trials=3, concurrency=2, has_host=False, has_failure=False)
    strikes = (Strike(Action.SERVER, "JobAccepted", 1, 0.1), Strike(Action.SIGKILL, "Evaluated", 2, 0.0))
    schedule = Schedule(SEED, 0, sweep, Place.PROCESSES, strikes, ("lost create", "filter empty"))

    with Stage(tmp_path, "wire") as stage:
        result = stage.play(schedule)

    assert [] == result.problems
    assert 2 == result.played.struck.total()


def test_jobs_at_a_server_that_the_ledger_does_not_explain_are_found():
    asked = [replace(proposed(trial), key=f"abcd1234-{trial:04d}-1") for trial in (0, 1)]
    again = replace(proposed(0, 3), attempt=2, key="abcd1234-0000-2")
    entries = [started(2), *asked, JobAccepted(at(1), 0, 1, "ftjob-1", "here"), again]

    def said(*jobs):
        return list(jobs_are_the_ledgers(jobs, entries))

    good = job_at_server("ftjob-1", "abcd1234-0000-1", 1.0, 5.0)
    assert [] == said(good)
    assert ["ftjob-1: accepted, but not at the host"] == said()
    assert "abcd1234-0000-1: 2 jobs at the host" in said(good, job_at_server("ftjob-2", "abcd1234-0000-1", 6.0, 7.0))
    assert "abcd1234-0005-1: a job at the host that no attempt asked for" in said(
        good, job_at_server("ftjob-2", "abcd1234-0005-1", 1.0, 2.0)
    )
    running = said(good, job_at_server("ftjob-2", "abcd1234-0001-1", 1.0, None))
    assert ["ftjob-2: running at the host, at the end"] == running
    twice = said(good, job_at_server("ftjob-2", "abcd1234-0000-2", 3.0, 9.0))
    assert "abcd1234-0000: ftjob-1 and ftjob-2 were alive at the same time" in twice


def test_a_second_job_of_a_trial_is_found_where_an_interrupt_leaves_jobs():
    first, second = Made("abcd1234-0000-1", has_failed=False), Made("abcd1234-0000-2", has_failed=False)
    asked = [replace(proposed(0, attempt=one), key=f"abcd1234-0000-{one}") for one in (1, 2)]

    def said(*made, end=""):
        ends = [TrialEnded(at(3), 0, Outcome.CANCELLED, end, None, None, 0)] if end else []
        return list(one_job_a_trial(made, [started(1), asked[0], *ends, asked[1]]))

    assert [] == said(first)
    assert ["trial 0: no job at the host"] == said()
    assert ["trial 0: abcd1234-0000-2 was made though abcd1234-0000-1 had not failed"] == said(first, second)
    assert [] == said(replace(first, has_failed=True), second)
    assert [] == said(first, second, end="Ray failed: its head is gone")
    assert 1 == len(said(first, second, end="interrupted by SIGINT"))


def test_two_schedules_of_five_at_a_host_leave_their_jobs_at_a_signal():
    made = [one for one in schedules(300, trainer="wire") if one.leaves]

    assert 90 <= len(made) <= 150
    assert all({*SIGNALS} & {strike.action for strike in one.strikes} for one in made)
    assert not any(one.leaves and not one.sweep.has_host for one in schedules())
    assert any(one.leaves for one in schedules())


def job_at_server(job_id, key, created_at_s, finished_at_s):
    order = Order("base", "file-1", 0, {}, metadata={"raysweep_sweep": "abcd1234", "raysweep_key": key})
    status = Status.RUNNING if finished_at_s is None else Status.SUCCEEDED
    return Job(job_id, 1, created_at_s, order, status, finished_at_s=finished_at_s)


def struck(index, pruning, *strikes, **sweep):
    """A schedule by hand, as `make_schedule` might have made it."""
    plain = replace(sweep_of(pruning), n_trials=5, concurrency=2, has_host=False, has_failure=False)
    return Schedule(SEED, index, replace(plain, **sweep), Place.PROCESSES, strikes)


@pytest.mark.parametrize(
    "schedule",
    [
        struck(0, Pruning.NONE, Strike(Action.SIGKILL, "Evaluated", 3, 0.0)),
        struck(1, Pruning.THRESHOLD, Strike(Action.SIGTERM, "TrialEnded", 1, 0.0), search="hyperopt"),
        struck(
            2, Pruning.ASHA, Strike(Action.SIGINT, "Evaluated", 2, 0.0), Strike(Action.SIGKILL, "Evaluated", 2, 0.0)
        ),
        struck(3, Pruning.NONE, Strike(Action.ACTOR, "JobAccepted", 2, 0.05), has_host=True),
        struck(4, Pruning.ASHA, Strike(Action.MACHINE, "Evaluated", 3, 0.0)),
        struck(5, Pruning.NONE, Strike(Action.SIGKILL, "SweepEnded", 1, 0.0), n_trials=4),
        replace(struck(6, Pruning.THRESHOLD, Strike(Action.SIGINT, "Evaluated", 2, 0.0), has_host=True), leaves=True),
    ],
    ids=lambda schedule: str(schedule.index),
)
def test_a_sweep_that_was_struck_ends_like_one_that_was_not(stage, schedule):
    result = stage.play(schedule)

    assert [] == result.problems
    assert len(schedule.strikes) == result.played.struck.total()
    assert "failed" in summary([result])


def test_an_undisturbed_sweep_has_no_problem(asha, tmp_path):
    found = gather(asha)

    assert [] == [*once(found), *tables_are_the_ledgers(found), *same_results(found, found), *prefixes(found, found)]
    config = load_config(asha / CONFIG_NAME)
    assert [] == list(rungs_are_the_ledgers(found.entries, make_ready(config).make_pruner(), config))
    assert [] == check(asha, asha, is_compared=False, host=FolderHost(tmp_path / "none"))


def test_a_value_that_differs_in_its_last_bit_is_found(asha):
    found = gather(asha)

    def nudge(entry):
        if isinstance(entry, Evaluated) and entry.trial == 2 and entry.epoch == 0.5:
            metrics = {**entry.metrics, "val_f1_weighted": entry.metrics["val_f1_weighted"] * (1 + 3e-16)}
            return [replace(entry, metrics=metrics)]
        return [entry]

    other = changed(found, nudge)
    assert any("trial 2: val_f1_weighted" in problem for problem in same_results(other, found))
    assert any("val_f1_weighted" in problem for problem in prefixes(other, found))
    stale = replace(other, stored=found.stored)
    assert ["evaluations.parquet is not what the ledger gives"] == list(tables_are_the_ledgers(stale))[-1:]


def test_a_trial_that_is_missing_or_ended_otherwise_is_found(asha):
    found = gather(asha)

    without = changed(found, lambda entry: [] if getattr(entry, "trial", None) == 5 else [entry])
    assert any("5 rows, undisturbed 6" in problem for problem in same_results(without, found))
    assert "trials [5] have no end of their own" in list(once(without))

    def cancel(entry):
        return [replace(entry, outcome=Outcome.ERRORED)] if isinstance(entry, TrialEnded) else [entry]

    assert any("outcome is 'errored'" in problem for problem in same_results(changed(found, cancel), found))


def test_what_was_done_twice_is_found(asha):
    found = gather(asha)

    again = list(once(changed(found, lambda entry: [entry, entry] if isinstance(entry, Evaluated) else [entry])))
    assert any("evaluated 2 times at epoch 0.5" in problem for problem in again)

    def end_twice(entry):
        return [entry, entry] if isinstance(entry, TrialEnded) else [entry]

    assert any("TrialEnded after its end" in problem for problem in once(changed(found, end_twice)))
    unended = list(once(changed(found, lambda entry: [] if isinstance(entry, SweepEnded) else [entry])))
    assert any(problem.startswith("the last entry is") for problem in unended)


def test_a_pruning_that_the_ledger_does_not_give_is_found(asha):
    found = gather(asha)
    config = load_config(asha / CONFIG_NAME)
    assert Outcome.PRUNED in {trial.outcome for trial in found.state.trials.values()}

    def complete(entry):
        return [replace(entry, outcome=Outcome.COMPLETED)] if isinstance(entry, TrialEnded) else [entry]

    (problem,) = rungs_are_the_ledgers(changed(found, complete).entries, make_ready(config).make_pruner(), config)
    assert problem.endswith("pruned were {}")


def test_a_job_made_twice_or_left_running_at_the_host_is_found(tmp_path):
    host = SyntheticHost(tmp_path, listing_lag_s=0.0)
    host.create(HostedJob("abcd1234-0000-1", "synthetic-abcd1234-0000-1", "abcd1234", host.now_s(), 60.0, 1.0, 0.5, 0))
    creates = tmp_path / "creates" / "abcd1234-0000-1"
    creates.write_text(creates.read_text(encoding="utf-8") * 2, encoding="utf-8")

    expected = ["abcd1234-0000-1: made 2 times at the host", "abcd1234-0000-1: still runs at the host"]
    assert expected == list(host_is_clear(tmp_path, "abcd1234"))


def test_a_saved_state_that_goes_back_is_found(tmp_path):
    state = tmp_path / "jobs" / "trial_0000" / "state.json"
    state.parent.mkdir(parents=True)
    progress = Progress(tmp_path)

    for epoch in (0.5, 1.0, 0.5):
        state.write_text(f'{{"epoch": {epoch}, "made": []}}', encoding="utf-8")
        progress.look()

    assert ["trial_0000: its saved state went back from 1 to 0.5"] == progress.problems
