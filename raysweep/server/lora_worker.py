"""What the lora engine's child processes do: train one job, or answer chats. They die with the server."""

import json
import os
import signal
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path

from raysweep.engine.chat_answers import ChatModel
from raysweep.engine.chat_tokens import ChatTokenizer, ChatTokens
from raysweep.engine.chat_tuning import ChatPlan, ChatTraining, Measured, take_one_core
from raysweep.engine.params import LoraParams, Loss, Schedule
from raysweep.errors import JobFailed, RaysweepError
from raysweep.server.chatfile import Chat
from raysweep.server.desk import KEPT_EPOCHS
from raysweep.server.engine import Answer, Ask, Token
from raysweep.server.happenings import Broke, Finished, Held, Report, Snapshot, Stepped
from raysweep.server.lora_tasks import PAUSE, Work
from raysweep.server.records import JobError, Number, Plan
from raysweep.task import Prompt

BASE_LEARNING_RATE = 2e-4
"""What a multiplier of 1 means."""
VALID_EVERY = 10
SAVE_EVERY = 20
"""Steps between two states on disk, besides those at the end of each epoch."""


def train(link: Connection, work: Work) -> None:
    """Train to the end, or until told to pause; reports go over the link."""
    _begin()
    paused = threading.Event()
    threading.Thread(target=_obey, args=(link, paused), daemon=True, name="orders").start()
    try:
        for report in _reports(work, paused):
            link.send(report)
    except JobFailed as failure:
        link.send(Broke(JobError("training_failed", failure.reason)))
    except RaysweepError as error:
        link.send(Broke(JobError("server_error", str(error))))
    except Exception as error:  # noqa: BLE001  # the border of the process: the job is to say what happened
        traceback.print_exc()
        link.send(Broke(JobError("server_error", f"{type(error).__name__}: {error}")))


def answer(link: Connection, model: str) -> None:
    """Answer one chat after the other: an Ask comes over the link, an Answer or a RaysweepError goes back."""
    _begin()
    loaded: ChatModel | None = None
    while True:
        try:
            ask: Ask = link.recv()
        except (EOFError, OSError):
            return
        try:
            loaded = loaded or ChatModel(model)
            link.send(_answer(loaded, ask))
        except RaysweepError as error:
            link.send(error)
        except Exception as error:  # noqa: BLE001  # the border of the process: not every exception can be pickled
            link.send(RaysweepError(f"the chat could not be answered: {type(error).__name__}: {error}"))


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C at the terminal is the server's
    take_one_core()


def _obey(link: Connection, paused: threading.Event) -> None:
    """Hear what the server says, and its death."""
    try:
        while link.recv() == PAUSE:
            paused.set()
    except (EOFError, OSError):
        os._exit(1)


def _reports(work: Work, paused: threading.Event) -> Iterator[Report]:
    tokenizer = ChatTokenizer(work.model)
    train_rows, validation = (_tokens(tokenizer, chats) for chats in (work.train, work.validation))
    plan = work.plan
    chat_plan = ChatPlan(
        work.model,
        work.adapter,
        hyperparameters_as_params(plan.hyperparameters),
        work.seed,
        plan.n_steps,
        plan.steps_per_epoch,
    )
    training = ChatTraining(chat_plan, train_rows, work.folder)
    measured = Measurements(work.folder, training.step_number)
    yield from (report for report in measured.kept if report.step > work.seen_step)
    while not training.is_done:
        values = _named("train", training.step())
        step = training.step_number
        is_epoch_end = step % plan.steps_per_epoch == 0
        if validation and (step % VALID_EVERY == 0 or training.is_done):
            sample = [validation[(step + row) % len(validation)] for row in range(_batch_size(plan, validation))]
            values |= _named("valid", _last(training.measure(sample)))
        if validation and is_epoch_end:
            values |= _named("full_valid", _last(training.measure(validation)))
        measured.add(Stepped(step, values))
        if is_epoch_end:
            training.save_adapter()
        if is_epoch_end or step % SAVE_EVERY == 0 or paused.is_set():
            training.save_state()
        yield Stepped(step, values)
        if paused.is_set() and not training.is_done:
            yield Held(Snapshot(step, str(training.save_adapter())))
            return
    steps = range(plan.steps_per_epoch, plan.n_steps + 1, plan.steps_per_epoch)
    kept = tuple(Snapshot(step, str(work.folder / f"step-{step}")) for step in steps[-KEPT_EPOCHS:])
    yield Finished(kept, training.n_tokens * plan.n_steps // plan.steps_per_epoch)


class Measurements:
    """What was measured at each step, in the job's folder: a server that dies may not have heard of the last ones."""

    def __init__(self, folder: Path, last_step: int) -> None:
        """Those of later steps than the last one that the training goes on from are forgotten: they come again."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "measurements.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        self.kept = [Stepped(step, json.loads(lines[step - 1])) for step in range(1, last_step + 1)]
        half = path.with_suffix(".part")
        half.write_text("".join(f"{line}\n" for line in lines[:last_step]), encoding="utf-8")
        half.replace(path)
        self._file = path.open("a", encoding="utf-8")

    def add(self, report: Stepped) -> None:
        """Written before the state is: where the state is, its measurements are too."""
        self._file.write(json.dumps(dict(report.values)) + "\n")
        self._file.flush()


def _tokens(tokenizer: ChatTokenizer, chats: Sequence[Chat]) -> list[ChatTokens]:
    return [tokenizer.chat(chat.messages, chat.answer) for chat in chats]


def _batch_size(plan: Plan, validation: Sequence[ChatTokens]) -> int:
    return min(int(plan.hyperparameters["batch_size"]), len(validation))


def _last(measured: Iterator[Measured]) -> Measured:
    return list(measured)[-1]


def _named(what: str, measured: Measured) -> dict[str, float]:
    return {f"{what}_loss": round(measured.loss, 6), f"{what}_mean_token_accuracy": round(measured.accuracy, 6)}


def hyperparameters_as_params(settings: Mapping[str, Number]) -> LoraParams:
    """The wire's words in the engine's."""
    rank = int(settings.get("lora_r", 8))
    return LoraParams(
        n_epochs=float(settings["n_epochs"]),
        batch_size=int(settings["batch_size"]),
        learning_rate=float(settings.get("learning_rate", BASE_LEARNING_RATE * settings["learning_rate_multiplier"])),
        rank=rank,
        alpha_ratio=float(settings.get("lora_alpha", 2 * rank)) / rank,
        use_rslora=False,
        dropout=float(settings.get("lora_dropout", 0.0)),
        target_modules="qv",
        layers=None,
        warmup_ratio=float(settings.get("warmup_ratio", 0.06)),
        lr_schedule=Schedule.LINEAR,
        weight_decay=float(settings.get("weight_decay", 0.0)),
        max_grad_norm=float(settings.get("max_grad_norm", 1.0)),
        loss=Loss.CROSS_ENTROPY,
        label_smoothing=0.0,
        prompt=Prompt(),
    )


def _answer(model: ChatModel, ask: Ask) -> Answer:
    said = model.answer(
        ask.messages,
        adapter=ask.tuned.where if ask.tuned else None,
        n=ask.max_tokens,
        temperature=ask.temperature,
        n_top=ask.n_top,
        seed=ask.seed,
    )
    tokens = tuple(Token(one.text, one.logprob, one.top) for one in islice(said.choices, ask.max_tokens))
    return Answer(tokens, said.is_cut, said.n_prompt_tokens)
