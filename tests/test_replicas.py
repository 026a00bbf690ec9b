"""Finalists that are trained again with fresh seeds: which, at whose cost, and what a crash or Ctrl-C makes of it."""

import pytest
from inline_runner import Died, InlineRunner

from raysweep import ledger
from raysweep.config.load import parse
from raysweep.entries import TrialProposed
from raysweep.jobs import Outcome
from raysweep.sweep import Options, resume_sweep, run_sweep

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture
def repeated(synthetic):
    """Six trials, of whose best two each is trained twice more."""
    synthetic |= {"final": {"top": 2, "replicas": 2, "baseline": False}, "trials": 6}
    synthetic["search"] = {"kind": "hyperopt", "random_start": 3}
    synthetic["early_stopping"] = {"kind": "none"}
    return synthetic


def run(settings, folder, runner=None):
    return run_sweep(parse(settings, "test"), Options(folder=folder, runner=runner or InlineRunner()))


def resume(folder, overrides=(), runner=None):
    return resume_sweep(folder, overrides, Options(runner=runner or InlineRunner()))


def proposals(folder):
    return [entry for entry in ledger.read(folder) if isinstance(entry, TrialProposed)]


def test_the_best_few_are_trained_again_with_their_params_and_fresh_seeds(repeated, tmp_path):
    found = run(repeated, tmp_path / "run")

    first, second = found.state.ranked[:2]
    again = found.state.replicas
    assert sorted([10_000 + first.number, 10_000 + second.number, 20_000 + first.number, 20_000 + second.number]) == [
        one.number for one in again
    ]
    assert all(one.params == found.state.trials[one.replica_of].params for one in again)
    assert {Outcome.COMPLETED} == {one.outcome for one in again}
    seeds = [entry.seed for entry in proposals(tmp_path / "run")]
    assert len(seeds) == len(set(seeds)) == 10
    assert len({one.ended.objective for one in again}) == 4
    assert all(any(final.trial == one.number and final.name == "replica" for final in found.finals) for one in again)
    table = found.trials.set_index("trial")
    assert [first.number] * 2 == table.loc[[10_000 + first.number, 20_000 + first.number], "replica_of"].tolist()
    assert table.seed.notna().all()


def test_the_search_is_as_it_would_have_been_without_replicas(repeated, tmp_path):
    plain = run(repeated | {"final": {"top": 2, "baseline": False}}, tmp_path / "plain")
    found = run(repeated, tmp_path / "run")

    longer = resume(tmp_path / "run", ["trials=9"])
    plain = resume(tmp_path / "plain", ["trials=9"])

    assert {*range(9)} == longer.state.searched.keys() == plain.state.trials.keys()
    for number, trial in plain.state.trials.items():
        assert (trial.params, trial.ended.objective) == (
            longer.state.trials[number].params,
            longer.state.trials[number].ended.objective,
        )
    assert set(found.state.trials) <= set(longer.state.trials)


@pytest.mark.parametrize("n_more", [1, 3, 9, 14])
def test_a_driver_that_dies_among_the_replicas_makes_each_once_all_the_same(repeated, tmp_path, n_more):
    undisturbed = run(repeated, tmp_path / "whole")
    begun = {}

    def die_later(driver):
        if driver.rules.replicates and "runner" in begun and begun["runner"].n_steps is None:
            begun["runner"].n_steps = n_more

    begun["runner"] = InlineRunner(on_step=die_later)
    with pytest.raises(Died):
        run(repeated, tmp_path / "run", begun["runner"])
    found = resume(tmp_path / "run")

    keys = [entry.key for entry in proposals(tmp_path / "run")]
    assert len(keys) == len(set(keys))
    assert [one.ended.objective for one in undisturbed.state.replicas] == [
        one.ended.objective for one in found.state.replicas
    ]
    assert undisturbed.best.number == found.best.number
    assert [final.trial for final in undisturbed.finals] == [final.trial for final in found.finals]
    assert found == resume(tmp_path / "run")


def test_ctrl_c_among_the_replicas_ends_their_jobs_and_resume_makes_the_rest(repeated, tmp_path):
    def interrupt(driver):
        if driver.rules.replicates and driver.recorder.state.replicas[0].evaluations and not driver.signal:
            driver.interrupt("SIGINT")

    halted = run(repeated, tmp_path / "run", InlineRunner(on_step=interrupt))
    found = resume(tmp_path / "run")

    assert {Outcome.CANCELLED} == {one.outcome for one in halted.state.replicas}
    assert "interrupted by SIGINT" in {one.ended.reason for one in halted.state.replicas}
    assert {Outcome.COMPLETED} == {one.outcome for one in found.state.replicas}
    assert 4 == len(found.state.replicas)
