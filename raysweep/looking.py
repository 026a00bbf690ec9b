"""The commands that only look: at sweeps, or at the settings. Each gives the lines to be printed."""

import json
from collections.abc import Sequence

from raysweep.arguments import command_parser
from raysweep.config import SweepConfig


def report(arguments: Sequence[str]) -> Sequence[str]:
    """Make a sweep's findings and report, or those of any table of trials."""
    from raysweep.report.command import run

    return run(command_parser("report", report), arguments)


def compare(arguments: Sequence[str]) -> Sequence[str]:
    """Hold sweeps against each other: winners, bills, curves, and whether the winners differ by more than chance."""
    from raysweep.report.compare.command import run

    return run(command_parser("compare", compare), arguments)


def export(arguments: Sequence[str]) -> Sequence[str]:
    """Write a sweep for other tools: CSV, a study of Optuna, or the winner with a model card."""
    from raysweep.export.command import run

    return run(command_parser("export", export), arguments)


def schema(arguments: Sequence[str]) -> Sequence[str]:
    """Print the JSON schema of the settings, for editors."""
    command_parser("schema", schema).parse_args(arguments)
    return (json.dumps(SweepConfig.model_json_schema(), indent=2),)
