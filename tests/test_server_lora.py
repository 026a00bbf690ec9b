"""The server with real training behind it: jobs, cancels, pauses, kills, answers."""

import json
import time
from pathlib import Path

import pytest
import torch
from engine_toys import save_toy_model
from server_toys import Place, client_of, refused, supervised
from torch.nn import functional
from transformers import AutoModelForCausalLM

from raysweep.engine.chat_answers import ChatModel
from raysweep.engine.chat_tokens import ChatTokenizer
from raysweep.engine.chat_tuning import ChatPlan, ChatTraining
from raysweep.engine.quiet import quietly
from raysweep.server.lora_worker import hyperparameters_as_params
from raysweep.testing.server import running_server

BASE = "smollm2-135m"
ADJECTIVES = ("poor", "fair", "fine")


def turns(number):
    """Sentences of words that the toy tokenizer knows; the answer is a word of its own."""
    words = ["the", "film", "was", "very", ADJECTIVES[number % 3], ("plot", "cast")[number % 2], "a"]
    return (("user", " ".join(words)),), ("poor", "fair", "fine")[number % 3]


def rows(n):
    lines = []
    for number in range(n):
        before, answer = turns(number)
        messages = [{"role": role, "content": content} for role, content in before]
        lines.append(json.dumps({"messages": [*messages, {"role": "assistant", "content": answer}]}))
    return "\n".join(lines).encode()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    with quietly():
        return save_toy_model(tmp_path_factory.mktemp("model"), "causal")


@pytest.fixture(scope="module")
def place(model):
    options = ("--engine", "lora", "--model", str(model), "--no-strict", "--running", "4")
    with running_server(*options) as server, client_of(server) as client:
        yield Place(client, BASE, server)


def create(place, *, n=24, **hyperparameters):
    training, validation = place.upload(rows(n)), place.upload(rows(9))
    settings = {"batch_size": 8, "n_epochs": 2, "learning_rate": 0.02} | hyperparameters
    return place.client.fine_tuning.jobs.create(
        model=place.model, training_file=training, validation_file=validation, seed=1, method=supervised(**settings)
    )


def until(look, *, within_s=30.0):
    """Look until there is something; the server's children need their time, and no clock can be injected there."""
    until_s = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < until_s, f"nothing within {within_s:g} s"
        time.sleep(0.02)


def job_once(place, job_id, *statuses):
    def look():
        job = place.client.fine_tuning.jobs.retrieve(job_id)
        assert job.status != "failed" or "failed" in statuses, job.error
        return job if job.status in statuses else None

    return until(look)


def descendants(pid):
    """The processes that come from this one, by id; Linux only, as is the file they are read from."""
    found = set()
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            found |= {int(child)} | descendants(child)
    return found


def steps(place, job_id):
    return [event.data["step"] for event in place.log(job_id) if event.type == "metrics"]


@pytest.fixture(scope="module")
def trained(place):
    return job_once(place, create(place, n_epochs=8).id, "succeeded")


def answer(place, model, number, **settings):
    messages = [{"role": role, "content": content} for role, content in turns(number)[0]]
    return place.client.chat.completions.create(model=model, messages=messages, temperature=0, **settings).choices[0]


def test_real_losses_fall(place, trained):
    metrics = [event.data for event in place.log(trained.id) if event.type == "metrics"]

    whole = [data["full_valid_loss"] for data in metrics if "full_valid_loss" in data]
    assert list(range(1, 25)) == [data["step"] for data in metrics]
    assert 8 == len(whole)
    assert whole[-1] < 0.5 * whole[0]


def test_a_tuned_model_answers_better_than_its_base(place, trained):
    def n_right(name):
        return sum(
            answer(place, name, number, max_completion_tokens=1).message.content == turns(number)[1]
            for number in range(9)
        )

    assert n_right(trained.fine_tuned_model) >= 8
    assert n_right(trained.fine_tuned_model) > n_right(BASE)


