"""The sweeps side by side: one column each."""

from collections.abc import Iterator
from dataclasses import dataclass

from raysweep.report.compare.runs import Comparison, Contender
from raysweep.views.words import NOTHING, about, metric, money, param, tokens

ORDER = ("completed", "pruned", "failed", "errored", "cancelled", "running")


@dataclass(frozen=True)
class Row:
    """One measure of all sweeps."""

    name: str
    cells: tuple[str, ...]
    is_detail: bool = False
    """Whether a terminal has no room for it."""


def rows(found: Comparison) -> list[Row]:
    """What the winners are, what they score, and what it took to find them; details last."""
    details = _details(found)
    made = [Row(name, tuple(cells), name in details) for name, cells in _rows(found)]
    shown = [row for row in made if any(cell != NOTHING for cell in row.cells)]
    return sorted(shown, key=lambda row: row.is_detail)


def _rows(found: Comparison) -> Iterator[tuple[str, list[str]]]:
    contenders = found.contenders
    yield "winner", [f"trial {one.found.best.number}" if one.found.best else NOTHING for one in contenders]
    name = found.goal.metric
    yield f"{name} ({found.goal.mode})", [metric(name, one.score(name)) for one in contenders]
    for bare in _test_metrics(found):
        yield f"test {bare}", [_test_cell(one, bare) for one in contenders]
    for label in _params(found):
        yield label, [_param_cell(one, label) for one in contenders]
    yield "trials", [str(len(one.record.trials)) for one in contenders]
    for outcome in ORDER:
        numbers = [one.record.outcomes.count(outcome) for one in contenders]
        yield outcome, [str(number) if any(numbers) else NOTHING for number in numbers]
    yield from _bill(contenders)
    yield "data", [one.fingerprint or NOTHING for one in contenders]


def _bill(contenders: tuple[Contender, ...]) -> Iterator[tuple[str, list[str]]]:
    facts = [one.record.sweep for one in contenders]
    yield "tokens trained", [tokens(one.bill.trained_tokens) if one else NOTHING for one in facts]
    saved = [one.bill.saved_share if one else None for one in facts]
    yield "saved by stopping", [NOTHING if share is None else f"{share:.0%}" for share in saved]
    spent = [one.bill.spent_usd if one else None for one in facts]
    yield "USD spent", [money(usd) for usd in spent]
    yield "USD saved", [money(one.bill.saved_usd) if one and one.bill.saved_usd else NOTHING for one in facts]
    yield "time", [about(one.elapsed_s) if one else NOTHING for one in facts]


def _test_metrics(found: Comparison) -> list[str]:
    """Of any winner; the one that is compared first."""
    names = {found.bare: None}
    for one in found.contenders:
        best = one.found.best
        for final in one.found.finals:
            if best and final.split == "test" and final.trial == best.number:
                names |= dict.fromkeys(name.removeprefix("test_") for name in final.metrics)
    return list(names)


def _details(found: Comparison) -> set[str]:
    """The rows of test metrics without an interval, but for the one that is compared."""
    sure = {name for one in found.contenders if one.record.certainty for name in one.record.certainty.intervals}
    return {f"test {bare}" for bare in _test_metrics(found) if bare not in sure | {found.bare}}


def _test_cell(one: Contender, bare: str) -> str:
    value = one.test_score(bare)
    interval = one.record.certainty.intervals.get(bare) if one.record.certainty else None
    if interval is None:
        return metric(bare, value)
    return f"{metric(bare, interval.value)} ({metric(bare, interval.low)} to {metric(bare, interval.high)})"


def _params(found: Comparison) -> list[str]:
    """Those that any of the sweeps varied."""
    return list(dict.fromkeys(param.name for one in found.contenders for param in one.record.params))


def _param_cell(one: Contender, name: str) -> str:
    best = one.found.best
    return param(best.params[name]) if best and name in best.params else NOTHING
