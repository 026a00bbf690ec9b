"""The command line: what to type, and the code that each command ends with."""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from rich.console import Console

from raysweep import assets, folder, results
from raysweep.catalogue import ASSETS
from raysweep.clock import RealClock
from raysweep.config import SweepConfig, load_config
from raysweep.config.identity import SESSION_SETTINGS
from raysweep.config.load import shipped_names
from raysweep.errors import ConfigError, RaysweepError
from raysweep.views.console import own_console
from raysweep.views.terminal import Mode, make_view
from raysweep.views.view import Setting, View

if TYPE_CHECKING:
    from raysweep.sweep import Options

USAGE_CODE = 2
"""The exit code of bad input."""
SIGNAL_CODES = {"SIGINT": 130, "SIGTERM": 143}
"""The exit codes of what a signal ended, as shells have them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command: 0 for success, 1 for what failed while running, 2 for bad input."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    name = given[0] if given else "--help"
    if name in ("-h", "--help"):
        print(_overview())
        return 0
    if name == "--version":
        print(f"raysweep {version('raysweep')}")
        return 0
    if name not in _COMMANDS:
        print(f"raysweep: {name}: no such command\n{_overview()}", file=sys.stderr)
        return USAGE_CODE
    try:
        return _COMMANDS[name](given[1:])
    except RaysweepError as error:
        print(f"raysweep: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("raysweep: broken off", file=sys.stderr)
        return SIGNAL_CODES["SIGINT"]


def _tune(arguments: Sequence[str]) -> int:
    """Run a sweep to its end and print what it found."""
    parser = _parser("tune", _tune)
    _add_config(parser)
    _add_running(parser)
    parser.add_argument("--folder", type=Path, help="the sweep's folder (default: a new one in runs_folder)")
    parsed = parser.parse_intermixed_args(arguments)
    config = _config(parsed.words)
    from raysweep.sweep import run_sweep

    return _end_code(run_sweep(config, _options(parsed)))


def _resume(arguments: Sequence[str]) -> int:
    """Go on with a sweep that was interrupted or died, or give one that has ended more trials."""
    parser = _parser("resume", _resume)
    _add_run(parser)
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help=f"settings that may change, such as trials=60: {', '.join(SESSION_SETTINGS)}",
    )
    _add_running(parser)
    parser.set_defaults(folder=None)
    parsed = parser.parse_intermixed_args(arguments)
    from raysweep.sweep import resume_sweep

    began_at = RealClock().now()
    found = resume_sweep(parsed.run, parsed.overrides, _options(parsed))
    if found.state.at is not None and found.state.at < began_at:  # nothing was written
        why = found.state.ended.reason if found.state.ended else ""
        more = "target=null trials=N" if "target" in why else "trials=N"
        print(f"raysweep: nothing is left to do ({why}); for more trials: resume {parsed.run} {more}")
    return _end_code(found)


def _stop(arguments: Sequence[str]) -> int:
    """Stop one trial of a sweep by hand, whether its driver is alive or not."""
    parser = _parser("stop", _stop)
    _add_run(parser)
    parser.add_argument("trial", type=int, help="the trial's number")
    parsed = parser.parse_args(arguments)
    from raysweep.steering import stop_trial

    print(stop_trial(folder.find(parsed.run), parsed.trial, RealClock()))
    return 0


def _reconcile(arguments: Sequence[str]) -> int:
    """Make the trainer's host agree with the ledger: cancel jobs that no trial owns."""
    parser = _parser("reconcile", _reconcile)
    _add_run(parser)
    parser.add_argument(
        "--cancel", action="store_true", help="cancel the jobs of unfinished trials too, where no driver is alive"
    )
    parsed = parser.parse_args(arguments)
    from raysweep.steering import reconcile_run

    done = reconcile_run(folder.find(parsed.run), RealClock(), is_over=parsed.cancel)
    for line in done.words:
        print(line)
    for problem in done.problems:
        print(f"raysweep: {problem}", file=sys.stderr)
    return 1 if done.problems else 0


def _jobs(arguments: Sequence[str]) -> int:
    """Show each attempt of a sweep at its host, or delete what ended ones left there."""
    parser = _parser("jobs", _jobs)
    _add_run(parser)
    parser.add_argument(
        "--prune", action="store_true", help="delete records, files and models of ended jobs, but the best model"
    )
    parsed = parser.parse_args(arguments)
    from raysweep import hosting

    found = folder.find(parsed.run)
    lines = hosting.prune(found) if parsed.prune else [hosting.HEAD, *(row.words for row in hosting.rows(found))]
    for line in lines:
        print(line)
    return 0