def test_checkpoints_of_earlier_epochs_answer_as_they_were(place, trained):
    found = place.client.fine_tuning.jobs.checkpoints.list(trained.id).data

    chances = [
        answer(place, one.fine_tuned_model_checkpoint, 1, max_completion_tokens=1, logprobs=True)
        .logprobs.content[0]
        .logprob
        for one in found
    ]

    assert [24, 21, 18] == [one.step_number for one in found]
    assert 3 == len(set(chances))


def test_trained_tokens_are_the_tokenizers_own(place, trained, model):
    tokenizer = ChatTokenizer(model)
    n_tokens = sum(len(tokenizer.chat(*turns(number)).ids) for number in range(24))

    assert 8 * n_tokens == trained.trained_tokens


def test_a_cancel_takes_effect_within_two_seconds_and_ends_the_process(place, trained):
    before = descendants(place.server.pid)
    made = create(place, n_epochs=50, n=240)
    until(lambda: steps(place, made.id))
    trainers = descendants(place.server.pid) - before
    began_s = time.monotonic()

    place.client.fine_tuning.jobs.cancel(made.id)
    cancelled = place.client.fine_tuning.jobs.retrieve(made.id)

    assert time.monotonic() - began_s < 2
    assert ("cancelled", None) == (cancelled.status, cancelled.fine_tuned_model)
    n_steps = len(steps(place, made.id))
    assert 1 == len(trainers)
    until(lambda: not trainers & descendants(place.server.pid))
    assert n_steps == len(steps(place, made.id))


def test_a_pause_leaves_a_model_and_a_resume_goes_on_from_there(place):
    made = create(place, n_epochs=6, n=96)
    until(lambda: steps(place, made.id))

    place.client.fine_tuning.jobs.pause(made.id)
    job_once(place, made.id, "paused")
    held = steps(place, made.id)
    checkpoint = place.client.fine_tuning.jobs.checkpoints.list(made.id).data[0]
    said = answer(place, checkpoint.fine_tuned_model_checkpoint, 1, max_completion_tokens=1)
    place.client.fine_tuning.jobs.resume(made.id)
    job_once(place, made.id, "succeeded")

    assert held[-1] == checkpoint.step_number < 72
    assert said.message.content
    assert list(range(1, 73)) == steps(place, made.id)


def test_a_job_whose_params_make_it_diverge_fails_with_the_reason(place):
    failed = job_once(place, create(place, learning_rate=None, learning_rate_multiplier=5e41).id, "failed", "succeeded")

    assert ("failed", "training_failed") == (failed.status, failed.error.code)
    assert "learning rate" in failed.error.message


def test_a_tuned_model_is_tuned_further_from_where_it_was(place, trained):
    file = place.upload(rows(24))
    again = place.client.fine_tuning.jobs.create(
        model=trained.fine_tuned_model,
        training_file=file,
        method=supervised(n_epochs=1, batch_size=8, learning_rate=1e-4),
    )
    job_once(place, again.id, "succeeded")

    first, last = (place.log(job)[4].data["train_loss"] for job in (trained.id, again.id))
    assert last < 0.5 * first


def test_a_kill_of_the_server_ends_its_children_and_jobs_go_on_from_their_folders(model, tmp_path):
    with running_server("--engine", "lora", "--model", str(model), "--no-strict", folder=tmp_path) as server:
        with client_of(server) as client:
            place = Place(client, BASE, server)
            made = create(place, n_epochs=9, n=96)
            until(lambda: len(steps(place, made.id)) > 20)
        orphans = descendants(server.pid)
        server.kill()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in orphans))
        server.start()
        with client_of(server) as client:
            place = Place(client, BASE, server)
            began = max(steps(place, made.id))
            job = job_once(place, made.id, "succeeded")
            found = steps(place, made.id)

    assert "succeeded" == job.status
    assert began < 108
    assert list(range(1, 109)) == found
    assert len(orphans) >= 2


def test_a_state_folder_of_another_engine_is_refused(place, tmp_path):
    with running_server(folder=tmp_path):
        pass

    with (
        pytest.raises(Exception, match="synthetic engine, not lora"),
        running_server("--engine", "lora", folder=tmp_path),
    ):
        pass


