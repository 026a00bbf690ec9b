"""Entries as lines of JSON, and back."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime

from raysweep.dimensions import as_param
from raysweep.entries import (
    CancelRequested,
    Entry,
    Evaluated,
    FinalReserved,
    FinalScored,
    JobAccepted,
    JobSettled,
    SweepEnded,
    SweepResumed,
    SweepStarted,
    TrialEnded,
    TrialInterrupted,
    TrialProposed,
)
from raysweep.errors import Fault
from raysweep.jobs import Outcome

_KINDS: Mapping[str, type[Entry]] = {
    kind.__name__: kind
    for kind in (
        SweepStarted,
        SweepResumed,
        TrialProposed,
        JobAccepted,
        Evaluated,
        TrialInterrupted,
        CancelRequested,
        TrialEnded,
        JobSettled,
        FinalReserved,
        FinalScored,
        SweepEnded,
    )
}
_FIELDS: Mapping[type[Entry], frozenset[str]] = {
    kind: frozenset(each.name for each in fields(kind)) for kind in _KINDS.values()
}


def encode(entry: Entry) -> str:
    """The entry as one line of JSON; raises ValueError for a number that is not finite."""
    return json.dumps({"entry": type(entry).__name__, **asdict(entry)}, default=_encode_value, allow_nan=False)


def decode(line: str) -> Entry:
    """The entry on a line; raises ValueError, KeyError or TypeError for anything else."""
    values = _parse(line)
    if not isinstance(values, dict):
        raise TypeError("not an object")
    kind = _KINDS[values.pop("entry")]
    unknown = values.keys() - _FIELDS[kind]
    if unknown:
        raise ValueError(f"unknown fields {sorted(unknown)}")
    values["at"] = datetime.fromisoformat(values["at"])
    if values["at"].tzinfo is None:
        raise ValueError("a time without its zone")
    if "outcome" in values:
        values["outcome"] = Outcome(values["outcome"])
    if values.get("fault") is not None:
        values["fault"] = Fault(values["fault"])
    for place in ("params", "default"):
        if values.get(place) is not None:
            values[place] = {name: as_param(value) for name, value in dict(values[place]).items()}
    if "sampled" in values:
        values["sampled"] = tuple(values["sampled"])
    return kind(**values)


def version_of(line: str) -> tuple[int, str]:
    """The schema version of a ledger with this first line, and the raysweep that wrote it; decodes nothing else.

    Raises ValueError, KeyError or TypeError where no ledger begins so.
    """
    values = _parse(line)
    if not isinstance(values, dict):
        raise TypeError("not an object")
    version = values["schema_version"] if values["entry"] == SweepStarted.__name__ else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError("a ledger begins with SweepStarted and its schema version")
    return version, str(values["raysweep_version"])


def _parse(line: str) -> object:
    try:
        return _DECODER.decode(line)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _encode_value(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} cannot be written to the ledger")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
