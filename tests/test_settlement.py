"""Nothing is settled before its host has shown it to be over: by hand-made lists, and at a host that misbehaves."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from openai import OpenAI
from scripted_sweep import accepted, at, ended, proposed, started
from wire_toys import export, runner, sweep, trainer

from raysweep import ledger
from raysweep.billing import PROMPT_S, settlements
from raysweep.clock import RealClock
from raysweep.config.load import parse
from raysweep.entries import FinalReserved, SweepResumed, TrialEnded
from raysweep.errors import ConfigError
from raysweep.folder import read_past
from raysweep.jobs import Estimate, JobView, Outcome, key_of
from raysweep.results import load
from raysweep.state import SweepState, fold
from raysweep.steering import reconcile_run
from raysweep.sweep import Options, resume_sweep, run_sweep
from raysweep.testing.server import fine_tuning_server
from raysweep.trainers.hosted import KEY_TAG, SWEEP_TAG

__all__ = ["fine_tuning_server"]
pytestmark = pytest.mark.timeout(120)
KEY = "abcd1234-0000-1"
RESERVED = 2.0
SEEN = 0.5
MOST = Estimate(1000, RESERVED, scoring_usd=0.4)
PRICES = {"training_usd_per_million": 100.0, "input_usd_per_million": 10.0, "output_usd_per_million": 40.0}
CANCEL = "POST /fine_tuning/jobs/*/cancel"
NOT_NOW = {"call": CANCEL, "kind": "answer", "status": 400, "code": "invalid_job_state"}
STOP_ALL = {"kind": "threshold", "metric": "val_loss", "mode": "min", "rungs": [1.0], "values": [0.0]}


def said(*jobs, unseen=(), late_s=1.0, has_job=True, seen=SEEN, outcome=Outcome.PRUNED):
    """What is settled of one trial that was stopped, by what its host lists."""
    end = replace(ended(0, outcome), usd=seen, is_settled=False)
    entries = [started(), replace(proposed(0, attempt=1), reserved_usd=RESERVED), end]
    state = fold([*entries[:2], *([accepted(0)] if has_job else []), end])
    moment = at(late_s)
    return [one.usd for one in settlements(state, jobs, unseen, lambda params: MOST, moment)]


def job(*, is_final=True, tokens=None, **more):
    return JobView(KEY, "job", is_final, trained_tokens=tokens, **more)


def test_a_job_that_is_not_final_or_not_listed_yet_is_not_settled():
    assert [] == said(job(is_final=False, tokens=10))
    assert [] == said()
    assert [] == said(job(tokens=10), JobView(KEY, "deployment:x", is_final=False, is_deployment=True))


def test_the_hosts_count_is_what_a_job_costs():
    assert [pytest.approx(0.25 * (RESERVED - MOST.scoring_usd))] == said(job(tokens=250))


def test_a_job_that_finished_before_its_cancel_costs_all_of_it():
    assert [pytest.approx(RESERVED)] == said(job(tokens=1000, has_succeeded=True))
    assert [RESERVED] == said(job(has_succeeded=True))


def test_where_a_host_tells_no_tokens_what_was_seen_holds_only_for_a_job_that_was_over_soon():
    assert [SEEN] == said(job())
    assert [RESERVED] == said(job(), late_s=PROMPT_S + 1)
    assert [RESERVED] == said(job(), seen=None)


def test_a_job_that_failed_by_itself_before_its_cancel_may_have_trained_all_of_it():
    assert [pytest.approx(RESERVED - MOST.scoring_usd)] == said(job(has_failed=True))
    assert [pytest.approx(0.25 * (RESERVED - MOST.scoring_usd))] == said(job(has_failed=True, tokens=250))
    assert [SEEN] == said(job(has_failed=True), outcome=Outcome.FAILED)  # seen to its end


def test_a_job_that_a_host_does_not_list_even_after_its_lag_was_deleted_or_never_made():
    assert [RESERVED] == said(unseen=[KEY])
    assert [0.0] == said(unseen=[KEY], has_job=False)


# Sweeps at a host that misbehaves


@pytest.fixture
def paid(fine_tuning_server, monkeypatch, synthetic):
    """Makes a server with faults, and the settings of a sweep there whose jobs cost about a dollar each."""

    def make(*calls, jobs=(), epoch_s=0.3, **changes):
        server = fine_tuning_server("--epoch-s", str(epoch_s), faults={"calls": list(calls), "jobs": list(jobs)})
        export(monkeypatch, server)
        section = trainer(server, prices=PRICES, score="finalists", listing_lag_s=0.2)
        plain = {"objective": {"metric": "val_loss"}, "final": {"test": False, "baseline": False}}
        return server, sweep(server, synthetic, trainer=section, **{**plain, **changes})

    return make


def spent_truly(server, state):
    """By the server's own count, by key."""
    with OpenAI(base_url=server.base_url, api_key=server.key) as client:
        tag = {SWEEP_TAG: state.started.sweep_id}
        listed = list(client.fine_tuning.jobs.list(metadata=tag))
    price = PRICES["training_usd_per_million"] / 1e6
    return {one.metadata[KEY_TAG]: (one.status, (one.trained_tokens or 0) * price) for one in listed}


def check_every_entry(folder, max_usd):
    state = SweepState()
    for entry in ledger.read(folder):
        state = state.apply(entry)
        assert state.spending.committed <= max_usd + 1e-9, entry
    return state


def check_truth(server, state):
    truly = spent_truly(server, state)
    for trial in state.trials.values():
        _, usd = truly[key_of(state.started.sweep_id, trial.number, trial.attempt)]
        account = trial.account
        assert usd <= (account.settled_usd or 0.0) + (account.open_usd or 0.0) + 1e-9
    return truly