def test_calls_are_answered_while_the_first_job_loads_its_model(model):
    with (
        running_server("--engine", "lora", "--model", str(model), "--no-strict") as server,
        client_of(server) as client,
    ):
        place = Place(client, BASE, server)
        made = create(place)
        longest_s = 0.0
        while not steps(place, made.id):
            began_s = time.monotonic()
            client.fine_tuning.jobs.retrieve(made.id)
            longest_s = max(longest_s, time.monotonic() - began_s)

    assert longest_s < 1.5


def test_strict_refuses_lora_settings(model):
    with running_server("--engine", "lora", "--model", str(model)) as server, client_of(server) as client:
        error = refused(create, Place(client, BASE, server), lora_r=4)

    assert "unknown_parameter" == error.code


@pytest.fixture
def training(model, tmp_path):
    tokenizer = ChatTokenizer(model)
    chats = [tokenizer.chat(*turns(number)) for number in range(12)]
    settings = {
        "n_epochs": 2,
        "batch_size": 4,
        "learning_rate_multiplier": 1.0,
        "learning_rate": 0.02,
        "lora_dropout": 0.1,
    }
    plan = ChatPlan(str(model), None, hyperparameters_as_params(settings), seed=3, n_steps=6, steps_per_epoch=3)

    def make(folder):
        return ChatTraining(plan, chats, tmp_path / folder)

    return make, chats


def test_the_loss_is_that_of_plain_transformers(training, model):
    make, chats = training
    with quietly():
        plain = AutoModelForCausalLM.from_pretrained(str(model)).eval()
    losses = []
    for chat in chats:
        logits = plain(torch.tensor([chat.ids])).logits[0, chat.n_prompt - 1 : -1]
        losses.append(functional.cross_entropy(logits, torch.tensor(chat.ids[chat.n_prompt :]), reduction="sum"))
    n_tokens = sum(len(chat.ids) - chat.n_prompt for chat in chats)
    expected = sum(float(loss.detach()) for loss in losses) / n_tokens

    measured = list(make("a").measure(chats))[-1]

    assert expected == pytest.approx(measured.loss, rel=1e-5)


def test_a_training_that_is_taken_up_again_ends_as_one_that_was_never_broken_off(training):
    make, chats = training
    whole = make("whole")
    straight = [whole.step() for _ in range(6)]
    first = make("broken")
    broken = [first.step() for _ in range(4)]
    first.save_state()

    second = make("broken")
    broken += [second.step() for _ in range(2)]

    assert straight == broken
    assert list(whole.measure(chats)) == list(second.measure(chats))


def test_an_answers_chances_are_those_of_plain_transformers(training, model):
    make, _ = training
    work = make("answers")
    while not work.is_done:
        work.step()
    adapter = str(work.save_adapter())
    chat = ChatModel(str(model))
    before, _ = turns(2)
    with quietly():
        plain = AutoModelForCausalLM.from_pretrained(str(model)).eval()
    prompt = torch.tensor([ChatTokenizer(model).prompt(before)])
    expected = plain(prompt).logits[0, -1].log_softmax(0).max()

    ask = {"n": 1, "temperature": 0.0, "n_top": 5, "seed": 0}
    tuned = chat.answer(before, adapter=adapter, **ask)
    base = chat.answer(before, adapter=None, **ask)

    assert float(expected.detach()) == pytest.approx(base.choices[0].logprob, abs=1e-5)
    assert tuned.choices[0].logprob != pytest.approx(base.choices[0].logprob, abs=1e-3)
    assert chat.answer(before, adapter=adapter, **ask) == tuned


@pytest.mark.assets
def test_the_shipped_model_trains_and_answers():
    with running_server("--engine", "lora") as server, client_of(server, timeout=50.0) as client:
        place = Place(client, BASE, server)
        made = client.fine_tuning.jobs.create(
            model=BASE, training_file=place.upload(rows(10)), method=supervised(n_epochs=1, batch_size=10)
        )
        done = until(lambda: (job := client.fine_tuning.jobs.retrieve(made.id)).status == "succeeded" and job)
        said = answer(place, done.fine_tuned_model, 1, max_completion_tokens=1, logprobs=True, top_logprobs=20)

    assert 20 == len(said.logprobs.content[0].top_logprobs)
