"""What proposers promise: complete params within the space, the same again for the same seed, points first."""

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.dimensions import contains, nested
from raysweep.search.draw import RandomProposer
from raysweep.search.grid import GridProposer, grid_size
from raysweep.search.model import ModelProposer
from raysweep.search.optuna_tpe import OptunaModel
from raysweep.search.propose import make_proposer
from raysweep.search.tpe import HyperOptModel
from raysweep.space import Branch, Choice, Fixed, Integer, LogUniform, QUniform, Space, SpaceError, Uniform

SPACE = Space(
    {
        "lr": LogUniform("loguniform", 1e-5, 1e-1),
        "targets": Choice("choice", (("q", "v"), ("q", "k", "v", "o"), None)),
        "epochs": Integer("integer", 1, 3),
        "rank": Integer("integer", 1, 64, log=True),
        "dropout": QUniform("quniform", 0.1, 0.3, 0.1),
        "batch": Fixed(8),
        "loss": Branch(
            "branch",
            {
                "cross_entropy": {"strength": Uniform("uniform", 0.0, 1.0)},
                "squared": {"strength": Uniform("uniform", 5.0, 6.0), "head": Choice("choice", ("linear", "mlp"))},
            },
        ),
    }
)
DISCRETE = Space(
    {
        "rank": Choice("choice", (4, 8)),
        "dropout": QUniform("quniform", 0.0, 0.2, 0.1),
        "loss": Branch("branch", {"a": {"x": Integer("integer", 1, 2)}, "b": {"y": 1}}),
    }
)


def proposes_by(model):
    """A maker of proposers by this model."""
    return lambda space, *, seed, n_start: ModelProposer(model(space, seed=seed), space, seed=seed, n_start=n_start)


MODELS = pytest.mark.parametrize(
    "model", [proposes_by(HyperOptModel), proposes_by(OptunaModel)], ids=["hyperopt", "optuna"]
)


def is_within(space, params):
    return params == space.complete(params)


def loss_of(params):
    return math.log10(params["lr"] / 1e-3) ** 2 + (params["loss"] == "squared")


def asked(proposer, n_trials, loss=loss_of):
    """Ask and tell in turn."""
    found = []
    for number in range(n_trials):
        params = proposer.ask(number)
        if params is None:
            break
        found.append(params)
        proposer.tell(number, loss(params))
    return found


@pytest.mark.parametrize("kind", ["hyperopt", "optuna", "random"])
def test_every_suggestion_is_complete_and_within_the_space(kind):
    proposer = make_proposer(kind, SPACE, seed=3, n_trials=45)

    suggestions = asked(proposer, 45)

    assert len(suggestions) == 45
    assert all(is_within(SPACE, params) for params in suggestions)
    assert {type(params["epochs"]) for params in suggestions} == {int}
    assert {params["loss"] for params in suggestions} == {"cross_entropy", "squared"}


@pytest.mark.parametrize("kind", ["hyperopt", "optuna", "random"])
def test_the_same_seed_and_the_same_losses_give_the_same_suggestions(kind):
    first = asked(make_proposer(kind, SPACE, seed=3, n_trials=30), 30)
    again = asked(make_proposer(kind, SPACE, seed=3, n_trials=30), 30)
    other = asked(make_proposer(kind, SPACE, seed=4, n_trials=30), 30)

    assert first == again
    assert first[1:] != other[1:]


@pytest.mark.parametrize("kind", ["hyperopt", "optuna", "random"])
def test_both_ends_of_whole_numbers_and_multiples_are_suggested(kind):
    space = Space(
        {
            "epochs": Integer("integer", 1, 3),
            "rank": Integer("integer", 1, 4, log=True),
            "q": SPACE.dimensions["dropout"],
        }
    )

    suggestions = asked(make_proposer(kind, space, seed=0, n_trials=40), 40, loss=lambda params: 0.1 * params["epochs"])

    assert {params["epochs"] for params in suggestions} == {1, 2, 3}
    assert {params["rank"] for params in suggestions} == {1, 2, 3, 4}
    assert {params["q"] for params in suggestions} == {0.1, 0.2, 0.3}


def test_whole_numbers_are_equally_likely_at_random():
    proposer = RandomProposer(Space({"epochs": Integer("integer", 1, 4)}), seed=0)

    counts = [0, 0, 0, 0]
    for number in range(2000):
        counts[proposer.ask(number)["epochs"] - 1] += 1

    assert all(abs(count - 500) < 100 for count in counts)


def test_the_default_comes_first_then_the_given_points_completed():
    points = [{"loss": "squared", "strength": 5.5}, {"lr": 1e-2}, SPACE.default()]

    suggestions = asked(make_proposer("hyperopt", SPACE, seed=0, n_trials=12, points=points), 12)

    assert suggestions[0] == SPACE.default()
    assert suggestions[1] == SPACE.complete({"loss": "squared", "strength": 5.5})
    assert suggestions[1]["head"] == "linear"
    assert suggestions[2] == SPACE.complete({"lr": 1e-2})
    assert suggestions[3] != SPACE.default()


