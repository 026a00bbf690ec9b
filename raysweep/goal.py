"""What a sweep strives for: one metric and a direction."""

import math
from collections.abc import Iterable
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

    def is_better(self, value: float, than: float) -> bool:
        """Whether `value` is strictly better."""
        return self.loss(value) < self.loss(than)

    def reached(self, value: float, target: float) -> bool:
        """Whether `value` is as good as the target, or better."""
        return self.loss(value) <= self.loss(target)

    def best(self, values: Iterable[float]) -> float | None:
        """The best finite value, or None where there is none."""
        return min((v for v in values if math.isfinite(v)), key=self.loss, default=None)

    def worst(self, values: Iterable[float]) -> float | None:
        """The worst finite value, or None where there is none."""
        return max((v for v in values if math.isfinite(v)), key=self.loss, default=None)
