"""Examples as tokens: rendered, cut to the longest allowed, cached once a node, shown for a look."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from filelock import FileLock
from safetensors import safe_open
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from raysweep.engine.family import Family
from raysweep.engine.state import write_tensors
from raysweep.errors import ConfigError, DataError
from raysweep.jobs import TokenView
from raysweep.task import Example, Message, Prompt, Rendered, Task, render, words_of


@dataclass(frozen=True)
class Encoding:
    """Everything but the rows that decides which tokens a model sees."""

    model: str
    """The folder or the hub's name that the tokenizer comes from."""
    family: Family
    task: Task
    prompt: Prompt
    max_length: int
    chat_template: str | None = None


@dataclass(frozen=True)
class Rows:
    """Tokenised examples, end to end."""

    ids: torch.Tensor
    """(n_tokens,) of the prompts, without padding or label; a free text stands behind its prompt."""
    lengths: torch.Tensor
    """(n_rows,), all above 0."""
    targets: torch.Tensor
    """(n_rows,) label numbers; of free texts, how many of a row's tokens are the prompt's."""
    words: tuple[tuple[int, ...], ...]
    """The tokens of each label's word; empty for an encoder, and where there are no labels."""

    def __len__(self) -> int:
        return int(self.lengths.numel())

    def row(self, number: int) -> list[int]:
        """The prompt's tokens of one row."""
        end = int(self.lengths[: number + 1].sum())
        tokens: list[int] = self.ids[end - int(self.lengths[number]) : end].tolist()
        return tokens

    def prompts(self) -> list[list[int]]:
        """Of free texts, the prompt's tokens of every row."""
        parts = torch.split(self.ids, self.lengths.tolist())
        return [part[:n].tolist() for part, n in zip(parts, self.targets.tolist(), strict=True)]

    def digest(self) -> str:
        """16 hex digits over the tokens of rows and words, not the labels."""
        sums = hashlib.sha256(json.dumps(self.words).encode())
        sums.update(self.ids.numpy().tobytes())
        sums.update(self.lengths.numpy().tobytes())
        return sums.hexdigest()[:16]


