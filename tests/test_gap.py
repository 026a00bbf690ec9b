"""How much better a winner looks where it was chosen."""

import numpy as np
import pytest
from scripted_sweep import finals, started, whole_trial
from scripted_sweep import sweep as small_sweep

from raysweep.certainty import Certainty
from raysweep.gap import expected_best, gap_of
from raysweep.scoring.intervals import Interval
from raysweep.state import fold
from raysweep.views.certainty import gap_sentence


def certain(low, high, *, n_validation=400, trial=1, metric="f1_weighted"):
    """Of 400 test rows."""
    return Certainty(trial, metric, 400, n_validation, {metric: Interval((low + high) / 2, low, high)}, ())


STATE = fold([*small_sweep(), *finals()])  # trial 1 has won with 0.52


def test_the_best_of_equals_is_as_much_too_good_as_in_a_simulation():
    dice = np.random.default_rng(0)

    for n in (2, 5, 20, 100):
        simulated = dice.normal(size=(20_000, n)).max(axis=1).mean()
        assert expected_best(n) == pytest.approx(simulated, abs=0.03)
    assert 0 == expected_best(1)


def test_a_gap_that_rows_explain_is_only_told():
    gap = gap_of(STATE, certain(0.45, 0.55))

    assert gap.value == pytest.approx(0.02)
    assert gap.margin == pytest.approx(0.05 * 2**0.5)
    assert gap.is_explained
    assert "it looked 0.020 better than on test" in gap_sentence(gap)
    assert "more than luck" not in gap_sentence(gap)


def test_a_gap_beyond_rows_and_selection_is_said_to_be_more():
    gap = gap_of(STATE, certain(0.29, 0.31))

    assert not gap.is_explained
    assert "does not explain it" in gap_sentence(gap)


def test_fewer_validation_rows_make_more_luck():
    small, large = (gap_of(STATE, certain(0.45, 0.55, n_validation=n)) for n in (100, 1600))

    assert small.margin > large.margin
    assert small.by_selection == pytest.approx(4 * large.by_selection)


def test_more_completed_trials_give_selection_more_to_choose_from():
    def state(n):
        return fold([started(n), *(entry for trial in range(n) for entry in whole_trial(trial, 0.5 + trial / 100))])

    few, many = (gap_of(state(n), certain(0.45, 0.55, trial=n - 1)) for n in (1, 8))

    assert (0, 1, 8) == (few.by_selection, few.n_trials, many.n_trials)
    assert many.by_selection > 0
    assert "best of 8 completed trials" in gap_sentence(many)
    assert "choosing" not in gap_sentence(few)


@pytest.mark.parametrize(
    "found",
    [
        None,
        certain(0.4, 0.5, trial=0),
        certain(0.4, 0.5, n_validation=0),
        certain(0.4, 0.5, metric="accuracy"),
    ],
)
def test_what_is_not_known_is_not_said(found):
    assert gap_of(STATE, found) is None
