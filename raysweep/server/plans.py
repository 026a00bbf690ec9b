"""From an order to a plan: numbers for every `auto`, and how many steps and tokens they make."""

import math
from collections.abc import Mapping

from raysweep.server.engine import Data
from raysweep.server.orders import AUTO
from raysweep.server.records import Number, Order, Plan, Setting


def plan_of(order: Order, data: Data, autos: Mapping[str, Number]) -> Plan:
    """`autos` are the engine's numbers, by hyperparameter."""
    n = len(data.train.chats)
    chosen = {name: _number(autos[name] if value == AUTO else value) for name, value in order.hyperparameters.items()}
    per_epoch = math.ceil(n / int(chosen["batch_size"]))
    return Plan(
        hyperparameters=chosen,
        n_examples=n,
        steps_per_epoch=per_epoch,
        n_steps=per_epoch * int(chosen["n_epochs"]),
        tokens_per_epoch=data.train.n_tokens,
        labels=data.train.labels,
        has_validation=data.validation is not None,
    )


def _number(value: Setting) -> Number:
    if isinstance(value, int | float):
        return value
    raise TypeError(f"{value!r} is no number, and was not refused")
