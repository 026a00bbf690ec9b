"""The wire trainer passes the published suite, at the local server, through the real SDK over loopback HTTP."""

from functools import partial

import pytest
from wire_toys import KEY_ENV, MODEL, keyed_trainer

from raysweep.config import WireTrainer as Settings
from raysweep.testing.server import running_server
from raysweep.testing.toy_data import TOY_TASK
from raysweep.testing.trainers import TrainerConformance
from raysweep.trainers import TrainerRecipe

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def server():
    with running_server("--epoch-s", "0.2", "--running", "50") as one, pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_ENV, one.key)
        yield one


class TestWire(TrainerConformance):
    look_s = 0.1
    busy_epochs = 50.0
    n_random_kills = 3
    preload = ("pytest", "openai.resources", "raysweep.trainers.gate")

    @pytest.fixture(autouse=True)
    def _host(self, server):
        self.key = server.key
        self.recipe = TrainerRecipe(
            Settings(
                kind="wire",
                host="raysweep",
                base_url=server.base_url,
                key_env=KEY_ENV,
                model=MODEL,
                polls={"shortest_s": 0.05, "longest_s": 0.1},
            ),
            TOY_TASK,
        )

    @property
    def make_trainer(self):
        return partial(keyed_trainer, self.recipe, self.key)
