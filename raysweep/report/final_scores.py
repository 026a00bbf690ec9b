"""What was scored once the search was over, side by side: the winner, those that came close, and the baselines."""

import math
from collections.abc import Iterator, Sequence

from raysweep.baseline import WORDS as BASELINES
from raysweep.certainty import HEADLINES
from raysweep.entries import DEFAULT, FINALIST, REPLICA
from raysweep.frames import SPLIT_WORDS
from raysweep.report.record import FinalScore, Record
from raysweep.views.words import metric

TITLE = "The same rows, side by side"


def final_scores_table(record: Record) -> tuple[list[str], list[list[str]]]:
    """Heading and rows, a row a model and split; none where nothing was scored. Replicas have a table of their own."""
    finals = [one for one in record.sweep.finals if one.name != REPLICA] if record.sweep else []
    names = [name for name in dict.fromkeys((record.goal.bare, *HEADLINES)) if _is_had(finals, name)]
    rows = [*_winner_on_validation(record, names), *(_row(one, names) for one in finals)]
    return (["", "split", *names], rows) if finals and names else ([], [])


def _is_had(finals: Sequence[FinalScore], name: str) -> bool:
    return any(one.metrics.get(f"{one.split}_{name}") is not None for one in finals)


def _winner_on_validation(record: Record, names: Sequence[str]) -> Iterator[list[str]]:
    if record.best is not None:
        found = [float(record.numbers(f"val_{name}")[record.best]) for name in names]
        values = [None if math.isnan(value) else value for value in found]
        number = record.trials["trial"].iloc[record.best]
        yield [f"trial {number}, the winner", SPLIT_WORDS["val"], *map(metric, names, values)]


def _row(final: FinalScore, names: Sequence[str]) -> list[str]:
    values = [final.metrics.get(f"{final.split}_{name}") for name in names]
    return [_who(final), SPLIT_WORDS.get(final.split, final.split), *map(metric, names, values)]


def _who(final: FinalScore) -> str:
    if final.trial is None:
        return BASELINES.get(final.name, final.name)
    what = {FINALIST: "came close", DEFAULT: "the default configuration"}.get(final.name, "the winner")
    return f"trial {final.trial}, {what}"