def _check(arguments: Sequence[str]) -> int:
    """Hold settings, data and trainer against each other; run nothing."""
    parser = _parser("check", _check)
    _add_config(parser)
    parsed = parser.parse_intermixed_args(arguments)
    config = _config(parsed.words)
    from raysweep.checking import findings

    console = Console()
    for finding in findings(config):
        console.print(finding)
    return 0


def _assets(arguments: Sequence[str]) -> int:
    """Fetch the weights and data that the shipped configs use, or say what is there."""
    parser = _parser("assets", _assets)
    parser.add_argument("action", choices=["fetch", "list"])
    parser.add_argument("names", nargs="*", metavar="NAME", help="all of them where none is named")
    parsed = parser.parse_intermixed_args(arguments)
    if parsed.action == "list":
        for line in assets.listing():
            print(line)
        return 0
    from raysweep.engine import gguf

    assets.fetch(parsed.names or tuple(ASSETS), {"smollm2-135m": gguf.convert}, say=print)
    return 0


def _serve(arguments: Sequence[str]) -> int:
    """Serve OpenAI's fine-tuning wire on this machine, for rehearsals."""
    parser = _parser("serve", _serve)
    try:
        from raysweep.server.options import parse_options
        from raysweep.server.serving import serve
    except ModuleNotFoundError as error:
        raise ConfigError(f"serve: {error}; install raysweep[server]") from error
    serve(parse_options(parser, arguments))
    return 0


def _schema(arguments: Sequence[str]) -> int:
    """Print the JSON schema of the settings, for editors."""
    _parser("schema", _schema).parse_args(arguments)
    print(json.dumps(SweepConfig.model_json_schema(), indent=2))
    return 0


_COMMANDS: Mapping[str, Callable[[Sequence[str]], int]] = {
    "tune": _tune,
    "resume": _resume,
    "stop": _stop,
    "reconcile": _reconcile,
    "jobs": _jobs,
    "check": _check,
    "assets": _assets,
    "serve": _serve,
    "schema": _schema,
}


def _overview() -> str:
    lines = [f"  {name:<10}{command.__doc__}" for name, command in _COMMANDS.items()]
    return "\n".join(
        [
            "usage: raysweep COMMAND …   (raysweep COMMAND --help says more)",
            "",
            *lines,
            "",
            f"shipped configs: {', '.join(shipped_names())}",
        ]
    )


def _parser(name: str, command: Callable[[Sequence[str]], int]) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog=f"raysweep {name}", description=command.__doc__)


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a sweep's folder, or its id where that lies in runs")


def _add_running(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cluster",
        default="auto",
        metavar="auto|local|HOST:PORT",
        help="auto joins the Ray cluster of $RAY_ADDRESS or of a head on this host, else starts one (default: auto)",
    )
    parser.add_argument("--view", choices=get_args(Mode), default="auto", help="what the terminal shows")
    parser.add_argument("--quiet", action="store_const", const="quiet", dest="view", help="only errors and the end")
    parser.add_argument("--json", action="store_const", const="json", dest="view", help="one JSON object a line")
    parser.add_argument("--no-dashboard", action="store_true", help="start no Ray dashboard")


def _options(parsed: argparse.Namespace) -> "Options":
    # What it stands on takes seconds to import, which `check` and `--help` should not pay.
    from raysweep.sweep import Options

    view: Mode = parsed.view
    console = own_console(view)

    def show(setting: Setting) -> View:
        return make_view(view, setting, RealClock(), console)

    return Options(parsed.cluster, not parsed.no_dashboard, show, parsed.folder)


def _end_code(found: results.Results) -> int:
    ended = found.state.ended
    if ended and ended.signal:
        return SIGNAL_CODES[ended.signal]
    if found.best is None:
        print("raysweep: no trial has completed; the table says why", file=sys.stderr)
        return 1
    return 0


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words",
        nargs="*",
        metavar="[CONF] key=value",
        help=f"a YAML file or a shipped config ({', '.join(shipped_names())}; default: default), "
        "then settings to override, such as trials=8 space.learning_rate.high=0.01",
    )


def _config(words: Sequence[str]) -> SweepConfig:
    sources = [word for word in words if "=" not in word]
    if len(sources) > 1:
        raise ConfigError(f"{' '.join(sources)}: one config at most; overrides are written key=value")
    return load_config(sources[0] if sources else None, [word for word in words if "=" in word])


if __name__ == "__main__":
    sys.exit(main())
