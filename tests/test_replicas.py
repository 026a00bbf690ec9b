"""Finalists that are trained again with fresh seeds: which, at whose cost, and what a crash or Ctrl-C makes of it."""

import io
from datetime import UTC, datetime

import optuna
import pytest
from inline_runner import Died, InlineRunner
from rich.console import Console

from raysweep import ledger, results
from raysweep.checking import findings
from raysweep.cli import main
from raysweep.clock import RealClock
from raysweep.config.load import parse
from raysweep.earlier import read_earlier
from raysweep.entries import TrialEnded, TrialProposed
from raysweep.errors import ConfigError, Fault, JobFailed
from raysweep.export.card import Winner, card
from raysweep.hosting import attempts
from raysweep.jobs import Outcome
from raysweep.planning import plan
from raysweep.report.from_run import read_run
from raysweep.report.from_table import read_table
from raysweep.report.write import write_report
from raysweep.steering import stop_trial
from raysweep.sweep import Options, resume_sweep, run_sweep
from raysweep.tuning.report import Report
from raysweep.views.summary import summary
from raysweep.views.terminal import LinesView
from raysweep.views.told import sweep_metrics
from raysweep.views.view import Setting

NOW = datetime(2026, 1, 1, tzinfo=UTC)

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


def die(folder):
    """What a dead driver leaves: it wrote nothing after its last report."""
    path = folder / ledger.FILE_NAME
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b'"the sweep ended"' not in line))


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


def test_a_replica_is_neither_stopped_early_nor_by_a_target(repeated, tmp_path):
    repeated |= {"early_stopping": {"kind": "asha", "rungs": [0.5, 1.0], "eta": 2}, "trials": 16}
    pruned = run(repeated, tmp_path / "pruned")
    reached = run(repeated | {"early_stopping": {"kind": "none"}, "target": 0.01}, tmp_path / "reached")

    assert Outcome.PRUNED in {one.outcome for one in pruned.state.searched.values()}
    assert [Outcome.COMPLETED] * 4 == [one.outcome for one in pruned.state.replicas]
    assert "reached the target" in reached.state.ended.reason
    n_completed = min(2, len(reached.state.ranked))
    assert [Outcome.COMPLETED] * 2 * n_completed == [one.outcome for one in reached.state.replicas]


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
    die(tmp_path / "run")
    found = resume(tmp_path / "run")

    keys = [entry.key for entry in proposals(tmp_path / "run")]
    ends = [entry.trial for entry in ledger.read(tmp_path / "run") if isinstance(entry, TrialEnded)]
    assert len(keys) == len(set(keys))
    assert len(ends) == len(set(ends)) == 10
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


def told(folder):
    """The final block of the terminal, the findings, the page."""
    console = Console(file=io.StringIO(), width=300)
    console.print(summary(results.load(folder).state, Setting(folder, 1, lambda _: 2.0, lambda _: ()), 300))
    written = write_report(read_run(folder), folder, NOW)
    page = (folder / "report.html").read_text(encoding="utf-8")
    return console.file.getvalue(), written.text.read_text(encoding="utf-8"), page


def test_everybody_is_told_how_the_seeds_stand_and_replicas_are_no_trials_of_the_search(repeated, tmp_path):
    found = run(repeated, tmp_path / "run")

    block, text, page = told(tmp_path / "run")
    record = read_run(tmp_path / "run")

    winner = found.ruling.winner
    mean = f"{winner.mean:.3f} ± {winner.spread:.3f}"
    for words in (block, text, page):
        assert mean in words
        assert "the mean over 3 seeds" in words
    assert f"Over 3 seeds, trial {winner.trial} has val_f1_weighted {mean} on validation." in text
    assert "## Replicas" in text
    assert "<h2>Replicas</h2>" in page
    assert "6 of 6 trials ended" in block
    assert "6 of 6 trials: 6 completed" in text
    assert set(range(6)) == set(record.trials["trial"]) == set(record.evaluations["trial"])
    assert found.best.number == winner.trial == record.trials["trial"].iloc[record.best]
    assert 3 == len(winner.tested)


def test_a_replica_is_named_as_one_while_the_sweep_runs(repeated, tmp_path):
    seen = io.StringIO()

    def lines(setting):
        return LinesView(setting, Console(file=seen, width=300), is_quiet=False)

    options = Options(folder=tmp_path / "run", runner=InlineRunner(), make_view=lines)
    found = run_sweep(parse(repeated, "test"), options)

    one = found.state.replicas[0]
    assert f"trial {one.number} (trial {one.replica_of} again, seed {one.proposed.seed}) completed" in seen.getvalue()
    assert f"{one.proposed.key}" in attempts(found.state)
    assert f"completed, trial {one.replica_of} again" == attempts(found.state)[one.proposed.key]


def test_the_default_configuration_is_scored_on_test_and_held_against_the_winner(synthetic, tmp_path):
    synthetic |= {"final": {"top": 1, "baseline": False}, "early_stopping": {"kind": "none"}}
    synthetic["space"]["learning_rate"] |= {"low": 1e-7}  # the default in the middle is a poor one

    found = run(synthetic, tmp_path / "run")

    assert 0 == found.state.default != found.best.number
    assert [("best", found.best.number), ("default", 0)] == [(one.name, one.trial) for one in found.finals]
    assert [("default", 0)] == [(one.name, one.trial) for one in found.certainty.comparisons]
    assert found.ruling.to_default is found.certainty.comparisons[0].verdict("f1_weighted") is not None
    block, text, _ = told(tmp_path / "run")
    for words in (block, text):
        assert "trial 0, the default configuration, on the same rows" in words
    assert "test #0 default" in block
    assert "final.top=3 final.replicas=2" in text


