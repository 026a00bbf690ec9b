"""What `raysweep probe` has measured at a host: dated facts in the user's folder, and the settings they fill in."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import yaml
from pydantic import TypeAdapter, ValidationError

from raysweep import environment
from raysweep.config import WireTrainer
from raysweep.errors import ConfigError
from raysweep.trainers.dialects import UNKNOWN_LAG_S, dialect_of
from raysweep.trainers.wire_metrics import Packing
from raysweep.whole import write_whole

OLD_DAYS = 90
"""Hosts change; older facts are still used, but said to be old."""
LAG_FACTOR = 3.0
"""One job's lag was measured once; so many times as much is waited for, and never less than where nobody knows."""

Filter = Literal["works", "ignored", "empty", "refused"]
Order = Literal["newest_first", "oldest_first", "mixed"]
Counted = Literal["each epoch", "once", "each epoch, with validation", "unclear"]


@dataclass(frozen=True)
class Measured:
    """What was seen; None where it was not, and then `unmeasured` says why."""

    listing_lag_s: float | None = None
    """From a create's answer until the plain list first held the job; at most, by how often it was looked at."""
    metadata_filter: Filter | None = None
    events_order: Order | None = None
    metric_events: bool | None = None
    """Whether a job's events tell its losses."""
    checkpoints: bool | None = None
    """Whether its checkpoints do."""
    has_more: bool | None = None
    """Whether lists say that there is more."""
    result_encoding: Packing | None = None
    cancel_s: float | None = None
    """From the request until the job was final."""
    cancelled_while: str | None = None
    """What the job was doing, in the host's word."""
    cancelled_tokens: int | None = None
    """What the host says the cancelled job has trained."""
    trained_tokens: int | None = None
    """What the host says the other job has trained."""
    tokens_at_most: int | None = None
    """What we reckon for its training rows, over all epochs."""
    tokens_counted: Counted | None = None
    unmeasured: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """One probe's."""

    host: str
    address: str
    key_env: str
    """The NAME of the variable that held the key, or `entra`: with the address, whose account it was."""
    model: str
    raysweep: str
    measured_at: datetime
    measured: Measured

    def age_days(self, now: datetime) -> int:
        """Whole days."""
        return (now - self.measured_at).days

    @property
    def settings(self) -> Mapping[str, float | bool]:
        """By the trainer's setting, what they say of it; left out where they say nothing."""
        seen, known = self.measured, dict[str, float | bool]()
        if seen.listing_lag_s is not None:
            known["listing_lag_s"] = round(max(UNKNOWN_LAG_S, LAG_FACTOR * seen.listing_lag_s), 1)
        if seen.metadata_filter is not None:
            known["metadata_filter"] = seen.metadata_filter == "works"
        if seen.events_order is not None:
            known["newest_events_first"] = seen.events_order == "newest_first"
        if seen.metric_events or (seen.metric_events is False and seen.checkpoints):
            known["metric_events"] = seen.metric_events
        if seen.tokens_counted not in (None, "unclear"):
            known["counts_validation"] = seen.tokens_counted == "each epoch, with validation"
        return MappingProxyType(known)


_FACTS = TypeAdapter(Facts)


def path_of(settings: WireTrainer) -> Path:
    """The file of this host and account. Raises ConfigError for settings that do not fit the host's dialect."""
    dialect = dialect_of(settings)
    told = "\n".join((_address(dialect.base_url), _account(settings, dialect.key_env)))
    name = f"{dialect.name}-{hashlib.sha256(told.encode()).hexdigest()[:8]}.yaml"
    return environment.config_folder() / "hosts" / name


def find(settings: WireTrainer) -> Facts | None:
    """What was measured at the settings' host; None where nothing was, and for a rehearsal, which asks no host.

    Raises ConfigError for a file that cannot be read.
    """
    if settings.rehearsal is not None:
        return None
    path = path_of(settings)
    try:
        return _FACTS.validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"{path}: cannot be read as a host's facts; delete it, or probe again: {error}") from error


def save(settings: WireTrainer, measured: Measured, *, at: datetime, version: str) -> Path:
    """Write them down in place of any older ones; the file. Raises DiskError."""
    dialect, path = dialect_of(settings), path_of(settings)
    account = _account(settings, dialect.key_env)
    facts = Facts(dialect.name, _address(dialect.base_url), account, settings.model, version, at, measured)
    head = "# Measured by `raysweep probe`; settings of the trainer count before it. Delete it to forget.\n"
    write_whole(path, head + yaml.safe_dump(_FACTS.dump_python(facts, mode="json"), sort_keys=False))
    return path


def filled(settings: WireTrainer, facts: Facts | None) -> WireTrainer:
    """The settings with what the facts know, wherever the user has said nothing himself."""
    return settings.model_copy(update=dict(_used(settings, facts))) if facts else settings


def words(settings: WireTrainer, facts: Facts, now: datetime) -> str:
    """For a person, one line: their date, what of them is used, and what the settings say otherwise."""
    age, used = facts.age_days(now), _used(settings, facts)
    told = ", ".join(f"{name} {_word(value)}" for name, value in used.items()) or "none is used"
    given = [name for name in facts.settings if name not in used]
    line = f"measured by raysweep probe on {facts.measured_at:%Y-%m-%d}: {told}"
    line += f"; the settings themselves say {', '.join(given)}" if given else ""
    return line + (f"; {age} days are long, hosts change: probe again" if age > OLD_DAYS else "")


def _used(settings: WireTrainer, facts: Facts) -> Mapping[str, float | bool]:
    given = settings.model_dump(include=set(facts.settings))
    return {name: value for name, value in facts.settings.items() if given[name] is None}


def _word(value: float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


def _address(base_url: str | None) -> str:
    return (base_url or "").rstrip("/")


def _account(settings: WireTrainer, key_env: str) -> str:
    return settings.identity if settings.identity != "key" else key_env
