"""Slots, numbers, what the proposer is told, and that a record rebuilds it all."""

import math
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from raysweep.goal import Goal
from raysweep.jobs import Outcome
from raysweep.search.history import Done, History, Suggestion, Wait, told
from raysweep.search.propose import make_proposer
from raysweep.space import Choice, LogUniform, Space

GOAL = Goal("f1", "max")
SPACE = Space({"lr": LogUniform("loguniform", 1e-5, 1e-1), "rank": Choice("choice", (4, 8, 16))})


@dataclass
class Scribe:
    """A proposer that writes down what it is told, and ends after `n_params`."""

    n_params: int = 1000
    told: dict[int, float | None] = field(default_factory=dict)
    pending: set[int] = field(default_factory=set)

    def ask(self, number):
        if number >= self.n_params:
            return None
        self.adopt(number, {})
        return {"x": number}

    def adopt(self, number, params):
        self.pending.add(number)

    def tell(self, number, loss):
        self.pending.remove(number)
        self.told[number] = loss


def history_of(proposer, *, n_trials=20, concurrency=2, lag=None):
    return History(proposer, GOAL, n_trials=n_trials, concurrency=concurrency, lag=lag)


def value_of(params):
    return 0.5 - 0.1 * math.log10(params["lr"] / 1e-3) ** 2


@pytest.mark.parametrize(
    ("outcome", "losses", "worst", "expected"),
    [
        (Outcome.COMPLETED, [0.9, 0.3], 0.9, 0.3),
        (Outcome.COMPLETED, [0.9, math.nan], 0.9, 0.9),
        (Outcome.PRUNED, [0.7], 0.9, 0.7),
        (Outcome.PRUNED, [], 0.9, 0.9),
        (Outcome.PRUNED, [], None, None),
        (Outcome.FAILED, [0.1], 0.9, 0.9),
        (Outcome.ERRORED, [0.1], 0.9, None),
        (Outcome.CANCELLED, [0.1], 0.9, None),
    ],
)
def test_what_the_proposer_is_told(outcome, losses, worst, expected):
    assert told(outcome, losses, worst) == expected


def test_slots_are_filled_and_freed():
    history = history_of(Scribe())

    first, second, third = history.ask(), history.ask(), history.ask()
    history.end(first.number, Outcome.ERRORED)
    fourth = history.ask()

    assert (first, second, third) == (Suggestion(0, {"x": 0}), Suggestion(1, {"x": 1}), Wait())
    assert fourth == Suggestion(2, {"x": 2})
    assert [trial.number for trial in history.running] == [1, 2]


def test_it_is_done_after_the_last_trial_an_empty_proposer_or_closing():
    counted, exhausted, closed = history_of(Scribe(), n_trials=1), history_of(Scribe(n_params=1)), history_of(Scribe())

    assert [counted.ask(), counted.ask()] == [Suggestion(0, {"x": 0}), Done()]
    assert [exhausted.ask(), exhausted.ask(), exhausted.ask()] == [Suggestion(0, {"x": 0}), Done(), Done()]
    closed.close()
    assert closed.ask() == Done()


def test_a_second_end_and_a_late_evaluation_change_nothing():
    scribe = Scribe()
    history = history_of(scribe)
    history.ask()
    history.record(0, 0.4, 1.0)
    history.end(0, Outcome.COMPLETED)

    history.record(0, 0.9, 2.0)
    history.end(0, Outcome.FAILED)

    assert scribe.told == {0: -0.4}


@pytest.mark.parametrize("act", [lambda h: h.end(3, Outcome.FAILED), lambda h: h.record(3, 0.5, 1.0)])
def test_a_trial_that_was_never_asked_for_is_a_mistake(act):
    with pytest.raises(ValueError, match="trial 3 was never asked for"):
        act(history_of(Scribe()))


def test_a_trial_that_failed_before_anything_was_measured_is_told_later():
    scribe = Scribe()
    history = history_of(scribe)
    history.ask()
    history.ask()

    history.end(0, Outcome.FAILED)
    assert (scribe.told, scribe.pending) == ({}, {0, 1})
    history.record(1, 0.2, 1.0)
    history.record(1, 0.6, 2.0)
    history.end(1, Outcome.COMPLETED)

    assert (scribe.told, scribe.pending) == ({0: -0.2, 1: -0.6}, set())


def test_ordered_shows_exactly_the_trials_before_the_lag():
    scribe = Scribe()
    history = history_of(scribe, concurrency=4, lag=4)
    for _ in range(4):
        history.ask()
    for number in (3, 2, 1):
        history.record(number, number / 10, 1.0)
        history.end(number, Outcome.COMPLETED)

    assert history.ask() == Suggestion(4, {"x": 4})
    assert history.ask() == Wait()
    assert scribe.told == {}
    history.record(0, 0.9, 1.0)
    history.end(0, Outcome.COMPLETED)

    assert history.ask() == Suggestion(5, {"x": 5})
    assert list(scribe.told.items()) == [(0, -0.9)]
    assert history.ask() == Suggestion(6, {"x": 6})
    assert list(scribe.told.items()) == [(0, -0.9), (1, -0.1)]