def test_the_default_can_be_left_out():
    proposer = make_proposer("random", SPACE, seed=0, n_trials=5, default_first=False)

    assert proposer.ask(0) == RandomProposer(SPACE, seed=0).ask(0)


def test_a_point_outside_the_space_is_refused_before_anything_is_asked():
    with pytest.raises(SpaceError, match="lr: 3 is not in loguniform"):
        make_proposer("hyperopt", SPACE, seed=0, n_trials=5, points=[{"lr": 3}])


@pytest.mark.parametrize("kind", ["hyperopt", "optuna"])
def test_a_model_learns_from_given_points(kind):
    good = [{"lr": 2e-2, "loss": "squared", "strength": 5.2}, {"lr": 1e-2, "loss": "squared", "strength": 5.3}]
    bad = [{"lr": 10 ** -(5 - k / 4)} for k in range(8)]
    proposer = make_proposer(kind, SPACE, seed=0, n_trials=30, points=bad + good, default_first=False)
    for number in range(10):
        proposer.tell(number, 0.0 if proposer.ask(number)["loss"] == "squared" else 1.0 + number)

    suggestions = []
    for number in range(10, 30):
        suggestions.append(proposer.ask(number))
        proposer.tell(number, None)

    assert sum(params["loss"] == "squared" for params in suggestions) >= 15
    assert sum(params["lr"] > 1e-3 for params in suggestions) >= 15


@pytest.mark.parametrize("kind", ["hyperopt", "optuna"])
def test_the_random_start_is_a_third_of_the_trials_at_most(kind):
    random = asked(RandomProposer(SPACE, seed=5), 30)

    suggestions = asked(make_proposer(kind, SPACE, seed=5, n_trials=30, default_first=False), 30)

    assert suggestions[:10] == random[:10]
    assert all(ours != drawn for ours, drawn in zip(suggestions[10:], random[10:], strict=True))


@MODELS
def test_a_trial_that_says_nothing_is_forgotten(model):
    known, lost = (model(SPACE, seed=0, n_start=4) for _ in range(2))
    asked(known, 12)
    asked(lost, 12)
    extra = RandomProposer(SPACE, seed=99).ask(0)

    lost.adopt(99, extra)
    lost.tell(99, None)

    assert lost.ask(12) == known.ask(12)


@MODELS
def test_pending_trials_are_taken_into_account(model):
    alone, beside = (model(SPACE, seed=0, n_start=4) for _ in range(2))
    asked(alone, 12)
    asked(beside, 12)

    suggestion = alone.ask(12)
    beside.adopt(99, suggestion)

    assert beside.ask(12) != suggestion


@MODELS
def test_asking_without_any_result_falls_back_to_random(model):
    proposer = model(SPACE, seed=0, n_start=2)

    suggestions = [proposer.ask(number) for number in range(8)]

    assert suggestions == [RandomProposer(SPACE, seed=0).ask(number) for number in range(8)]


@MODELS
@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_refused(loss, model):
    proposer = model(SPACE, seed=0, n_start=2)
    proposer.ask(0)

    with pytest.raises(ValueError, match=r"trial 0: the loss .* is not finite"):
        proposer.tell(0, loss)


@MODELS
def test_adopt_and_tell_in_another_order_rebuild_the_proposer(model):
    original, rebuilt = (model(SPACE, seed=7, n_start=5) for _ in range(2))
    suggestions = asked(original, 20)

    for number in range(20):
        rebuilt.adopt(number, suggestions[number])
    for number in Random(0).sample(range(20), 20):
        rebuilt.tell(number, loss_of(suggestions[number]))

    assert [rebuilt.ask(number) for number in range(20, 26)] == [original.ask(number) for number in range(20, 26)]


@MODELS
def test_a_small_space_is_not_suggested_twice_while_there_is_something_new(model):
    space = Space({"rank": Choice("choice", (1, 2, 4, 8, 16, 32)), "top": Choice("choice", (1, 2, 3))})
    proposer = model(space, seed=0, n_start=3)

    suggestions = asked(proposer, 12, loss=lambda params: params["rank"])

    assert len({tuple(params.items()) for params in suggestions[3:]}) == 9


@pytest.mark.parametrize("kind", ["hyperopt", "optuna"])
def test_a_space_without_anything_to_search_gives_its_one_point(kind):
    space = Space({"rank": Fixed(4), "targets": Choice("choice", ("qv",))})

    suggestions = asked(make_proposer(kind, space, seed=0, n_trials=6), 6, loss=lambda params: 0.0)

    assert suggestions == [{"rank": 4, "targets": "qv"}] * 6


def test_the_grid_holds_every_combination_once_and_ends():
    suggestions = asked(GridProposer(DISCRETE), 100, loss=lambda params: 0.0)

    assert len(suggestions) == grid_size(DISCRETE) == 2 * 3 * (2 + 1)
    assert len({tuple(sorted(params.items())) for params in suggestions}) == len(suggestions)
    assert all(is_within(DISCRETE, params) for params in suggestions)


