"""What hosts say of steps, epochs and labels, however they say it."""

import base64
import math

import pytest

from raysweep.dimensions import ParamValue
from raysweep.scoring import Prediction
from raysweep.task import Prompt
from raysweep.testing.toy_data import TOY_SPLITS, TOY_TASK
from raysweep.trainers.hosted import Answer, Point, Token
from raysweep.trainers.wire_curve import Curve
from raysweep.trainers.wire_data import chat_file, check_rows, tokens_of
from raysweep.trainers.wire_labels import place_of, read
from raysweep.trainers.wire_metrics import point_of, read_result

CSV = "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n1,1.5,0.5,,\n2,0.5,0.75,0.7,-1.0\n"


def test_an_event_is_a_point_and_a_message_is_none():
    data: dict[str, object] = {"step": 100, "total_steps": 300, "train_loss": 0.6, "full_valid_loss": 0.7}

    assert Point(100, 300, train_loss=0.6, full_valid_loss=0.7) == point_of(data)
    assert point_of({}, "Fine-tuning job started") is None
    assert Point(10, 300, train_loss=1.02) == point_of({}, "Step 10/300: training loss=1.02")
    nan = point_of({"step": 3, "train_loss": None}, "Step 3/9: training loss=nan")
    assert nan is not None
    assert math.isnan(nan.train_loss or 0)


def test_words_tell_the_two_validation_losses_apart():
    words = "Step 9/9: training loss=0.61, validation loss=0.77, full validation loss=0.74"

    assert Point(9, 9, train_loss=0.61, valid_loss=0.77, full_valid_loss=0.74) == point_of({}, words)


@pytest.mark.parametrize("content", [CSV.encode(), b"\xef\xbb\xbf" + CSV.encode(), base64.b64encode(CSV.encode())])
def test_a_result_file_is_read_plain_with_a_mark_or_in_base64(content):
    points = read_result(content)

    assert (Point(1, train_loss=1.5, train_accuracy=0.5), 2) == (points[0], len(points))
    assert (0.7, None) == (points[1].valid_loss, points[1].valid_accuracy)


@pytest.mark.parametrize("content", [b"", b"<html>", base64.b64encode(b"hello"), b"\xff\xfe\x00"])
def test_what_is_no_result_file_has_no_points(content):
    assert () == read_result(content)


def curve(*points, n_epochs=3, batch_size=None):
    made = Curve(n_epochs=n_epochs, n_train=100, batch_size=batch_size)
    made.add(points)
    return made


def test_points_in_any_order_and_repeated_make_one_curve():
    ends = [Point(step, 30, full_valid_loss=1 / step) for step in (10, 20, 30)]

    made = curve(ends[2], ends[0], ends[1], ends[0], Point(10, 30, train_loss=0.3))

    assert [10, 20, 30] == [made.end_of(epoch).step for epoch in (1, 2, 3)]
    assert 0.3 == made.end_of(1).train_loss
    assert 3.0 == made.epoch()


def test_an_epochs_end_that_was_never_told_is_filled_from_elsewhere_or_its_nearest():
    made = curve(Point(9, 30, valid_loss=0.9), Point(20, 30, full_valid_loss=0.5, train_loss=0.4))

    assert made.end_of(1) is None
    assert made.has_passed(1)
    assert 9 == made.nearest(1).step
    made.add([Point(10, full_valid_loss=0.8), Point(20, full_valid_loss=9.9)], fill=True)
    assert (0.8, 0.5) == (made.end_of(1).full_valid_loss, made.end_of(2).full_valid_loss)


def test_checkpoints_alone_make_a_curve_once_the_job_is_over():
    made = curve(*[Point(step, full_valid_loss=0.1) for step in (7, 14, 21)])

    assert made.end_of(1) is None
    made.settle()
    assert [7, 14, 21] == [made.end_of(epoch).step for epoch in (1, 2, 3)]


