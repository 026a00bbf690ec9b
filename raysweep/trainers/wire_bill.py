"""What a job at a host costs: tokens, at most, before it begins, and a bill by what it has done.

Only a host knows its tokens. What is counted here is meant to be too much rather than too little: money is reserved
by it, and what was not used comes back once the host has said how much it was.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from raysweep.cost import Prices, Usage
from raysweep.task import Example, Prompt, Task, render
from raysweep.trainers.hosted import Question
from raysweep.trainers.wire_data import questions

LETTERS_A_TOKEN = 4
"""Of the Latin alphabet; vocabularies of 2026 have about 4.5 a token in English, most short words are one token."""
TOKENS_A_MESSAGE = 5
"""Role and marks of a turn: 3 to 5 in the chat templates of OpenAI, Llama, Qwen and SmolLM (2026)."""
TOKENS_AN_EXAMPLE = 3
"""That begin the answer."""
HOSTING_H = 1.0
"""The least that a deployment is reckoned with: it is made, warms up, and goes once all answers are there."""
_PIECE = re.compile(r"[A-Za-z]+|\s+|.", re.DOTALL)


@dataclass(frozen=True)
class Bill:
    """One job's, at a host's prices."""

    prices: Prices
    tokens_per_epoch: float
    """At most."""
    n_epochs: float
    scoring: Usage = Usage()  # noqa: RUF009  # frozen
    """Of the finished model on the validation split, at most."""
    free_states: frozenset[str] = frozenset()
    """The host's words for a job that does not train."""
    grading_usd: float = 0.0
    """Of the grader of the finished model's texts, at most."""

    @property
    def at_most_usd(self) -> float:
        """Before anything has begun."""
        return self.training_usd(self.n_epochs) + self.answers_usd

    @property
    def answers_usd(self) -> float:
        """Of a finished model's answers on the validation split, and their grades, at most."""
        return self.prices.usd(self.scoring) + self.grading_usd

    def training_usd(self, epochs: float) -> float:
        """For so much of it."""
        return self.prices.usd(Usage(min(epochs, self.n_epochs) * self.tokens_per_epoch))

    def so_far_usd(self, epochs: float, *, is_known: bool) -> float:
        """By the share that was done; where nobody knows how far it has come, all of it."""
        return self.training_usd(epochs) if is_known else self.at_most_usd

    def whole_usd(self, trained_tokens: int | None) -> float:
        """Of a job that has ended well; None: the host does not say what it has trained."""
        if not trained_tokens:
            return self.at_most_usd
        return self.prices.usd(Usage(trained_tokens)) + self.answers_usd


def most_tokens(text: str) -> int:
    """More than a host makes of a text: letters by fours, every other character by itself, signs of no alphabet thrice.

    A space in front of a word belongs to it, as in every vocabulary.
    """
    total = 0
    for piece in _PIECE.finditer(text):
        found = piece[0]
        if found.isascii() and found.isalpha():
            total += math.ceil(len(found) / LETTERS_A_TOKEN)
        elif found.isspace():
            is_of_word = len(found) == 1 and text[piece.end() : piece.end() + 1].isalnum()
            total += 0 if is_of_word else len(found) if "\n" in found else 1
        else:
            total += 1 if found.isascii() or found.isalnum() else 3
    return total


def most_training_tokens(examples: Sequence[Example], prompt: Prompt, task: Task) -> int:
    """Of one pass over the rows, at most."""
    total = 0
    for example in examples:
        rendered = render(example, prompt, task)
        texts = [*(one.content for one in rendered.messages), rendered.completion]
        total += sum(most_tokens(text) + TOKENS_A_MESSAGE for text in texts) + TOKENS_AN_EXAMPLE
    return max(1, total)


def most_scoring(
    examples: Sequence[Example], prompt: Prompt, task: Task, *, tokens_per_minute: int, is_deployed: bool
) -> Usage:
    """Of a model's answers to the rows, at most; where it must be deployed, for as long as they take."""
    usage = most_reading(questions(examples, prompt, task))
    tokens = usage.input_tokens + usage.output_tokens
    return replace(usage, hosting_h=HOSTING_H + tokens / tokens_per_minute / 60 if is_deployed else 0.0)


def most_reading(asked: Sequence[Question]) -> Usage:
    """Of the answers to these questions, at most."""
    read = sum(
        sum(most_tokens(one.content) + TOKENS_A_MESSAGE for one in question.messages) + TOKENS_AN_EXAMPLE
        for question in asked
    )
    return Usage(0.0, read, sum(question.max_tokens for question in asked))
