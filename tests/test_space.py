"""What a space is, what it refuses, and how it completes points."""

import pytest

from raysweep.dimensions import contains, default_value, multiples, quantised
from raysweep.space import (
    Branch,
    Choice,
    Fixed,
    Integer,
    LogUniform,
    QUniform,
    Space,
    SpaceError,
    Uniform,
)

LOSS = Branch("branch", {"cross_entropy": {"smoothing": Uniform("uniform", 0.0, 0.2)}, "squared": {"warmup": 0.1}})


def test_the_default_takes_every_dimensions_own_default():
    space = Space(
        {
            "lr": LogUniform("loguniform", 1e-4, 1e-2),
            "rank": Choice("choice", (8, 4)),
            "dropout": QUniform("quniform", 0.0, 0.4, 0.1),
            "epochs": Integer("integer", 1, 4),
            "layers": Integer("integer", 1, 100, log=True),
            "decay": Uniform("uniform", 0.0, 1.0, default=0.1),
            "batch": Fixed(16),
            "loss": LOSS,
        }
    )

    params = space.default()

    assert params["lr"] == pytest.approx(1e-3)
    del params["lr"]
    assert params == {
        "rank": 8,
        "dropout": 0.2,
        "epochs": 2,
        "layers": 10,
        "decay": 0.1,
        "batch": 16,
        "loss": "cross_entropy",
        "smoothing": 0.1,
    }


def test_a_partial_point_is_completed_within_its_branch():
    space = Space({"loss": LOSS, "rank": Choice("choice", (4, 8))})

    assert space.complete({"loss": "squared"}) == {"loss": "squared", "warmup": 0.1, "rank": 4}


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"loss": "squared", "smoothing": 0.1}, "smoothing: no such dimension with these choices"),
        ({"rang": 4}, "rang: no such dimension"),
        ({"rank": 5}, "rank: 5 is not in choice of 4, 8"),
        ({"loss": "hinge"}, "loss: 'hinge' is not in branch of cross_entropy, squared"),
        ({"smoothing": float("nan")}, "smoothing: nan is not in uniform 0 to 0.2"),
    ],
)
def test_a_point_outside_the_space_is_refused_by_name(point, message):
    space = Space({"loss": LOSS, "rank": Choice("choice", (4, 8))})

    with pytest.raises(SpaceError) as refusal:
        space.complete(point)

    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("dimension", "message"),
    [
        (Choice("choice", ()), "an empty choice"),
        (Choice("choice", (1, 2, 1)), "a value stands twice"),
        (Branch("branch", {}), "no branches"),
        (Uniform("uniform", 2.0, 1.0), "low 2 is not below high 1; swap them"),
        (Uniform("uniform", 1.0, 1.0), "write the value itself"),
        (Uniform("uniform", 0.0, float("inf")), "is not finite"),
        (LogUniform("loguniform", 0.0, 1.0), "must lie above zero, not start at 0"),
        (Integer("integer", 0, 8, log=True), "must lie above zero, not start at 0"),
        (QUniform("quniform", 0.0, 1.0, 0.0), "step 0 does not fit"),
        (QUniform("quniform", 0.0, 1.0, float("nan")), "step nan does not fit"),
        (QUniform("quniform", 0.05, 0.16, 0.1), "fewer than two multiples"),
        (Integer("integer", 1, 8, default=9), "the default 9 is not in integer 1 to 8"),
    ],
)
def test_a_dimension_that_cannot_be_searched_is_refused_with_its_place(dimension, message):
    with pytest.raises(SpaceError) as refusal:
        Space({"loss": Branch("branch", {"a": {"x": dimension}})})

    assert str(refusal.value).startswith("space.loss.branches.a.x: ")
    assert message in str(refusal.value)


def test_sibling_branches_may_share_a_name():
    space = Space({"loss": Branch("branch", {"a": {"x": 1}, "b": {"x": 2}})})

    assert space.complete({"loss": "b"}) == {"loss": "b", "x": 2}


