"""A budgeted sweep against the local server over real HTTP, from refusal to resume with a larger budget."""

import pytest
import yaml
from openai import OpenAI
from wire_toys import KEY_ENV, MODEL

from raysweep import ledger
from raysweep.cli import main
from raysweep.config import WireTrainer
from raysweep.config.load import parse
from raysweep.entries import FinalScored, JobSettled, TrialEnded, TrialProposed
from raysweep.errors import ConfigError
from raysweep.forecast import Forecaster
from raysweep.jobs import JobSpec, Outcome
from raysweep.preflight import make_ready
from raysweep.state import SweepState
from raysweep.sweep import Options, resume_sweep, run_sweep
from raysweep.testing.processes import ProcessRunner
from raysweep.testing.server import running_server
from raysweep.testing.toy_data import TOY_SPLITS, TOY_TASK
from raysweep.trainers import TrainerRecipe, make_trainer
from raysweep.trainers.hosted import SWEEP_TAG

TRIALS = 8
PRICES = {"training_usd_per_million": 100.0, "input_usd_per_million": 10.0, "output_usd_per_million": 40.0}
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def server():
    with running_server("--epoch-s", "0.2", "--running", "50") as one:
        yield one


@pytest.fixture
def paid(server, synthetic, monkeypatch):
    """A sweep of jobs that cost about 0.6 USD each."""
    monkeypatch.setenv(KEY_ENV, server.key)
    wire = {"kind": "wire", "host": "raysweep", "base_url": server.base_url, "key_env": KEY_ENV, "model": MODEL}
    synthetic["trainer"] = {**wire, "prices": PRICES, "polls": {"shortest_s": 0.05, "longest_s": 0.1}}
    synthetic["space"] = {
        "learning_rate_multiplier": {"kind": "loguniform", "low": 0.05, "high": 10.0},
        "batch_size": 8,
        "n_epochs": 2,
    }
    synthetic["objective"] = {"metric": "val_loss"}
    synthetic["early_stopping"] = {"kind": "asha", "rungs": [1.0], "eta": 2}
    synthetic["evaluation"] = {"every_epochs": 1}
    synthetic["final"] = {"test": True, "baseline": False}
    synthetic["trials"] = TRIALS
    return synthetic


def run(settings, **changes):
    return run_sweep(parse(settings | changes, "test"), Options(runner=ProcessRunner()))


def jobs_of(server, found):
    with OpenAI(base_url=server.base_url, api_key=server.key) as client:
        tag = {SWEEP_TAG: found.state.started.sweep_id}
        return list(client.fine_tuning.jobs.list(metadata=tag))


def check_every_entry(folder, max_usd):
    state = SweepState()
    for entry in ledger.read(folder):
        state = state.apply(entry)
        assert state.spending.committed <= max_usd + 1e-9, entry
    assert state.spending.reserved == 0
    return state


def test_a_sweep_ends_by_its_budget_and_goes_on_with_a_larger_one(paid, server):
    found = run(paid, budget={"max_usd": 3.0})

    state = check_every_entry(found.folder, 3.0)
    assert state.ended.reason.startswith("the budget is used up: trial")
    assert 2 <= len(state.trials) < TRIALS
    assert all(trial.proposed.reserved_usd > 0.3 for trial in state.trials.values())
    completed = [trial for trial in state.trials.values() if trial.outcome is Outcome.COMPLETED]
    assert all(0 < trial.account.settled_usd < trial.proposed.reserved_usd for trial in completed)
    assert [True] == [final.usd > 0 for final in state.finals if final.name == "best"]

    with pytest.raises(ConfigError, match=r"budget.max_usd: of 3 USD, .* give more"):
        resume_sweep(found.folder, [], Options(runner=ProcessRunner()))
    again = resume_sweep(found.folder, ["budget.max_usd=20"], Options(runner=ProcessRunner()))

    after = check_every_entry(found.folder, 20.0)
    assert TRIALS == len(after.trials)
    assert after.spending.spent > state.spending.spent
    assert again.best is not None
    assert after.spending.spent == pytest.approx(_bill(found.folder))
    assert again.trials["usd"].sum() + after.finals_usd == pytest.approx(after.spending.spent)


def _bill(folder):
    """By hand: what the host or else each end, and each final says; no attempt was interrupted."""
    entries = list(ledger.read(folder))
    proposed = {entry.trial: entry.reserved_usd for entry in entries if isinstance(entry, TrialProposed)}
    ended = [entry for entry in entries if isinstance(entry, TrialEnded)]
    settled = {entry.trial: entry.usd for entry in entries if isinstance(entry, JobSettled)}
    assert settled.keys() == {entry.trial for entry in ended if not entry.is_settled}
    used = {entry.trial: proposed[entry.trial] if entry.usd is None else entry.usd for entry in ended}
    return sum({**used, **settled}.values()) + sum(
        entry.usd or 0 for entry in entries if isinstance(entry, FinalScored)
    )


def test_a_completed_job_is_billed_by_the_tokens_that_its_host_has_trained(paid, server):
    found = run(paid, trials=1, early_stopping={"kind": "none"}, budget={"max_usd": 5.0})

    (trial,) = found.state.trials.values()
    (job,) = jobs_of(server, found)
    training = job.trained_tokens * PRICES["training_usd_per_million"] / 1e6
    assert trial.outcome is Outcome.COMPLETED
    assert training < trial.account.settled_usd < trial.proposed.reserved_usd
    assert trial.account.settled_usd - training < 0.3 * training  # the model's answers come on top


