"""Every trainer that ships passes the published suite."""

import json
import time
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from raysweep.config import LoraTrainer as LoraSettings
from raysweep.config import SyntheticTrainer as Settings
from raysweep.jobs import Estimate, JobView
from raysweep.scoring import Prediction
from raysweep.testing.toy_data import TOY_TASK
from raysweep.testing.trainers import TrainerConformance
from raysweep.trainers.lora import LoraTrainer
from raysweep.trainers.synthetic import SyntheticTrainer


@pytest.fixture(scope="module")
def toy_model(tmp_path_factory):
    from engine_toys import save_toy_model

    from raysweep.engine.quiet import quietly

    with quietly():
        return save_toy_model(tmp_path_factory.mktemp("encoder"), "encoder")


class TestSynthetic(TrainerConformance):
    look_s = 0.06

    def make_trainer(self):
        return SyntheticTrainer(Settings(kind="synthetic", epoch_s=0.1), TOY_TASK)


class TestSyntheticHost(TrainerConformance):
    look_s = 0.06

    def make_trainer(self):
        host = self.folder / "host"
        return SyntheticTrainer(Settings(kind="synthetic", epoch_s=0.1, host=host, listing_lag_s=0.05), TOY_TASK)


class TestLora(TrainerConformance):
    params = MappingProxyType({"batch_size": 12, "learning_rate": 1e-2, "layers": 2})
    look_s = 0.0
    busy_epochs = 1000.0
    preload = ("pytest", "raysweep.engine.job", "transformers.models.bert.modeling_bert")
    n_random_kills = 3
    model: Path

    @pytest.fixture(autouse=True)
    def _model(self, toy_model):
        self.model = toy_model

    def make_trainer(self):
        settings = LoraSettings(kind="lora", model=str(self.model), device="cpu", max_bad_evaluations=99)
        return LoraTrainer(settings, TOY_TASK, self.folder / "cache")


class Changed:
    """A synthetic trainer with something wrong; everything else is as it should be."""

    def __init__(self, epoch_s=0.02, **changes):
        self._trainer = SyntheticTrainer(Settings(kind="synthetic", epoch_s=epoch_s), TOY_TASK)
        self._changes = changes

    def __getattr__(self, name):
        return self._changes.get(name) or getattr(self._trainer, name)

    def submit(self, spec, data):
        change = self._changes.get("spec", lambda one: one)
        job = self._trainer.submit(change(spec), data)
        for name, make in self._changes.get("job", {}).items():
            setattr(job, name, make(job))
        return job


def _forgets(spec):
    return replace(spec, n_evaluations=0)


def _elsewhere(spec):
    return replace(spec, folder=spec.folder.with_name(spec.folder.name + str(time.monotonic_ns())))


def _loses_one(spec):
    made = spec.folder / "state.json"
    n_made = len(json.loads(made.read_text())["made"]) if made.is_file() else 0
    return replace(spec, n_evaluations=max(spec.n_evaluations, n_made))


@pytest.mark.parametrize(
    ("claim", "changes"),
    [
        ("test_a_job_goes_on_in_another_process_from_what_is_on_record", {"spec": _forgets}),
        ("test_a_job_goes_on_in_another_process_from_what_is_on_record", {"spec": _loses_one}),
        ("test_a_job_that_is_done_is_final_at_once", {"spec": _forgets}),
        ("test_a_lost_folder_costs_time_but_no_evaluation_is_told_twice", {"spec": _forgets}),
        ("test_submit_twice_gives_the_same_job", {"spec": _elsewhere}),
        ("test_a_cancel_reaches_a_busy_job_from_any_thread", {"job": {"cancel": lambda _: lambda: None}}),
        ("test_an_estimate_is_made_before_anything_is_spent", {"estimate": lambda *_: Estimate(0, None)}),
        ("test_a_model_predicts_one_answer_an_example", {"predict": lambda *_: [Prediction((0.5, 0.5, 0.5))] * 6}),
        ("test_a_model_predicts_one_answer_an_example", {"predict": lambda *_: [Prediction((1.0, 0.0, 0.0))] * 5}),
        ("test_the_host_lists_and_cancels_jobs_for_whoever_asks", {"jobs": lambda _: [JobView("a", "b", False)]}),
    ],
)
def test_the_suite_finds_a_trainer_that_breaks_a_promise(claim, changes, tmp_path):
    class Case(TrainerConformance):
        cancel_s = 0.3
        patience_s = 1.0
        look_s = 0.01

        def make_trainer(self):
            return Changed(**changes)

    case = Case()
    case.folder = tmp_path

    with pytest.raises(AssertionError):
        getattr(case, claim)()


class RestartsAtNothing(TrainerConformance):
    look_s = 0.05

    def make_trainer(self):
        return Changed(epoch_s=0.4, spec=_elsewhere)


def test_the_suite_finds_a_trainer_that_trains_again_what_was_saved(tmp_path):
    case = RestartsAtNothing()
    case.folder = tmp_path

    with pytest.raises(AssertionError, match="done again"):
        case.test_killed_after_every_progress_a_job_loses_nothing()
