"""On which axis a hyperparameter belongs, where nobody says how it was sampled: judged by its values."""

from collections.abc import Sequence

import numpy as np

from raysweep.report.record import Param, kind_of
from raysweep.scoring.answers import Floats

LOG_RATIO = 20.0
"""Values that span more than this, more evenly by their logarithm, go on a logarithmic axis."""


def param_of(name: str, values: Sequence[object]) -> Param:
    """The param that takes these values; none of them is null."""
    kind = kind_of(values)
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    return Param(name, kind, is_log=kind == "number" and _spans_decades(np.array(numbers)))


def _spans_decades(values: Floats) -> bool:
    if not values.size or not (values > 0).all() or values.max() / values.min() < LOG_RATIO:
        return False
    return _skew(np.log(values)) < _skew(values)


def _skew(values: Floats) -> float:
    spread = values.std()
    return float(abs((((values - values.mean()) / spread) ** 3).mean())) if spread > 0 else 0.0
