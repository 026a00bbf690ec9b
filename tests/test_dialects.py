"""What differs between hosts is data, and the settings may know better."""

import re
from pathlib import Path

import pytest

from raysweep.config import WireTrainer
from raysweep.errors import ConfigError
from raysweep.trainers.dialects import DIALECTS, Limits, dialect_of

ROOT = Path(__file__).parent.parent
AZURE = {"base_url": "https://res.openai.azure.com/openai/v1/"}
ACCOUNT = {"subscription": "s", "resource_group": "g", "account": "a"}


def settings(**given):
    return WireTrainer(**({"kind": "wire", "model": "m"} | given))


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_is_a_host_of_the_settings_and_whole(name):
    dialect = dialect_of(settings(host=name, base_url="http://127.0.0.1:1/v1"))

    assert name == dialect.name
    assert "n_epochs" in dialect.params
    assert {"succeeded", "failed", "cancelled"} <= dialect.final_states
    assert not dialect.final_states & dialect.waiting_states
    assert re.fullmatch(r"[A-Z_]+", dialect.key_env)


def test_no_other_module_asks_for_a_host_by_its_name():
    names = "|".join(f'"{name}"' for name in DIALECTS)
    sources = [path for path in (ROOT / "raysweep" / "trainers").glob("*.py") if path.name != "dialects.py"]

    assert [] == [path.name for path in sources if re.search(rf"== ({names})|in \(({names})", path.read_text())]


def test_the_settings_override_what_the_dialect_says():
    given = settings(**AZURE, host="azure", limits={"running": 5, "jobs": 40}, listing_lag_s=12, metadata_filter=True)

    dialect = dialect_of(given)

    assert Limits(running=5, queued=20, jobs=40, files=100, deployments=10) == dialect.limits
    assert (12, True) == (dialect.listing_lag_s, dialect.metadata_filter)
    assert 25 == dialect.limits.active


def test_an_unknown_lag_is_none_and_zero_is_a_lag():
    assert dialect_of(settings(host="openai")).listing_lag_s is None
    assert 0.0 == dialect_of(settings(host="openai", listing_lag_s=0)).listing_lag_s


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"host": "azure"}, "trainer.base_url: missing"),
        ({"host": "openai", "identity": "entra"}, "trainer.identity: openai knows no entra"),
        ({"host": "openai", "api_version": "1"}, "trainer.api_version: openai wants none"),
        ({"host": "azure", **AZURE, "score": "all"}, "trainer.azure: missing"),
        ({"host": "azure", **AZURE, "azure": ACCOUNT}, "by a token, not by a key"),
        ({"host": "openai", "polls": {"shortest_s": 9, "longest_s": 3}}, "shortest_s 9 is above"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(given, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        dialect_of(settings(**given))


@pytest.mark.parametrize("url", ["not-a-url", "ftp://host/v1", "https://user:key@host/v1", "https://host/v1?key=1"])
def test_an_address_holds_no_secret(url):
    with pytest.raises(ValueError, match="base_url"):
        settings(base_url=url)


def test_a_key_cannot_stand_where_its_variable_is_named():
    with pytest.raises(ValueError, match="key_env"):
        settings(key_env="sk-proj-abcdef")


def test_every_param_of_every_host_is_documented():
    documented = (ROOT / "docs" / "hyperparameters.md").read_text(encoding="utf-8")

    for name in {"model", *(name for dialect in DIALECTS.values() for name in dialect.params)}:
        assert f"\n| `{name}`" in documented, name


@pytest.mark.parametrize("name", ["openai", "azure", "seed_azure"])
def test_the_shipped_configs_fit_their_dialects(name):
    from raysweep.config import load_config
    from raysweep.task import Task, TaskKind
    from raysweep.trainers import TrainerRecipe, make_trainer

    config = load_config(name)
    takes = make_trainer(TrainerRecipe(config.trainer, Task(TaskKind.RATING, ("1", "2", "3")))).describe()

    assert config.space.keys() <= takes.params.keys()
    assert config.goal.metric in takes.metrics | takes.final_metrics
    assert config.stopping_goal.metric in takes.metrics
