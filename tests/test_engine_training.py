"""The loop's numbers: against a plain one, over a resume, with and without the prefix cache."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from engine_toys import PARAMS, TASK, at_attempt, example, refs, run_to_end, save_toy_model, spec, splits, trainer
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModel, AutoTokenizer

from raysweep.engine.batches import by_length, epoch_order
from raysweep.engine.job import STATE
from raysweep.engine.loop import Training
from raysweep.engine.quiet import quietly
from raysweep.errors import DiskError, Fault, JobFailed
from raysweep.task import Message


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    with quietly():
        return save_toy_model(tmp_path_factory.mktemp("encoder"), "encoder")


@pytest.fixture(scope="module")
def causal(tmp_path_factory) -> Path:
    with quietly():
        return save_toy_model(tmp_path_factory.mktemp("causal"), "causal")


def _plain_losses(model: Path, n_steps: int) -> list[float]:
    """peft, a head and AdamW, as anybody would write them; batches padded to a fixed length, linear decay."""
    torch.manual_seed(7)
    with quietly():
        base = AutoModel.from_pretrained(model)
        config = LoraConfig(r=4, lora_alpha=8, target_modules=["query", "value"], layers_to_transform=[2, 3])
        adapted = get_peft_model(base, config)
    head = nn.Linear(32, 3)
    adapted.eval()
    trainable = [one for one in (*adapted.parameters(), *head.parameters()) if one.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=1e-2, weight_decay=0.0)
    tokenizer, train = AutoTokenizer.from_pretrained(model), splits().train
    texts = [one.messages[0].content for one in train]
    lengths = torch.tensor([len(tokenizer(text).input_ids) for text in texts], dtype=torch.int32)
    order = [rows for epoch in range(2) for rows in epoch_order(lengths, 4, seed=7, epoch=epoch)]
    losses = []
    for step, rows in enumerate(order[:n_steps]):
        batch = tokenizer([texts[row] for row in rows], padding="max_length", max_length=32, return_tensors="pt")
        hidden = adapted(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
        pooled = torch.stack([one[mask.bool()].mean(0) for one, mask in zip(hidden, batch.attention_mask, strict=True)])
        loss = nn.functional.cross_entropy(head(pooled), torch.tensor([TASK.index(train[row].label) for row in rows]))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trainable, 1.0)
        optimizer.param_groups[0]["lr"] = 1e-2 * ((step + 1) if step < 1 else 1 - (step - 1) / (n_steps - 1))
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_the_loss_curve_is_that_of_a_plain_peft_loop(encoder, tmp_path):
    at = tuple((step + 1) / 7 for step in range(14))  # 26 rows in batches of 4: 7 steps an epoch

    evaluations, _ = run_to_end(trainer(encoder, tmp_path).submit(spec(tmp_path / "job", at), refs()))

    losses = [one.metrics["train_loss"] for one in evaluations]
    assert losses == pytest.approx(_plain_losses(encoder, 14), abs=1e-5)


@pytest.mark.parametrize("family", ["encoder", "causal"])
def test_the_prefix_cache_changes_no_number(family, request, tmp_path):
    model = request.getfixturevalue(family)
    cached = trainer(model, tmp_path / "cache").submit(spec(tmp_path / "a"), refs())
    whole = trainer(model, tmp_path / "cache", prefix_cache_gb=0).submit(spec(tmp_path / "b"), refs())

    with_cache, without = run_to_end(cached)[0], run_to_end(whole)[0]

    assert len(list((tmp_path / "cache" / "prefix").glob("*.safetensors"))) == 2
    for one, other in zip(with_cache, without, strict=True):
        assert one.metrics == pytest.approx(other.metrics, abs=1e-5)


@pytest.mark.parametrize("family", ["encoder", "causal"])
def test_a_job_cancelled_in_the_middle_of_an_epoch_goes_on_with_the_same_numbers(family, request, tmp_path):
    work = trainer(request.getfixturevalue(family), tmp_path / "cache")
    whole = spec(tmp_path / "whole", dropout=0.1)
    parted = replace(whole, folder=tmp_path / "parted")
    straight, end = run_to_end(work.submit(whole, refs()))

    first = work.submit(parted, refs())
    for _ in range(3):  # a time-out of nothing lets each call do one step
        assert first.advance(0.0).evaluation is None
    first.cancel()
    stopped = first.advance(60.0)
    torch.rand(3)  # what else the process draws must not matter
    resumed, resumed_end = run_to_end(work.submit(at_attempt(parted, 1), refs()))

    assert stopped.epoch == pytest.approx(3 / 7)
    assert resumed == straight
    assert (resumed_end.epoch, resumed_end.trained_tokens) == (end.epoch, end.trained_tokens)
    ours, theirs = (load_file(folder / STATE) for folder in (whole.folder, parted.folder))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_dropout_changes_the_training_but_not_what_the_first_state_answers(encoder, tmp_path):
    work = trainer(encoder, tmp_path / "cache")
    at = (1 / 7, 1.0)

    without = run_to_end(work.submit(spec(tmp_path / "a", at), refs()))[0]
    dropped = run_to_end(work.submit(spec(tmp_path / "b", at, dropout=0.5), refs()))[0]

    assert without[0].metrics["train_loss"] == dropped[0].metrics["train_loss"]  # B is zero before the first step
    assert without[1].metrics["train_loss"] != dropped[1].metrics["train_loss"]


def test_a_job_hands_out_what_is_not_on_record_wherever_it_was_made(encoder, tmp_path):
    work, one = trainer(encoder, tmp_path), spec(tmp_path / "job")
    whole, end = run_to_end(work.submit(one, refs()))

    for n_known in range(4):
        kept = replace(at_attempt(one, 1), n_evaluations=n_known)
        assert (whole[n_known:], end) == run_to_end(work.submit(kept, refs()))
    lost = replace(at_attempt(one, 2), n_evaluations=2, folder=tmp_path / "anew")
    again, end_again = run_to_end(work.submit(lost, refs()))

    assert whole[2:] == again
    assert (end.epoch, end.trained_tokens) == (end_again.epoch, end_again.trained_tokens)


def test_a_job_that_is_done_is_final_at_once_without_a_model_in_memory(encoder, tmp_path):
    one = spec(tmp_path / "job")
    _, end = run_to_end(trainer(encoder, tmp_path).submit(one, refs()))
    (encoder / "model.safetensors").rename(encoder / "away")

    try:
        again = trainer(encoder, tmp_path).submit(replace(at_attempt(one, 1), n_evaluations=3), refs()).advance(0.0)
    finally:
        (encoder / "away").rename(encoder / "model.safetensors")

    assert end == again


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_a_damaged_state_is_trained_anew_with_a_warning(damage, encoder, tmp_path, caplog):
    work, one = trainer(encoder, tmp_path), spec(tmp_path / "job")
    whole, _ = run_to_end(work.submit(one, refs()))
    path = one.folder / STATE
    saved = bytearray(path.read_bytes())
    saved[-9] ^= 1  # a bit of the last tensor, which the format itself would not miss
    damaged = {"cut": saved[:-100], "flipped": saved, "empty": b"", "text": b"not a state" * 9}
    path.write_bytes(damaged[damage])

    again, _ = run_to_end(work.submit(replace(one, n_evaluations=1), refs()))

    assert whole[1:] == again
    assert "damaged" in caplog.text


def test_a_folder_that_another_job_works_in_is_waited_for_and_then_refused(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr("raysweep.holding.WAIT_S", 0.4)
    work, one = trainer(encoder, tmp_path), spec(tmp_path / "job")
    first = work.submit(one, refs())
    first.advance(0.0)
    second = work.submit(at_attempt(one, 1), refs())

    assert second.advance(0.1).epoch == 0.0
    with pytest.raises(JobFailed, match="another process has worked in it") as caught:
        second.advance(5.0)
    first.cancel()
    third = work.submit(at_attempt(one, 2), refs()).advance(0.0)

    assert caught.value.fault is Fault.HOST
    assert third.epoch == pytest.approx(2 / 7)


def test_a_state_that_cannot_be_written_is_a_disk_error_that_names_the_file(encoder, tmp_path):
    one = spec(tmp_path / "job")
    job = trainer(encoder, tmp_path).submit(one, refs())
    (one.folder / STATE).mkdir(parents=True)

    with pytest.raises(DiskError, match=STATE):
        run_to_end(job)
    with pytest.raises(DiskError, match=STATE):
        job.advance(1.0)
    (one.folder / STATE).rmdir()

    assert 3 == len(run_to_end(trainer(encoder, tmp_path).submit(at_attempt(one, 1), refs()))[0])


def test_memory_that_runs_out_is_memorys_fault(encoder, tmp_path, monkeypatch):
    def hungry(*_):
        torch.empty(10**15)

    for greedy in (hungry, lambda *_: bytearray(1 << 62)):
        with monkeypatch.context() as patch:
            patch.setattr(Training, "step", greedy)
            job = trainer(encoder, tmp_path).submit(spec(tmp_path / "job"), refs())
            with pytest.raises(JobFailed, match="memory ran out") as caught:
                job.advance(60.0)
        assert caught.value.fault is Fault.MEMORY


def test_a_collapse_is_told_again_to_whoever_goes_on(encoder, tmp_path):
    work, one = trainer(encoder, tmp_path, max_bad_evaluations=1), spec(tmp_path / "job", learning_rate=5.0)
    first = work.submit(one, refs()).advance(60.0).evaluation

    again = work.submit(at_attempt(one, 1), refs())

    assert first == again.advance(60.0).evaluation
    with pytest.raises(JobFailed, match="collapsed"):
        again.advance(60.0)


def test_cancel_from_another_thread_returns_within_two_seconds_and_saves(encoder, tmp_path):
    job = trainer(encoder, tmp_path).submit(spec(tmp_path / "job", (5000.0,)), refs())
    job.advance(0.0)
    running = threading.Thread(target=job.advance, args=(30.0,))
    running.start()

    begun = time.monotonic()
    job.cancel()
    job.cancel()
    running.join(5.0)

    assert time.monotonic() - begun < 2.0
    assert not running.is_alive()
    assert (tmp_path / "job" / STATE).is_file()


def test_a_job_that_gives_every_row_one_label_fails_after_its_evaluation_is_told(encoder, tmp_path):
    settings = {"max_bad_evaluations": 1}
    job = trainer(encoder, tmp_path, **settings).submit(spec(tmp_path / "job", learning_rate=5.0), refs())

    evaluation = job.advance(60.0).evaluation

    assert evaluation.metrics["val_n_predicted_labels"] == 1
    with pytest.raises(JobFailed, match="collapsed") as caught:
        job.advance(60.0)
    assert caught.value.fault is Fault.PARAMS


def test_a_loss_that_is_not_a_number_fails_the_job_by_its_params(encoder, tmp_path):
    one = spec(tmp_path / "job", (40.0,), learning_rate=10.0, alpha_ratio=1000.0, max_grad_norm=0.0, weight_decay=10.0)
    job = trainer(encoder, tmp_path).submit(one, refs())

    with pytest.raises(JobFailed, match=r"became (nan|inf) .*learning_rate 10 is too high") as caught:
        run_to_end(job)
    assert caught.value.fault is Fault.PARAMS
    with pytest.raises(JobFailed):
        job.advance(1.0)


def test_the_order_of_batches_holds_every_row_once_and_depends_on_seed_and_epoch_alone():
    lengths = torch.arange(1, 204) % 17 + 1

    order = epoch_order(lengths, 8, seed=3, epoch=1)

    assert sorted(torch.cat(order).tolist()) == list(range(203))
    assert [one.tolist() for one in order] == [one.tolist() for one in epoch_order(lengths, 8, seed=3, epoch=1)]
    assert [one.tolist() for one in order] != [one.tolist() for one in epoch_order(lengths, 8, seed=3, epoch=2)]
    assert sorted(torch.cat(by_length(lengths, 0)).tolist()) == list(range(203))


def test_a_row_that_is_too_long_loses_the_end_of_its_own_text_not_of_the_template(causal, tmp_path):
    long = replace(example(0), messages=(Message("user", "film " * 50),))
    shown = trainer(causal, tmp_path, max_length=8).preview(
        {**PARAMS, "template": "Review : {prompt} it is"}, [long], 1
    )[0]

    assert [token.text for token in shown] == ["Review", ":", "film", "film", "film", "film", "it", "is", "poor"]
    assert [token.is_trained for token in shown] == [False] * 8 + [True]


def test_a_chat_is_masked_but_for_the_assistants_tokens(causal, tmp_path):
    row = replace(example(1, is_chat=True), messages=(Message("user", "a film"),))

    own = trainer(causal, tmp_path, chat_template="{% for m in messages %}{{ m['content'] }} was {% endfor %}")

    assert [token.text for token in trainer(causal, tmp_path).preview(PARAMS, [row], 1)[0]][-3:] == ["it", "is", "fair"]
    assert [token.text for token in own.preview(PARAMS, [row], 1)[0]] == ["a", "film", "was", "fair"]
    assert [token.is_trained for token in own.preview(PARAMS, [row], 1)[0]] == [False, False, False, True]