@pytest.mark.parametrize(
    ("calls", "faulty_jobs"),
    [
        ([NOT_NOW | {"nth": [1, 2, 3]}], []),
        ([{"call": CANCEL, "kind": "slow", "slow_s": 2.0, "nth": [1, 2]}], []),
        ([{"call": CANCEL, "kind": "lost_call", "nth": [1, 2]}], []),
        ([], [{"kind": "finishes_before_cancel"}]),
    ],
    ids=["refused cancels", "slow cancels", "lost cancels", "finished first"],
)
def test_a_stopped_job_costs_what_its_host_says_however_late_the_cancel_takes_effect(paid, calls, faulty_jobs):
    server, settings = paid(*calls, jobs=faulty_jobs, trials=3, early_stopping=STOP_ALL, budget={"max_usd": 5.0})

    found = run_sweep(parse(settings, "test"), Options(runner=runner()))

    state = check_every_entry(found.folder, 5.0)
    assert {Outcome.PRUNED} == {trial.outcome for trial in state.trials.values()}
    ends = [entry for entry in ledger.read(found.folder) if isinstance(entry, TrialEnded)]
    assert [False] * 3 == [entry.is_settled for entry in ends]
    assert (0.0, ()) == (state.spending.reserved, state.owed)
    truly = check_truth(server, state)
    if faulty_jobs:
        assert {"succeeded"} == {status for status, _ in truly.values()}
    assert sum(usd for _, usd in truly.values()) == pytest.approx(state.spending.spent)


def test_a_sweep_waits_for_money_that_a_stopped_job_still_holds(paid):
    server, settings = paid(
        NOT_NOW | {"nth": [1, 2]}, trials=2, concurrency=1, early_stopping=STOP_ALL, budget={"max_usd": 1.9}, epoch_s=1
    )

    found = run_sweep(parse(settings, "test"), Options(runner=runner()))

    state = check_every_entry(found.folder, 1.9)
    assert 0.95 < state.trials[0].proposed.reserved_usd < 1.9  # not two at once
    assert {0: Outcome.PRUNED, 1: Outcome.PRUNED} == {trial.number: trial.outcome for trial in state.trials.values()}
    assert "all trials have ended" == state.ended.reason
    check_truth(server, state)


def kill_when_a_trial_ends(server, runs):
    while not any(b'"TrialEnded"' in path.read_bytes() for path in runs.glob("*/ledger.jsonl")):
        time.sleep(0.02)
    server.kill()


def test_what_a_host_out_of_reach_owes_stays_reserved_until_it_is_asked_again(paid):
    server, settings = paid(NOT_NOW, trials=1, early_stopping=STOP_ALL, budget={"max_usd": 5.0}, epoch_s=1)
    runs = Path(settings["runs_folder"])
    killer = threading.Thread(target=kill_when_a_trial_ends, args=(server, runs), daemon=True)
    killer.start()
    found = run_sweep(parse(settings, "test"), Options(runner=runner()))
    killer.join(10)

    (trial,) = found.state.owed
    assert trial.proposed.reserved_usd == found.state.spending.reserved == found.trials["reserved_usd"].sum()
    assert found.trials["usd"].isna().all()
    assert not read_past(found.folder).is_finished

    server.start(faults={})
    path = found.folder / ledger.FILE_NAME
    owing = path.read_bytes()
    reconcile_run(found.folder, RealClock())
    check_is_settled(server, found.folder)

    path.write_bytes(owing)  # as if nobody had reconciled it
    assert 1 == len(load(found.folder).state.owed)
    resume_sweep(found.folder, [], Options(runner=runner()))
    check_is_settled(server, found.folder)


def check_is_settled(server, folder):
    state = check_every_entry(folder, 5.0)
    assert (0.0, ()) == (state.spending.reserved, state.owed)
    assert [True] == [0 < usd <= state.spending.spent for _, usd in check_truth(server, state).values()]
    assert load(folder).trials["reserved_usd"].isna().all()
    assert read_past(folder).is_finished


def test_scoring_the_best_that_is_broken_off_costs_what_was_reserved_for_it(paid):
    silent = {"call": "POST /chat/completions", "kind": "answer", "status": 400, "code": "nope"}
    _, settings = paid(silent, trials=1, final={"test": True, "baseline": False}, budget={"max_usd": 5.0})

    found = run_sweep(parse(settings, "test"), Options(runner=runner()))

    state = check_every_entry(found.folder, 5.0)
    (reserved,) = [entry for entry in ledger.read(found.folder) if isinstance(entry, FinalReserved)]
    assert () == state.finals
    assert "answer of ft:" in state.ended.reason
    assert 0 < reserved.usd == state.finals_usd
    assert 0.0 == state.spending.reserved


def test_a_budget_is_remembered_by_later_sessions_until_another_is_told(paid):
    _, settings = paid(trials=3, concurrency=1, early_stopping={"kind": "none"}, budget={"max_usd": 1.3}, epoch_s=0.1)
    found = run_sweep(parse(settings, "test"), Options(runner=runner()))
    assert 1 == len(found.state.trials)

    with pytest.raises(ConfigError, match=r"budget\.max_usd: of 1\.3 USD"):
        resume_sweep(found.folder, [], Options(runner=runner()))
    again = resume_sweep(found.folder, ["budget.max_usd=2.1"], Options(runner=runner()))

    assert (2, 2.1) == (len(again.state.trials), again.state.max_usd)
    assert 2.1 == read_past(found.folder).config.budget.max_usd
    with pytest.raises(ConfigError, match=r"budget\.max_usd: of 2\.1 USD"):
        resume_sweep(found.folder, [], Options(runner=runner()))
    assert [2.1] == [entry.max_usd for entry in ledger.read(found.folder) if isinstance(entry, SweepResumed)]
