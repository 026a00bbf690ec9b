"""Trackers are told every number under a name that they take, and the sweep's own numbers are the winner's."""

from dataclasses import replace

import pytest
from scripted_sweep import at, ended, evaluated, finals, proposed, started, sweep

from raysweep.entries import FinalScored
from raysweep.state import fold
from raysweep.views.told import evaluation_metrics, sweep_metrics, trial_words
from raysweep.views.words import without_credentials


def test_the_sweeps_test_scores_are_the_winners_whoever_was_scored_after_it():
    *before, end = finals()
    others = [
        FinalScored(at(21), name, trial, "test", {"test_f1_weighted": 0.1 * trial})
        for name, trial in (("default", 0), ("finalist", 2), ("replica", 10_001))
    ]

    told = sweep_metrics(fold([*sweep(), *before, *others, end]))

    assert 0.497 == told["test_f1_weighted"]
    assert 0.0 == told["default/test_f1_weighted"]
    assert 0.401 == told["tfidf/test_f1_weighted"]
    assert {"test_f1_weighted", "default/test_f1_weighted", "tfidf/test_f1_weighted"} == {
        name for name in told if name.endswith("test_f1_weighted")
    }


def test_a_replica_says_which_trial_it_repeats():
    again = replace(proposed(10_001), replica_of=1)
    state = fold([started(), proposed(1), ended(1, objective=0.5), again])

    assert "1" == trial_words(state.trials[10_001])["replica_of"]
    assert "replica_of" not in trial_words(state.trials[1])


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (("<5", ">5"), {"val_f1_of__5", "val_f1_of__5_1"}),
        (("yes/", "a//b"), {"val_f1_of_yes/_", "val_f1_of_a/_/b"}),
        (("x" * 300, "x" * 299 + "y"), {"val_f1_of_" + "x" * 230, "val_f1_of_" + "x" * 230 + "_1"}),
    ],
)
def test_labels_of_any_letters_give_names_that_differ_and_are_paths(labels, names):
    made = {f"val_f1_of_{label}": 0.1 * place for place, label in enumerate(labels, 1)}

    told = evaluation_metrics(evaluated(0, 1.0, 0.5, metrics=made))

    assert names == {name for name in told if name.startswith("val_")}
    assert sorted(made.values()) == sorted(told[name] for name in names)


def test_of_an_address_nothing_before_the_last_at_is_told():
    assert "no answer from https://…@host/api, twice" == without_credentials(
        "no answer from https://me:p@ss@host/api, twice"
    )
