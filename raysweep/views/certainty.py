"""How sure the winner is, in sentences: the same in the terminal and in a report."""

from collections.abc import Iterator

from raysweep.baseline import WORDS
from raysweep.certainty import Certainty, Comparison, Verdict
from raysweep.entries import DEFAULT, FINALIST
from raysweep.gap import Gap
from raysweep.luck import Luck
from raysweep.scoring import doc_of
from raysweep.scoring.intervals import Interval
from raysweep.views.words import metric


def sentences(found: Certainty, objective: str) -> Iterator[tuple[str, Verdict | None]]:
    """The winner's own score first, without a verdict, then one for each rival that it can be held against.

    `objective`: without a split; where it has no interval, it is said what is judged by instead.
    """
    name = found.metric
    if name != objective:
        yield f"By {objective}, the objective, chance cannot be judged: what follows goes by {name}.", Verdict.TIE
    interval = found.intervals[name]
    where = f"Trial {found.trial} on the test split, {found.n_rows} rows that ranked no trial"
    yield f"{where}: {name} {metric(name, interval.value)} ({between(interval, name)}).", None
    for one in found.comparisons:
        judged_by = one.judged_by(name)
        verdict = one.verdict(judged_by)
        if verdict is not None:
            chosen = " Validation alone chose between the two." if one.name == FINALIST else ""
            yield f"{_judgement(one, verdict)} on the same rows: {_difference(one, judged_by)}.{chosen}", verdict


def luck_sentence(luck: Luck) -> str:
    """What the winner's score on validation is worth."""
    name = luck.metric
    return (
        f"Trial {luck.trial} scored {metric(name, luck.raw.value)} on validation, the best of {luck.n_trials} "
        f"completed trials on the same {luck.n_rows} rows. Being the best of them made it look "
        f"{metric('', luck.value)} better than it is: on rows that chose nothing it would score about "
        f"{metric(name, luck.corrected.value)} ({between(luck.corrected, name)})."
    )


def gap_sentence(gap: Gap) -> str:
    """How much better the winner looked where it was chosen, and what would explain that."""
    way = "better" if gap.value >= 0 else "worse"
    looked = f"On validation, where it was chosen, it looked {metric('', abs(gap.value))} {way} than on test"
    rows = f"the luck of the rows gives up to {metric('', gap.margin)} either way (95 %)"
    chosen = ""
    if gap.n_trials > 1:
        most = "" if gap.luck else "at most "
        chosen = f", and choosing the best of {gap.n_trials} completed trials {most}{metric('', gap.by_selection)}"
    explained = "" if gap.is_explained else ". That does not explain it: the splits differ in more than luck"
    return f"{looked}; {rows}{chosen}{explained}."


def between(interval: Interval, name: str) -> str:
    """Where the value could as well have been."""
    return f"{100 * interval.level:.0f} % interval {metric(name, interval.low)} to {metric(name, interval.high)}"


def signed(interval: Interval) -> str:
    """A difference with its interval, short."""
    return f"{interval.value:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"


def _judgement(one: Comparison, verdict: Verdict) -> str:
    who = WORDS.get(one.name, one.name)
    if one.trial is not None:
        who = f"trial {one.trial}, {'the default configuration' if one.name == DEFAULT else 'the runner-up'},"
    match verdict:
        case Verdict.BEATS:
            return f"It beats {who}"
        case Verdict.TIE:
            return f"A tie: it is not shown to be better than {who}"
        case Verdict.LOSES:
            return f"It loses to {who}"


def _difference(one: Comparison, name: str) -> str:
    interval, doc = one.differences[name], doc_of(name)
    better = ", less is better" if doc and doc.direction == "min" else ""
    ends = f"{100 * interval.level:.0f} % interval {interval.low:+.3f} to {interval.high:+.3f}"
    return f"{name} {interval.value:+.3f} ({ends}{better})"
