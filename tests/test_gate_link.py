"""The way from a trial's process to the gate of its driver."""

import socket
from contextlib import closing

import pytest
from wire_toys import KEY_ENV, MODEL, export

from raysweep.config import WireTrainer
from raysweep.errors import RaysweepError
from raysweep.testing.server import fine_tuning_server
from raysweep.testing.toy_data import TOY_TASK
from raysweep.trainers import TrainerRecipe
from raysweep.trainers.gate_link import SocketLink, served

__all__ = ["fine_tuning_server"]


@pytest.fixture
def link(fine_tuning_server, monkeypatch):
    server = fine_tuning_server()
    export(monkeypatch, server)
    settings = WireTrainer(kind="wire", host="raysweep", base_url=server.base_url, key_env=KEY_ENV, model=MODEL)
    with served(TrainerRecipe(settings, TOY_TASK)) as recipe:
        assert isinstance(recipe.gate, SocketLink)
        yield recipe.gate


def knock(link):
    caller = socket.socket(socket.AF_UNIX)
    caller.connect(link.address)
    return caller


@pytest.mark.timeout(30)
def test_a_caller_that_dies_on_the_threshold_shuts_nobody_else_out(link):
    for _ in range(3):
        knock(link).close()

    assert link.connect().model(MODEL).name == MODEL


@pytest.mark.timeout(30)
def test_a_caller_that_stalls_on_the_threshold_holds_up_nobody_else(link):
    with closing(knock(link)):
        assert link.connect().model(MODEL).name == MODEL


@pytest.mark.timeout(30)
def test_a_caller_without_the_word_is_not_let_in(link):
    with pytest.raises(RaysweepError, match="does not answer"):
        SocketLink(link.address, b"another word").connect().model(MODEL)
