"""What to try next, in plain words: a few rules over the record, each of which says what it saw."""

from collections import Counter
from collections.abc import Container, Iterator
from shlex import quote

import numpy as np

from raysweep.report.importance import RELIABLE_R2, Importance
from raysweep.report.record import Param, Record, texts_of

EDGE = 0.05
"""A value this near the end of its range, as a share of it, lies at the edge."""
MANY_FAILED = 0.2
FEW_COMPLETED = 5
TOP_SHARE = 0.2
LITTLE = 0.02
"""A param whose shuffling costs less of R² is not searched beyond its edge."""


def advice(record: Record, importance: Importance, *, n_failed: int) -> Iterator[str]:
    """Sentences, the most urgent first; at least one."""
    n_ended = sum(outcome != "running" for outcome in record.outcomes)
    if record.is_running:
        yield "The sweep still runs; this page is as old as it says below."
    elif record.sweep and record.sweep.can_go_on:
        yield f"It has not run to its end; go on with it: raysweep resume {quote(record.sweep.folder)}"
    if record.best is None:
        yield from _without_winner(record, n_ended)
        return
    if n_failed > MANY_FAILED * n_ended:
        yield f"{n_failed} of {n_ended} trials failed or scored as such: see where they lie, and narrow the space."
    edges: dict[str, str] = {}
    if record.is_completed.sum() < FEW_COMPLETED:
        yield "Very few trials completed; more of them, before anything else, would tell more."
    else:
        little = {one.param for one in importance.params if importance.is_reliable and one.mean < LITTLE}
        edges = {name: words for name, words in _edges(record) if name not in little}
    yield from edges.values()
    yield from _matters(record, importance, edges)
    yield _seeds(record)


def _seeds(record: Record) -> str:
    if record.ruling is None or record.sweep is None:
        return "Repeat the best few with other seeds before you believe their order."
    n_replicas = len(record.ruling.winner.replicas)
    top = max(3, sum(one.replicas != () for one in record.ruling.order))
    again = f"raysweep resume {quote(record.sweep.folder)} final.top={top} final.replicas={n_replicas + 2}"
    if record.ruling.unrepeated:
        return f"Repeat trial {record.ruling.unrepeated.trial} before you believe the winner: {again}"
    if not n_replicas or not record.ruling.compared:
        return f"Repeat the best few with other seeds before you believe their order: {again}"
    if record.ruling.ties:
        return f"Of those that tie, take the one that is cheapest to run; more seeds may part them: {again}"
    return "The winner holds with other seeds: a wider search tells more now than further repeats."


def _without_winner(record: Record, n_ended: int) -> Iterator[str]:
    reasons = texts_of(record.trials, "reason") if "reason" in record.trials.columns else []
    told = Counter(" ".join(reason.split()) for reason in reasons if reason).most_common(3)
    if n_ended == 0:
        yield "Wait until a trial has ended."
    elif told:
        listed = "; ".join(f"{reason} ({times} times)" if times > 1 else reason for reason, times in told)
        yield f"Mend what ended the trials: {listed}"
    else:
        yield "Nothing can be ranked: find out why no trial has a score before you start more of them."


def _edges(record: Record) -> Iterator[tuple[str, str]]:
    """Params whose best value lies at the end of what was tried, with what to try; not where nothing lies beyond."""
    best = record.best
    for param in record.params:
        values = record.numbers(param.column)[record.is_tried]
        values = values[np.isfinite(values)]
        if param.kind != "number" or best is None or np.unique(values).size < 2:
            continue
        own = float(record.numbers(param.column)[best])
        low, high = _range(param, values)
        share = (_scale(own, param) - _scale(low, param)) / (_scale(high, param) - _scale(low, param))
        is_floor = low == 0 or (low == 1 and bool((values == values.round()).all()))  # no share, no count is less
        if share >= 1 - EDGE or (share <= EDGE and not is_floor):
            side, way = ("lower", "less") if share <= EDGE else ("upper", "more")
            span = f"{low:.3g} to {high:.3g}"
            yield param.name, f"The winner's {param.name} ({own:.3g}) lies at the {side} edge of {span}: try {way}."


def _range(param: Param, values: np.typing.NDArray[np.float64]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return low if param.low is None else param.low, high if param.high is None else param.high


def _scale(value: float, param: Param) -> float:
    return float(np.log(value)) if param.is_log else value


def _matters(record: Record, importance: Importance, edges: Container[str]) -> Iterator[str]:
    if importance.r2 is None:
        return
    if not importance.is_reliable:
        yield (
            f"The hyperparameters explain little of the score (out-of-bag R² {importance.r2:.2f}, "
            f"under {RELIABLE_R2:g}): "
            "chance, or something that is not in the table, matters as much; more seeds say more than a finer search."
        )
        return
    first = importance.params[0].param
    others = [one.param for one in importance.params[1:] if one.low <= 0 and one.param not in edges]
    param = next(one for one in record.params if one.name == first)
    yield f"{first} matters most{_where(record, param)}: search there more finely."
    if others:
        yield f"No effect of {', '.join(others)} is certain: fix {'them' if len(others) > 1 else 'it'}."


def _where(record: Record, param: Param) -> str:
    """Where the best fifth of the trials lie."""
    tried = np.flatnonzero(record.is_tried)
    ranked = tried[np.argsort(record.scores[tried] * record.goal.loss(1.0))]
    top = ranked[: max(3, int(len(ranked) * TOP_SHARE))]
    if param.kind == "number":
        values = record.numbers(param.column)[top]
        return f"; the best {len(top)} trials lie between {np.nanmin(values):.3g} and {np.nanmax(values):.3g}"
    texts = texts_of(record.trials, param.column)
    name, times = Counter(texts[place] for place in top).most_common(1)[0]
    return f"; {times} of the best {len(top)} trials have {name}"
