"""The stream that the terminal's views write to."""

import os
import sys

from rich.console import Console

from raysweep.views.terminal import Mode


class _Terminal(Console):
    """A console whose reader may go away: the sweep goes on without being looked at."""

    def on_broken_pipe(self) -> None:
        """Raise, where rich would end the whole program."""
        raise BrokenPipeError


def own_console(view: Mode) -> Console:
    """The terminal; where a machine reads, a stream of our own: Ray's own processes print to stdout at times."""
    if view not in ("json", "quiet", "plain") and sys.stdout.isatty():
        return _Terminal()
    sys.stdout.flush()
    ours = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1, encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return _Terminal(file=ours, soft_wrap=True)