def test_a_finalist_that_fails_with_another_seed_cannot_win(repeated, tmp_path):
    class Broken(InlineRunner):
        """Every replica of the best single trial diverges."""

        def _step(self, driver, static, live, trial):
            state = driver.recorder.state
            if driver.rules.replicates and trial % 10_000 == state.ranked[0].number:
                driver.report(trial, Report("job", "here", failure=JobFailed("diverged", Fault.PARAMS)))
                live.pop(trial)
            else:
                super()._step(driver, static, live, trial)

    found = run(repeated, tmp_path / "run", Broken())

    first, second = found.state.ranked[:2]
    assert (second.number, first.number) == (found.best.number, found.ruling.first)
    names = {final.trial: final.name for final in found.finals}
    assert "best" == names[second.number] != names[first.number]
    assert "but failed with another seed" in told(tmp_path / "run")[1]


def test_where_all_that_were_repeated_failed_no_lead_is_claimed_of_whoever_wins_instead(repeated, tmp_path):
    class Broken(InlineRunner):
        """Every replica diverges."""

        def _step(self, driver, static, live, trial):
            if driver.rules.replicates:
                driver.report(trial, Report("job", "here", failure=JobFailed("diverged", Fault.PARAMS)))
                live.pop(trial)
            else:
                super()._step(driver, static, live, trial)

    found = run(repeated, tmp_path / "run", Broken())

    assert found.state.ranked[2].number == found.best.number
    block, text, page = told(tmp_path / "run")
    for words in (block, text, page):
        assert "but failed with another seed" in words
        assert "It leads the second best" not in words


def test_other_tools_take_no_replica_for_a_trial_of_the_search_nor_its_score_for_the_winners(repeated, tmp_path):
    found = run(repeated, tmp_path / "run")
    best = next(one.metrics for one in found.finals if one.name == "best")

    assert 0 == main(["export", str(found.folder), "--to", "optuna", "--name", "one"])
    study = optuna.load_study(study_name="one", storage=f"sqlite:///{found.folder}/exports/optuna.db")
    table = read_table(found.folder / "trials.parquet", "val_f1_weighted")

    assert sweep_metrics(found.state).items() >= best.items()
    assert found.finals[-1].name == "replica"
    assert found.state.ranked[0].number == study.best_trial.number == table.trials["trial"].iloc[table.best]
    assert 6 == len(study.trials) == len(table.trials)


def test_card_and_comparison_say_by_which_mean_over_seeds_the_winner_was_chosen(repeated, tmp_path, capsys):
    found = run(repeated, tmp_path / "run")
    run(repeated | {"seed": 5}, tmp_path / "other")

    assert 0 == main(["compare", str(tmp_path / "run"), str(tmp_path / "other"), "--out", str(tmp_path / "out")])

    said = " ".join(capsys.readouterr().out.split())
    assert f"A's winner was chosen by its mean over 3 seeds, {found.ruling.winner.mean:.3f}" in said
    text = card(Winner("mine", found.state, found.best, found.certainty, None, None, None))
    assert f"chosen by its mean validation score over 3 seeds, {found.ruling.winner.mean:.3f}" in text
    assert f"Over 3 seeds, trial {found.best.number} has val_f1_weighted" in text


def test_a_replica_that_waits_is_stopped_by_hand_and_not_made_again(repeated, tmp_path):
    def interrupt(driver):
        if driver.rules.replicates and not driver.signal:
            driver.interrupt("SIGINT")

    halted = run(repeated, tmp_path / "run", InlineRunner(on_step=interrupt))
    number = halted.state.replicas[0].number
    with pytest.raises(ConfigError, match=f"there are 0 to 5, and the replicas .*{number}"):
        stop_trial(tmp_path / "run", 7, RealClock())

    stop_trial(tmp_path / "run", number, RealClock())
    found = resume(tmp_path / "run")

    outcomes = [found.state.trials[number].outcome, *{one.outcome for one in found.state.replicas[1:]}]
    assert [Outcome.CANCELLED, Outcome.COMPLETED] == outcomes


def test_replicas_are_named_by_check_and_plan(repeated):
    assert "6 trials, then 4 replicas of the best, " in "".join(findings(parse(repeated, "test")))
    assert "4 replicas of the best with fresh seeds, part of both sums" in "".join(plan(parse(repeated, "test")))
    with pytest.raises(ConfigError, match=r"final\.replicas: at most 10000 trials"):
        parse(repeated | {"trials": 10_001}, "test")


def test_replicas_teach_a_later_search_nothing(repeated, tmp_path):
    found = run(repeated, tmp_path / "run")

    assert 0 == main(["export", str(found.folder), "--to", "csv", "--out", str(tmp_path / "out")])

    for path in (found.folder, found.folder / "trials.parquet", tmp_path / "out" / "trials.csv"):
        config = parse(repeated | {"warm_start": [{"path": str(path)}]}, "test")
        assert 6 == len(read_earlier(config).runs), path