class Tokenizer:
    """Renders and tokenises examples. Raises ConfigError for a tokenizer that cannot be loaded or lacks a template."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        try:
            self._tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(encoding.model)
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"trainer.model: no tokenizer can be loaded from {encoding.model}: {error}") from error

    def rows(self, examples: Sequence[Example]) -> Rows:
        """The examples as tokens; those above the longest allowed lose the end of their last user turn."""
        prompts = [self._rendered(example) for example in examples]
        tokens = self._encode([text for text, _ in prompts], is_chat=[is_chat for _, is_chat in prompts])
        for place, row in enumerate(tokens):
            if len(row) > self._encoding.max_length:
                tokens[place] = self._shortened(examples[place], row)
        writing = self._encoding.task.writing
        if writing is not None:
            return _with_texts(tokens, [self._text_tokens(one)[: writing.max_new_tokens] for one in examples])
        targets = [self._encoding.task.index(example.label) for example in examples]
        return Rows(
            ids=torch.tensor([token for row in tokens for token in row], dtype=torch.int32),
            lengths=torch.tensor([len(row) for row in tokens], dtype=torch.int32),
            targets=torch.tensor(targets, dtype=torch.int64),
            words=self._words(is_chat=examples[0].is_chat) if self._encoding.family is Family.CAUSAL else (),
        )

    def lengths(self, examples: Sequence[Example]) -> tuple[int, ...]:
        """Tokens of each example before any cut, without its free text."""
        prompts = [self._rendered(example) for example in examples]
        return tuple(map(len, self._encode([text for text, _ in prompts], is_chat=[chat for _, chat in prompts])))

    def text_lengths(self, examples: Sequence[Example]) -> tuple[int, ...]:
        """Tokens of each free text and its end, before any cut."""
        return tuple(len(self._text_tokens(example)) for example in examples)

    def preview(self, example: Example) -> tuple[TokenView, ...]:
        """The row's tokens, label included, and which of them are trained on; an encoder's head is on none."""
        rows = self.rows([example])
        if self._encoding.task.writing is not None:
            n_prompt = int(rows.targets[0])
            return tuple(TokenView(self._text(one), place >= n_prompt) for place, one in enumerate(rows.row(0)))
        words = rows.words[int(rows.targets[0])] if rows.words else ()
        prompt = [TokenView(self._text(token), is_trained=False) for token in rows.row(0)]
        return (*prompt, *(TokenView(self._text(token), is_trained=True) for token in words))

    @property
    def end(self) -> int | None:
        """The token that ends a text; None where the model has none."""
        end = self._tokenizer.eos_token_id
        return end if isinstance(end, int) else None

    def texts(self, rows: list[list[int]]) -> list[str]:
        """Tokens as people read them, up to the end, without spaces around them."""
        return [str(text).strip() for text in self._tokenizer.batch_decode(rows, skip_special_tokens=True)]

    def save(self, folder: Path) -> None:
        """Write the tokenizer's files."""
        self._tokenizer.save_pretrained(str(folder))

    def _text_tokens(self, example: Example) -> list[int]:
        """The free text's tokens and its end."""
        text = example.label if example.is_chat else spaced(example.label, self._encoding.prompt.template)
        tokens = list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        return [*tokens, *([] if self.end is None else [self.end])]

    def _rendered(self, example: Example) -> tuple[str, bool]:
        """The text, and whether it already holds the special tokens."""
        rendered = render(example, self._encoding.prompt, self._encoding.task)
        template = self._encoding.chat_template or self._tokenizer.chat_template
        if not rendered.is_chat or (self._encoding.family is Family.ENCODER and self._encoding.chat_template is None):
            return rendered.text, False
        if template is None:
            raise ConfigError(
                f"trainer.chat_template: the tokenizer of {self._encoding.model} has none and the data are chats;"
                " write one, or use a prompt column"
            )
        return self._chat(rendered, template), True

    def _chat(self, rendered: Rendered, template: str | dict[str, str]) -> str:
        turns = [{"role": message.role, "content": message.content} for message in rendered.messages]
        chosen = template if isinstance(template, str) else None
        text = self._tokenizer.apply_chat_template(
            turns, chat_template=chosen, add_generation_prompt=True, tokenize=False
        )
        return str(text)

    def _encode(self, texts: Sequence[str], *, is_chat: Sequence[bool]) -> list[list[int]]:
        tokens: list[list[int]] = [[] for _ in texts]
        for chat in (False, True):
            places = [place for place, one in enumerate(is_chat) if one is chat]
            if not places:
                continue
            batch = self._tokenizer([texts[place] for place in places], add_special_tokens=not chat, verbose=False)
            for place, row in zip(places, batch["input_ids"], strict=True):
                tokens[place] = list(row)
        empty = next((place for place, row in enumerate(tokens) if not row), None)
        if empty is not None:
            raise DataError(f"row {empty + 1}: no tokens are left of {texts[empty]!r}; drop the row")
        return tokens

    def _shortened(self, example: Example, row: list[int]) -> list[int]:
        """Cut from the end of the last user turn, so that the template around it stays whole."""
        last = max(place for place, message in enumerate(example.messages) if message.role == "user")
        content = example.messages[last].content
        while len(row) > self._encoding.max_length:
            n_over = len(row) - self._encoding.max_length
            offsets = self._tokenizer(content, add_special_tokens=False, return_offsets_mapping=True, verbose=False)[
                "offset_mapping"
            ]
            if len(offsets) <= n_over:
                raise ConfigError(
                    f"trainer.max_length: {self._encoding.max_length} tokens do not hold even the prompt's own words;"
                    f" raise it above {len(row) - len(offsets)} or shorten the template"
                )
            content = content[: offsets[-n_over][0]].rstrip()
            messages = (*example.messages[:last], Message("user", content), *example.messages[last + 1 :])
            text, is_chat = self._rendered(replace(example, messages=messages))
            row = self._encode([text], is_chat=[is_chat])[0]
        return row

    def _words(self, *, is_chat: bool) -> tuple[tuple[int, ...], ...]:
        """The tokens of each label's word as they follow the prompt."""
        words = words_of(self._encoding.prompt, self._encoding.task)
        texts = words if is_chat else [spaced(word, self._encoding.prompt.template) for word in words]
        tokens = tuple(tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts)
        if len(set(tokens)) < len(tokens) or not all(tokens):
            raise ConfigError(f"label_words {texts}: not all are tokens of their own to this model; choose other words")
        return tokens

    def _text(self, token: int) -> str:
        return str(self._tokenizer.decode([token]))


def _with_texts(prompts: Sequence[Sequence[int]], texts: Sequence[Sequence[int]]) -> Rows:
    rows = [(*prompt, *text) for prompt, text in zip(prompts, texts, strict=True)]
    return Rows(
        ids=torch.tensor([token for row in rows for token in row], dtype=torch.int32),
        lengths=torch.tensor([len(row) for row in rows], dtype=torch.int32),
        targets=torch.tensor([len(prompt) for prompt in prompts], dtype=torch.int64),
        words=(),
    )


def spaced(word: str, template: str) -> str:
    """A plain prompt's answer with a space before it, unless word or template already bring one."""
    return word if word[:1].isspace() or template[-1:].isspace() else f" {word}"


def cached_rows(encoding: Encoding, examples: Sequence[Example], *, fingerprint: str, folder: Path) -> Rows:
    """The examples as tokens, from the folder's cache, which is filled by whoever comes first.

    `fingerprint` stands for the examples: the same one must always mean the same rows.
    """
    key = hashlib.sha256(f"{encoding!r} {fingerprint} {_tokenizer_stamp(encoding.model)}".encode()).hexdigest()[:24]
    path = folder / f"{key}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.is_file():
            _write(Tokenizer(encoding).rows(examples), path)
        return _read(path)


def _tokenizer_stamp(model: str) -> str:
    files = [Path(model) / name for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")]
    stats = [path.stat() for path in files if path.is_file()]
    return " ".join(f"{stat.st_size}:{stat.st_mtime_ns}" for stat in stats)


def _write(rows: Rows, path: Path) -> None:
    tensors = {"ids": rows.ids, "lengths": rows.lengths, "targets": rows.targets}
    write_tensors(path, tensors, {"words": json.dumps(rows.words)})


def _read(path: Path) -> Rows:
    with safe_open(path, framework="pt") as file:
        words = json.loads(file.metadata()["words"])
        ids, lengths, targets = (file.get_tensor(name).clone() for name in ("ids", "lengths", "targets"))
    return Rows(ids, lengths, targets, tuple(tuple(word) for word in words))
