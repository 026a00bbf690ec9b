import io
import json
import logging
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from scripted_sweep import (
    SETTING,
    START,
    accepted,
    at,
    ended,
    evaluated,
    finals,
    proposed,
    started,
    sweep,
    whole_trial,
)

from raysweep.clock import SimulatedClock
from raysweep.encoding import decode
from raysweep.entries import FinalScored, SweepEnded, TrialInterrupted
from raysweep.errors import Fault
from raysweep.jobs import Outcome
from raysweep.state import SweepState, fold
from raysweep.views.frame import frame
from raysweep.views.pace import left_s, running, savings
from raysweep.views.summary import summary
from raysweep.views.terminal import LiveView, make_view
from raysweep.views.view import FanOut
from raysweep.views.words import about, elapsed, heading, headings, metric, param, tokens


def text_of(renderable, width=120):
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(renderable)
    return console.file.getvalue()


def played(mode, entries, **console):
    """What a mode's view writes for the entries."""
    stream = io.StringIO()
    view = make_view(mode, SETTING, SimulatedClock(start=START), Console(file=stream, width=160, **console))
    state = SweepState()
    for entry in entries:
        state = state.apply(entry)
        view.show(entry, state)
    view.close(state)
    return stream.getvalue()


def live(trials, ended_before=4):
    """A state with so many running trials, each evaluated."""
    entries = [started(200)]
    for number in range(ended_before):
        entries += whole_trial(number, 0.4, number)
    for number in range(ended_before, ended_before + trials):
        entries += [proposed(number, 10), accepted(number, 10), evaluated(number, 1.0, 0.3 + number / 1000, 12)]
    return fold(entries)


@settings(max_examples=40, deadline=None)
@given(width=st.integers(60, 200), height=st.integers(24, 60), trials=st.integers(1, 20))
def test_every_metric_of_every_trial_shown_is_on_the_frame_at_any_size(width, height, trials):
    state = live(trials)

    text = text_of(frame(state, SETTING, at(15), width, height), width)

    shown = [trial for trial in state.trials.values() if trial.outcome is None and f"#{trial.number} " in text]
    missing = [
        (trial.number, name)
        for trial in shown
        for name, value in trial.last.metrics.items()
        if metric(name, value) not in text
    ]
    left_out = f"{trials - len(shown)} more running" in text
    assert shown
    assert missing == []
    assert left_out == (len(shown) < trials)


@settings(max_examples=40, deadline=None)
@given(width=st.integers(76, 200), height=st.integers(24, 60), trials=st.integers(0, 20), before=st.integers(0, 6))
def test_a_frame_fits_the_terminal(width, height, trials, before):
    lines = text_of(frame(live(trials, before), SETTING, at(15), width, height), width).splitlines()

    assert len(lines) <= height
    assert max(map(len, lines)) <= width


def test_a_frame_with_a_notice_shows_it_and_still_fits():
    text = text_of(frame(live(8, 4), replace(SETTING, notice="A rehearsal: no money is paid"), at(15), 100, 24), 100)

    assert "A rehearsal: no money is paid" in text
    assert len(text.splitlines()) < 24


def test_a_frame_before_the_first_entry_is_a_word():
    assert "waiting" in text_of(frame(SweepState(), SETTING, at(0), 80, 24))


def test_a_frame_shows_rungs_outcomes_reasons_and_the_best():
    text = text_of(frame(fold(sweep()), SETTING, at(17), 160, 40), 160)

    assert "5 of 24 ended" in text
    assert "1 running, 2 completed, 1 pruned, 1 failed, 1 errored" in text
    assert "rung 0.5: below the best third" in text
    assert "the loss is not a number [/red]" in text
    assert "★ #1" in text
    assert next(line.split()[:3] for line in text.splitlines() if "#5 " in line) == ["#5", "0.5/3", "1.5"]


def test_there_is_no_guess_at_the_time_left_before_three_trials_ended():
    entries = [started(), *whole_trial(0, 0.4), *whole_trial(1, 0.4, 6)]

    assert left_s(fold(entries), SETTING, at(12)) is None
    assert left_s(fold([*entries, *whole_trial(2, 0.4, 12)]), SETTING, at(18)) is not None


def test_trials_of_equal_length_give_the_exact_time_left():
    entries = [started(10)]
    for pair in range(2):
        entries += [*whole_trial(2 * pair, 0.4, 6 * pair), *whole_trial(2 * pair + 1, 0.4, 6 * pair)]

    assert left_s(fold(entries), SETTING, at(12)) == pytest.approx(6 * 6 / SETTING.concurrency)


def test_early_stops_do_not_promise_an_early_end():
    entries = [started(4), proposed(0), *(one for n in (1, 2, 3) for one in whole_trial(n, 0.2, n, 1, 0.5))]

    assert left_s(fold(entries), SETTING, at(60)) >= 6


def test_a_trial_that_nothing_can_stop_runs_to_its_budget():
    entries = [started(4), *(one for n in (1, 2, 3) for one in whole_trial(n, 0.2, n, 1, 0.5))]
    entries += [proposed(0, 10), evaluated(0, 1.5, 0.5, 20)]

    assert left_s(fold(entries), SETTING, at(20)) == pytest.approx(10)


