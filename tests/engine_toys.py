"""Models, data and jobs small enough to train in a test."""

from dataclasses import replace
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from raysweep.clock import RealClock
from raysweep.config import LoraTrainer as LoraSettings
from raysweep.dataset import Splits
from raysweep.jobs import DataRefs, Evaluation, Job, JobSpec, Progress
from raysweep.task import Example, Message, Task, TaskKind
from raysweep.trainers.lora import LoraTrainer

WORDS = [
    "[PAD]",
    "[UNK]",
    "poor",
    "fair",
    "fine",
    "film",
    "plot",
    "cast",
    "the",
    "a",
    "was",
    "is",
    "very",
    "Review",
    ":",
    "it",
]
TASK = Task(TaskKind.RATING, ("1", "2", "3"))
LABEL_WORDS = ("poor", "fair", "fine")
CHAT = "{% for m in messages %}{{ m['role'] }} : {{ m['content'] }} {% endfor %}it is"
PARAMS = {"learning_rate": 1e-2, "batch_size": 4, "rank": 4, "layers": 2, "label_words": LABEL_WORDS}


def save_toy_model(folder: Path, family: str, **overrides: object) -> Path:
    """A random model of four layers and its tokenizer."""
    torch.manual_seed(5)
    shape = {"vocab_size": len(WORDS), "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2}
    shape |= {"intermediate_size": 64, "max_position_embeddings": 64, "initializer_range": 0.2} | overrides
    if family == "encoder":
        model = BertModel(BertConfig(**shape), add_pooling_layer=True)
    else:
        model = LlamaForCausalLM(LlamaConfig(**shape, num_key_value_heads=1, tie_word_embeddings=True))
    model.save_pretrained(folder)
    words = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]")
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)
    return folder


def example(number: int, *, is_chat: bool = False) -> Example:
    """A sentence whose adjective is its label, of a length that its number decides."""
    label = number % 3
    text = " ".join([*["the film was very"] * (1 + number % 4), LABEL_WORDS[label], "it is a plot"[: 2 + number % 9]])
    return Example((Message("user", text),), TASK.labels[label], is_chat)


def splits(n_train: int = 26, n_validation: int = 12, *, is_chat: bool = False) -> Splits:
    """Rows, each with its number's sentence."""
    rows = tuple(example(number, is_chat=is_chat) for number in range(n_train + n_validation))
    return Splits(rows[:n_train], rows[n_train:], rows[n_train:], f"toy{n_train}-{n_validation}-{is_chat}")


def trainer(model: Path, cache: Path, **settings: object) -> LoraTrainer:
    """A trainer of the toy model, on the CPU."""
    section = LoraSettings.model_validate(
        {"kind": "lora", "model": str(model), "device": "cpu", **{"max_bad_evaluations": 99, **settings}}
    )
    return LoraTrainer(section, TASK, cache, RealClock())


def spec(folder: Path, evaluate_at: tuple[float, ...] = (0.5, 1.0, 2.0), **params: object) -> JobSpec:
    """A job's spec in this folder."""
    return JobSpec("toysweep", 0, 0, {**PARAMS, **params}, 7, folder, evaluate_at)  # type: ignore[arg-type]


def refs(data: Splits | None = None) -> DataRefs:
    """The data as a trainer prepares them."""
    data = data or splits()
    return DataRefs(data.fingerprint, data)


def run_to_end(job: Job, timeout_s: float = 60.0) -> tuple[list[Evaluation], Progress]:
    """Every evaluation, and the last progress."""
    evaluations = []
    while True:
        progress = job.advance(timeout_s)
        if progress.evaluation is not None:
            evaluations.append(progress.evaluation)
        if progress.is_final:
            return evaluations, progress


def at_attempt(one: JobSpec, attempt: int) -> JobSpec:
    """The same spec for a further attempt."""
    return replace(one, attempt=attempt)
