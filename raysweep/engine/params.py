"""A LoRA trial's params: their documentation, and their one parse into a typed value."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from raysweep.errors import Fault, JobFailed
from raysweep.jobs import ParamDoc
from raysweep.space import Params
from raysweep.task import Prompt, Task, words_of


class Schedule(StrEnum):
    """How the learning rate falls after its warm-up."""

    LINEAR = "linear"
    COSINE = "cosine"
    CONSTANT = "constant"


class Loss(StrEnum):
    """What training minimises."""

    CROSS_ENTROPY = "cross_entropy"
    SQUARED_ERROR = "squared_error"


PROMPT_DOCS: Mapping[str, ParamDoc] = MappingProxyType(
    {
        "template": ParamDoc("{prompt}", "Put around the row's text, which goes where {prompt} stands."),
        "system": ParamDoc(None, "A system message; replaces the row's own."),
        "label_words": ParamDoc((), "What a causal model says for each label; empty: the labels themselves."),
    }
)
TARGET_SETS = ("qv", "qkvo", "qkvo+ffn", "all-linear")
"""The shorthands for `target_modules`."""


@dataclass(frozen=True)
class LoraParams:
    """One trial's hyperparameters, each within its range."""

    n_epochs: float
    batch_size: int
    learning_rate: float
    rank: int
    alpha_ratio: float
    use_rslora: bool
    dropout: float
    target_modules: str | tuple[str, ...]
    """A shorthand of TARGET_SETS, or the modules' own names."""
    layers: int | tuple[int, ...] | None
    """So many of the top ones, or their numbers; None: all."""
    warmup_ratio: float
    lr_schedule: Schedule
    weight_decay: float
    max_grad_norm: float
    """0 switches clipping off."""
    loss: Loss
    label_smoothing: float
    prompt: Prompt


def param_docs(task: Task) -> dict[str, ParamDoc]:
    """Every param that a LoRA job of this task takes, by name."""
    losses = tuple(loss.value for loss in Loss) if task.is_ordered else (Loss.CROSS_ENTROPY.value,)
    return {
        "n_epochs": ParamDoc(3.0, "Passes over the training examples; fractions are fine.", low=1e-3, high=1000.0),
        "batch_size": ParamDoc(16, "Examples per optimiser step.", low=1, high=4096),
        "learning_rate": ParamDoc(1e-3, "Peak learning rate of adapters and head.", low=1e-8, high=10.0),
        "rank": ParamDoc(8, "Rank of the adapters.", low=1, high=1024),
        "alpha_ratio": ParamDoc(2.0, "Alpha divided by the rank: the adapters' scale.", low=1e-3, high=1000.0),
        "use_rslora": ParamDoc(False, "Scale by alpha / sqrt(rank) instead.", values=(False, True)),
        "dropout": ParamDoc(0.0, "Dropout on the adapters' input.", low=0.0, high=0.95),
        "target_modules": ParamDoc("qv", f"{', '.join(TARGET_SETS)}, or a list of the modules' own names."),
        "layers": ParamDoc("all", "Layers with adapters: all, the number of top ones, or a list of their numbers."),
        "warmup_ratio": ParamDoc(0.06, "Share of the steps over which the learning rate rises.", low=0.0, high=1.0),
        "lr_schedule": ParamDoc("linear", "How it falls afterwards.", values=tuple(one.value for one in Schedule)),
        "weight_decay": ParamDoc(0.0, "AdamW's decoupled decay.", low=0.0, high=10.0),
        "max_grad_norm": ParamDoc(1.0, "Gradients are clipped to this norm; 0: not at all.", low=0.0, high=1e6),
        "loss": ParamDoc("cross_entropy", "Over the labels; squared_error trains a regression head.", values=losses),
        "label_smoothing": ParamDoc(0.0, "Share of the target spread over all labels.", low=0.0, high=0.95),
        **PROMPT_DOCS,
    }


