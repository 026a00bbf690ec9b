"""The suite that a proposer passes before a sweep may trust it: subclass it in a test module, and give it a proposer.

    class TestMine(ProposerConformance):
        def make(self, space: Space, *, seed: int, n_trials: int) -> Proposer:
            return MyProposer(space, seed)

A test module that begins with `pytest.register_assert_rewrite("raysweep.testing.proposers")` shows values in failures.
"""

import math
import pickle
import random
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pytest

from raysweep.encoding import decode, encode
from raysweep.entries import TrialProposed
from raysweep.search.draw import RandomProposer
from raysweep.search.propose import Proposer
from raysweep.space import Params, Space
from raysweep.testing.proposer_case import AT, MIXED, SMALL, ScriptedSweep, crashing

_PLAIN = (str, int, float, bool, type(None))


class ProposerConformance:
    """Every promise of `Proposer` that a sweep leans on, each as one test."""

    space: ClassVar[Space] = MIXED
    """What is searched; a proposer that cannot search every kind of dimension brings its own."""
    n_trials: ClassVar[int] = 40
    concurrency: ClassVar[int] = 4
    is_seeded: ClassVar[bool] = True
    """Whether another seed gives other suggestions."""
    is_independent_of_order: ClassVar[bool] = True
    """Whether losses told in another order give the same next suggestion, as `search.ordered` needs."""
    forgets: ClassVar[bool] = True
    """Whether a trial that ended without saying anything leaves no trace."""

    def make(self, space: Space, *, seed: int, n_trials: int) -> Proposer:
        """A fresh proposer for a sweep of so many trials; the same arguments give the same suggestions."""
        raise NotImplementedError

    def test_every_suggestion_is_a_complete_point_of_the_space(self) -> None:
        """Defaults and the params of branches that were not taken are not the proposer's to give."""
        suggestions = self.asked(self.proposer(), self.n_trials)

        assert len(suggestions) == self.n_trials
        for params in suggestions:
            assert params == self.space.complete(params)
            assert params == self.space.project({**dict.fromkeys(self.space.names()), **params})

    def test_every_value_is_plain_and_survives_the_ledger(self) -> None:
        """To the last bit, and of the same type: no number of numpy's, nothing that is not finite, no list."""
        for params in self.asked(self.proposer(), self.n_trials):
            values = [item for value in params.values() for item in (value if type(value) is tuple else (value,))]
            assert all(type(value) in _PLAIN for value in values), params
            assert all(math.isfinite(value) for value in values if isinstance(value, float)), params
            assert repr(dict(params)) == repr(dict(_through_the_ledger(params)))

    def test_the_same_seed_gives_the_same_suggestions(self) -> None:
        """Whatever the generators of the process are at, which are left as they were."""
        first = self.asked(self.proposer(), self.n_trials)
        random.seed(1)
        np.random.seed(1)
        states = _states()

        again = self.asked(self.proposer(), self.n_trials)

        assert first == again
        assert states == _states()

    def test_another_seed_gives_other_suggestions(self) -> None:
        """Unless the proposer has none."""
        first, other = (self.asked(self.proposer(seed=seed), self.n_trials) for seed in (0, 1))

        assert (first != other) is self.is_seeded

    def test_what_is_pending_is_not_suggested_again(self) -> None:
        """Trials that run side by side try different things."""
        proposer = self.proposer()
        self.asked(proposer, self.n_trials // 2)

        pending = [proposer.ask(number) for number in range(self.n_trials // 2, self.n_trials)]

        assert all(params not in pending[:place] for place, params in enumerate(pending))

    def test_losses_in_any_order_give_the_same_next_suggestions(self) -> None:
        """Which trials are pending and which losses were told is all that counts."""
        if not self.is_independent_of_order:
            pytest.skip("this proposer learns in the order in which it is told")
        suggestions = self.asked(self.proposer(), self.n_trials)
        n_told = self.n_trials // 2

        found = []
        for order in (range(n_told), random.Random(0).sample(range(n_told), n_told)):
            proposer = self.proposer()
            for number in range(n_told + 2):
                proposer.adopt(number, suggestions[number])
            for number in order:
                proposer.tell(number, _loss(number, suggestions[number]))
            found.append([proposer.ask(number) for number in range(n_told + 2, n_told + 6)])

        assert found[0] == found[1]

    def test_a_trial_that_said_nothing_leaves_no_trace(self) -> None:
        """Its host broke: its params are neither good nor bad."""
        if not self.forgets:
            pytest.skip("this proposer remembers what was tried")
        number = self.n_trials // 2

        found = []
        for lost in self.asked(RandomProposer(self.space, seed=7), 2):
            proposer = self.proposer()
            self.asked(proposer, number)
            proposer.adopt(number, lost)
            proposer.tell(number, None)
            found.append([proposer.ask(later) for later in range(number + 1, number + 4)])

        assert found[0] == found[1]

    def test_trials_from_elsewhere_are_taken_up(self) -> None:
        """Given points, and the trials of a record that another proposer had made."""
        proposer = self.proposer()
        given = [self.space.default(), *self.asked(RandomProposer(self.space, seed=7), self.n_trials // 2)]
        for number, params in enumerate(given):
            proposer.adopt(number, params)
            proposer.tell(number, _loss(number, params))

        suggestion = proposer.ask(len(given))

        assert suggestion is not None
        assert suggestion == self.space.complete(suggestion)

    def test_earlier_runs_are_taken_under_numbers_below_zero(self) -> None:
        """A warm start: told before the first suggestion, and the same ones give the same suggestions."""
        earlier = self.asked(RandomProposer(self.space, seed=7), self.n_trials // 2)

        found = []
        for _ in range(2):
            proposer = self.proposer()
            for number, params in enumerate(earlier, start=-len(earlier)):
                proposer.adopt(number, params)
                proposer.tell(number, _loss(-number, params))
            found.append([proposer.ask(number) for number in range(3)])

        assert found[0] == found[1]
        assert all(params is not None and params == self.space.complete(params) for params in found[0])

    def test_it_goes_on_where_nothing_is_ever_told(self) -> None:
        """Every trial fails before the first one has measured anything: all of them stay pending."""
        proposer = self.proposer()

        suggestions = [proposer.ask(number) for number in range(self.n_trials)]

        assert all(params is not None and params == self.space.complete(params) for params in suggestions)

    def test_once_exhausted_it_stays_so(self) -> None:
        """After a crash too; one that is never exhausted repeats itself within the space."""
        sweep = self.scripted(None, SMALL).finish()
        again = self.scripted(None, SMALL).replay(sweep.lines)

        assert sweep.suggestions
        assert all(params == SMALL.complete(params) for params in sweep.suggestions)
        assert not again.step()
        assert sweep.lines == crashing(lambda: self.scripted(None, SMALL)).lines

    @pytest.mark.parametrize("lag", [None, 7])
    def test_a_crash_after_every_event_changes_nothing(self, lag: int | None) -> None:
        """A fresh proposer that is shown the record goes on as the lost one would have, to the last bit."""
        undisturbed = self.scripted(lag).finish()

        crashed = crashing(lambda: self.scripted(lag))

        assert self.n_trials == len(undisturbed.suggestions)
        assert undisturbed.lines == crashed.lines

    def test_after_one_crash_all_goes_on_as_if_undisturbed(self) -> None:
        """However long the sweep goes on without another."""
        undisturbed = self.scripted().finish()
        n_lines = len(undisturbed.lines)

        for cut in random.Random(0).sample(range(n_lines), 6):
            crashed = self.scripted().replay(undisturbed.lines[:cut]).finish()

            assert undisturbed.lines == crashed.lines, f"cut after {cut} of {n_lines} lines"

    def proposer(self, *, seed: int = 0, space: Space | None = None) -> Proposer:
        """A fresh one."""
        return self.make(space or self.space, seed=seed, n_trials=self.n_trials)

    def scripted(self, lag: int | None = None, space: Space | None = None) -> ScriptedSweep:
        """A sweep in which much goes wrong, with a fresh proposer."""
        return ScriptedSweep(
            self.proposer(space=space),
            space or self.space,
            n_trials=self.n_trials,
            concurrency=self.concurrency,
            lag=lag,
            seed=0,
        )

    @staticmethod
    def asked(proposer: Proposer, n_trials: int) -> Sequence[Params]:
        """What is suggested when every trial has ended before the next one is asked for."""
        suggestions = []
        for number in range(n_trials):
            params = proposer.ask(number)
            if params is None:
                break
            suggestions.append(params)
            proposer.tell(number, _loss(number, params))
        return suggestions


def _states() -> tuple[object, ...]:
    """Of the process's own generators."""
    return random.getstate(), pickle.dumps(np.random.get_state())


def _loss(number: int, params: Params) -> float:
    numbers = [float(value) for value in params.values() if isinstance(value, int | float)]
    return sum(map(abs, numbers)) + random.Random(number).gauss(0, 0.1)


def _through_the_ledger(params: Params) -> Params:
    entry = decode(encode(TrialProposed(AT, 0, 0, "scripted-0-0", params, ())))
    return entry.params if isinstance(entry, TrialProposed) else {}
