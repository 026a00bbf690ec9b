"""The part of the contract with Ray that is looked at when a sweep starts."""

import tomllib
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace

import pytest

from raysweep import environment
from raysweep.errors import ClusterError

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def contract():
    environment.prepare_for_ray()
    from raysweep.tuning import contract

    return contract


@pytest.fixture
def shape(contract):
    return contract.installed()


class Renamed:
    """Calls the trial's id something else than Tune's Searcher does."""

    FINISHED = "FINISHED"

    def suggest(self, trial_id): ...

    def on_trial_complete(self, trial, result=None, error=False): ...

    def save(self, checkpoint_path): ...

    def restore(self, checkpoint_path): ...


def test_the_installed_ray_holds_it(contract):
    contract.check()


def test_a_broken_assumption_is_refused_by_its_name_alone(contract, shape):
    with pytest.raises(ClusterError) as caught:
        contract.check(replace(shape, searcher=Renamed))

    assert (
        f"Ray {shape.version} breaks what raysweep takes for granted: "
        "'Searcher.on_trial_complete takes trial_id, result and error'; install one that was proved: "
        f"pip install 'ray[default,tune]>={contract.OLDEST},<={contract.NEWEST}'"
    ) == str(caught.value)


def test_all_that_is_broken_is_named(contract, shape):
    with pytest.raises(ClusterError) as caught:
        contract.check(replace(shape, scheduler=SimpleNamespace(CONTINUE="CONTINUE"), source=""))

    assert "'TrialScheduler has CONTINUE and STOP'" in str(caught.value)
    assert "'Tune knows the variable TUNE_DISABLE_SIGINT_HANDLER'" in str(caught.value)


def test_every_assumption_can_be_broken(contract):
    nothing = contract.Shape("0", *[SimpleNamespace()] * 7, source="")

    with pytest.raises(ClusterError) as caught:
        contract.check(nothing)

    for assumption in contract.ASSUMPTIONS:
        assert repr(assumption.name) in str(caught.value)


@pytest.mark.parametrize("version", ["2.53.0", "2.9.3", "1.13.0"])
def test_an_older_ray_is_refused(contract, shape, version):
    with pytest.raises(ClusterError, match=rf"^Ray {version} .*: 'it is 2.54.0 or newer'; "):
        contract.check(replace(shape, version=version))


@pytest.mark.parametrize("version", ["2.54.0", "2.61.0rc1", "2.100.0", "3.0.0.dev0"])
def test_a_newer_ray_is_judged_by_its_shape_alone(contract, shape, version):
    contract.check(replace(shape, version=version))


def test_it_takes_less_than_a_tenth_of_a_second(contract):
    def seconds():
        began_s = perf_counter()
        contract.check()
        return perf_counter() - began_s

    assert min(seconds() for _ in range(5)) < 0.1


def test_the_versions_are_those_of_the_package_and_of_the_lock(contract):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()

    (ray,) = [dependency for dependency in project["dependencies"] if dependency.startswith("ray[")]
    assert f"ray[default,tune]>={contract.OLDEST.removesuffix('.0')}" == ray
    assert f"ray=={contract.NEWEST}" in lock


def test_what_is_set_for_tune_is_what_is_looked_for(contract):
    source = (ROOT / "raysweep" / "environment.py").read_text(encoding="utf-8")

    for variable in contract.VARIABLES:
        assert f'os.environ["{variable}"]' in source
