"""Keeps the libraries below from talking into a sweep's own view."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging


@contextmanager
def quietly() -> Iterator[None]:
    """Inside, transformers and peft neither draw progress bars nor warn of each other's deprecations."""
    had_bars = logging.is_progress_bar_enabled()
    level = logging.get_verbosity()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers' own
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # transformers' own
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if had_bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]  # transformers' own
