"""The command line: what to type, and the code that each command ends with."""

import argparse
import functools
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from raysweep import assets, folder, looking, results
from raysweep.arguments import add_config, add_run, add_running, command_parser, config_of, host_of, number, options_of
from raysweep.catalogue import ASSETS
from raysweep.clock import RealClock
from raysweep.config.identity import SESSION_SETTINGS
from raysweep.config.load import shipped_names
from raysweep.errors import RaysweepError

USAGE_CODE = 2
"""The exit code of bad input."""
SIGNAL_CODES = {"SIGINT": 130, "SIGPIPE": 141, "SIGTERM": 143}
"""The exit codes of what a signal ended, as shells have them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command: 0 for success, 1 for what failed while running, 2 for bad input."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        code = _run(given[0] if given else "--help", given[1:])
        sys.stdout.flush()
    except RaysweepError as error:
        print(f"raysweep: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # whoever read the output wants no more of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the exit's flush says so again
        return SIGNAL_CODES["SIGPIPE"]
    except KeyboardInterrupt:
        print("raysweep: broken off", file=sys.stderr)
        return SIGNAL_CODES["SIGINT"]
    return code


def _run(name: str, arguments: Sequence[str]) -> int:
    if name in ("-h", "--help"):
        print(_overview())
        return 0
    if name == "--version":
        print(f"raysweep {version('raysweep')}")
        return 0
    if name not in _COMMANDS:
        print(f"raysweep: {name}: no such command\n{_overview()}", file=sys.stderr)
        return USAGE_CODE
    return _COMMANDS[name](arguments)


def _tune(arguments: Sequence[str]) -> int:
    """Run a sweep to its end and print what it found."""
    parser = command_parser("tune", _tune)
    add_config(parser)
    add_running(parser)
    parser.add_argument("--folder", type=Path, help="the sweep's folder (default: a new one in runs_folder)")
    parser.add_argument(
        "--yes", action="store_true", help="spend up to what `raysweep plan` says, where no budget.max_usd is set"
    )
    parsed = parser.parse_intermixed_args(arguments)
    config = config_of(parsed)
    from raysweep.sweep import run_sweep

    return _end(run_sweep(config, options_of(parsed, is_confirmed=parsed.yes)), parsed)


def _resume(arguments: Sequence[str]) -> int:
    """Go on with a sweep that was interrupted or died, or give one that has ended more trials."""
    parser = command_parser("resume", _resume)
    add_run(parser, may_change=SESSION_SETTINGS)
    add_running(parser)
    parsed = parser.parse_intermixed_args(arguments)
    from raysweep.sweep import resume_sweep

    began_at = RealClock().now()
    found = resume_sweep(parsed.run, parsed.overrides, options_of(parsed))
    if found.state.at is not None and found.state.at < began_at:  # nothing was written
        why = found.state.ended.reason if found.state.ended else ""
        more = "target=null trials=N" if "target" in why else "trials=N"
        print(f"raysweep: nothing is left to do ({why}); for more trials: raysweep resume {parsed.run} {more}")
    return _end(found, parsed)


def _stop(arguments: Sequence[str]) -> int:
    """Stop one trial of a sweep by hand, whether its driver is alive or not."""
    parser = command_parser("stop", _stop)
    add_run(parser)
    parser.add_argument("trial", type=number, help="the trial's number")
    parsed = parser.parse_args(arguments)
    from raysweep.steering import stop_trial

    print(stop_trial(folder.find(parsed.run), parsed.trial, RealClock()))
    return 0


def _reconcile(arguments: Sequence[str]) -> int:
    """Make the trainer's host agree with the ledger: cancel jobs that no trial owns."""
    parser = command_parser("reconcile", _reconcile)
    add_run(parser)
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
    parser = command_parser("jobs", _jobs)
    add_run(parser)
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
    parser = command_parser("check", _check)
    add_config(parser)
    config = config_of(parser.parse_intermixed_args(arguments))
    from raysweep.checking import findings

    console = Console()
    for finding in findings(config):
        console.print(finding)
    return 0


def _plan(arguments: Sequence[str]) -> int:
    """Say what a sweep takes before it begins: tokens, money, time; run and ask nothing."""
    parser = command_parser("plan", _plan)
    add_config(parser)
    config = config_of(parser.parse_intermixed_args(arguments))
    from raysweep.planning import plan

    console = Console(highlight=False)
    for line in plan(config):
        console.print(line, soft_wrap=True)
    return 0


def _probe(arguments: Sequence[str]) -> int:
    """Measure by two tiny jobs how a host behaves, for later sweeps; their records may stay, files and model do not."""
    from raysweep.probing import probe

    probe(*host_of(command_parser("probe", _probe), arguments), say=print)
    return 0


def _assets(arguments: Sequence[str]) -> int:
    """Fetch the weights and data that the shipped configs use, or say what is there."""
    parser = command_parser("assets", _assets)
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
    from raysweep.server.command import run

    return run(command_parser("serve", _serve), arguments)


def _printed(command: Callable[[Sequence[str]], Sequence[str]]) -> Callable[[Sequence[str]], int]:
    """The command, with its lines printed."""

    @functools.wraps(command)
    def run(arguments: Sequence[str]) -> int:
        print(*command(arguments), sep="\n")
        return 0

    return run


_COMMANDS: Mapping[str, Callable[[Sequence[str]], int]] = {
    "tune": _tune,
    "resume": _resume,
    "stop": _stop,
    "reconcile": _reconcile,
    "jobs": _jobs,
    "check": _check,
    "plan": _plan,
    "probe": _probe,
    "assets": _assets,
    "serve": _serve,
    "report": _printed(looking.report),
    "compare": _printed(looking.compare),
    "export": _printed(looking.export),
    "schema": _printed(looking.schema),
}


def _overview() -> str:
    lines = [f"  {name:<10}{command.__doc__}" for name, command in _COMMANDS.items()]
    usage = "usage: raysweep COMMAND …   (raysweep COMMAND --help says more)"
    return "\n".join([usage, "", *lines, "", f"shipped configs: {', '.join(shipped_names())}"])


def _end(found: results.Results, parsed: argparse.Namespace) -> int:
    """The sweep's exit code; its report is made where somebody waits for it, so not after a signal."""
    if found.state.ended and found.state.ended.signal:
        return SIGNAL_CODES[found.state.ended.signal]
    if not parsed.no_report:
        from raysweep.report.command import report_end

        report_end(found.folder, say=print if parsed.view != "json" else None)
    if found.best is None:
        print("raysweep: no trial has completed; the table says why", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
