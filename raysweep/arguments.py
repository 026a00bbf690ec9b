"""What the commands take: arguments that several share, and what is made of them."""

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, get_args

from raysweep.clock import RealClock
from raysweep.config import SweepConfig, load_config
from raysweep.config.load import shipped_names
from raysweep.errors import ConfigError
from raysweep.views.console import own_console
from raysweep.views.terminal import Mode, make_view
from raysweep.views.view import Setting, View

if TYPE_CHECKING:
    from raysweep.sweep import Options


TO_HOST = ("trainer.base_url=null", "trainer.identity=key")
"""Settings that lead to no host."""


def command_parser(name: str, command: Callable[[Sequence[str]], object]) -> argparse.ArgumentParser:
    """A command's parser; the command's docstring is its description."""
    return argparse.ArgumentParser(prog=f"raysweep {name}", description=command.__doc__)


def add_run(parser: argparse.ArgumentParser, may_change: Sequence[str] = ()) -> None:
    """Which sweep: its folder or id, as `run`; where settings of it may change, those as `overrides`."""
    parser.add_argument("run", metavar="RUN", help="a sweep's folder, or its id where that lies in runs")
    if may_change:
        words = f"settings that may change, such as trials=60: {', '.join(may_change)}"
        parser.add_argument("overrides", nargs="*", default=[], metavar="key=value", help=words)


def add_running(parser: argparse.ArgumentParser) -> None:
    """Where a sweep runs and what the terminal shows of it; `options_of` reads them."""
    parser.add_argument(
        "--cluster",
        default="auto",
        metavar="auto|local|HOST:PORT",
        help="auto joins the Ray cluster of $RAY_ADDRESS or of a head on this host, else starts one (default: auto)",
    )
    parser.add_argument("--view", choices=get_args(Mode), default="auto", help="what the terminal shows")
    parser.add_argument("--quiet", action="store_const", const="quiet", dest="view", help="only errors and the end")
    parser.add_argument("--json", action="store_const", const="json", dest="view", help="one JSON object a line")
    parser.add_argument("--no-report", action="store_true", help="make no report at the end; `raysweep report` does")
    parser.set_defaults(folder=None)
    parser.add_argument("--no-dashboard", action="store_true", help="start no Ray dashboard")


def options_of(parsed: argparse.Namespace, *, is_confirmed: bool = False) -> "Options":
    """What `add_running` took, and the folder."""
    # What it stands on takes seconds to import, which `check` and `--help` should not pay.
    from raysweep.sweep import Options

    view: Mode = parsed.view
    console = own_console(view)

    def show(setting: Setting) -> View:
        return make_view(view, setting, RealClock(), console)

    return Options(parsed.cluster, not parsed.no_dashboard, show, is_confirmed, parsed.folder)


def add_config(parser: argparse.ArgumentParser) -> None:
    """A config and overrides, as `words`; `config_of` reads them."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="[CONF] key=value",
        help=f"a YAML file or a shipped config ({', '.join(shipped_names())}; default: default), "
        "then settings to override, such as trials=8 space.learning_rate.high=0.01",
    )
    parser.add_argument(
        "--rehearse",
        action="store_true",
        help="at a server of our own, started for it, in place of the paid host; trainer.rehearsal says more",
    )


def number(text: str) -> int:
    """The number that a text is; raises ArgumentTypeError for one that is none."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is no trial's number; they count from 0")
    return int(text)


def host_of(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> tuple[SweepConfig, float | None]:
    """A config whose host is meant, with overrides, and `--max-usd`. Raises ConfigError."""
    shipped = "a YAML file, or a shipped config whose trainer is a host: openai, azure, …"
    parser.add_argument("host", metavar="HOST", help=shipped)
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value", help="such as trainer.model=…")
    parser.add_argument(
        "--max-usd", type=float, metavar="USD", help="what both jobs may cost; nothing is made where it is too little"
    )
    parsed = parser.parse_intermixed_args(arguments)
    return _config([parsed.host, *parsed.overrides]), parsed.max_usd


def config_of(parsed: argparse.Namespace) -> SweepConfig:
    """The settings that a config, overrides and `--rehearse` make. Raises ConfigError."""
    if not parsed.rehearse:
        return _config(parsed.words)
    from raysweep.rehearsing import rehearsed

    # Beside settings of the rehearsal, those that lead to the host would be refused before they are taken out.
    has_settings = any(word.startswith("trainer.rehearsal") for word in parsed.words)
    return rehearsed(_config([*parsed.words, *(TO_HOST if has_settings else ())]))


def _config(words: Sequence[str]) -> SweepConfig:
    sources = [word for word in words if "=" not in word]
    if len(sources) > 1:
        raise ConfigError(f"{' '.join(sources)}: one config at most; overrides are written key=value")
    return load_config(sources[0] if sources else None, [word for word in words if "=" in word])
