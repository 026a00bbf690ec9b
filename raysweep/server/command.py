"""`raysweep serve`."""

import argparse
from collections.abc import Sequence

from raysweep.errors import ConfigError


def run(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    """Serve until a signal comes; 0 then. Raises ConfigError where the server's packages are not installed."""
    try:
        from raysweep.server.options import parse_options
        from raysweep.server.serving import serve
    except ModuleNotFoundError as error:
        raise ConfigError(f"serve: {error}; install raysweep[server]") from error
    serve(parse_options(parser, arguments))
    return 0
