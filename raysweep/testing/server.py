"""The local server for tests, as a context manager and as a pytest fixture; needs neither Ray nor torch.

In a `conftest.py`: `from raysweep.testing.server import fine_tuning_server`, and a test that takes it.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from raysweep.server.child import Server, running_server

__all__ = ["Server", "fine_tuning_server", "running_server"]


@pytest.fixture
def fine_tuning_server() -> Iterator[Callable[..., Server]]:
    """Makes servers: `fine_tuning_server("--azure", faults={...})`; all end with the test."""
    with contextlib.ExitStack() as stack:

        def make(*options: str, folder: Path | None = None, faults: Mapping[str, object] | None = None) -> Server:
            return stack.enter_context(running_server(*options, folder=folder, faults=faults))

        yield make
