"""Finalists that are trained again with fresh seeds: which, when, at whose cost, and what a crash or Ctrl-C makes of it."""

import pytest
from inline_runner import Died, InlineRunner

from raysweep import ledger, results
from raysweep.config.load import parse
from raysweep.entries import Evaluated, TrialEnded, TrialProposed
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
