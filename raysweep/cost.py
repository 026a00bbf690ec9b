"""What hosts charge: a table whose rows have a date and a source, what the settings know better, and bills by both."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from importlib.resources import files

import yaml

from raysweep.errors import ConfigError

NAMES = ("training", "input", "output", "hosting")
"""What has a price."""
GIVEN = "trainer.prices"


@dataclass(frozen=True)
class Usage:
    """What is paid for."""

    trained_tokens: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    hosting_h: float = 0.0


@dataclass(frozen=True)
class Prices:
    """In USD: by the million tokens, and by the hour for hosting."""

    training: float
    input: float
    output: float
    hosting: float
    words: tuple[str, ...] = ()
    """Where the numbers come from, for people: a line each."""

    def usd(self, usage: Usage) -> float:
        """What so much costs."""
        tokens = usage.trained_tokens * self.training + usage.input_tokens * self.input
        return (tokens + usage.output_tokens * self.output) / 1e6 + usage.hosting_h * self.hosting

    @property
    def is_free(self) -> bool:
        """Whether nothing costs anything."""
        return not (self.training or self.input or self.output or self.hosting)


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    hosts: tuple[str, ...]
    prices: Mapping[str, float]
    """Those of `NAMES` that are known."""
    as_of: date
    source: str
    models: tuple[str, ...] = ()
    """Empty: any."""
    tiers: tuple[str, ...] = ()
    """Of a deployment; empty: any, or none."""
    base: Mapping[str, float] = field(default_factory=dict)
    """`input` and `output` of the model that is not tuned."""

    def fits(self, host: str, model: str, tier: str) -> bool:
        """Whether it speaks of this."""
        return (
            host in self.hosts
            and (not self.models or model in self.models)
            and (not self.tiers or tier.lower() in self.tiers)
        )


@cache
def table() -> tuple[Row, ...]:
    """All that is known, in the order in which it counts."""
    rows = yaml.safe_load((files("raysweep") / "prices.yaml").read_text(encoding="utf-8"))
    return tuple(_row(row) for row in rows)


def prices_of(
    host: str,
    model: str,
    *,
    tier: str = "",
    given: Mapping[str, float | None],
    is_paid: bool = True,
    needed: Sequence[str] = NAMES,
) -> Prices | None:
    """What the model costs at the host: each number as it was given, else as the first row that fits has it.

    A model made by a fine-tune (`ft:BASE:...`) costs what its base does. None for a host that is not paid where
    nothing was given. Raises ConfigError where a number that is `needed` at a paid host is known to nobody.
    """
    told = _told(given)
    if not is_paid:
        free = dict.fromkeys(NAMES, 0.0)
        return Prices(**{**free, **told}, words=_words(told, ())) if told else None
    rows = [row for row in table() if row.fits(host, _base(model), tier)]
    missing = _missing(needed, told, rows)
    if missing:
        raise _unknown(host, model, missing)
    return _prices(told, rows)


def rehearsed_prices_of(
    host: str, model: str, *, tier: str = "", given: Mapping[str, float | None], needed: Sequence[str] = NAMES
) -> Prices:
    """As `prices_of` a paid host, for a rehearsal: what nobody knows counts as nothing, and the words say so."""
    told = _told(given)
    rows = [row for row in table() if row.fits(host, _base(model), tier)]
    missing = _missing(needed, told, rows)
    found = _prices(told, rows)
    if not missing:
        return found
    unknown = f"{', '.join(missing)}: nobody knows what {model} costs at {host}, so it is rehearsed as nothing; "
    return replace(found, words=(*found.words, f"{unknown}{' '.join(f'{setting_of(one)}=…' for one in missing)}"))


def setting_of(name: str) -> str:
    """The setting that gives a price."""
    return f"{GIVEN}.{name}_usd_per_{'hour' if name == 'hosting' else 'million'}"


def _told(given: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name in NAMES if (value := given.get(name)) is not None}


def _missing(needed: Sequence[str], told: Mapping[str, float], rows: Sequence[Row]) -> list[str]:
    return [name for name in needed if name not in told and not any(name in row.prices for row in rows)]


def _prices(told: Mapping[str, float], rows: Sequence[Row]) -> Prices:
    """Each number as it was given, else as the first row has it, else nothing."""
    found = {**{name: row.prices[name] for row in reversed(rows) for name in row.prices}, **told}
    used = [row for row in rows if row.prices.keys() - told.keys()]
    return Prices(**{name: found.get(name, 0.0) for name in NAMES}, words=_words(told, used))


def _words(told: Mapping[str, float], rows: Sequence[Row]) -> tuple[str, ...]:
    lines = [f"{_list(told)}: as given in {GIVEN}"] if told else []
    for row in rows:
        mine = {name: value for name, value in row.prices.items() if name not in told}
        lines.append(f"{_list(mine)}: as of {row.as_of:%Y-%m-%d}, {row.source}")
    return tuple(lines)


def _list(prices: Mapping[str, float]) -> str:
    units = {name: "an hour" if name == "hosting" else "a million tokens" for name in prices}
    return ", ".join(f"{name} {value:g} USD {units[name]}" for name, value in prices.items())


def _unknown(host: str, model: str, missing: Sequence[str]) -> ConfigError:
    wanted = " ".join(f"{setting_of(name)}=…" for name in missing)
    return ConfigError(
        f"{GIVEN}: nobody knows what {model} costs at {host} ({', '.join(missing)}), and nothing is taken for free; "
        f"look at the host's price list and give {wanted}"
    )


def _base(model: str) -> str:
    return model.split(":")[1] if model.startswith("ft:") and ":" in model[3:] else model


def _row(raw: Mapping[str, object]) -> Row:
    match raw:
        case {"hosts": list(hosts), "as_of": date() as as_of, "source": str(source)}:
            prices = {name: float(str(raw[name])) for name in NAMES if name in raw}
            models, tiers = raw.get("models"), raw.get("tiers")
            base = {name: float(str(raw[f"base_{name}"])) for name in ("input", "output") if f"base_{name}" in raw}
            return Row(tuple(map(str, hosts)), prices, as_of, source, _texts(models), _texts(tiers), base)
        case _:
            raise ValueError(f"prices.yaml: {raw!r} is no row: hosts, as_of and source are wanted")


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def cents(usd: float | None) -> str:
    """For a person who is asked for it: rounded up, so that it is enough; None: nothing."""
    return f"{math.ceil((usd or 0.0) * 100) / 100:.2f}"