def parse_params(params: Params, task: Task) -> LoraParams:
    """The params as a typed value, with defaults where they say nothing.

    Raises JobFailed (params at fault) for a name that is not taken, a value out of range, or a set that contradicts
    itself.
    """
    docs = param_docs(task)
    unknown = sorted(params.keys() - docs.keys())
    if unknown:
        raise _refused(f"{unknown[0]}: the lora trainer takes no such param; known: {', '.join(docs)}")
    reader = _Reader(params, docs)
    parsed = LoraParams(
        n_epochs=reader.number("n_epochs"),
        batch_size=reader.whole("batch_size"),
        learning_rate=reader.number("learning_rate"),
        rank=reader.whole("rank"),
        alpha_ratio=reader.number("alpha_ratio"),
        use_rslora=reader.choice("use_rslora") is True,
        dropout=reader.number("dropout"),
        target_modules=_target_modules(reader.value("target_modules")),
        layers=_layers(reader.value("layers")),
        warmup_ratio=reader.number("warmup_ratio"),
        lr_schedule=Schedule(str(reader.choice("lr_schedule"))),
        weight_decay=reader.number("weight_decay"),
        max_grad_norm=reader.number("max_grad_norm"),
        loss=Loss(str(reader.choice("loss"))),
        label_smoothing=reader.number("label_smoothing"),
        prompt=_prompt(reader, task),
    )
    if parsed.loss is Loss.SQUARED_ERROR and parsed.label_smoothing > 0:
        raise _refused("label_smoothing: only cross_entropy has labels to smooth; set it to 0 for squared_error")
    return parsed


class _Reader:
    """Values by name, checked against their documentation."""

    def __init__(self, params: Params, docs: dict[str, ParamDoc]) -> None:
        self._params = params
        self._docs = docs

    def value(self, name: str) -> object:
        return self._params.get(name, self._docs[name].default)

    def number(self, name: str) -> float:
        value, doc = self.value(name), self._docs[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise _refused(f"{name}: {value!r} is not a number")
        if (doc.low is not None and value < doc.low) or (doc.high is not None and value > doc.high):
            raise _refused(f"{name}: {value!r} is not within {doc.low:g} to {doc.high:g}")
        return float(value)

    def whole(self, name: str) -> int:
        number = self.number(name)
        if number != int(number):
            raise _refused(f"{name}: {number!r} is not a whole number")
        return int(number)

    def choice(self, name: str) -> object:
        value, allowed = self.value(name), self._docs[name].values
        if value not in allowed:
            raise _refused(f"{name}: {value!r} is not one of {', '.join(map(str, allowed))}")
        return value


def _target_modules(value: object) -> str | tuple[str, ...]:
    if isinstance(value, str) and value in TARGET_SETS:
        return value
    if isinstance(value, tuple) and value and all(isinstance(name, str) and name for name in value):
        return tuple(str(name) for name in value)
    raise _refused(f"target_modules: {value!r} is neither one of {', '.join(TARGET_SETS)} nor a list of module names")


def _layers(value: object) -> int | tuple[int, ...] | None:
    if value == "all":
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    if isinstance(value, tuple) and value and all(type(one) is int for one in value) and len(set(value)) == len(value):
        return tuple(sorted(one for one in value if isinstance(one, int)))
    raise _refused(f"layers: {value!r} is neither all, nor a number above 0, nor a list of distinct layer numbers")


def _prompt(reader: _Reader, task: Task) -> Prompt:
    template, system, words = reader.value("template"), reader.value("system"), reader.value("label_words")
    if not isinstance(template, str) or not (system is None or isinstance(system, str)) or not isinstance(words, tuple):
        raise _refused(f"template {template!r}, system {system!r} or label_words {words!r}: not text, text, and a list")
    try:
        prompt = Prompt(template=template, system=system, label_words=tuple(str(word) for word in words))
        words_of(prompt, task)
    except ValueError as error:
        raise _refused(str(error)) from error
    return prompt


def _refused(reason: str) -> JobFailed:
    return JobFailed(reason, Fault.PARAMS)
