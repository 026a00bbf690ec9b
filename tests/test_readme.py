"""The README's promises that a machine can hold."""

import re
from pathlib import Path

import pytest
import yaml

from raysweep.config.load import parse, shipped_names

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_snippet_that_loads_a_winner_is_the_tested_one():
    snippet = (ROOT / "tests" / "snippet_plain_loading.py").read_text(encoding="utf-8").strip()

    assert snippet in README


def test_the_config_in_the_readme_is_valid():
    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)

    assert parse(yaml.safe_load(block), "README").trials == 12


def test_every_file_and_link_that_is_named_exists():
    links = re.findall(r"\]\((?!http)([^)#]+)", README)

    assert links
    for link in links:
        assert (ROOT / link).exists(), link


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_config_is_named(name):
    assert f"`{name}`" in README


def test_every_param_of_the_local_trainer_is_documented():
    from raysweep.engine.params import param_docs
    from raysweep.task import Task, TaskKind

    documented = (ROOT / "docs" / "hyperparameters.md").read_text(encoding="utf-8")

    for name in param_docs(Task(TaskKind.RATING, ("1", "2", "3"))):
        assert f"\n| `{name}`" in documented, name


def test_every_setting_of_a_sweep_is_documented():
    from raysweep.config import SweepConfig

    documented = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))

    for name in set(SweepConfig.model_fields) - {"name"}:
        assert f"`{name}" in documented, name


def test_the_snippet_in_a_model_card_is_the_readmes():
    snippet = (ROOT / "raysweep" / "export" / "plain_loading.txt").read_text(encoding="utf-8").strip()

    assert snippet in README