OUTCOMES = st.sampled_from(list(Outcome))


def run_in_some_order(history, chance, outcomes):
    """Trials end in an order drawn by `chance`; what each gives depends on its params and number alone."""
    suggestions = []
    while True:
        answer = history.ask()
        if isinstance(answer, Suggestion):
            suggestions.append(answer)
        elif isinstance(answer, Wait) or history.running:
            ending = chance.choice(history.running)
            history.record(ending.number, value_of(ending.params), 1.0)
            history.end(ending.number, outcomes[ending.number])
        else:
            return suggestions


@settings(max_examples=8, deadline=None)
@given(orders=st.tuples(st.randoms(use_true_random=False), st.randoms(use_true_random=False)), data=st.data())
def test_ordered_suggestions_do_not_depend_on_the_order_of_arrival(orders, data):
    outcomes = data.draw(st.lists(OUTCOMES, min_size=14, max_size=14))
    lag = data.draw(st.integers(3, 9))

    one, other = (
        run_in_some_order(
            history_of(make_proposer("hyperopt", SPACE, seed=0, n_trials=14), n_trials=14, concurrency=4, lag=lag),
            order,
            outcomes,
        )
        for order in orders
    )

    assert len(one) == 14
    assert one == other


def test_unordered_suggestions_do_depend_on_it():
    outcomes = [Outcome.COMPLETED] * 30

    runs = [
        run_in_some_order(
            history_of(make_proposer("hyperopt", SPACE, seed=0, n_trials=30), n_trials=30, concurrency=4),
            Random(order),
            outcomes,
        )
        for order in (1, 2)
    ]

    assert runs[0][:10] == runs[1][:10]
    assert runs[0] != runs[1]


@settings(max_examples=10, deadline=None)
@given(cut=st.integers(0, 60), lag=st.sampled_from([None, 3, 5]), seed=st.integers(0, 5))
def test_a_replayed_record_gives_the_same_later_suggestions(cut, lag, seed):
    chance = Random(seed)
    outcomes = [chance.choice(list(Outcome)) for _ in range(16)]
    original, rebuilt = (
        history_of(make_proposer("hyperopt", SPACE, seed=1, n_trials=16), n_trials=16, concurrency=3, lag=lag)
        for _ in range(2)
    )

    for _ in range(cut):
        answer = original.ask()
        if isinstance(answer, Suggestion):
            rebuilt.adopt(answer.number, answer.params)
        elif original.running:
            ending = chance.choice(original.running)
            for history in (original, rebuilt):
                history.record(ending.number, value_of(ending.params), 1.0)
                history.end(ending.number, outcomes[ending.number])

    assert rebuilt.running == original.running
    orders = Random(9), Random(9)
    assert run_in_some_order(rebuilt, orders[0], outcomes) == run_in_some_order(original, orders[1], outcomes)


def test_a_record_with_a_gap_is_refused():
    with pytest.raises(ValueError, match="trial 1 is out of order; the record goes on with trial 0"):
        history_of(Scribe()).adopt(1, {})


@pytest.mark.parametrize("bad", [{"concurrency": 0}, {"lag": -1}])
def test_settings_under_which_nothing_could_start_are_refused(bad):
    with pytest.raises(ValueError):
        history_of(Scribe(), **bad)


class Slots(RuleBasedStateMachine):
    """Whatever happens, no slot is lost and none is given twice."""

    def __init__(self):
        super().__init__()
        self.scribe = Scribe(n_params=25)
        self.history = history_of(self.scribe, n_trials=30, concurrency=3)
        self.live: set[int] = set()
        self.n_asked = 0

    @rule()
    def ask(self):
        answer = self.history.ask()
        if len(self.live) < 3 and self.n_asked < 25:
            assert answer == Suggestion(self.n_asked, {"x": self.n_asked})
            self.live.add(self.n_asked)
            self.n_asked += 1
        else:
            assert isinstance(answer, Wait | Done)

    @precondition(lambda self: self.n_asked)
    @rule(pick=st.randoms(use_true_random=False), outcome=OUTCOMES)
    def end(self, pick, outcome):
        number = pick.randrange(self.n_asked)
        self.history.end(number, outcome)
        self.live.discard(number)

    @precondition(lambda self: self.n_asked)
    @rule(pick=st.randoms(use_true_random=False), value=st.floats(-1, 1) | st.sampled_from([math.nan, math.inf]))
    def record(self, pick, value):
        self.history.record(pick.randrange(self.n_asked), value, 1.0)

    @invariant()
    def slots_are_those_of_live_trials(self):
        assert {trial.number for trial in self.history.running} == self.live
        assert self.live <= self.scribe.pending
        assert all(loss is None or math.isfinite(loss) for loss in self.scribe.told.values())


Slots.TestCase.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
test_no_sequence_of_events_loses_a_slot = Slots.TestCase
