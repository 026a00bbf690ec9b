"""Tasks, prompts, and an example as the model sees it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.task import Example, Message, Prompt, Rendered, Task, TaskKind, infer_labels, render, words_of

STARS = Task(TaskKind.RATING, ("1", "2", "3"))
CHAT = Example(
    (Message("system", "be brief"), Message("user", "hello"), Message("assistant", "hi"), Message("user", "good?")),
    "2",
    is_chat=True,
)


def pair(text: str, label: str = "2") -> Example:
    return Example((Message("user", text),), label)


def test_a_rating_of_numbers_takes_them_as_values():
    assert Task(TaskKind.RATING, ("-1", "0.5", "10")).values == (-1.0, 0.5, 10.0)


def test_a_rating_of_words_counts_from_zero():
    assert Task(TaskKind.RATING, ("bad", "fair", "good")).values == (0.0, 1.0, 2.0)


def test_a_classification_has_no_values():
    assert Task(TaskKind.CLASSIFICATION, ("1", "2")).values == ()


@pytest.mark.parametrize(
    ("kind", "labels", "values", "message"),
    [
        ("classification", ("a",), (), "at least two"),
        ("classification", ("a", "b", "a"), (), "'a' is there twice"),
        ("classification", ("a", " "), (), "one is empty"),
        ("classification", ("a", "b"), (1.0, 2.0), "a classification has none"),
        ("rating", ("a", "b"), (1.0,), "1 for 2 labels"),
        ("rating", ("a", "b"), (2.0, 1.0), "ascending"),
        ("rating", ("a", "b"), (1.0, float("nan")), "finite"),
        ("rating", ("3", "2"), (), "ascending"),
    ],
)
def test_what_makes_no_task_is_refused_with_its_reason(kind, labels, values, message):
    with pytest.raises(ValueError, match=message):
        Task(TaskKind(kind), labels, values)


def test_labels_are_inferred_by_number_where_all_are_numbers():
    assert infer_labels(["10", "9", "9", "-1"]) == ("-1", "9", "10")


def test_labels_are_inferred_by_alphabet_where_one_is_a_word():
    assert infer_labels(["10", "9", "none"]) == ("10", "9", "none")


def test_a_pair_is_rendered_with_template_system_and_word():
    prompt = Prompt("Rate {this}: {prompt}\nStars:", system="You rate.", label_words=("poor", "fair", "good"))

    rendered = render(pair("a {prompt} of braces {}"), prompt, STARS)

    user = "Rate {this}: a {prompt} of braces {}\nStars:"
    expected = Rendered(
        messages=(Message("system", "You rate."), Message("user", user)),
        text=f"You rate.\n\n{user}",
        completion="fair",
        is_chat=False,
    )
    assert expected == rendered


def test_a_chat_gets_the_template_on_its_last_user_turn_only():
    rendered = render(CHAT, Prompt("Q: {prompt}"), STARS)

    assert [turn.content for turn in rendered.messages] == ["be brief", "hello", "hi", "Q: good?"]
    assert rendered.is_chat


def test_a_system_message_replaces_the_rows_own():
    rendered = render(CHAT, Prompt(system="be long"), STARS)

    assert [turn.content for turn in rendered.messages if turn.role == "system"] == ["be long"]


def test_an_empty_system_message_takes_the_rows_own_away():
    assert render(CHAT, Prompt(system=""), STARS).messages == CHAT.messages[1:]


@given(text=st.text(min_size=1), before=st.text(), after=st.text())
def test_whatever_the_text_holds_it_arrives_unchanged(text, before, after):
    rendered = render(pair(text), Prompt(before.replace("{prompt}", "") + "{prompt}" + after), STARS)

    assert text in rendered.text


def test_a_template_without_its_place_is_refused():
    with pytest.raises(ValueError, match=r"no \{prompt\}"):
        Prompt("Rate this: {text}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("a", "b"), "2 words for 3 labels"),
        (("a", "b", " a"), "two labels share a word"),
        (("a", "b", ""), "a word is empty"),
    ],
)
def test_words_that_do_not_tell_labels_apart_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        words_of(Prompt(label_words=words), STARS)


def test_a_label_that_is_not_the_tasks_cannot_be_rendered():
    with pytest.raises(ValueError, match="not in tuple"):
        render(pair("text", "9"), Prompt(), STARS)
