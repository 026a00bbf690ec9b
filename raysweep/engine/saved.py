"""A tuned model's folder: adapter, head, and all that plain transformers and peft need to use them."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from peft import PeftModel
from safetensors import SafetensorError
from safetensors.torch import load_file

from raysweep.engine.answer import Answerer, rating_scale
from raysweep.engine.family import Family
from raysweep.engine.model import Placement, load_backbone
from raysweep.engine.params import Loss
from raysweep.engine.quiet import quietly
from raysweep.engine.state import write_tensors
from raysweep.engine.tokens import Encoding, Tokenizer
from raysweep.engine.writer import AnyAnswerer, Writer
from raysweep.errors import DiskError, InputError
from raysweep.task import Prompt, Task, TaskKind
from raysweep.writing import Writing

DESCRIPTION = "raysweep_model.json"
HEAD = "head.safetensors"
FORMAT = 1


@dataclass(frozen=True)
class SavedModel:
    """What a model folder says of itself."""

    encoding: Encoding
    base_model: str
    """As the settings named it; `encoding.model` is where it lay."""
    loss: Loss
    words: tuple[tuple[int, ...], ...]
    """The tokens of each label's word; empty for an encoder."""


def save_model(folder: Path, adapted: PeftModel, answerer: AnyAnswerer, saved: SavedModel) -> None:
    """Write the folder in one move: it is there whole or not at all."""
    unfinished = folder.with_name(folder.name + ".part")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        with quietly():
            adapted.save_pretrained(str(unfinished))
        if answerer.head is not None:
            write_tensors(unfinished / HEAD, answerer.head.state_dict())
        (unfinished / DESCRIPTION).write_text(json.dumps(_described(saved), indent=2, ensure_ascii=False) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    except (OSError, SafetensorError) as error:
        raise DiskError(f"{folder}: the model cannot be written: {error}; free space or move runs/") from error


def read_saved(folder: Path) -> SavedModel:
    """What the folder says of itself; raises InputError where it is no model of ours."""
    path = folder / DESCRIPTION
    if not path.is_file():
        raise InputError(f"{folder}: no {DESCRIPTION} in it; name the model folder of a completed trial")
    said = json.loads(path.read_text())
    task = _task(said["task"])
    prompt = Prompt(said["prompt"]["template"], said["prompt"]["system"], tuple(said["prompt"]["label_words"]))
    encoding = Encoding(
        model=said["base_model_path"],
        family=Family(said["family"]),
        task=task,
        prompt=prompt,
        max_length=said["max_length"],
        chat_template=said["chat_template"],
    )
    words = tuple(tuple(word) for word in said["label_tokens"])
    return SavedModel(encoding, said["base_model"], Loss(said["loss"]), words)


def load_answerer(folder: Path, saved: SavedModel, placement: Placement) -> AnyAnswerer:
    """The tuned model, ready to predict."""
    encoding = saved.encoding
    backbone = load_backbone(encoding.model, encoding.family, placement)
    answerer: AnyAnswerer
    if encoding.task.writing is not None:
        answerer = Writer(backbone, encoding.task, Tokenizer(encoding))
    else:
        answerer = Answerer(backbone, encoding.task, saved.loss, saved.words)
    with quietly():
        PeftModel.from_pretrained(backbone.model, str(folder)).eval()
    if answerer.head is not None:
        answerer.head.load_state_dict(load_file(folder / HEAD))
    return answerer.requires_grad_(False)


def _task(said: dict[str, Any]) -> Task:
    kind, longest = TaskKind(said["kind"]), said.get("max_new_tokens")
    writing = None if longest is None else Writing(longest)
    return Task(kind, tuple(said["labels"]), tuple(said["values"]), writing=writing)


def _described(saved: SavedModel) -> dict[str, object]:
    encoding = saved.encoding
    task = encoding.task
    longest = {"max_new_tokens": task.writing.max_new_tokens} if task.writing else {}
    return {
        "format": FORMAT,
        "base_model": saved.base_model,
        "base_model_path": encoding.model,
        "family": encoding.family.value,
        "pooling": "mean" if encoding.family is Family.ENCODER else None,
        "loss": saved.loss.value,
        "task": {"kind": task.kind, "labels": task.labels, "values": task.values, **longest},
        "rating_scale": rating_scale(task) if saved.loss is Loss.SQUARED_ERROR else None,
        "prompt": asdict(encoding.prompt),
        "chat_template": encoding.chat_template,
        "max_length": encoding.max_length,
        "label_tokens": saved.words,
    }
