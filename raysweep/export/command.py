"""`raysweep export`: a sweep in the forms that other tools read."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from raysweep import results
from raysweep.errors import ConfigError, SweepFolderError
from raysweep.export.tables import write_tables
from raysweep.folder import find, known_settings
from raysweep.results import Results
from raysweep.views.words import without_credentials

FOLDER = "exports"
"""In the sweep's folder, where nothing else is said."""
STUDY = "optuna.db"


def run(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> tuple[str, ...]:
    """Write what was asked for; where it lies, and what is to be known of it."""
    parsed = _parsed(parser, arguments)
    found = results.load(find(parsed.run))
    if found.state.started is None:
        raise SweepFolderError(f"{found.folder}: nothing was begun in it; there is nothing to export")
    match parsed.to:
        case "csv":
            written = write_tables(found, Path(parsed.out) if parsed.out else found.folder / FOLDER / "csv")
            return (f"{len(found.state.trials)} trials in {written[0]}, their evaluations in {written[1]}",)
        case "optuna":
            return tuple(_study(found, parsed))
        case _:
            return tuple(_model(found, parsed))


def _parsed(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    parser.add_argument("run", metavar="RUN", help="a sweep's folder, or its id where that lies in runs")
    parser.add_argument(
        "--to",
        choices=["csv", "optuna", "hf"],
        required=True,
        help="csv: trials and evaluations; optuna: a study for its dashboard; hf: the winner with a model card",
    )
    parser.add_argument(
        "--out",
        metavar="PATH",
        help="csv, hf: a folder; optuna: a file (.db: SQLite; .journal, .log: a journal) or an address such as "
        f"sqlite:///all.db (default: RUN/{FOLDER}/…, made anew)",
    )
    parser.add_argument("--name", help="the study's (default: the sweep's id) or the model's (default: name and id)")
    return parser.parse_args(arguments)


def _study(found: Results, parsed: argparse.Namespace) -> Iterator[str]:
    try:
        from raysweep.export.study import write_study
    except ImportError as error:
        raise ConfigError("export --to optuna: Optuna is not installed; pip install 'raysweep[optuna]'") from error
    storage, config = parsed.out, known_settings(found.folder, found.state.started)
    if storage is None:
        path = found.folder / FOLDER / STUDY
        path.unlink(missing_ok=True)
        storage = str(path)
    written = write_study(found, config.space if config else None, storage, parsed.name or found.state.sweep_id)
    there = without_credentials(storage)
    yield f"{written.n_trials} trials as the study {written.study} in {there}"
    if config is None:
        yield "config.yaml is gone or was changed: a param's range is what was tried"
    if written.n_running:
        yield f"{written.n_running} of them have not ended and stand there as running; export again once they have"


def _model(found: Results, parsed: argparse.Namespace) -> Iterator[str]:
    from raysweep.export.model import write_model

    target = Path(parsed.out) if parsed.out else found.folder / FOLDER / "hf"
    yield write_model(found, target, parsed.name, may_replace=parsed.out is None)
