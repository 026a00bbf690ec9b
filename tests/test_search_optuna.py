"""Optuna beside everything else: chosen by a setting, silent, quick, and asked for by name where it is missing."""

import logging
import math
import sys
import time

import optuna
import pytest

from raysweep.config import OptunaSearch, load_config
from raysweep.errors import ConfigError
from raysweep.search.chosen import chosen_proposer
from raysweep.search.model import ModelProposer
from raysweep.search.optuna_tpe import OptunaModel
from raysweep.search.propose import make_proposer
from raysweep.space import Choice, LogUniform, Space

SPACE = Space(
    {
        "learning_rate": LogUniform("loguniform", 1e-5, 1e-1),
        **{f"choice{place}": Choice("choice", (1, 2, 4, 8)) for place in range(8)},
    }
)


class Heard(logging.Handler):
    """What was logged."""

    def __init__(self):
        super().__init__()
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())


def loss_of(params):
    return math.log10(params["learning_rate"] / 1e-3) ** 2 + sum(params[f"choice{place}"] for place in range(8)) / 100


def told(n_trials):
    proposer = ModelProposer(OptunaModel(SPACE, seed=0), SPACE, seed=0, n_start=n_trials)
    for number in range(n_trials):
        proposer.tell(number, loss_of(proposer.ask(number)))
    return proposer


def test_a_setting_chooses_it():
    settings = load_config("synthetic", ["search.kind=optuna", "search.random_start=2", "search.ordered=true"]).search

    proposer = chosen_proposer(settings, SPACE, seed=3, n_trials=12, points=())
    same = make_proposer("optuna", SPACE, seed=3, n_trials=12, random_start=2)

    assert isinstance(settings, OptunaSearch)
    for number in range(6):
        params = proposer.ask(number)
        assert params == same.ask(number)
        for each in (proposer, same):
            each.tell(number, loss_of(params))


def test_where_it_is_missing_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "raysweep.search.optuna_tpe")

    with pytest.raises(ConfigError, match=r"search.kind: optuna is not installed; pip install 'raysweep\[optuna\]'"):
        make_proposer("optuna", SPACE, seed=0, n_trials=5)


@pytest.mark.parametrize("level", [logging.INFO, logging.ERROR])
def test_it_says_nothing_and_leaves_the_loggers_of_others_as_they_were(level):
    logger = logging.getLogger("optuna")
    before, heard = logger.level, Heard()
    proposer = told(5)
    logger.addHandler(heard)
    logger.setLevel(level)
    try:
        proposer.ask(5)
        assert (logger.level, heard.messages) == (level, [])

        optuna.create_study()
        assert len(heard.messages) == (1 if level == logging.INFO else 0)
    finally:
        logger.setLevel(before)
        logger.removeHandler(heard)


def test_a_suggestion_after_two_hundred_trials_takes_less_than_a_tenth_of_a_second():
    proposer = told(200)
    proposer.ask(200)
    began_s = time.process_time()

    for number in range(201, 211):
        proposer.ask(number)

    assert (time.process_time() - began_s) / 10 < 0.1


def test_a_space_of_which_all_was_tried_is_no_slower():
    space = Space({"rank": Choice("choice", (1, 2)), "top": Choice("choice", (1, 2))})
    proposer = ModelProposer(OptunaModel(space, seed=0), space, seed=0, n_start=1)
    for number in range(100):
        params = proposer.ask(number)
        proposer.tell(number, float(params["rank"]))
    began_s = time.process_time()

    proposer.ask(100)

    assert time.process_time() - began_s < 0.5