def test_a_loss_that_is_no_number_or_stays_high_has_diverged_and_a_hard_batch_has_not():
    falling = [Point(step, 99, train_loss=2.0 / step) for step in range(1, 30)]
    high = [Point(step, 99, train_loss=3.1) for step in range(30, 45)]

    assert curve(*falling).diverged() is None
    assert curve(*falling, Point(30, 99, train_loss=9.0)).diverged() is None
    assert "3.1 at step 39, 2 at the first" in curve(*falling, *high).diverged().words
    assert "nan at step 31" in curve(*falling, Point(31, 99, train_loss=math.nan)).diverged().words


def test_where_a_training_was_lost_does_not_depend_on_when_somebody_looks():
    points = [Point(1, 99, train_loss=1.0), *(Point(step, 99, train_loss=3.1) for step in range(2, 60))]

    assert {11} == {curve(*points[:n]).diverged().step for n in range(11, 59)}


def answer(*places):
    return Answer(
        places[0][0][0], tuple(Token(at[0][0], tuple((text, math.log(p)) for text, p in at)) for at in places)
    )


def test_labels_of_one_token_share_the_probability():
    reading = read(answer([("1", 0.6), (" 2", 0.2), ("one", 0.1), ("x", 0.05)]), ("1", "2"))

    assert pytest.approx(0.8) == reading.coverage
    assert pytest.approx((0.75, 0.25)) == reading.prediction.probabilities


def test_labels_that_begin_alike_are_followed_to_where_they_part():
    said = answer([("very", 0.9), ("fair", 0.1)], [(" good", 0.7), (" bad", 0.3)])

    reading = read(said, ("very good", "very bad", "fair"))

    assert pytest.approx((0.63, 0.27, 0.1)) == reading.prediction.probabilities


def test_a_label_that_begins_another_is_told_by_what_follows():
    said = answer([("1", 0.9), ("2", 0.1)], [("0", 0.25), ("\n", 0.75)])

    assert pytest.approx((0.675, 0.1, 0.225)) == read(said, ("1", "2", "10")).prediction.probabilities


def test_a_label_that_no_token_begins_gets_a_floor_below_all():
    probabilities = read(answer([("1", 0.9), ("x", 0.01)]), ("1", "2")).prediction.probabilities

    assert pytest.approx(1.0) == sum(probabilities)
    assert 0 < probabilities[1] < 0.01


def test_without_probabilities_only_the_text_is_left():
    assert Prediction(None, text="2") == read(Answer("2"), ("1", "2")).prediction
    reading = read(answer([("sure", 0.9)]), ("1", "2"))
    assert (None, 0.0) == (reading.prediction.probabilities, reading.coverage)


@pytest.mark.parametrize(
    ("text", "place"), [(" Yes ", 1), ("yes", 0), ("NO", 2), ("YES", None), ("yes.", None), ("", None)]
)
def test_a_text_is_a_labels_word_but_for_spaces_and_for_case_where_that_leaves_no_doubt(text, place):
    assert place == place_of(text, ("yes", "Yes", "no"))


def test_equal_rows_and_prompts_make_one_file_and_others_another():
    rows = TOY_SPLITS.train

    one, same = chat_file(rows, Prompt(), TOY_TASK), chat_file(rows, Prompt(), TOY_TASK)
    other = chat_file(rows, Prompt(system="Rate it."), TOY_TASK)

    assert one == same
    assert one.name != other.name
    assert len(rows) == len(one.content.splitlines())
    assert b'{"role": "system", "content": "Rate it."}' in other.content
    assert tokens_of(rows, Prompt(), TOY_TASK) < tokens_of(rows, Prompt(system="Rate it."), TOY_TASK)


def test_too_few_rows_are_refused_before_they_are_sent():
    from raysweep.errors import DataError

    with pytest.raises(DataError, match="6 validation rows; a host wants 10"):
        check_rows(TOY_SPLITS.train, TOY_SPLITS.test)


def test_params_are_whole_where_they_count_and_left_out_where_the_host_chooses():
    from raysweep.trainers.dialects import DIALECTS
    from raysweep.trainers.wire_params import wire_params

    params: dict[str, ParamValue] = {"n_epochs": 3.0, "batch_size": None, "learning_rate_multiplier": 0.5, "model": "m"}

    assert {"n_epochs": 3, "learning_rate_multiplier": 0.5} == wire_params(params, DIALECTS["openai"].params)
