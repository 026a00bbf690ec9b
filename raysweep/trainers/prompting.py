"""The hyperparameters that say how a row is put to the model; every trainer takes them."""

from collections.abc import Mapping

from raysweep.jobs import ParamDoc
from raysweep.space import Params
from raysweep.task import Prompt

PROMPT_PARAMS: Mapping[str, ParamDoc] = {
    "template": ParamDoc(default="{prompt}", help="Applied to the prompt's text; {prompt} is where it goes."),
    "system": ParamDoc(default=None, help="A system message; it replaces the row's own."),
    "label_words": ParamDoc(default=(), help="What the model learns to say for each label, in the labels' order."),
}


def prompt_of(params: Params) -> Prompt:
    """The prompt that complete params ask for."""
    words = params["label_words"]
    system = params["system"]
    return Prompt(
        template=str(params["template"]),
        system=None if system is None else str(system),
        label_words=tuple(str(word) for word in words) if isinstance(words, tuple) else (),
    )
