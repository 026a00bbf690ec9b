"""The wire trainer passes the published suite, at the local server, through the real SDK over loopback HTTP."""

import time
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

    def test_what_is_known_of_an_ended_job_is_told_without_a_wait(self):
        spec = self.spec("job")
        self.run(spec, 1)
        until_s = time.monotonic() + self.patience_s
        while not all(view.is_final for view in self.listed(spec.sweep_id)) and time.monotonic() < until_s:
            time.sleep(0.1)

        begun_s = time.monotonic()
        told = self.run(self.taken_up(spec, 1, 0)).evaluations

        assert 3 == len(told)
        assert time.monotonic() - begun_s < self.patience_s / 2

    @property
    def make_trainer(self):
        return partial(keyed_trainer, self.recipe, self.key)
