from pathlib import Path

import pytest
import yaml

from raysweep.config import load_config, to_yaml
from raysweep.config.load import parse, shipped_names
from raysweep.dimensions import Branch, Choice, Fixed, LogUniform
from raysweep.errors import ConfigError


def test_every_shipped_config_loads():
    names = shipped_names()

    assert "default" in names
    for name in names:
        assert load_config(name).space


def test_the_resolved_config_reads_back_equal():
    config = load_config("default", ["trials=7"])

    assert config == parse(yaml.safe_load(to_yaml(config)), "again")


def test_a_path_is_a_config_too(tmp_path, synthetic):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(synthetic), encoding="utf-8")

    assert load_config(path).name == "test"


def test_overrides_reach_into_sections_and_dimensions():
    config = load_config(
        "default", ["trials=3", "space.learning_rate.low=1e-4", "space.rank=8", "early_stopping.eta=2"]
    )

    assert config.trials == 3
    assert config.early_stopping.eta == 2
    assert config.space["rank"] == Fixed(8)
    assert config.space["learning_rate"] == LogUniform("loguniform", 1e-4, 5e-2)


def test_branches_lists_and_bare_values_become_dimensions(synthetic):
    synthetic["space"] |= {
        "loss": {"kind": "branch", "branches": {"a": {"x": {"kind": "uniform", "low": 0, "high": 1}}, "b": None}},
        "label_words": {"kind": "choice", "values": [["a", "b"], ["c", "d"]]},
    }

    space = parse(synthetic, "test").space

    assert isinstance(space["loss"], Branch)
    assert set(space["loss"].branches) == {"a", "b"}
    assert space["label_words"] == Choice("choice", (("a", "b"), ("c", "d")))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("tirals=3", ["tirals", "did you mean trials?"]),
        ("trainer.modle=x", ["trainer.modle", "did you mean model?"]),
        ("early_stopping.rungz=[1]", ["early_stopping.rungz", "did you mean rungs?"]),
        ("data.split.trian=1", ["data.split.trian", "did you mean train?"]),
        ("trials=0", ["trials", "greater than or equal to 1", "0"]),
        ("trials=many", ["trials", "'many'"]),
        ("space.learning_rate.low=1", ["space.learning_rate", "low 1 is not below high 0.05", "swap"]),
        ("space.learning_rate.low=0.05", ["space.learning_rate", "write the value itself"]),
        ("space.learning_rate.low=0", ["space.learning_rate", "above zero"]),
        ("space.learning_rate.low=-1", ["space.learning_rate", "above zero"]),
        ("space.rank.values=[]", ["space.rank", "empty choice"]),
        ("space.rank=[8,16]", ["space.rank", "a list is ambiguous", "kind: choice"]),
        ("space.rank.kind=chioce", ["space.rank", "'chioce'", "choice"]),
        ("space.learning_rate.lo=1", ["space.learning_rate", "lo"]),
        ("objective.metric=val_f2", ["val_f2", "mode"]),
        ("early_stopping.rungs=[1.5,0.5]", ["early_stopping.rungs", "ascend"]),
        ("search.points=[{rank: 5}]", ["search.points.0", "rank", "5"]),
        ("search.points=[{rang: 8}]", ["search.points.0", "rang"]),
        ("space.rank.kind=[1]", ["space.rank", "choice"]),
        ("space.loss={kind: branch, branches: {a: [1]}}", ["space.loss", "branches.a"]),
        ("space.system=2020-01-01", ["space.system", "2020"]),
        ("search.points=[{rank: [[1]]}]", ["search"]),
        ("seed=-1", ["seed", "-1"]),
        ("evaluation.every_epochs=1e-9", ["evaluation.every_epochs"]),
        ("time_s=.inf", ["time_s"]),
        ("trials", ["key=value"]),
        ("trials.x=1", ["trials"]),
    ],
)
def test_a_bad_setting_is_refused_with_its_place_and_a_remedy(override, words):
    with pytest.raises(ConfigError) as caught:
        load_config("default", [override])

    for word in words:
        assert word in str(caught.value)