def test_pruned_trials_save_the_rest_of_their_budgets():
    state = fold([started(), *whole_trial(0, 0.4), *whole_trial(1, 0.2, 6, 1, 0.5, outcome=Outcome.PRUNED)])

    saved = savings(state, SETTING)

    # 1000 tokens an epoch, a budget of three.
    assert saved.trained_tokens == 3000 + 500
    assert saved.saved_tokens == 2500
    assert saved.share == pytest.approx(2500 / 6000)


def test_plain_writes_a_line_a_trial_and_the_final_block():
    text = played("plain", [*sweep(), *finals()])

    lines = text.splitlines()
    assert lines[0].startswith("raysweep reviews abcd1234: 24 trials, 2 at once on a Ray cluster")
    assert [line for line in lines if line.startswith("[")] == [
        "[1/24] trial 0 completed at epoch 3, val_f1_weighted 0.410 (best)",
        "[2/24] trial 1 completed at epoch 3, val_f1_weighted 0.520 (best)",
        "[3/24] trial 2 pruned at epoch 0.5, val_f1_weighted 0.210: rung 0.5: below the best third (best: 0.520)",
        "[4/24] trial 3 failed: the loss is not a number [/red] (best: 0.520)",
        "[5/24] trial 4 errored: the actor died out of memory (best: 0.520)",
    ]
    assert "\x1b" not in text
    assert "Best: trial 1" in text


def test_quiet_writes_failures_and_the_final_block():
    before, _, block = played("quiet", [*sweep(), *finals()]).partition("\n\n")

    assert [line.split(":")[0] for line in before.splitlines()] == ["[4/24] trial 3 failed", "[5/24] trial 4 errored"]
    assert "Best: trial 1" in block


def test_json_writes_the_entries_and_nothing_else():
    entries = [*sweep(), *finals()]

    lines = played("json", entries).splitlines()

    assert [decode(line) for line in lines] == entries
    assert json.loads(lines[0])["entry"] == "SweepStarted"


@pytest.mark.parametrize(("is_terminal", "expected"), [(True, True), (False, False)])
def test_auto_is_live_on_a_terminal_only(is_terminal, expected):
    console = Console(file=io.StringIO(), force_terminal=is_terminal)

    assert isinstance(make_view("auto", SETTING, SimulatedClock(), console), LiveView) is expected


def test_live_draws_at_most_twice_a_second_and_catches_up_by_ticking():
    stream, clock = io.StringIO(), SimulatedClock(start=START)
    view = LiveView(SETTING, clock, Console(file=stream, width=120, height=30, force_terminal=True))
    first, second = fold([started()]), fold([started(), proposed(0)])

    view.show(started(), first)
    drawn = len(stream.getvalue())
    view.show(proposed(0), second)
    clock.advance_to(0.4)
    view.tick()
    throttled = len(stream.getvalue())
    clock.advance_to(0.6)
    view.tick()

    assert drawn == throttled
    assert "1 running" in stream.getvalue()[throttled:]


def test_closing_twice_prints_one_final_block_and_a_late_tick_draws_nothing():
    stream = io.StringIO()
    state = fold([*sweep(), *finals()])
    view = LiveView(SETTING, SimulatedClock(start=START), Console(file=stream, width=120, force_terminal=True))
    view.show(started(), state)

    view.close(state)
    length = len(stream.getvalue())
    view.close(state)
    view.tick()

    assert len(stream.getvalue()) == length
    assert stream.getvalue().count("tensorboard --logdir") == 1


def test_the_final_block_sets_the_best_beside_the_baseline():
    text = text_of(summary(fold([*sweep(), *finals()]), SETTING, 120))

    rows = {line[:11].strip(): line.split() for line in text.splitlines()}
    assert rows["validation"][1:3] == ["0.520", "0.521"]
    assert rows["test"][1:3] == ["0.497", "0.513"]
    assert rows["test TF-IDF"][2:4] == ["0.401", "0.422"]
    assert "logistic regression" in text
    assert "learning_rate=0.002 rank=8" in text
    assert "tensorboard --logdir runs/abcd1234/tensorboard" in text
    assert 'raysweep.load("runs/abcd1234").trials' in text


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_final_block_has_every_metric_at_any_width(width):
    state = fold([*sweep(), *finals()])
    text = text_of(summary(state, SETTING, width), width)

    missing = [
        name
        for trial in (0, 1)
        for name, value in state.trials[trial].last.metrics.items()
        if metric(name, value) not in text
    ]
    assert missing == []
    assert max(map(len, text.splitlines())) <= width


def test_a_sweep_without_a_completed_trial_says_so_and_why():
    entries = [started(), proposed(0), ended(0, Outcome.FAILED, reason="learning rate too high"), proposed(1)]

    text = text_of(summary(fold(entries), SETTING, 120))

    assert "no trial completed" in text
    assert "learning rate too high" in text


