"""Which models a host has for a sweep: refused before anything is spent."""

import logging

from raysweep.errors import ConfigError
from raysweep.trainers.hosted import HostedModel

_LOG = logging.getLogger(__name__)


def refuse_shut_down(model: HostedModel, today: str) -> None:
    """Raise ConfigError for a model that was shut down, and warn of one that will be; `today` as 2026-01-31."""
    if model.shutdown_date is None:
        return
    if model.shutdown_date[:10] <= today:
        raise ConfigError(
            f"trainer.model: {model.name} was shut down on {model.shutdown_date}; choose another (today is {today})"
        )
    _LOG.warning("%s is shut down on %s, and what is made of it too", model.name, model.shutdown_date)