def test_a_key_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("trials: 3\ntrials: 4\n", encoding="utf-8")

    with pytest.raises(ConfigError, match="'trials' stands twice"):
        load_config(path)


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "\x00"])
def test_a_file_that_is_no_mapping_is_refused_by_name(tmp_path, text):
    path = tmp_path / "odd.yaml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError, match=r"odd\.yaml"):
        load_config(path)


def test_an_unknown_config_names_the_shipped_ones():
    with pytest.raises(ConfigError, match=r"nothing-like-it.*default"):
        load_config("nothing-like-it")


def test_every_wrong_place_is_said_at_once(synthetic):
    synthetic |= {"trials": 0, "concurrency": "x"}

    with pytest.raises(ConfigError, match=r"(?s)trials.*concurrency"):
        parse(synthetic, "test")


def test_small_exponents_are_numbers(tmp_path, synthetic):
    path = tmp_path / "small.yaml"
    synthetic["space"]["learning_rate"] = 0.5
    path.write_text(yaml.safe_dump(synthetic).replace("learning_rate: 0.5", "learning_rate: 3e-5"), encoding="utf-8")

    assert load_config(path).space["learning_rate"] == Fixed(3e-5)


def test_a_space_without_a_dimension_is_refused(synthetic):
    synthetic["space"] = {"learning_rate": 0.1, "n_epochs": 2}
    synthetic["search"] = {"kind": "hyperopt"}

    with pytest.raises(ConfigError, match="nothing varies"):
        parse(synthetic, "test")


def test_the_schema_documents_every_setting():
    from raysweep.config import SweepConfig

    schema = SweepConfig.model_json_schema()
    sections = [schema, *schema["$defs"].values()]
    undocumented = [
        (section["title"], name)
        for section in sections
        for name, field in section.get("properties", {}).items()
        if name not in ("kind", "low", "high", "values", "value", "step", "branches")
        and not field.get("description")
        and "$ref" not in field
    ]

    assert undocumented == []


@pytest.mark.parametrize("name", shipped_names())
def test_the_schema_takes_every_shipped_config(name):
    import jsonschema

    from raysweep.config import SweepConfig
    from raysweep.config.load import find

    raw = yaml.safe_load(find(name).read_text(encoding="utf-8"))

    jsonschema.validate(raw, SweepConfig.model_json_schema())


def test_importing_the_package_loads_nothing_heavy():
    import subprocess
    import sys

    code = (
        "import sys, raysweep, raysweep.config, raysweep.cli; "
        "print(sorted(set(sys.modules) & {'torch', 'ray', 'hyperopt', 'pandas', 'openai', 'sklearn', 'transformers'}))"
    )

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert printed.stdout.strip() == "[]"


def test_configs_travel_in_the_repository_and_the_wheel():
    import tomllib

    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))

    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"] == {"conf": "raysweep/conf"}


def test_the_drivers_rules_are_there_without_ray():
    import subprocess
    import sys

    code = "import sys, raysweep.tuning.driver, raysweep.sweep, raysweep.checking; print('ray' in sys.modules)"

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert printed.stdout.strip() == "False"


def test_a_section_without_its_kind_is_of_the_default_kind():
    config = load_config("rehearsal", ["search.ordered=true", "early_stopping.eta=2"])

    assert config.search.ordered
    assert config.early_stopping.eta == 2


def test_another_kind_leaves_the_former_kinds_settings_behind():
    assert load_config("default", ["early_stopping.kind=none"]).early_stopping.kind == "none"


def test_a_metric_without_its_split_is_told_the_name_that_was_meant(synthetic):
    with pytest.raises(ConfigError, match="f1_weighted: a metric's name begins with its split; did you mean val_f1_w"):
        parse(synthetic | {"objective": {"metric": "f1_weighted"}}, "test")