@pytest.mark.parametrize(
    ("budget", "words"),
    [({}, "budget.max_usd: missing, and a job costs up to"), ({"max_usd": 0.1}, "0.1 USD is below one job")],
)
def test_nothing_is_asked_of_a_host_before_there_is_money_for_one_job(paid, tmp_path, budget, words):
    paid["trainer"]["base_url"] = "http://127.0.0.1:9/v1"  # nobody listens there

    with pytest.raises(ConfigError, match=words):
        run(paid, budget=budget)

    assert not (tmp_path / "runs").exists()


def test_check_of_a_paid_sweep_without_a_budget_ends_as_the_sweep_would(paid, tmp_path, capsys):
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(paid), encoding="utf-8")

    assert 2 == main(["check", str(path)])
    printed = capsys.readouterr()
    assert "budget.max_usd: missing, and a job costs up to" in printed.err
    assert "raysweep tune … --yes" in printed.err
    assert "train: " in printed.out
    assert "nothing was run" not in printed.out
    assert 0 == main(["check", str(path), "budget.max_usd=20"])


def test_a_confirmed_plan_is_its_own_budget(paid):
    found = run_sweep(parse(paid | {"trials": 2}, "test"), Options(runner=ProcessRunner(), is_confirmed=True))

    config = (found.folder / "config.yaml").read_text(encoding="utf-8")
    (line,) = [line for line in config.splitlines() if "max_usd" in line]
    check_every_entry(found.folder, float(line.partition(":")[2]))
    assert 2 == len(found.state.trials)


@pytest.mark.parametrize(
    ("options", "share"),
    [(("--queue-s", "60"), 0.0), (("--epoch-s", "1000"), 1.0)],
    ids=["it waits in the queue", "it trains, and nobody has seen a step yet"],
)
def test_a_job_that_has_shown_no_step_costs_nothing_only_while_it_surely_does_not_train(
    options, share, tmp_path, monkeypatch
):
    with running_server(*options) as server:
        monkeypatch.setenv(KEY_ENV, server.key)
        settings = WireTrainer(
            kind="wire",
            host="raysweep",
            base_url=server.base_url,
            key_env=KEY_ENV,
            model=MODEL,
            prices=PRICES,
            polls={"shortest_s": 0.05, "longest_s": 0.1},
        )
        trainer = make_trainer(TrainerRecipe(settings, TOY_TASK))
        data = trainer.prepare(TOY_SPLITS)
        params = {name: doc.default for name, doc in trainer.describe().params.items()}
        spec = JobSpec("abcd1234", 0, 1, {**params, "n_epochs": 2}, 0, tmp_path, (1.0, 2.0))

        job = trainer.submit(spec, data)
        told = [job.advance(0.5) for _ in range(2)][-1]
        job.cancel()

        assert share * trainer.estimate(spec, data).usd == told.usd


def test_every_finalist_is_paid_within_the_budget_and_named_in_the_plan(paid):
    paid |= {"final": {"test": True, "baseline": False, "top": 2}, "early_stopping": {"kind": "none"}}
    one = make_ready(parse(paid | {"final": {"test": True, "baseline": False}}, "test"))
    two = make_ready(parse(paid, "test"))

    found = run(paid, budget={"max_usd": 3.0})

    assert Forecaster(two, TRIALS).forecast().final_usd == 1.5 * Forecaster(one, TRIALS).forecast().final_usd
    finals = [final for final in found.finals if final.usd]
    assert {final.name for final in finals} <= {"best", "finalist", "default"}
    assert found.state.default in {final.trial for final in finals}
    assert found.state.finals_usd == pytest.approx(sum(final.usd for final in finals))
    assert found.state.spending.committed <= 3.0


def test_replicas_that_the_budget_does_not_hold_are_left_out_and_made_with_a_larger_one(paid):
    paid |= {"final": {"test": True, "baseline": False, "top": 2, "replicas": 2}, "early_stopping": {"kind": "none"}}

    found = run(paid, trials=2, concurrency=1, budget={"max_usd": 2.5})

    n_made = len(found.state.replicas)
    assert 1 <= n_made < 4
    assert f"{n_made} of 4 replicas were made: the budget is used up: trial" in found.state.ended.reason
    proposals = [entry for entry in ledger.read(found.folder) if isinstance(entry, TrialProposed)]
    order = [10_000 + trial.number for trial in found.state.ranked]  # the first of each, then the second
    assert order[:n_made] == [entry.trial for entry in proposals if entry.replica_of is not None][:2]
    check_every_entry(found.folder, 2.5)

    found = resume_sweep(found.folder, ["budget.max_usd=20"], Options(runner=ProcessRunner()))

    assert 4 == len(found.state.replicas)
    assert 4 == [final.name for final in found.finals].count("replica")
    state = check_every_entry(found.folder, 20.0)
    assert found.trials["usd"].sum() + state.finals_usd == pytest.approx(state.spending.spent)


def test_a_search_leaves_at_most_half_of_the_budget_to_replicas(paid):
    paid |= {"final": {"test": True, "baseline": False, "top": 2, "replicas": 2}, "early_stopping": {"kind": "none"}}
    forecast = Forecaster(make_ready(parse(paid, "test")), TRIALS).forecast()

    found = run(paid, budget={"max_usd": 3.2})

    assert 4 == forecast.n_replicas
    after_usd = forecast.final_usd + forecast.replicas_usd
    assert forecast.worst.usd == pytest.approx(TRIALS * forecast.dearest.usd + after_usd)
    assert 2 <= len(found.state.searched) < 4
    assert "for replicas of the best, and" in found.state.ended.reason
    assert len(found.state.replicas) >= 2
    check_every_entry(found.folder, 3.2)
