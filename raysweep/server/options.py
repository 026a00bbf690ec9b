"""The words of `raysweep serve`, and the settings that they mean."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from raysweep import environment
from raysweep.errors import ConfigError
from raysweep.server.host import HostSettings
from raysweep.server.limits import Limits
from raysweep.server.models import BASES
from raysweep.server.orders import Rules
from raysweep.server.serving import Settings
from raysweep.server.synthetic import Pace

ENGINES = ("synthetic", "lora")


def parse_options(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> Settings:
    """The settings. Raises ConfigError where the environment holds no key."""
    _add_serving(parser)
    _add_rehearsal(parser)
    _add_limits(parser)
    _add_pace(parser)
    parsed = parser.parse_args(arguments)
    _check(parsed)
    key = environment.server_key()
    if not key:
        raise ConfigError(
            f"{environment.SERVER_KEY}: not set; the server takes no calls without a key: "
            f"choose one and set it, such as {environment.SERVER_KEY}=$(openssl rand -hex 16)"
        )
    return Settings(
        key=key,
        engine=parsed.engine,
        model=parsed.model,
        host=parsed.host,
        port=parsed.port,
        state=parsed.state,
        faults=parsed.faults,
        pace=Pace(parsed.epoch_s, parsed.after_s),
        has_admin=parsed.admin,
        ends_with_input=parsed.until_eof,
        is_clock_manual=parsed.clock == "manual",
        takes_key=not parsed.no_keys,
        token_ttl_s=parsed.token_ttl_s,
        hosting=HostSettings(
            rules=Rules(is_strict=not parsed.no_strict, is_azure=parsed.azure),
            limits=Limits(
                running=parsed.running,
                queued=parsed.queued,
                creates_per_day=parsed.creates_per_day,
                total_jobs=parsed.total_jobs,
                total_files=parsed.total_files,
                deployments=parsed.deployments,
                requests_per_minute=parsed.requests_per_minute,
            ),
            bases=tuple(dict.fromkeys((*BASES, *parsed.base))),
            deploy_s=parsed.deploy_s,
            shutdown_date=parsed.shutdown_date,
            validation_s=parsed.validation_s,
            queue_s=parsed.queue_s,
        ),
    )


def _add_serving(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--engine",
        choices=ENGINES,
        default="synthetic",
        help="curves by formula, or real training (default: synthetic)",
    )
    add("--model", default="smollm2-135m", help="lora: the causal model, an asset or a folder (default: %(default)s)")
    add("--host", default="127.0.0.1", help="the address to listen at; all but loopback is seen by others")
    add("--port", type=int, default=0, help="0: one that is free (default: 0)")
    add("--state", type=Path, metavar="DIR", help="where jobs and files are kept over restarts (default: nowhere)")
    add("--until-eof", action="store_true", help="end when standard input does: with the process that started it")
    add("--azure", action="store_true", help="speak as Azure OpenAI does")
    add("--no-strict", action="store_true", help="take LoRA hyperparameters too, which closed hosts refuse")
    add("--base", action="append", default=[], metavar="MODEL", help="a base model that is tuned here too; repeatable")
    add("--shutdown-date", metavar="YYYY-MM-DD", help="the day on which models are shut down (default: none)")
    add("--faults", type=Path, metavar="FILE", help="YAML or JSON of what is to go wrong; see docs/server.md")


def _add_rehearsal(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--admin", action="store_true", help="have /admin too: faults, clock, tokens, counts; for rehearsals alone")
    add("--clock", choices=("real", "manual"), default="real", help="manual: it stands but for POST /admin/clock")
    add("--no-keys", action="store_true", help="the wire takes nothing but the short-lived tokens of /admin/token")
    add("--token-ttl-s", type=float, default=3600.0, metavar="S", help="how long such a token lives")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    add, limits = parser.add_argument, Limits()
    add("--running", type=int, default=limits.running, metavar="N", help="jobs at once (default: %(default)s)")
    add("--queued", type=int, default=limits.queued, metavar="N", help="jobs that wait (default: %(default)s)")
    add("--creates-per-day", type=int, metavar="N", help="jobs made a day and model (default: no limit)")
    add("--total-jobs", type=int, metavar="N", help="jobs in all (default: no limit)")
    add("--total-files", type=int, metavar="N", help="files in all (default: no limit)")
    add(
        "--deployments", type=int, default=limits.deployments, metavar="N", help="azure: at once (default: %(default)s)"
    )
    add("--requests-per-minute", type=int, metavar="N", help="calls a minute (default: no limit)")


def _add_pace(parser: argparse.ArgumentParser) -> None:
    add, pace = parser.add_argument, Pace()
    add("--validation-s", type=float, default=0.0, metavar="S", help="of a job's files (default: %(default)s)")
    add("--queue-s", type=float, default=0.0, metavar="S", help="that a job waits at least (default: %(default)s)")
    add("--deploy-s", type=float, default=0.0, metavar="S", help="azure: a deployment takes (default: %(default)s)")
    add("--epoch-s", type=float, default=pace.epoch_s, metavar="S", help="synthetic: an epoch (default: %(default)s)")
    add("--after-s", type=float, default=pace.after_s, metavar="S", help="synthetic: from the last step to the end")


def _check(parsed: argparse.Namespace) -> None:
    """Raises ConfigError for options that say nothing without one another, and for numbers that make no sense."""
    if not parsed.admin and (parsed.no_keys or parsed.clock == "manual"):
        raise ConfigError("--no-keys, --clock manual: nobody could get in, or move the clock, without --admin; add it")
    for name, value in vars(parsed).items():
        lowest = 1 if name in ("running", "requests_per_minute", "deployments") else 0
        if isinstance(value, int | float) and value < lowest:
            raise ConfigError(f"--{name.replace('_', '-')} {value}: must be at least {lowest}")
    if parsed.epoch_s == 0:
        raise ConfigError("--epoch-s 0: must be above 0; 0.01 is fast enough for any test")
