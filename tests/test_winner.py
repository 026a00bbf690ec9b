"""The winner's rule: who is named, what is a tie, and what no test score can change."""

import math
import random
from statistics import stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.certainty import Certainty, Comparison, Verdict
from raysweep.goal import Goal
from raysweep.scoring.intervals import Interval
from raysweep.views.winner import open_words, sentences
from raysweep.winner import Configuration, order, rule, seed_margin

F1 = Goal("val_f1_weighted", "max")
LOSS = Goal("val_log_loss", "min")
scores = st.floats(0.1, 0.9)


def test_without_replicas_the_best_single_score_has_won():
    ruling = rule([Configuration(4, 0.52), Configuration(1, 0.51)], F1)

    assert (4, 4, (), None) == (ruling.winner.trial, ruling.first, ruling.ties, ruling.interval)
    assert rule([], F1) is None


def test_the_mean_over_seeds_unseats_a_lucky_score_in_either_direction():
    lucky, steady = Configuration(4, 0.55, (0.45, 0.46)), Configuration(1, 0.51, (0.50, 0.52))

    ruling = rule([lucky, steady], F1)

    assert (1, 4) == (ruling.winner.trial, ruling.first)
    worse = [Configuration(4, 0.45, (0.55, 0.54)), Configuration(1, 0.49, (0.50, 0.48))]
    assert [1, 4] == [one.trial for one in order(worse, LOSS)]


def test_who_has_no_replica_or_a_failed_one_stands_behind_those_that_held():
    ahead = Configuration(1, 0.60)
    broken = Configuration(2, 0.59, (0.58,), n_failed=1)
    held = Configuration(3, 0.50, (0.49, 0.50))

    assert [3, 1, 2] == [one.trial for one in order([ahead, broken, held], F1)]
    assert [1, 2] == [one.trial for one in order([ahead, broken], F1)]
    assert [1, 4] == [one.trial for one in order([ahead, Configuration(4, 0.4)], F1)]


def test_a_better_single_score_that_was_not_repeated_yet_is_named_and_nothing_is_claimed_over_it():
    repeated, later = Configuration(0, 0.37, (0.36,)), Configuration(6, 0.45)

    ruling = rule([later, repeated], F1, default=0)
    settled = rule([repeated, Configuration(6, 0.3)], F1, default=0)

    said = " ".join(words for words, _ in sentences(ruling, "val_f1_weighted"))
    assert (0, 6) == (ruling.winner.trial, ruling.unrepeated.trial)
    assert "no second seed of it has a score yet" in said
    assert "found nothing better" not in said
    assert "Trial 6 scored 0.450 with a single seed, and was not repeated yet." in open_words(ruling, "val_f1_weighted")
    assert None is settled.unrepeated
    assert "" == open_words(settled, "val_f1_weighted")
    assert "found nothing better" in " ".join(words for words, _ in sentences(settled, "val_f1_weighted"))


@pytest.mark.parametrize(("lead", "is_tie"), [(0.005, True), (0.2, False)])
def test_a_lead_within_what_seeds_do_is_a_tie(lead, is_tie):
    winner = Configuration(1, 0.5 + lead, (0.48 + lead, 0.52 + lead))
    other = Configuration(2, 0.5, (0.48, 0.52))

    ruling = rule([winner, other], F1)

    assert ((2,) if is_tie else ()) == ruling.tied == ruling.ties


def test_the_margin_is_that_of_a_t_test_with_pooled_spread():
    one, other = Configuration(1, 0.50, (0.53, 0.49)), Configuration(2, 0.47, (0.44,))
    pooled = math.sqrt((2 * stdev((0.50, 0.53, 0.49)) ** 2 + stdev((0.47, 0.44)) ** 2) / 3)

    assert 3.1824463 * pooled * math.sqrt(1 / 3 + 1 / 2) == pytest.approx(seed_margin(one, other, (one, other)))
    assert math.inf == seed_margin(Configuration(1, 0.5), Configuration(2, 0.4), [Configuration(1, 0.5)])


def certainty(trial, **differences):
    compared = tuple(
        Comparison(name, number, {"f1_weighted": Interval(*found)}) for name, (number, found) in differences.items()
    )
    own = {"f1_weighted": Interval(0.5, 0.47, 0.53)}
    return Certainty(trial, "f1_weighted", n_rows=1000, n_validation=600, intervals=own, comparisons=compared)


def test_the_test_split_says_how_sure_it_is_of_runner_up_and_default():
    finalists = [Configuration(4, 0.52), Configuration(1, 0.51), Configuration(0, 0.40)]
    test = certainty(4, finalist=(1, (0.01, -0.01, 0.03)), default=(0, (0.1, 0.08, 0.12)))

    ruling = rule(finalists, F1, test=test, default=0)

    assert (Verdict.TIE, Verdict.BEATS, False) == (ruling.to_runner_up, ruling.to_default, ruling.is_default)
    assert (1,) == ruling.ties
    assert 0.53 == ruling.interval.high
    assert rule(finalists, F1, test=certainty(9), default=4).interval is None
    assert rule(finalists, F1, default=4).is_default


def said(*finalists):
    return " ".join(sentence for sentence, _ in sentences(rule(finalists, F1), "val_f1_weighted"))


def test_a_lead_is_claimed_only_over_configurations_whose_seeds_were_compared():
    held, far = Configuration(3, 0.60, (0.61,)), Configuration(4, 0.40, (0.41,))
    broken = Configuration(2, 0.59, (0.59,), n_failed=1)

    assert "Its lead over trial 4 is more than other seeds would give" in said(held, broken, far)
    assert "lead" not in said(held, broken)
    assert "lead" not in said(held)
    both_failed = said(Configuration(1, 0.60, (0.20,), n_failed=1), Configuration(2, 0.59, (0.50,), n_failed=1))
    assert "A tie: another seed may put trial 1" in both_failed


def test_who_wins_without_a_replica_because_the_repeated_failed_is_told_so():
    words = said(Configuration(1, 0.60, n_failed=1), Configuration(2, 0.50))

    assert "Trial 1 had the best single score, val_f1_weighted 0.600, but failed with another seed." in words
    assert "Every configuration that was repeated failed" in said(Configuration(1, 0.60, n_failed=1))


@given(st.lists(st.tuples(scores, scores, scores), min_size=1, max_size=5), st.lists(scores, min_size=5, max_size=5))
def test_no_test_score_ever_changes_who_is_named(on_validation, on_test):
    ranked = sorted(enumerate(on_validation), key=lambda one: -one[1][0])
    finalists = [Configuration(number, chosen, replicas) for number, (chosen, *replicas) in ranked]
    tested = [Configuration(one.trial, one.chosen, one.replicas, tested=(on_test[one.trial],)) for one in finalists]
    named = rule(finalists, F1).winner.trial

    said = certainty(named, finalist=(1, (-0.2, -0.3, -0.1)))

    assert named == rule(tested, F1, test=said).winner.trial


def test_equal_configurations_are_called_a_tie_nineteen_times_of_twenty():
    dice = random.Random(0)
    called = 0
    for _ in range(2000):
        two = [Configuration(number, *_seeds(dice)) for number in range(2)]
        called += bool(rule(sorted(two, key=lambda one: -one.chosen), F1).tied)

    assert 0.94 <= called / 2000 <= 0.96


def _seeds(dice):
    drawn = [dice.gauss(0.5, 0.02) for _ in range(3)]
    return drawn[0], tuple(drawn[1:])
