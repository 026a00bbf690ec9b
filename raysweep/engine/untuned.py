"""A causal base model as it comes: the likelihood of the label words after the prompt, told examples or not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from transformers import AutoConfig

from raysweep.engine.answer import Answerer
from raysweep.engine.batches import Collator
from raysweep.engine.family import Family
from raysweep.engine.loop import predict_rows
from raysweep.engine.model import Backbone, Placement, load_backbone
from raysweep.engine.params import Loss
from raysweep.engine.place import Place
from raysweep.engine.primed import agree, primed
from raysweep.engine.tokens import Encoding, Rows, Tokenizer, spaced
from raysweep.engine.writer import AnyAnswerer, Writer
from raysweep.errors import InputError
from raysweep.scoring import Prediction
from raysweep.task import PLACEHOLDER, Example, Message, Prompt, Task, render
from raysweep.untuned import after_system, turns_of
from raysweep.whole import write_whole_bytes

FILE_NAME = "raysweep_base.json"
BETWEEN = "\n\n"
"""Behind each example that is told as text."""
TURN_TOKENS = 8
"""At most, that a chat template puts around a turn."""


@dataclass(frozen=True)
class BaseModel:
    """How rows are put to it."""

    encoding: Encoding
    """With examples for plain rows in the prompt's template."""
    before: tuple[Message, ...] = ()
    """Examples for chats: earlier turns."""
    stop: str = ""
    """Of free text after plain examples: what would begin another one; the text ends before it."""


def why_not(place: Place, prompt: Prompt, shots: Sequence[Example]) -> str:
    """Why this model cannot be asked untuned, as the end of a sentence; empty where it can."""
    name = place.settings.model
    if place.family is Family.ENCODER:
        return f"{name} is an encoder and has no words to answer with before a head is trained"
    longest = AutoConfig.from_pretrained(place.model).get_text_config().to_dict().get("max_position_embeddings")
    needed = base_model(place, prompt, shots).encoding.max_length
    if shots and isinstance(longest, int) and needed > longest:
        return f"with {len(shots)} examples before it a row may take {needed} tokens, and {name} has room for {longest}"
    return ""


def base_model(place: Place, prompt: Prompt, shots: Sequence[Example]) -> BaseModel:
    """The model told these examples; a row is cut where a tuned model's would be."""
    encoding = replace(place.encoding(prompt), task=replace(place.task, metrics=()))
    if not shots:
        return BaseModel(encoding)
    before = turns_of(shots, prompt, place.task) if shots[0].is_chat else ()
    text = "\n\n".join(one.content for one in before) if before else _told(shots, encoding)
    plain = replace(encoding, prompt=Prompt(), chat_template=None)
    (n_tokens,) = Tokenizer(plain).lengths([Example((Message("user", text),), shots[0].label)])
    room = n_tokens + TURN_TOKENS * len(before)
    told = encoding.prompt if before else replace(prompt, template=text + prompt.template)
    stop = "" if before or place.task.writing is None else BETWEEN
    return BaseModel(replace(encoding, prompt=told, max_length=encoding.max_length + room), before, stop)


def save(folder: Path, base: BaseModel) -> Path:
    """Write it in one move; the folder. Raises DiskError."""
    write_whole_bytes(folder / FILE_NAME, TypeAdapter(BaseModel).dump_json(base, indent=1))
    return folder


def is_base(folder: Path) -> bool:
    """Whether the folder is one that `save` wrote."""
    return (folder / FILE_NAME).is_file()


def predict(folder: Path, placement: Placement, examples: Sequence[Example]) -> list[Prediction]:
    """One prediction an example; raises InputError for a file that is not as it was written."""
    try:
        base = TypeAdapter(BaseModel).validate_json((folder / FILE_NAME).read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"{folder / FILE_NAME}: not as it was written ({error}); delete the folder") from error
    encoding = base.encoding
    rows = Tokenizer(encoding).rows(
        [replace(one, messages=after_system(one.messages, base.before)) for one in examples]
    )
    backbone = load_backbone(encoding.model, encoding.family, placement)
    answerer: AnyAnswerer
    if encoding.task.writing is None:
        answerer, rows = _labelling(backbone, encoding.task, rows)
    else:
        answerer = Writer(backbone, encoding.task, Tokenizer(encoding))
    said = predict_rows(answerer.requires_grad_(False), Collator(rows), lambda: None)
    return [stopped(one, base.stop) for one in said] if base.stop else said


def _labelling(backbone: Backbone, task: Task, rows: Rows) -> tuple[Answerer, Rows]:
    """What answers by labels, and the rows as it wants them: what all begin with is read once, where the model can."""
    straight = Answerer(backbone, task, Loss.CROSS_ENTROPY, rows.words)
    primed_backbone, rest = primed(backbone, rows)
    if rest is rows:
        return straight, rows
    going_on = Answerer(primed_backbone, task, Loss.CROSS_ENTROPY, rows.words)
    return (going_on, rest) if agree(straight, rows, going_on, rest) else (straight, rows)


def stopped(said: Prediction, stop: str) -> Prediction:
    """Its text up to there."""
    return said if said.text is None else replace(said, text=said.text.partition(stop)[0].strip())


def _told(shots: Sequence[Example], encoding: Encoding) -> str:
    """The examples as text, each with its answer, as the prompt's template puts them; a blank line after each."""
    bare = replace(encoding.prompt, system="")
    rendered = [render(shot, bare, encoding.task) for shot in shots]
    texts = [f"{one.text}{spaced(one.completion, bare.template)}" for one in rendered]
    return "".join(f"{text.replace(PLACEHOLDER, '')}{BETWEEN}" for text in texts)
