"""From the winner's score on validation to its score on test, step by step."""

from collections.abc import Iterator

from raysweep.luck import Luck
from raysweep.report.record import Record
from raysweep.scoring.intervals import Interval
from raysweep.views.words import metric

TITLE = "From validation to test"
NOTE = (
    "Each third of the validation rows is answered by the trial that the other two thirds would have chosen, many "
    "times over: that is the score without what being chosen gives. Its interval reaches up to that of the score as it "
    "stands, for being chosen may have given this one nothing."
)


def honest_table(record: Record) -> tuple[list[str], list[list[str]]]:
    """Heading and rows; no rows where nobody knows what being chosen gave the winner."""
    if record.luck is None:
        return [], []
    return ["", record.luck.metric, "95 % interval"], list(_rows(record, record.luck))


def _rows(record: Record, luck: Luck) -> Iterator[list[str]]:
    name = luck.metric
    yield [f"validation: the best of {luck.n_trials} on the {luck.n_rows} rows that chose it", *_cells(name, luck.raw)]
    yield ["of it given by being chosen", metric("", luck.value), ""]
    yield ["validation without that", *_cells(name, luck.corrected)]
    found = record.certainty.intervals.get(name) if record.certainty else None
    if record.certainty and found:
        yield [f"test: {record.certainty.n_rows} rows that chose nothing", *_cells(name, found)]


def _cells(name: str, interval: Interval) -> tuple[str, str]:
    return metric(name, interval.value), f"{metric(name, interval.low)} to {metric(name, interval.high)}"
