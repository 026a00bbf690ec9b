"""What other tools read of a sweep that raysweep wrote for them."""

import logging
from dataclasses import replace

import numpy as np
import optuna
import pandas as pd
import pytest
from inline_runner import Died, InlineRunner
from optuna.trial import TrialState
from report_toys import write_ledger
from scripted_sweep import ended, evaluated, finals, proposed, started, sweep

import raysweep
from raysweep.cli import main
from raysweep.config.load import parse
from raysweep.sweep import Options, run_sweep

SPACE = {
    "learning_rate": {"kind": "loguniform", "low": 1e-5, "high": 0.1},
    "warmup": {"kind": "quniform", "low": 0.05, "high": 0.3, "step": 0.1},
    "rank": {"kind": "integer", "low": 4, "high": 64, "log": True},
    "dropout": {"kind": "uniform", "low": 0, "high": 0.5},
    "targets": {"kind": "choice", "values": [["q", "v"], ["q", "k", "v"]]},
    "loss": {
        "kind": "branch",
        "branches": {
            "cross_entropy": {
                "smoothing": {"kind": "uniform", "low": 0, "high": 0.2},
                "scale": {"kind": "choice", "values": [1, 2]},
            },
            "squared_error": {
                "smoothing": {"kind": "uniform", "low": 0, "high": 0.5},
                "scale": {"kind": "uniform", "low": 1, "high": 2},
            },
        },
    },
    "n_epochs": 2,
}


@pytest.fixture
def scripted(tmp_path):
    """Two completed, one pruned, one failed, one errored, one running trial; trial 1 won and was scored on test."""
    return write_ledger(tmp_path / "abcd1234", [*sweep(), *finals()])


@pytest.fixture
def study(scripted):
    assert 0 == main(["export", str(scripted), "--to", "optuna"])
    return optuna.load_study(study_name="abcd1234", storage=f"sqlite:///{scripted}/exports/optuna.db")


def test_the_tables_have_every_trial_evaluation_and_column(scripted, tmp_path, capsys):
    code = main(["export", str(scripted), "--to", "csv", "--out", str(tmp_path / "out")])

    found = raysweep.load(scripted)
    for name, ours in (("trials", found.trials), ("evaluations", found.evaluations)):
        read = pd.read_csv(tmp_path / "out" / f"{name}.csv")
        assert list(ours.columns) == list(read.columns)
        assert len(ours) == len(read)
    read = pd.read_csv(tmp_path / "out" / "trials.csv")
    np.testing.assert_array_equal(found.trials["val_mse"].to_numpy(), read["val_mse"].to_numpy())
    assert 0 == code
    assert "trials.csv" in capsys.readouterr().out


def test_a_table_that_was_exported_makes_the_same_findings(scripted, tmp_path, capsys):
    main(["export", str(scripted), "--to", "csv", "--out", str(tmp_path)])

    assert 0 == main(["report", str(tmp_path / "trials.csv"), "--metric", "val_f1_weighted", "--out", str(tmp_path)])
    assert "Trial 1 is the best" in capsys.readouterr().out


def test_optuna_loads_the_study_with_each_trial_under_its_number(study, scripted):
    found = raysweep.load(scripted)

    assert [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.FAIL] == [
        one.state for one in study.trials[:5]
    ]
    assert TrialState.RUNNING is study.trials[5].state
    assert "maximize" == study.direction.name.lower()
    assert (1, found.best.ended.objective) == (study.best_trial.number, study.best_value)
    assert list(range(6)) == [one.number for one in study.trials]
    for one in study.trials:
        trial = found.state.trials[one.number]
        assert {name: trial.params[name] for name in trial.proposed.sampled} == one.params
        told = {step.examples: step.metrics["val_f1_weighted"] for step in trial.evaluations}
        assert told == one.intermediate_values


def test_a_trial_of_the_study_has_every_metric_and_what_else_is_known(study, scripted):
    found, best = raysweep.load(scripted), study.best_trial

    assert dict(found.best.last.metrics).items() <= best.user_attrs.items()
    assert 0.497 == best.user_attrs["test_f1_weighted"]
    assert ("completed", 3, "jobs/0001") == tuple(
        best.user_attrs[name] for name in ("outcome", "fixed/epochs", "model")
    )
    assert "the loss is not a number [/red]" == study.trials[3].user_attrs["reason"]
    assert ("f" * 16, 1, 0.401) == tuple(
        study.user_attrs[name] for name in ("data_fingerprint", "best_trial", "tfidf/test_f1_weighted")
    )


def test_a_study_can_be_exported_again_and_gone_on_with(scripted, capsys):
    for _ in range(2):
        assert 0 == main(["export", str(scripted), "--to", "optuna"])

    study = optuna.load_study(study_name="abcd1234", storage=f"sqlite:///{scripted}/exports/optuna.db")
    sampler = optuna.samplers.TPESampler(seed=0, n_startup_trials=1)
    study.sampler = sampler
    trial = study.ask()

    assert 6 == trial.number
    assert 1e-5 <= trial.suggest_float("learning_rate", 1e-5, 1.0)
    assert "1 of them have not ended" in capsys.readouterr().out