def test_a_sweep_that_never_started_has_a_final_block_too():
    assert "nothing was run" in text_of(summary(SweepState(), SETTING, 80))


class Failing:
    def __init__(self):
        self.calls = 0

    def show(self, entry, state):
        self.calls += 1
        raise OSError("no space left")

    def tick(self):
        raise OSError("no space left")

    def close(self, state):
        raise OSError("no space left")


class Counting:
    def __init__(self):
        self.calls = []

    def show(self, entry, state):
        self.calls.append("show")

    def tick(self):
        self.calls.append("tick")

    def close(self, state):
        self.calls.append("close")


def test_a_view_that_raises_is_logged_once_and_the_others_go_on(caplog):
    failing, counting = Failing(), Counting()
    view = FanOut([failing, counting])

    with caplog.at_level(logging.ERROR):
        view.show(started(), fold([started()]))
        view.show(started(), fold([started()]))
        view.tick()
        view.close(fold([started()]))

    assert counting.calls == ["show", "show", "tick", "close"]
    assert failing.calls == 2
    assert [record.message for record in caplog.records] == [
        "Failing failed; the sweep goes on, further failures are not logged"
    ]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (metric("val_mse", 1.23456), "1.235"),
        (metric("val_mse", None), "-"),
        (metric("val_n_predicted_labels", 5.0), "5"),
        (metric("val_qwk", -0.0123), "-0.012"),
        (metric("train_loss", 1e-7), "1.0e-07"),
        (param(("q", "v")), "q,v"),
        (param(0.00247551), "0.00248"),
        (param("two\nlines"), "two lines"),
        (param(True), "True"),
        (param(None), "-"),
        (tokens(1_234_000), "1.2M"),
        (tokens(52_000), "52k"),
        (elapsed(3800), "1:03:20"),
        (about(20), "less than a minute"),
        (about(7800), "about 2 h 10 min"),
        (heading("learning_rate"), "learning\nrate"),
        (heading("rank"), "rank"),
        (headings(["val_loss", "loss"]), {"val_loss": "val\nloss", "loss": "loss"}),
    ],
)
def test_words(said, expected):
    assert said == expected


def test_two_hundred_trials_fold_fast_and_draw_fast():
    entries = [started(200)]
    for number in range(200):
        entries += whole_trial(number, 0.3 + number / 1000, number, 10, 10.0)
    entries += [one for number in range(200, 208) for one in (proposed(number, 300), evaluated(number, 1.0, 0.4, 301))]

    began = time.process_time()
    state = fold(entries)
    folded_s = time.process_time() - began
    began = time.process_time()
    text = text_of(frame(state, SETTING, at(310), 160, 50), 160)
    drawn_s = time.process_time() - began

    # Measured: .05 s and .02 s; the bounds leave room for a slow machine.
    assert len(text.splitlines()) > 20
    assert folded_s < 1.0
    assert drawn_s < 0.25


def test_a_trial_that_waits_for_a_further_attempt_says_how_long_and_why():
    lost = TrialInterrupted(at(8), 0, 1, Fault.HOST, "its process died", wait_s=20.0)
    state = fold([started(4), proposed(0), evaluated(0, 0.5, 0.3, 8), proposed(1, 1), lost])

    text = text_of(frame(state, SETTING, at(11), 100, 40), 100)

    assert "1 running, 1 waiting" in text
    assert "#0 goes on in 17 s  host: its process died" in text
    assert [1] == [trial.number for trial in running(state)]


def test_many_waiting_trials_leave_room_for_the_running_ones():
    entries = [started(40)]
    for trial in range(20):
        entries += [proposed(trial), TrialInterrupted(at(8), trial, 1, Fault.HOST, "its process died", wait_s=20.0)]
    state = fold([*entries, proposed(20), evaluated(20, 0.5, 0.3, 8)])

    lines = text_of(frame(state, SETTING, at(11), 100, 24), 100).splitlines()

    assert len(lines) <= 24
    assert any("#20" in line for line in lines)
    assert "1 running, 20 waiting" in "\n".join(lines)


def test_the_summary_says_when_the_test_split_has_scored_several_winners():
    once = [started(2), *whole_trial(0, 0.4), FinalScored(at(9), "best", 0, "test", {"test_accuracy": 0.3})]
    twice = [*once, *whole_trial(1, 0.6, 10), FinalScored(at(30), "best", 1, "test", {"test_accuracy": 0.5})]

    assert "no longer quite unseen" not in text_of(summary(fold(once), SETTING, 120))
    assert "has scored 2 winners of this sweep" in text_of(summary(fold(twice), SETTING, 120))


def test_trials_that_only_their_sweeps_end_cancelled_have_not_ended():
    entries = [started(3), *whole_trial(0, 0.4), *whole_trial(1, 0.2, 6, 1, 0.5, outcome=Outcome.CANCELLED)]
    entries += [SweepEnded(at(20), "interrupted by SIGINT", "SIGINT")]

    assert "1 of 3 trials ended in 0:20, 1 can go on" in text_of(summary(fold(entries), SETTING, 120))
