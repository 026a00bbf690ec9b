"""Every proposer that ships passes the published suite; one that breaks a promise does not."""

import itertools

import pytest

from raysweep.search.draw import RandomProposer
from raysweep.search.propose import make_proposer
from raysweep.testing.proposer_case import DISCRETE
from raysweep.testing.proposers import ProposerConformance


class TestHyperOpt(ProposerConformance):
    def make(self, space, *, seed, n_trials):
        return make_proposer("hyperopt", space, seed=seed, n_trials=n_trials)


class TestOptuna(ProposerConformance):
    def make(self, space, *, seed, n_trials):
        return make_proposer("optuna", space, seed=seed, n_trials=n_trials)


class TestRandom(ProposerConformance):
    def make(self, space, *, seed, n_trials):
        return make_proposer("random", space, seed=seed, n_trials=n_trials)


class TestGrid(ProposerConformance):
    space = DISCRETE
    is_seeded = False
    forgets = False

    def make(self, space, *, seed, n_trials):
        return make_proposer("grid", space, seed=seed, n_trials=n_trials)


class Forgetful(RandomProposer):
    """Draws from one generator for all trials: a fresh one does not know how far the lost one was."""

    def __init__(self, space, *, seed):
        super().__init__(space, seed=seed)
        self._count = itertools.count()

    def ask(self, number):
        return super().ask(next(self._count))


class Loose(RandomProposer):
    """Goes by the trial that was told last."""

    def __init__(self, space, *, seed):
        super().__init__(space, seed=seed)
        self._last = 0

    def tell(self, number, loss):
        self._last = number

    def ask(self, number):
        return super().ask(number, self._last)


class Suite(ProposerConformance):
    """Not collected by its name: for proposers that break a promise."""

    def __init__(self, kind):
        self._kind = kind

    def make(self, space, *, seed, n_trials):
        return self._kind(space, seed=seed)


@pytest.mark.parametrize(
    "test",
    [
        lambda suite: suite.test_a_crash_after_every_event_changes_nothing(None),
        lambda suite: suite.test_after_one_crash_all_goes_on_as_if_undisturbed(),
    ],
)
def test_a_generator_that_goes_on_from_trial_to_trial_fails_the_suite(test):
    with pytest.raises(AssertionError):
        test(Suite(Forgetful))


def test_one_that_depends_on_the_order_of_losses_fails_the_suite():
    with pytest.raises(AssertionError):
        Suite(Loose).test_losses_in_any_order_give_the_same_next_suggestions()
