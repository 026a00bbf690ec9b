"""What a host's answers tell of the host itself: its order, its packing, how it counts. Pure; asks nothing."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from raysweep.trainers.facts import Counted, Order
from raysweep.trainers.hosted import Point
from raysweep.trainers.wire_metrics import point_of

OVERCOUNT = 2.2
"""We count so many times a host's tokens at the very most; 1.4 on English prose, more on numbers (2026)."""

Page = Mapping[str, object]


def items(page: Page) -> Sequence[Mapping[str, object]]:
    """What a list's page holds."""
    data = page.get("data")
    return [one for one in data if isinstance(one, Mapping)] if isinstance(data, list) else []


def order_of(events: Sequence[Mapping[str, object]]) -> Order | None:
    """By time and by step; None where all events are of one moment and tell no steps."""
    times = [float(at) for event in events if isinstance(at := event.get("created_at"), int | float)]
    steps = [float(point.step) for event in events if (point := _point(event))]
    rising, falling = (_only_rises(times), _only_rises(steps)), (_only_rises(times[::-1]), _only_rises(steps[::-1]))
    if all(rising) and all(falling):
        return None
    return "oldest_first" if all(rising) else "newest_first" if all(falling) else "mixed"


def has_metrics(events: Sequence[Mapping[str, object]]) -> bool:
    """Whether any of them tells a loss."""
    return any(_point(event) for event in events)


def counted(trained: int, *, n_epochs: int, training: int, validation: int) -> Counted:
    """How a host has counted. `training`, `validation`: what we reckon for one pass over each file, at most.

    Unclear where the number fits several ways, or none.
    """
    ways: Mapping[Counted, int] = {
        "once": training,
        "each epoch": n_epochs * training,
        "each epoch, with validation": n_epochs * (training + validation),
    }
    fitting = [way for way, most in ways.items() if most / OVERCOUNT <= trained <= most]
    return fitting[0] if len(fitting) == 1 else "unclear"


def _point(event: Mapping[str, object]) -> Point | None:
    data = event.get("data")
    return point_of(data if isinstance(data, Mapping) else {}, str(event.get("message") or ""))


def _only_rises(values: Sequence[float]) -> bool:
    return all(one <= other for one, other in pairwise(values))
