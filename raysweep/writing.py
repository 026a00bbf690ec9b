"""Free text: how long it may be, how much of it is scored, and who grades it."""

from dataclasses import dataclass, field

ANSWER = "{answer}"
"""Where a grader's prompt takes in what was written."""


@dataclass(frozen=True)
class Grader:
    """A function of the user's own that grades one text."""

    function: str
    """`module:function`: of the prompt, the right text and the written one; gives a number, or None."""
    folder: str | None = None
    """Where the module lies if it is not installed; absolute."""


@dataclass(frozen=True)
class ModelGrader:
    """A model at the trainer's host that grades one text."""

    model: str
    prompt: str
    """With `{answer}` for what was written, and `{prompt}` and `{completion}` of the row where they are wanted."""
    low: float
    high: float
    """The ends of its scale."""
    max_tokens: int
    """Of its reply."""
    input_usd_per_million: float | None = None
    output_usd_per_million: float | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a prompt without the text, or a scale without room."""
        if ANSWER not in self.prompt:
            raise ValueError(f"prompt {self.prompt!r} has no {ANSWER}: write it where the text to be graded goes")
        if not self.low < self.high:
            raise ValueError(f"scale [{self.low:g}, {self.high:g}]: must ascend")

    @property
    def has_price(self) -> bool:
        """Whether it costs something."""
        return bool(self.input_usd_per_million or self.output_usd_per_million)


@dataclass(frozen=True)
class Writing:
    """How a model's free text is had and scored."""

    max_new_tokens: int = 64
    """The longest text that is trained on and asked for, in the model's tokens."""
    scored_rows: int | None = field(default=None, repr=False)  # caches of tokens are keyed by the rest
    """The first so many validation rows are written in each evaluation; None: all of them."""
    grader: Grader | ModelGrader | None = field(default=None, repr=False)
    """None: no grades."""

    def __post_init__(self) -> None:
        """Raises ValueError for numbers that leave nothing to write."""
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens {self.max_new_tokens}: at least one token has to be written")
        if self.scored_rows is not None and self.scored_rows < 1:
            raise ValueError(f"scored_rows {self.scored_rows}: at least one row has to be written")
