"""Names and numbers as people read them: short headings, three decimals, round durations."""

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from types import MappingProxyType

from raysweep.space import ParamValue

NOTHING = "-"
ROUNDING = 1e-12
"""A metric nearer to zero is what rounding leaves of it."""

_CREDENTIALS = re.compile(r"//[^/\s]+@")

_HEADINGS: Mapping[str, str] = MappingProxyType(
    {
        "accuracy": "acc",
        "balanced_accuracy": "bal.\nacc",
        "f1_weighted": "F1\nwtd",
        "f1_macro": "F1\nmacro",
        "precision_macro": "prec.\nmacro",
        "recall_macro": "rec.\nmacro",
        "log_loss": "log\nloss",
        "brier": "Brier",
        "ece": "ECE",
        "auroc": "AUC",
        "mse": "MSE",
        "mae": "MAE",
        "rmse": "RMSE",
        "qwk": "QWK",
        "spearman": "rho",
        "mse_expected": "MSE\nexp.",
        "mae_expected": "MAE\nexp.",
        "rmse_expected": "RMSE\nexp.",
        "qwk_expected": "QWK\nexp.",
        "spearman_expected": "rho\nexp.",
        "n_predicted_labels": "lab.\nused",
        "coverage": "cover-\nage",
        "exact_match": "exact\nmatch",
        "token_f1": "token\nF1",
        "perplexity": "perpl.",
    }
)
"""Of the metrics that raysweep makes; at most two lines."""


def headings(names: Iterable[str], split: str = "val_") -> dict[str, str]:
    """A heading of at most two lines for each name, without the split's prefix where that stays unambiguous."""
    listed = tuple(names)
    return {name: heading(_bare(name, split, listed)) for name in listed}


def heading(name: str) -> str:
    """The name in at most two lines, parted where both are shortest."""
    if name in _HEADINGS:
        return _HEADINGS[name]
    words = name.replace("/", "_").split("_")
    ways = [(" ".join(words[:cut]), " ".join(words[cut:])) for cut in range(len(words))]
    first, second = min(ways, key=lambda lines: max(map(len, lines)))
    return f"{first}\n{second}" if first else second


def metric(name: str, value: float | None) -> str:
    """A metric's value with three decimals; counts (`n_…`) as whole numbers, the very large and small by exponent."""
    if value is None:
        return NOTHING
    if "n_" in (name[:2], name.partition("_")[2][:2]) and value == round(value):
        return str(round(value))
    if abs(value) < ROUNDING:
        return f"{0:.3f}"
    if not 0.0005 <= abs(value) < 10_000:
        return f"{value:.1e}"
    return f"{value:.3f}"


def param(value: ParamValue) -> str:
    """A hyperparameter's value on one line; numbers with three digits."""
    if isinstance(value, tuple):
        return ",".join(param(item) for item in value) or "none"
    if isinstance(value, float):
        return f"{value:.3g}"
    return NOTHING if value is None else one_line(str(value))


def shortened(text: str, width: int) -> str:
    """The text, its end replaced by an ellipsis where it is longer than `width`."""
    return text if len(text) <= width else text[: width - 1] + "…"


def one_line(text: str) -> str:
    """The text without line breaks or control characters."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def without_credentials(text: str) -> str:
    """The text without what stands before the @ in addresses."""
    return _CREDENTIALS.sub("//…@", text)


def money(usd: float | None) -> str:
    """An amount in USD, without the unit: cents, and more digits where it is less than a cent."""
    if usd is None:
        return NOTHING
    return f"{usd:.2f}" if usd >= 0.01 or usd == 0 else f"{usd:.2g}"


def tokens(count: float) -> str:
    """A count of tokens, rounded: 950, 52k, 1.2M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= limit:
            scaled = count / limit
            return f"{scaled:.1f}{unit}" if scaled < 10 else f"{scaled:.0f}{unit}"
    return f"{count:.0f}"


def elapsed(seconds: float) -> str:
    """A duration as a clock shows it: 0:07, 4:12, 1:03:20."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def about(seconds: float) -> str:
    """A duration as one says it: less than a minute, about 4 min, about 2 h 10 min."""
    if seconds < 50:
        return "less than a minute"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"about {minutes} min"
    tens = round(minutes / 10) * 10
    return f"about {tens // 60} h {tens % 60} min" if tens % 60 else f"about {tens // 60} h"


def _bare(name: str, split: str, names: tuple[str, ...]) -> str:
    bare = name.removeprefix(split)
    return name if bare != name and bare in names else bare


def distinct(
    names: Iterable[str], made: Callable[[str], str], same: Callable[[str], str] = lambda one: one
) -> dict[str, str]:
    """What is made of each name, with a number behind it where another name's would be the same."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in dict.fromkeys(names):
        ways = (made(name) + (f"_{place}" if place else "") for place in count())
        found[name] = next(way for way in ways if same(way) not in taken)
        taken.add(same(found[name]))
    return found
