import pytest

from raysweep.config.load import parse
from raysweep.plan import budget_epochs, evaluation_points, make_pruner


@pytest.mark.parametrize(
    ("settings", "budget", "expected"),
    [
        ({"rungs": [0.5, 1.5]}, 3, (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)),
        ({"rungs": [0.7]}, 2, (0.5, 0.7, 1.0, 1.5, 2.0)),
        ({"rungs": [0.5, 1.5]}, 1, (0.5, 1.0)),
        ({"rungs": [0.25], "unit": "fraction"}, 2, (0.5, 1.0, 1.5, 2.0)),
        ({"rungs": [30], "unit": "examples"}, 1, (0.3, 0.5, 1.0)),
        ({"rungs": [0.5]}, 1.2, (0.5, 1.0, 1.2)),
    ],
)
def test_evaluations_lie_at_the_regular_points_the_rungs_and_the_end(synthetic, settings, budget, expected):
    synthetic["early_stopping"] = {"kind": "asha", **settings}
    config = parse(synthetic, "test")

    points = evaluation_points(config, make_pruner(config, n_train=100), {"n_epochs": budget})

    assert expected == pytest.approx(points)


def test_without_early_stopping_there_are_no_rungs(synthetic):
    synthetic["early_stopping"] = {"kind": "none"}
    config = parse(synthetic, "test")

    assert make_pruner(config, 100).rungs_for(3.0) == ()


@pytest.mark.parametrize("value", [0, -1, "3", None, True])
def test_a_budget_that_is_no_number_above_zero_is_refused(value):
    with pytest.raises(ValueError, match="n_epochs"):
        budget_epochs({"n_epochs": value})


@pytest.mark.parametrize(("rung", "n_train"), [(100, 7000), (500, 7000), (150, 1300), (500, 14113), (1, 3)])
def test_a_trial_is_judged_at_every_rung(synthetic, rung, n_train):
    from raysweep.search.prune import Stop

    synthetic["early_stopping"] = {"kind": "asha", "rungs": [rung], "unit": "examples", "eta": 2}
    config = parse(synthetic, "test")
    pruner = make_pruner(config, n_train)
    (level,) = pruner.rungs_for(3.0)
    points = evaluation_points(config, pruner, {"n_epochs": 3})

    assert level in points
    pruner.decide(0, level, 0.9, 3.0)
    assert isinstance(pruner.decide(1, points[points.index(level)], 0.1, 3.0), Stop)
