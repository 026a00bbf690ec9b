"""Chats answered token by token, each with the log-probabilities of what else might have stood there."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from peft import PeftModel
from torch import nn

from raysweep.engine.chat_tokens import MAX_LENGTH, ChatTokenizer, Turns
from raysweep.engine.family import Family
from raysweep.engine.model import load_backbone
from raysweep.engine.place import place_on
from raysweep.engine.quiet import quietly

KEPT_ADAPTERS = 8
"""Adapters that stay loaded; of more, the one that was used longest ago goes."""


@dataclass(frozen=True)
class Choice:
    """One token of an answer."""

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...]
    """The likeliest, best first."""


@dataclass(frozen=True)
class Said:
    """A whole answer."""

    choices: tuple[Choice, ...]
    is_cut: bool
    """Whether it had not come to its end when the allowed tokens were used up."""
    n_prompt_tokens: int


class ChatModel:
    """A base model, and those of its adapters that were asked for lately."""

    def __init__(self, model: str) -> None:
        """Raises ConfigError where the model cannot be loaded."""
        self._tokenizer = ChatTokenizer(model)
        backbone = load_backbone(model, Family.CAUSAL, place_on("auto", "auto"))
        self._model, self._device = backbone.model, backbone.placement.device
        self._adapted: PeftModel | None = None
        self._loaded: OrderedDict[str, None] = OrderedDict()

    def answer(self, turns: Turns, *, adapter: str | None, n: int, temperature: float, n_top: int, seed: int) -> Said:
        """At most `n` tokens; the likeliest ones where the temperature is 0. `adapter` is a folder."""
        prompt = self._tokenizer.prompt(turns)[-MAX_LENGTH:]
        dice = torch.Generator().manual_seed(seed)
        choices: list[Choice] = []
        tokens: list[int] = []
        following, past = torch.tensor([prompt]), None
        with self._with_adapter(adapter) as model, torch.no_grad():
            while len(choices) < n:
                out = model(input_ids=following.to(self._device), past_key_values=past, use_cache=True)
                logprobs, past = out.logits[0, -1].float().log_softmax(0).cpu(), out.past_key_values
                token = _drawn(logprobs, temperature, dice)
                if token == self._tokenizer.end:
                    return Said(self._spelled(choices, tokens), False, len(prompt))
                tokens.append(token)
                choices.append(self._choice(logprobs, token, n_top))
                following = torch.tensor([[token]])
        return Said(self._spelled(choices, tokens), True, len(prompt))

    def _spelled(self, choices: Sequence[Choice], tokens: Sequence[int]) -> tuple[Choice, ...]:
        pieces = self._tokenizer.pieces(tokens)
        return tuple(replace(one, text=piece) for one, piece in zip(choices, pieces, strict=True))

    def _choice(self, logprobs: torch.Tensor, token: int, n_top: int) -> Choice:
        values, tokens = logprobs.topk(min(n_top, logprobs.numel()))
        top = zip(tokens.tolist(), values.tolist(), strict=True)
        named = tuple((self._tokenizer.text(one), float(value)) for one, value in top)
        return Choice(self._tokenizer.text(token), float(logprobs[token]), named)

    @contextmanager
    def _with_adapter(self, folder: str | None) -> Iterator[nn.Module]:
        """Inside, the base model, or the same with this adapter."""
        if folder is not None:
            yield self._adapted_by(folder)
        elif self._adapted is None:
            yield self._model
        else:
            with self._adapted.disable_adapter():
                yield self._adapted

    def _adapted_by(self, folder: str) -> PeftModel:
        name = "".join(letter if letter.isalnum() else "_" for letter in folder)
        with quietly():
            if self._adapted is None:
                self._adapted = PeftModel.from_pretrained(self._model, folder, adapter_name=name)
            elif name not in self._loaded:
                self._adapted.load_adapter(folder, adapter_name=name)
            self._loaded[name] = None
            self._loaded.move_to_end(name)
            self._adapted.set_adapter(name)
            if len(self._loaded) > KEPT_ADAPTERS:
                self._adapted.delete_adapter(self._loaded.popitem(last=False)[0])
        return self._adapted.eval()


def _drawn(logprobs: torch.Tensor, temperature: float, dice: torch.Generator) -> int:
    if temperature == 0:
        return int(logprobs.argmax())
    return int(torch.multinomial((logprobs / temperature).softmax(0), 1, generator=dice))
