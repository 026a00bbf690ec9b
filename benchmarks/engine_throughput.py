"""Training tokens per CPU second: raysweep's loop against Hugging Face's Trainer, on the same rows.

Both train q and v adapters of rank 8 in all layers of MiniLM, fp32, batches of 16, no dropout, one thread, in turns in
this one process. Non-padding tokens are counted, and CPU seconds, so that other load disturbs little.
"""

import argparse
import csv
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from peft import LoraConfig, TaskType, get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

from raysweep import assets
from raysweep.engine.answer import Answerer
from raysweep.engine.batches import Collator
from raysweep.engine.family import Family
from raysweep.engine.loop import Plan, Training
from raysweep.engine.model import Placement, add_adapters, load_backbone
from raysweep.engine.params import Loss, parse_params
from raysweep.engine.quiet import quietly
from raysweep.engine.tokens import Encoding, Tokenizer
from raysweep.task import Example, Message, Prompt, Task, TaskKind

TASK = Task(TaskKind.RATING, ("1", "2", "3", "4", "5"))
MAX_LENGTH, BATCH_SIZE, RANK, GOAL = 64, 16, 8, 1.5


def review_examples(n: int) -> list[Example]:
    """So many of the bundled reviews, the same every time."""
    with assets.path("review-snippets").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [Example((Message("user", row["text"]),), row["label"]) for row in random.Random(0).sample(rows, n)]


def ours(model: Path, examples: list[Example]) -> Callable[[int], float]:
    """Tokens per CPU second of so many steps of our loop, which goes on where it stood."""
    rows = Tokenizer(Encoding(str(model), Family.ENCODER, TASK, Prompt(), MAX_LENGTH)).rows(examples)
    params = parse_params({"rank": RANK, "batch_size": BATCH_SIZE, "target_modules": "qv"}, TASK)
    torch.manual_seed(0)
    backbone = load_backbone(model, Family.ENCODER, Placement(torch.device("cpu"), torch.float32))
    add_adapters(backbone, params)
    collator = Collator(rows)
    training = Training(
        Answerer(backbone, TASK, Loss.CROSS_ENTROPY), Plan(params, len(rows), 100.0, 0), collator, collator
    )

    def measure(n_steps: int) -> float:
        tokens, begun = training.counts.tokens, time.process_time()
        for _ in range(n_steps):
            training.step()
        return (training.counts.tokens - tokens) / (time.process_time() - begun)

    return measure


def theirs(model: Path, examples: list[Example], scratch: Path) -> Callable[[int], float]:
    """Tokens per CPU second of so many steps of Hugging Face's Trainer with its default batches."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    texts = [example.messages[-1].content for example in examples]
    ids = tokenizer(texts, truncation=True, max_length=MAX_LENGTH)["input_ids"]
    rows = [{"input_ids": row, "labels": TASK.index(one.label)} for row, one in zip(ids, examples, strict=True)]
    torch.manual_seed(0)
    base = AutoModelForSequenceClassification.from_pretrained(
        model, num_labels=len(TASK.labels), hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    targets = ["query", "value"]
    adapted = get_peft_model(base, LoraConfig(TaskType.SEQ_CLS, r=RANK, lora_alpha=2 * RANK, target_modules=targets))
    pad = DataCollatorWithPadding(tokenizer)
    seen = {"tokens": 0}

    def collate(batch: list[dict[str, object]]) -> dict[str, torch.Tensor]:
        padded = pad(batch)
        seen["tokens"] += int(padded["attention_mask"].sum())
        return padded

    def measure(n_steps: int) -> float:
        arguments = TrainingArguments(
            output_dir=str(scratch),
            max_steps=n_steps,
            per_device_train_batch_size=BATCH_SIZE,
            learning_rate=1e-3,
            use_cpu=True,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            seed=random.randrange(10**6),
            dataloader_pin_memory=False,
        )
        trainer = Trainer(adapted, arguments, data_collator=collate, train_dataset=rows)
        trainer.remove_callback(PrinterCallback)
        seen["tokens"], begun = 0, time.process_time()
        trainer.train()
        return seen["tokens"] / (time.process_time() - begun)

    return measure


def main() -> None:
    """Print each round, then the ratio's median and spread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--model", type=Path, help="a folder; the bundled MiniLM if not given")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    model = chosen.model or assets.path("minilm-l6")
    examples = review_examples(2000)
    with tempfile.TemporaryDirectory() as scratch, quietly():
        our, their = ours(model, examples), theirs(model, examples, Path(scratch))
        our(5), their(5)  # warm: allocators, caches, lazy imports
        ratios = []
        for number in range(chosen.rounds):
            one, other = our(chosen.steps), their(chosen.steps)
            ratios.append(one / other)
            print(
                f"round {number + 1}: raysweep {one:,.0f}, Trainer {other:,.0f} tokens per CPU s: {one / other:.2f} x"
            )
    print(f"median {statistics.median(ratios):.2f} x (from {min(ratios):.2f} to {max(ratios):.2f}); goal {GOAL} x")


if __name__ == "__main__":
    main()
