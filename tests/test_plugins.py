"""Trainers, proposers and recorders of other packages: found, configured, refused, run."""

import pickle
import re
import subprocess
import sys
from itertools import count
from pathlib import Path

import jsonschema
import pytest
import yaml
from inline_runner import InlineRunner

from raysweep import plugins
from raysweep.config import PluginTrainer, SweepConfig, load_config, to_yaml
from raysweep.config.load import parse
from raysweep.errors import ConfigError
from raysweep.jobs import Outcome
from raysweep.preflight import make_ready
from raysweep.sweep import Options, run_sweep
from raysweep.trainers import TrainerRecipe, make_trainer

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "raysweep-bag-of-words"
DOCS = (ROOT / "docs" / "trainers.md").read_text(encoding="utf-8")
TRAINER, _SUITE = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
PROPOSER = """
from raysweep.config import Section
from raysweep.space import SpaceError

class Settings(Section):
    factor: float = 1.0
    "Of the learning rate."

class Proposer:
    def __init__(self, space, settings, seed, n_trials):
        self.space, self.settings, self.given = space, settings, (seed, n_trials)
        self.adopted, self.told = {}, {}
    def ask(self, number):
        return {**self.space.default(), "learning_rate": 0.01 * self.settings.factor / (number + 1)}
    def adopt(self, number, params):
        self.adopted[number] = params
    def tell(self, number, loss):
        self.told[number] = loss

class Plugin:
    settings = Settings
    @staticmethod
    def make(space, settings, *, seed, n_trials):
        if settings.factor == 0:
            raise SpaceError("space.learning_rate: cannot be searched")
        return Proposer(space, settings, seed, n_trials)
"""
RECORDER = """
class Lines:
    def __init__(self, folder):
        self.path = folder / "lines.txt"
    def show(self, entry, state):
        self.write(type(entry).__name__)
    def tick(self):
        pass
    def close(self, state):
        self.write(f"closed after {len(state.trials)}")
    def write(self, line):
        with self.path.open("a") as file:
            print(line, file=file)

class Broken(Lines):
    def show(self, entry, state):
        raise RuntimeError("the tracker is down")

def cannot_begin(folder):
    raise RuntimeError("no key")
"""
_MODULES = count()


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a package of one module: its source, then `name=object` by group."""

    def install(package, source, **groups):
        module = f"plugged_{next(_MODULES)}"
        folder = tmp_path / module
        info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{module}.py").write_text(source, encoding="utf-8")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
        lines = [f"[raysweep.{group}]\n" + _lines(offers, module) for group, offers in groups.items()]
        (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setitem(sys.modules, module, None)
        monkeypatch.delitem(sys.modules, module)  # undone at the end, so that no test leaves a module behind
        return module

    return install


def _lines(offers, module):
    pairs = (offer.split("=") for offer in offers)
    return "".join(f"{name} = {module}:{value}\n" for name, value in pairs)


@pytest.fixture
def shares(install):
    """The trainer of the documentation, as `shares`."""
    return install("label-shares", TRAINER, trainers=["shares=Plugin"])


@pytest.fixture
def plugged(synthetic, shares):
    """The settings of a sweep of it."""
    synthetic["trainer"] = {"kind": "shares"}
    synthetic["space"] = {"smoothing": {"kind": "uniform", "low": 0, "high": 10}, "n_epochs": 2}
    return synthetic


def test_a_plug_in_is_found_by_its_entry_point(shares):
    assert "shares" in plugins.names("raysweep.trainers")
    assert plugins.load("raysweep.trainers", "shares").__module__ == shares


def test_an_unknown_name_is_refused_with_the_nearest_and_the_way_to_add_one(shares):
    with pytest.raises(ConfigError) as caught:
        plugins.load("raysweep.trainers", "sharse", ("lora",))

    for words in ("'sharse' is no trainer", "did you mean shares?", "lora, shares", "group raysweep.trainers"):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import no_such_module_anywhere", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("1 / 0", "ZeroDivisionError"),
        ("def (", "SyntaxError"),
        ("", "has no attribute 'Plugin'"),
    ],
)
def test_one_that_cannot_be_imported_is_refused_with_its_package_and_the_cause(install, source, words):
    install("half-done", source, trainers=["mine=Plugin"])

    with pytest.raises(ConfigError, match="package half-done cannot be imported") as caught:
        plugins.load("raysweep.trainers", "mine")

    assert words in str(caught.value)
    assert caught.value.__cause__ is not None


def test_two_packages_of_one_name_are_refused_with_both(install):
    install("first-one", "Plugin = 1", trainers=["mine=Plugin"])
    install("second-one", "Plugin = 2", trainers=["mine=Plugin"])

    with pytest.raises(ConfigError, match="first-one and second-one both offer it"):
        plugins.load("raysweep.trainers", "mine")


@pytest.mark.parametrize(("section", "kind"), [("trainer", "synthetic"), ("search", "random")])
def test_a_name_that_raysweep_has_is_not_a_packages_to_take(install, synthetic, section, kind):
    install("usurper", "", **{f"{section}s".replace("search", "proposer"): [f"{kind}=Plugin"]})
    synthetic[section] = {"kind": kind}

    with pytest.raises(ConfigError, match=f"{kind}: raysweep itself has one .* so has usurper"):
        parse(synthetic, "test")


def test_its_settings_stand_beside_the_kind_and_read_back_equal(plugged, tmp_path):
    plugged["trainer"]["floor"] = 0.5
    config = parse(plugged, "test")
    path = tmp_path / "again.yaml"
    path.write_text(to_yaml(config), encoding="utf-8")

    assert {"kind": "shares", "floor": 0.5} == yaml.safe_load(to_yaml(config))["trainer"]
    assert config == load_config(path)
    assert config == pickle.loads(pickle.dumps(config))
    assert config != load_config(path, ["trainer.floor=0.25"])


def test_its_settings_are_as_frozen_as_the_rest(plugged):
    config = parse(plugged, "test")

    with pytest.raises(ValueError, match="frozen"):
        config.trainer.settings.floor = 1.0


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("trainer.flor=1", ["trainer.flor: no such setting", "did you mean floor?"]),
        ("trainer.floor=many", ["trainer.floor", "number", "'many'"]),
        ("trainer.kind=sharse", ["trainer: kind: 'sharse' is no trainer", "did you mean shares?"]),
        ("trainer.kind=lroa", ["did you mean lora?", "known: lora, shares, synthetic"]),
        ("trainer.kind=[1]", ["trainer: kind", "no trainer"]),
        ("search.kind=hyperotp", ["search: kind", "is no proposer", "did you mean hyperopt?"]),
        ("search.pionts=[]", ["search.pionts", "did you mean points?"]),
        ("recorders=[wandbb]", ["recorders.0", "'wandbb' is no recorder", "did you mean wandb?", "raysweep.recorders"]),
    ],
)
def test_a_bad_setting_is_refused_with_its_place_and_a_remedy(plugged, tmp_path, override, words):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(plugged), encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        load_config(path, [override])

    for word in words:
        assert word in str(caught.value)


def test_a_trainer_without_a_kind_is_refused_with_the_known_ones(synthetic):
    synthetic["trainer"] = {"noise": 0.1}

    with pytest.raises(ConfigError, match=r"trainer: kind: missing; known: lora, .*synthetic"):
        parse(synthetic, "test")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("class Plugin: pass", "no pydantic model"),
        ("class Plugin: settings = 3", "no pydantic model"),
        ("from pydantic import BaseModel\nclass S(BaseModel): pass\nclass Plugin: settings = S", "Section"),
        (
            "from raysweep.config import Section\nclass S(Section): kind: str\nclass Plugin: settings = S",
            "kind, which raysweep itself reads",
        ),
    ],
)
def test_settings_that_would_not_be_checked_are_refused(install, synthetic, source, words):
    install("careless", source, trainers=["mine=Plugin"])
    synthetic["trainer"] = {"kind": "mine"}

    with pytest.raises(ConfigError, match=words):
        parse(synthetic, "test")


def test_one_that_makes_no_trainer_is_refused(install, synthetic):
    source = "from raysweep.config import Section\nclass S(Section): pass\nclass Plugin: settings = S"
    install("careless", source, trainers=["mine=Plugin"])
    synthetic["trainer"] = {"kind": "mine"}

    with pytest.raises(ConfigError, match=r"mine: .* has no `make`"):
        make_ready(parse(synthetic, "test"))


def test_the_schema_takes_a_plug_in_but_no_wrong_setting_of_a_shipped_trainer(plugged):
    schema = SweepConfig.model_json_schema()

    jsonschema.validate(plugged | {"trainer": {"kind": "shares", "floor": 1}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(plugged | {"trainer": {"kind": "synthetic", "nois": 1}}, schema)


def test_settings_made_by_hand_must_be_those_of_the_kind(plugged):
    right = parse(plugged, "test").trainer

    assert right == PluginTrainer(kind="shares", settings=right.settings)
    with pytest.raises(ValueError, match="not a PluginTrainer"):
        PluginTrainer(kind="shares", settings=right)


def test_the_trainer_is_made_anew_from_a_pickled_recipe(plugged):
    ready = make_ready(parse(plugged, "test"))

    recipe = pickle.loads(pickle.dumps(TrainerRecipe(ready.config.trainer, ready.task)))

    assert ready.capabilities == make_trainer(recipe).describe()


def test_a_trainer_without_a_budget_is_refused(install, plugged):
    install("no-budget", TRAINER.replace('"n_epochs"', '"length"'), trainers=["endless=Plugin"])
    plugged["trainer"] = {"kind": "endless"}
    del plugged["space"]["n_epochs"]

    with pytest.raises(ConfigError, match="endless describes no n_epochs"):
        make_ready(parse(plugged, "test"))


def test_a_prompt_that_the_trainer_does_not_read_is_refused(plugged):
    assert {"smoothing", "n_epochs"} == set(make_ready(parse(plugged, "test")).defaults)

    plugged["prompt"] = {"template": "Rate this: {prompt}"}

    with pytest.raises(ConfigError, match=r"prompt\.template: the trainer shares puts no prompts"):
        make_ready(parse(plugged, "test"))


def test_a_sweep_of_the_documented_trainer_runs_to_its_end(plugged):
    found = run_sweep(parse(plugged, "test"), Options(runner=InlineRunner()))

    assert found.best is not None
    assert {"test_accuracy"} <= set(found.state.finals[0].metrics)
    assert {Outcome.COMPLETED, Outcome.PRUNED} >= {trial.ended.outcome for trial in found.state.trials.values()}


def test_a_proposer_comes_after_the_default_and_the_given_points(install, synthetic):
    install("halving", PROPOSER, proposers=["halving=Plugin"])
    synthetic["search"] = {"kind": "halving", "factor": 2.0, "points": [{"learning_rate": 0.05}]}
    config = parse(synthetic, "test")
    ready = make_ready(config)
    proposer = ready.make_proposer()

    asked = [proposer.ask(number)["learning_rate"] for number in range(4)]

    assert [ready.space.default()["learning_rate"], 0.05, 0.02 / 3, 0.02 / 4] == asked
    assert config == parse(yaml.safe_load(to_yaml(config)), "again")
    assert config.search.settings.factor == 2.0


def test_a_proposer_need_not_begin_with_the_default(install, synthetic):
    install("halving", PROPOSER, proposers=["halving=Plugin"])
    synthetic["search"] = {"kind": "halving", "default_first": False}

    assert make_ready(parse(synthetic, "test")).make_proposer().ask(0)["learning_rate"] == 0.01


@pytest.mark.parametrize(("setting", "words"), [({"factor": 0}, "cannot be searched"), ({"factr": 1}, "mean factor")])
def test_what_a_proposer_cannot_search_is_refused(install, synthetic, setting, words):
    install("halving", PROPOSER, proposers=["halving=Plugin"])
    synthetic["search"] = {"kind": "halving", **setting}

    with pytest.raises(ConfigError, match=words):
        make_ready(parse(synthetic, "test"))


def test_a_sweep_runs_by_another_packages_proposer(install, synthetic):
    install("halving", PROPOSER, proposers=["halving=Plugin"])
    synthetic["search"] = {"kind": "halving"}

    found = run_sweep(parse(synthetic, "test"), Options(runner=InlineRunner()))

    assert [0.005, 0.01 / 3, 0.0025] == [found.state.trials[number].params["learning_rate"] for number in (1, 2, 3)]


def test_a_recorder_sees_every_entry_and_the_end(install, synthetic):
    install("lines", RECORDER, recorders=["lines=Lines"])
    synthetic["recorders"] = ["lines"]

    found = run_sweep(parse(synthetic, "test"), Options(runner=InlineRunner()))

    lines = (found.folder / "lines.txt").read_text(encoding="utf-8").splitlines()
    assert ("SweepStarted", "closed after 4") == (lines[0], lines[-1])
    assert 4 == lines.count("TrialEnded")


def test_a_recorder_that_breaks_does_not_end_the_sweep(install, synthetic, caplog):
    install("lines", RECORDER, recorders=["broken=Broken", "lines=Lines"])
    synthetic["recorders"] = ["broken", "lines"]

    found = run_sweep(parse(synthetic, "test"), Options(runner=InlineRunner()))

    assert found.best is not None
    assert "Broken failed; the sweep goes on" in caplog.text
    assert "TrialEnded" in (found.folder / "lines.txt").read_text(encoding="utf-8")


def test_a_recorder_that_cannot_begin_is_refused_before_anything_is_spent(install, synthetic):
    install("lines", RECORDER, recorders=["keyless=cannot_begin", "nothing=__doc__"])

    for name, words in (("keyless", "RuntimeError: no key"), ("nothing", "cannot be called")):
        with pytest.raises(ConfigError, match=words):
            run_sweep(parse(synthetic | {"recorders": [name]}, "test"), Options(runner=InlineRunner()))


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_recorder_whose_package_is_not_there_is_refused_with_its_extra(synthetic, monkeypatch, name):
    for module in (name, *(one for one in list(sys.modules) if one.startswith(f"{name}."))):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"raysweep.views.{name}", raising=False)

    with pytest.raises(ConfigError, match=rf"recorders: {name}: .*pip install 'raysweep\[{name}\]'"):
        make_ready(parse(synthetic | {"recorders": [name]}, "test"))


def test_the_example_is_found_and_configured_as_its_package_says(tmp_path):
    """Everything but the build: its own pyproject names the entry point."""
    import tomllib

    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = tmp_path / f"raysweep_bag_of_words-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1\n", encoding="utf-8")
    offers = project["entry-points"]["raysweep.trainers"]
    lines = "".join(f"{name} = {value}\n" for name, value in offers.items())
    (info / "entry_points.txt").write_text(f"[raysweep.trainers]\n{lines}", encoding="utf-8")
    code = (
        "import sys; sys.path[:0] = sys.argv[1:3]\n"
        "from raysweep.config import load_config\n"
        "from raysweep.task import Task, TaskKind\n"
        "from raysweep.trainers import TrainerRecipe, make_trainer\n"
        "config = load_config(sys.argv[3])\n"
        "made = make_trainer(TrainerRecipe(config.trainer, Task(TaskKind.RATING, config.task.labels)))\n"
        "assert set(config.space) == set(made.describe().params)\n"
        "print(config.trainer.settings, type(made).__name__)\n"
    )

    told = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(EXAMPLE / "src"), str(EXAMPLE / "conf.yaml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (told.returncode, told.stdout.strip()) == (0, "n_grams=2 BagOfWordsTrainer"), told.stderr


def test_every_group_of_the_documentation_is_one_that_is_read():
    groups = {plugins.TRAINERS, plugins.PROPOSERS, plugins.RECORDERS, plugins.METRICS}

    assert groups == set(re.findall(r"\| `(raysweep\.\w+)` \|", DOCS))