@pytest.mark.parametrize(
    "dimensions",
    [
        {"loss": Branch("branch", {"a": {"x": 1}}), "x": Fixed(2)},
        {"x": Fixed(2), "loss": Branch("branch", {"a": {"x": 1}})},
        {"loss": Branch("branch", {"a": {"loss": 1}})},
        {"one": Branch("branch", {"a": {"x": 1}}), "two": Branch("branch", {"b": {"x": 2}})},
        {"one": Branch("branch", {"a": {"deep": Branch("branch", {"b": {"x": 1}})}}), "x": Fixed(2)},
    ],
)
def test_a_name_that_could_stand_twice_in_one_trial_is_refused(dimensions):
    with pytest.raises(SpaceError, match="the same name stands outside this branch"):
        Space(dimensions)


@pytest.mark.parametrize(
    ("dimension", "varies"),
    [
        (Fixed(1), False),
        (Choice("choice", (1,)), False),
        (Choice("choice", (1, 2)), True),
        (Branch("branch", {"a": {"x": 1}}), False),
        (Branch("branch", {"a": {"x": Choice("choice", (1, 2))}}), True),
        (Branch("branch", {"a": {}, "b": {}}), True),
    ],
)
def test_a_space_is_searchable_when_something_varies(dimension, varies):
    assert Space({"x1": dimension}).is_searchable is varies


def test_multiples_reach_both_ends_in_spite_of_binary_fractions():
    tenths = QUniform("quniform", 0.1, 0.3, 0.1)

    assert multiples(tenths) == (1, 3)
    assert [quantised(place, tenths) for place in (0.0, 0.16, 0.3, 9.0)] == [0.1, 0.2, 0.3, 0.3]
    assert contains(tenths, 0.3)
    assert not contains(tenths, 0.25)


def test_a_range_that_begins_beside_a_multiple_holds_it():
    space = Space({"dropout": QUniform("quniform", 3 * 0.1, 0.4, 0.1)})

    assert space.complete({"dropout": 0.3}) == {"dropout": 0.3}
    for value in (0.2, 0.5, float("nan"), float("inf"), True, "0.3"):
        assert not contains(space.dimensions["dropout"], value)


def test_a_boolean_is_no_number():
    assert not contains(Integer("integer", 0, 4), True)
    assert not contains(Uniform("uniform", 0.0, 4.0), True)


def test_names_are_listed_once_in_the_order_written():
    space = Space({"loss": Branch("branch", {"a": {"x": 1}, "b": {"x": 2, "y": 3}}), "z": Fixed(0)})

    assert space.names() == ("loss", "x", "y", "z")
    assert default_value(Fixed((1, 2))) == (1, 2)


def test_searched_names_leave_out_what_is_fixed():
    inner = {"x": Uniform("uniform", 0.0, 1.0), "y": 3}
    space = Space({"a": Fixed(1), "b": Branch("branch", {"one": inner, "two": {"x": Uniform("uniform", 1.0, 2.0)}})})

    assert ("b", "x") == space.searched()


def test_the_point_is_found_again_among_a_trainers_defaults():
    space = Space({"loss": LOSS, "rank": Choice("choice", (4, 8)), "targets": Fixed(("q", "v"))})
    defaults = {"smoothing": 0.05, "warmup": 0.0, "rank": 16, "epochs": 3, "targets": None}

    for point in ({"loss": "squared"}, {"loss": "cross_entropy", "smoothing": 0.1, "rank": 8}):
        complete = space.complete(point)

        assert space.project({**defaults, **complete}) == complete
        assert list(space.project({**defaults, **complete})) == list(complete)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"loss": "squared", "rank": 4}, "warmup: has no value in these params; it must be in fixed 0.1"),
        ({"loss": "squared", "warmup": 0.2, "rank": 4}, "warmup: 0.2 is not in fixed 0.1"),
        ({"loss": "cross_entropy", "smoothing": 0.3, "rank": 4}, "smoothing: 0.3 is not in uniform 0 to 0.2"),
        ({"loss": "hinge", "rank": 4}, "loss: 'hinge' is not in branch of cross_entropy, squared"),
        ({"loss": "squared", "warmup": 0.1}, "rank: has no value in these params; it must be in choice of 4, 8"),
    ],
)
def test_params_of_another_space_are_refused_by_name(params, message):
    space = Space({"loss": LOSS, "rank": Choice("choice", (4, 8))})

    with pytest.raises(SpaceError) as refusal:
        space.project(params)

    assert message == str(refusal.value)
