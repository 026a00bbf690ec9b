"""A trial's params as a host takes them, and which it cannot take."""

from collections.abc import Mapping

from raysweep.dimensions import Params, ParamValue
from raysweep.errors import Fault, JobFailed
from raysweep.jobs import JobSpec, ParamDoc

WHOLE = frozenset({"n_epochs", "batch_size", "lora_r"})
"""Counts."""


def check_params(spec: JobSpec, docs: Mapping[str, ParamDoc]) -> None:
    """Raise JobFailed (params) for what the host would refuse, before it is asked."""
    for name, doc in docs.items():
        value = spec.params.get(name)
        if value is not None:
            _check(name, value, doc)
    if any(point != int(point) for point in spec.evaluate_at):
        raise JobFailed(
            f"evaluations at {list(spec.evaluate_at)}: a host makes them at the ends of epochs", Fault.PARAMS
        )


def wire_params(params: Params, docs: Mapping[str, ParamDoc]) -> dict[str, ParamValue]:
    """By the host's own names; what is None the host chooses."""
    given = {name: params[name] for name in docs if params.get(name) is not None}
    return {name: int(value) if name in WHOLE and isinstance(value, float) else value for name, value in given.items()}


def _check(name: str, value: ParamValue, doc: ParamDoc) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise JobFailed(f"{name}: {value!r} is not a number, and this param is one", Fault.PARAMS)
    if (doc.low is not None and value < doc.low) or (doc.high is not None and value > doc.high):
        raise JobFailed(f"{name}: {value:g} lies outside {doc.low} to {doc.high}, which the host takes", Fault.PARAMS)
    if name in WHOLE and value != int(value):
        raise JobFailed(f"{name}: {value:g} is not a whole number", Fault.PARAMS)
