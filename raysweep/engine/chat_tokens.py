"""Chats as tokens: the turns before the answer as the model's own template has them, then the answer and its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from raysweep.errors import ConfigError

Turns = Sequence[tuple[str, str]]
"""Role and content of each turn."""
MAX_LENGTH = 512
"""Tokens of a chat; of a longer one the beginning is cut off, so that its answer stays."""


HALF_A_LETTER = "\ufffd"
"""What a tokenizer writes for bytes that are no letter yet."""


@dataclass(frozen=True)
class ChatTokens:
    """One chat."""

    ids: tuple[int, ...]
    n_prompt: int
    """Those before the answer, on which no loss is taken; at least one."""


@dataclass(frozen=True)
class ChatBatch:
    """Chats side by side, padded on the right."""

    ids: torch.Tensor
    """(batch, length)"""
    targets: torch.Tensor
    """(batch, length) the token that is to follow each place; -100 where no loss is taken."""


class ChatTokenizer:
    """A model's tokenizer. Raises ConfigError for one that cannot be loaded or has no chat template."""

    def __init__(self, model: str | Path) -> None:
        try:
            self._tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(str(model))
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"--model: no tokenizer can be loaded from {model}: {error}") from error
        if self._tokenizer.chat_template is None:
            raise ConfigError(f"--model: the tokenizer of {model} has no chat template; name a model that chats")
        end = self._tokenizer.eos_token_id
        self.end: int | None = end if isinstance(end, int) else None

    def prompt(self, turns: Turns) -> list[int]:
        """The turns as tokens, up to where the answer begins."""
        messages = [{"role": role, "content": content} for role, content in turns]
        text = str(self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def chat(self, turns: Turns, answer: str) -> ChatTokens:
        """The whole chat as tokens."""
        said = list(self._tokenizer(answer, add_special_tokens=False)["input_ids"])[: MAX_LENGTH - 1]
        if self.end is not None:
            said.append(self.end)
        prompt = self.prompt(turns)[-(MAX_LENGTH - len(said)) :]
        return ChatTokens((*prompt, *said), len(prompt))

    def text(self, token: int) -> str:
        """The token for a person to read."""
        return str(self._tokenizer.decode([token]))

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        """What each token adds to the text of those before it: together they are the whole text.

        Of a letter in several tokens, all is with the last one.
        """
        found, text = [], ""
        for n in range(1, len(tokens) + 1):
            whole = str(self._tokenizer.decode(list(tokens[:n])))
            is_half = whole.endswith(HALF_A_LETTER) and n < len(tokens)
            found.append("" if is_half else whole[len(text) :])
            text = text if is_half else whole
        return found


def batch_of(chats: Sequence[ChatTokens]) -> ChatBatch:
    """These chats, padded to the longest of them."""
    longest = max(len(chat.ids) for chat in chats)
    ids = torch.zeros(len(chats), longest, dtype=torch.int64)
    targets = torch.full((len(chats), longest), -100, dtype=torch.int64)
    for row, chat in enumerate(chats):
        tokens = torch.tensor(chat.ids)
        ids[row, : len(tokens)] = tokens
        targets[row, chat.n_prompt - 1 : len(tokens) - 1] = tokens[chat.n_prompt :]
    return ChatBatch(ids, targets)
