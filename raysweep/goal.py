"""What a sweep strives for: one metric and a direction."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Goal:
    """A metric's name and whether more of it is better."""

    metric: str
    mode: Literal["max", "min"]

    @property
    def bare(self) -> str:
        """The metric's name without its split."""
        return self.metric.removeprefix("val_")

    def loss(self, value: float) -> float:
        """The value as something to be minimised."""
        return -value if self.mode == "max" else value

    def value_in(self, metrics: Mapping[str, float | None]) -> float:
        """The metric's value in an evaluation; NaN where there is none, or it is not finite."""
        value = metrics.get(self.metric)
        return math.nan if value is None or not math.isfinite(value) else value

    def reached(self, value: float, target: float) -> bool:
        """Whether `value` is as good as the target, or better."""
        return self.loss(value) <= self.loss(target)
