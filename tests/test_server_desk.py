"""The life of a job, without a server: every race is a call in another order."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.server import happenings as on
from raysweep.server.chatfile import ChatFile, read_chats, words_of
from raysweep.server.desk import Naming, NotNow, apply, opened
from raysweep.server.fields import Fields
from raysweep.server.orders import Rules, parse_order
from raysweep.server.records import Job, JobError, Order, Plan, Status
from raysweep.server.refusal import Refusal
from raysweep.server.synthetic import Pace, SyntheticEngine, ceiling, curve

NAMING = Naming()
PLAN = Plan(
    hyperparameters={"n_epochs": 2, "batch_size": 4, "learning_rate_multiplier": 1.8},
    n_examples=20,
    steps_per_epoch=5,
    n_steps=10,
    tokens_per_epoch=100,
    labels=("1", "2"),
    has_validation=True,
)
SNAPSHOTS = tuple(on.Snapshot(step, f"at {step}") for step in (5, 10))
HAPPENINGS = (
    on.Validated(PLAN),
    on.Began(),
    on.Stepped(1, {"train_loss": 1.0}),
    on.Stepped(5, {"train_loss": 0.5, "full_valid_loss": 0.6}),
    on.Stepped(10, {"train_loss": 0.4}),
    on.Finished(SNAPSHOTS),
    on.Held(on.Snapshot(5, "held")),
    on.Broke(JobError("server_error", "broken")),
    on.CancelAsked(),
    on.PauseAsked(),
    on.ResumeAsked(),
)


def new_job():
    order = Order("gpt-4.1-mini-2025-04-14", "file-a", 1, {"n_epochs": "auto"}, suffix="mine")
    return opened(Job("ftjob-1", 1, 0.0, order)).job


def after(*happenings):
    job = new_job()
    for at_s, what in enumerate(happenings, start=1):
        job = apply(job, what, float(at_s), NAMING).job
    return job


RUNNING = (on.Validated(PLAN), on.Began(), on.Stepped(5, {"train_loss": 0.5, "full_valid_loss": 0.6}))


def test_a_job_that_is_left_alone_succeeds():
    change = apply(after(*RUNNING, on.Stepped(10, {"train_loss": 0.4})), on.Finished(SNAPSHOTS), 9.0, NAMING)

    assert (Status.SUCCEEDED, 200, 9.0) == (change.job.status, change.job.trained_tokens, change.job.finished_at_s)
    assert change.job.model == change.models[-1].name
    assert [5, 10] == [one.measures.step for one in change.checkpoints]
    assert 0.6 == change.checkpoints[0].measures.values["full_valid_loss"]


def test_a_cancelled_job_counts_the_tokens_that_it_was_trained_on():
    assert 100 == after(*RUNNING, on.CancelAsked()).trained_tokens


def test_a_second_cancel_changes_nothing_and_says_nothing():
    cancelled = after(*RUNNING, on.CancelAsked())

    change = apply(cancelled, on.CancelAsked(), 99.0, NAMING)

    assert (cancelled, ()) == (change.job, change.events)


def test_a_finish_that_comes_after_a_cancel_changes_nothing():
    cancelled = after(*RUNNING, on.CancelAsked())

    assert cancelled == apply(cancelled, on.Finished(SNAPSHOTS), 9.0, NAMING).job


def test_a_cancel_that_comes_after_a_finish_is_not_now():
    done = after(*RUNNING, on.Finished(SNAPSHOTS))

    with pytest.raises(NotNow, match="already completed with status succeeded"):
        apply(done, on.CancelAsked(), 9.0, NAMING)


def test_a_job_that_finishes_while_it_is_to_pause_has_succeeded():
    assert Status.SUCCEEDED is after(*RUNNING, on.PauseAsked(), on.Finished(SNAPSHOTS)).status


def test_a_step_that_was_reported_before_is_not_logged_again():
    job = after(*RUNNING)

    assert () == apply(job, on.Stepped(5, {"train_loss": 0.5}), 9.0, NAMING).events


def test_a_pause_holds_and_a_resume_goes_on_from_the_step():
    paused = after(*RUNNING, on.PauseAsked(), on.Held(on.Snapshot(5, "held")))
    resumed = apply(apply(paused, on.ResumeAsked(), 8.0, NAMING).job, on.Began(), 9.0, NAMING).job

    assert (Status.PAUSED, Status.RUNNING, 5) == (paused.status, resumed.status, resumed.started_step)


def test_only_a_running_job_with_a_step_pauses():
    with pytest.raises(NotNow, match="at least one step"):
        apply(after(on.Validated(PLAN), on.Began()), on.PauseAsked(), 9.0, NAMING)


@given(st.lists(st.sampled_from(HAPPENINGS), max_size=12))
def test_whatever_happens_nothing_follows_an_end_and_the_log_only_grows(happenings):
    job = new_job()
    ends, ids = [], []
    for at_s, what in enumerate(happenings):
        try:
            change = apply(job, what, float(at_s), NAMING)
        except NotNow:
            continue
        ids += [event.id for event in change.events]
        assert change.job.step >= job.step
        if job.status.is_final:
            ends.append(change)
            assert change.job == job
        job = change.job
    assert len(set(ids)) == len(ids)
    assert all(change.events == () for change in ends)
    assert (job.finished_at_s is not None) is job.status.is_final
    assert (job.model is not None) is (job.status is Status.SUCCEEDED)


def test_a_checkpoints_name_cannot_be_derived_from_the_models():
    job = new_job()

    assert NAMING.model(job).startswith("ft:gpt-4.1-mini-2025-04-14:raysweep:mine:")
    assert NAMING.model(job).split(":")[-1] not in NAMING.model(job, 5)


def test_a_file_is_refused_at_the_line_that_breaks_a_rule():
    good = b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}\n'
    bad = {
        b"{": "not valid JSON",
        b'{"prompt": "a"}': "messages",
        good.replace(b'"user"', b'"person"').strip(): "invalid role 'person'",
        good.replace(b'"assistant"', b'"user"').strip(): "must be from the assistant",
        good.replace(b'"b"', b'"b","weight":0').strip(): "weight 0",
        good.replace(b'"a"', b'""').strip(): "non-empty",
    }
    for line, words in bad.items():
        found = read_chats(good * 10 + line)

        assert isinstance(found, JobError)
        assert "Line 11" in found.message
        assert words in found.message


def test_a_file_may_begin_with_a_byte_order_mark_and_have_empty_lines():
    good = b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}\n\n'

    assert isinstance(read_chats(b"\xef\xbb\xbf" + good * 10), ChatFile)


@given(st.text())
def test_words_put_together_are_the_text(text):
    assert text == "".join(words_of(text))


def test_lora_settings_are_taken_only_by_a_host_that_is_not_strict():
    method = {"type": "supervised", "supervised": {"hyperparameters": {"lora_r": 8, "learning_rate": 1e-4}}}
    fields = Fields({"model": "m", "training_file": "f", "method": method})

    order = parse_order(fields, Rules(is_strict=False), seed=1)

    assert (8, "auto") == (order.hyperparameters["lora_r"], order.hyperparameters["n_epochs"])
    with pytest.raises(Refusal, match="Unknown parameter"):
        parse_order(fields, Rules(), seed=1)


def test_the_synthetic_curve_is_best_near_its_best_multiplier_and_rises():
    def at(multiplier):
        return {"n_epochs": 3, "batch_size": 8, "learning_rate_multiplier": multiplier}

    assert ceiling(at(1.8)) > max(ceiling(at(0.1)), ceiling(at(50)))
    assert curve(at(1.8), 1) < curve(at(1.8), 2) < curve(at(1.8), 3)


@given(started_at_s=st.floats(1.7e9, 1.9e9), epoch_s=st.sampled_from([0.05, 0.4, 0.7, 2.0]))
def test_no_rounding_of_times_loses_a_jobs_last_step(started_at_s, epoch_s):
    plan = replace(PLAN, steps_per_epoch=9, n_steps=18)
    job = replace(after(*RUNNING), plan=plan, step=0, started_at_s=started_at_s)
    engine = SyntheticEngine(Pace(epoch_s=epoch_s))

    found = [one.report for one in engine.reports(job, engine.ends_at_s(job))]

    assert [*range(1, 19)] == [one.step for one in found[:-1]]
    assert isinstance(found[-1], on.Finished)
