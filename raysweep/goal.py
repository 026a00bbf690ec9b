"""What a sweep strives for: one metric and a direction."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Goal:
    """A metric's name and whether more of it is better."""

    metric: str
    mode: Literal["max", "min"]

    def loss(self, value: float) -> float:
        """The value as something to be minimised."""
        return -value if self.mode == "max" else value

    def reached(self, value: float, target: float) -> bool:
        """Whether `value` is as good as the target, or better."""
        return self.loss(value) <= self.loss(target)