def test_the_grid_does_not_repeat_the_points_that_came_first():
    proposer = make_proposer("grid", DISCRETE, seed=0, n_trials=100, points=[{"loss": "b"}])

    suggestions = asked(proposer, 100, loss=lambda params: 0.0)

    assert suggestions[0] == DISCRETE.default()
    assert len(suggestions) == grid_size(DISCRETE)


def test_a_grid_refuses_a_continuous_dimension_by_name():
    with pytest.raises(SpaceError, match=r"space.loss.branches.a.x: uniform 0 to 1 is continuous"):
        GridProposer(Space({"loss": Branch("branch", {"a": {"x": Uniform("uniform", 0.0, 1.0)}})}))


def test_a_grid_with_points_spaces_them_evenly_up_to_the_ends():
    space = Space({"lr": LogUniform("loguniform", 1e-4, 1e-2), "x": Uniform("uniform", 0.0, 1.0)})

    suggestions = asked(GridProposer(space, points=3), 100, loss=lambda params: 0.0)

    assert sorted({params["lr"] for params in suggestions}) == pytest.approx([1e-4, 1e-3, 1e-2])
    assert sorted({params["x"] for params in suggestions}) == [0.0, 0.5, 1.0]
    assert len(suggestions) == 9


NUMBERS = st.one_of(
    st.builds(lambda low, width: Uniform("uniform", low, low + width), st.floats(-5, 5), st.floats(0.1, 5)),
    st.builds(lambda low, factor: LogUniform("loguniform", low, low * factor), st.floats(1e-6, 1), st.floats(1.5, 1e4)),
    st.builds(
        lambda low, steps, step: QUniform("quniform", low * step, (low + steps) * step, step),
        st.integers(-4, 4),
        st.integers(1, 9),
        st.sampled_from([0.1, 0.25, 3.0]),
    ),
    st.builds(
        lambda low, width, log: Integer("integer", low, low + width, log=log),
        st.integers(1, 9),
        st.integers(1, 300),
        st.booleans(),
    ),
)
LEAVES = NUMBERS | st.lists(st.integers(), min_size=1, max_size=4, unique=True).map(
    lambda v: Choice("choice", tuple(v))
)


@settings(max_examples=12, deadline=None)
@given(
    inner=st.lists(st.dictionaries(st.sampled_from("xyz"), LEAVES, max_size=2), min_size=1, max_size=3),
    outer=st.dictionaries(st.sampled_from("abc"), LEAVES, max_size=2),
    seed=st.integers(0, 2**32),
)
def test_any_space_is_proposed_within(inner, outer, seed):
    space = Space(outer | {"kind": Branch("branch", {f"b{place}": branch for place, branch in enumerate(inner)})})
    chance = Random(seed)

    for kind in ("random", "hyperopt", "optuna"):
        suggestions = asked(make_proposer(kind, space, seed=seed, n_trials=6), 8, loss=lambda _: chance.random())

        for params in suggestions:
            assert is_within(space, params)
            taken = nested(space.dimensions["kind"], params["kind"])
            assert params.keys() == outer.keys() | {"kind"} | taken.keys()
            assert all(contains(dimension, params[name]) for name, dimension in taken.items())


@pytest.mark.parametrize("model", ["hyperopt", "optuna"])
def test_a_model_beats_random_on_a_noisy_peak(model):
    space = Space(
        {
            "lr": LogUniform("loguniform", 3e-5, 5e-2),
            "rank": Choice("choice", (4, 8, 16, 32)),
            "dropout": Uniform("uniform", 0.0, 0.3),
        }
    )

    def last_third(kind, seed):
        chance = Random(f"{kind} {seed}")

        def loss(params):
            off_peak = math.log10(params["lr"] / 2e-3) ** 2
            effects = 0.01 * math.log2(params["rank"]) - 0.3 * (params["dropout"] - 0.1) ** 2
            return 0.08 * off_peak - effects + chance.gauss(0, 0.01)

        suggestions = asked(make_proposer(kind, space, seed=seed, n_trials=60), 60, loss)
        return sum(map(loss, suggestions[-20:])) / 20

    wins = sum(last_third(model, seed) < last_third("random", seed) for seed in range(6))

    assert wins >= 5


def test_a_random_start_is_a_third_of_the_sweep_at_most():
    space = Space({"x": Uniform("uniform", 0.0, 1.0)})

    def asked(random_start, n_trials=12):
        proposer = make_proposer(
            "hyperopt", space, seed=0, n_trials=n_trials, default_first=False, random_start=random_start
        )
        params = []
        for number in range(n_trials):
            params.append(proposer.ask(number))
            proposer.tell(number, params[-1]["x"])
        return params

    random = [RandomProposer(space, seed=0).ask(number) for number in range(12)]
    assert random[:4] == asked(None)[:4]
    assert random[4] != asked(None)[4]
    assert asked(None) == asked(100)
    assert random[2] != asked(2)[2]
