"""Optuna without its log, for whoever asks it for something in passing."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import optuna


@contextmanager
def optuna_quietly() -> Iterator[None]:
    """Optuna logs every study that is made, and warns of what it calls experimental; restored on the way out."""
    logger = logging.getLogger("optuna")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            logger.setLevel(level)