def test_two_sweeps_share_a_storage_but_no_study(scripted, tmp_path, capsys):
    storage = str(tmp_path / "all.journal")
    assert 0 == main(["export", str(scripted), "--to", "optuna", "--out", storage])

    assert 2 == main(["export", str(scripted), "--to", "optuna", "--out", storage])
    assert "has a study abcd1234 already; give this one another --name" in capsys.readouterr().err
    assert 0 == main(["export", str(scripted), "--to", "optuna", "--out", storage, "--name", "again"])
    backend = optuna.storages.journal.JournalFileBackend(storage)
    names = optuna.study.get_all_study_names(optuna.storages.JournalStorage(backend))
    assert ["abcd1234", "again"] == sorted(names)


def test_a_replica_is_no_trial_of_the_study(tmp_path):
    again = [replace(proposed(10_001), replica_of=1), evaluated(10_001, 3.0, 0.9), ended(10_001, objective=0.9)]
    folder = write_ledger(tmp_path / "abcd1234", [*sweep(), *again, *finals()])

    main(["export", str(folder), "--to", "optuna"])

    study = optuna.load_study(study_name="abcd1234", storage=f"sqlite:///{folder}/exports/optuna.db")
    assert (6, 1, 0.52) == (len(study.trials), study.best_trial.number, study.best_value)


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 130), (OSError, 2)])
def test_a_study_that_was_not_written_whole_is_taken_away(scripted, monkeypatch, error, code):
    storage = f"sqlite:///{scripted}/all.db"
    add, n_made = optuna.Study.add_trial, []

    def add_few(study, trial):
        if len(n_made) == 2:
            raise error("no space")
        n_made.append(trial)
        add(study, trial)

    monkeypatch.setattr(optuna.Study, "add_trial", add_few)
    assert code == main(["export", str(scripted), "--to", "optuna", "--out", storage])
    assert [] == optuna.study.get_all_study_names(storage)

    monkeypatch.undo()
    assert 0 == main(["export", str(scripted), "--to", "optuna", "--out", storage])
    assert 6 == len(optuna.load_study(study_name="abcd1234", storage=storage).trials)


def test_a_space_of_every_kind_is_there_with_its_distributions(synthetic, tmp_path, caplog):
    from raysweep.dimensions import Branch
    from raysweep.export.distributions import searched
    from raysweep.space import Space
    from raysweep.state import fold

    space = Space(parse(synthetic | {"space": SPACE, "search": {"kind": "random"}}, "test").space)
    other = space.complete({"loss": "squared_error", "targets": ("q", "k", "v"), "warmup": 0.3})
    state = fold(
        [
            started(),
            *(
                one
                for n, params in enumerate((space.default(), other))
                for one in (proposed(n, params=params), ended(n))
            ),
        ]
    )

    first, second = searched(list(state.trials.values()), space.dimensions)

    assert isinstance(space.dimensions["loss"], Branch)
    told = {name: distribution for name, (_, distribution) in {**first, **second}.items()}
    float_, integer, choice = (
        optuna.distributions.FloatDistribution,
        optuna.distributions.IntDistribution,
        optuna.distributions.CategoricalDistribution,
    )
    assert {
        "learning_rate": float_(1e-5, 0.1, log=True),
        "warmup": float_(0.1, 0.3, step=0.1),
        "rank": integer(4, 64, log=True),
        "dropout": float_(0, 0.5),
        "targets": choice(["q,v", "q,k,v"]),
        "loss": choice(["cross_entropy", "squared_error"]),
        "smoothing": float_(0, 0.5),
        "loss=cross_entropy/scale": choice([1, 2]),
        "loss=squared_error/scale": float_(1, 2),
    } == told
    assert ("q,k,v", 0.3) == (second["targets"][0], second["warmup"][0])
    assert "n_epochs" not in first


def test_a_whole_sweep_goes_into_optuna_while_it_runs_and_its_own_distributions_hold(synthetic, tmp_path, capsys):
    synthetic["space"]["batch_size"] = {"kind": "choice", "values": [8, 16]}
    with pytest.raises(Died):
        run_sweep(parse(synthetic, "test"), Options(folder=tmp_path / "one", runner=InlineRunner(n_steps=5)))

    code = main(["export", str(tmp_path / "one"), "--to", "optuna", "--out", f"sqlite:///{tmp_path}/all.db"])

    (summary,) = optuna.get_all_study_summaries(f"sqlite:///{tmp_path}/all.db")
    study = optuna.load_study(study_name=summary.study_name, storage=f"sqlite:///{tmp_path}/all.db")
    assert 0 == code
    assert {"learning_rate", "batch_size"} == set(study.trials[0].distributions)
    assert study.trials[0].distributions["learning_rate"].high == 0.1


def test_a_storage_that_cannot_be_opened_is_refused_without_its_password(scripted, capsys):
    assert 2 == main(["export", str(scripted), "--to", "optuna", "--out", "nosuch://me:secret@host/db"])

    said = capsys.readouterr().err
    assert "nosuch://…@host/db" in said
    assert "secret" not in said


def test_nothing_of_optunas_logging_is_changed(scripted):
    level = logging.getLogger("optuna").level

    main(["export", str(scripted), "--to", "optuna"])

    assert level == logging.getLogger("optuna").level


def test_a_folder_without_a_sweep_is_refused(tmp_path, capsys):
    assert 2 == main(["export", str(tmp_path), "--to", "csv"])
    assert "no sweep's folder" in capsys.readouterr().err
