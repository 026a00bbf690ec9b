"""Sweeps at a server that they start for themselves: no host is asked, and the server is there when they go on."""

import argparse
import io
import json
import signal
import subprocess
import sys
import time
from functools import partial
from html import escape
from pathlib import Path

import pytest
from rich.console import Console
from wire_toys import runner

from raysweep import environment, results
from raysweep.arguments import add_config, config_of
from raysweep.checking import findings
from raysweep.clock import RealClock
from raysweep.config.load import load_config, parse
from raysweep.errors import ConfigError, SweepFolderError
from raysweep.forecast import Forecaster
from raysweep.hosting import rows
from raysweep.jobs import Outcome
from raysweep.paying import with_budget
from raysweep.planning import plan
from raysweep.preflight import make_ready
from raysweep.rehearsing import rehearsed, staged
from raysweep.report.command import report_end
from raysweep.steering import reconcile_run
from raysweep.sweep import Options, resume_sweep, run_sweep
from raysweep.trainers.dialects import NOWHERE, dialect_of
from raysweep.views.terminal import make_view

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def settings(synthetic, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-of-the-real-host")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/nowhere")
    monkeypatch.setenv(environment.SERVER_KEY, "")
    wire = {"kind": "wire", "host": "openai", "model": "gpt-4.1-mini-2025-04-14", "rehearsal": {"epoch_s": 0.1}}
    return synthetic | {
        "trainer": wire,
        "space": {"learning_rate_multiplier": {"kind": "loguniform", "low": 0.1, "high": 30.0}, "n_epochs": 2},
        "early_stopping": {"kind": "none"},
        "evaluation": {"every_epochs": 1},
        "objective": {"metric": "val_f1_weighted"},
        "final": {"baseline": False},
        "budget": {"max_usd": 50.0},
        "trials": 3,
    }


@pytest.mark.parametrize(("host", "more"), [("openai", {}), ("azure", {"score": "finalists"}), ("nebius", {})])
def test_a_sweep_is_rehearsed_in_the_hosts_dialect(settings, tmp_path, host, more):
    settings["trainer"] |= {"host": host, **more, "prices": dict.fromkeys(PRICES, 1.0)}
    if host == "azure":
        settings |= {"objective": {"metric": "val_loss"}, "final": {"test": False, "baseline": False}}
    if host == "nebius":
        settings["space"] = {"learning_rate": {"kind": "loguniform", "low": 1e-5, "high": 1e-3}, "n_epochs": 2}

    found = run_sweep(parse(settings, "test"), Options(folder=tmp_path / "run", runner=runner()))

    assert {Outcome.COMPLETED} == {trial.outcome for trial in found.state.trials.values()}
    assert 0 < found.state.spending.spent < 50
    assert "sk-canary" not in "".join(path.read_text(errors="replace") for path in found.folder.glob("*.*"))


PRICES = ("training_usd_per_million", "input_usd_per_million", "output_usd_per_million", "hosting_usd_per_hour")


def test_no_host_and_no_key_of_its_is_within_reach(settings):
    dialect = dialect_of(parse(settings, "test").trainer)

    assert (NOWHERE, environment.SERVER_KEY, False) == (dialect.base_url, dialect.key_env, dialect.is_paid)
    with pytest.raises(ConfigError, match="is a host, and a rehearsal asks none"):
        parse({**settings, "trainer": settings["trainer"] | {"base_url": "https://api.openai.com/v1"}}, "test")


def test_any_config_of_a_host_can_be_rehearsed_and_no_other():
    trainer = rehearsed(load_config("azure")).trainer

    assert ("azure", None) == (trainer.host, trainer.base_url)
    assert trainer.rehearsal is not None
    with pytest.raises(ConfigError, match="asks no host"):
        rehearsed(load_config("synthetic"))


def test_deployments_are_rehearsed_at_our_own_server_by_its_key(settings, tmp_path):
    azure = {"subscription": "s", "resource_group": "g", "account": "a", "management_url": "http://127.0.0.1:9/nowhere"}
    paid = {"host": "azure", "base_url": "https://mine.openai.azure.com/openai/v1/", "identity": "entra"}
    settings["trainer"] |= {**paid, "score": "all", "azure": azure, "prices": dict.fromkeys(PRICES, 1.0)}
    del settings["trainer"]["rehearsal"]

    config = rehearsed(parse(settings | {"objective": {"metric": "val_mse"}}, "test"))
    found = run_sweep(config, Options(folder=tmp_path / "run", runner=runner()))

    assert {Outcome.COMPLETED} == {trial.outcome for trial in found.state.trials.values()}
    assert all(trial.last.metrics["val_mse"] is not None for trial in found.state.trials.values())


def test_a_model_that_our_server_does_not_list_is_rehearsed_all_the_same(settings, tmp_path):
    settings["trainer"] |= {"model": "nobody-knows-it"}
    settings["space"] |= {"model": {"kind": "choice", "values": ["nobody-knows-it", "nor-this"]}}
    settings["trainer"] |= {"prices": dict.fromkeys(PRICES, 1.0)}

    found = run_sweep(parse(settings | {"trials": 2}, "test"), Options(folder=tmp_path / "run", runner=runner()))

    assert {Outcome.COMPLETED} == {trial.outcome for trial in found.state.trials.values()}


def test_a_rehearsals_own_settings_can_be_given_beside_a_config_with_an_address():
    parser = argparse.ArgumentParser()
    add_config(parser)

    config = config_of(parser.parse_intermixed_args(["azure", "--rehearse", "trainer.rehearsal.epoch_s=0.5"]))

    assert (None, 0.5) == (config.trainer.base_url, config.trainer.rehearsal.epoch_s)


def test_a_killed_rehearsal_takes_its_server_along_and_goes_on_with_its_jobs(settings, tmp_path):
    folder = tmp_path / "run"
    settings["trainer"] |= {"rehearsal": {"epoch_s": 2.0}}
    code = (
        "import json, sys, pathlib; sys.path.insert(0, sys.argv[3]); from wire_toys import runner;"
        "from raysweep.config.load import parse; from raysweep.sweep import Options, run_sweep;"
        "run_sweep(parse(json.loads(sys.argv[1]), 'test'), Options(folder=pathlib.Path(sys.argv[2]), runner=runner()))"
    )
    words = [sys.executable, "-c", code, json_of(settings), str(folder), str(Path(__file__).parent)]
    with subprocess.Popen(words) as driver:
        wait_for(lambda: any(trial.job for trial in trials(folder)))
        with pytest.raises(ConfigError, match="rehearses this sweep"):
            rows(folder)
        driver.send_signal(signal.SIGKILL)
    wait_for(lambda: not server_processes(folder))

    listed = rows(folder)
    assert {"running", "succeeded", "failed"} & {row.status for row in listed}
    found = resume_sweep(folder, (), Options(runner=runner()))

    assert {Outcome.COMPLETED} == {trial.outcome for trial in found.state.trials.values()}
    assert 3 == len({row.key.rpartition("-")[0] for row in rows(folder)})
    assert () == reconcile_run(folder, RealClock()).cancelled


def test_the_address_of_a_rehearsal_stands_in_no_setting(settings, tmp_path):
    ready = make_ready(parse(settings, "test"))

    with staged(ready, tmp_path) as there:
        assert there.recipe.settings.base_url.startswith("http://127.0.0.1:")
        assert there.config.trainer.base_url is None


def json_of(settings):
    return json.dumps(settings, default=str)


def trials(folder):
    try:
        return list(results.load(folder).state.trials.values())
    except SweepFolderError:  # nothing is written yet
        return []


def server_processes(folder):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [path] if str(folder / "server").encode() in path.read_bytes() else []
        except OSError:
            continue  # it ended meanwhile
    return found


def wait_for(is_so, timeout_s=30.0):
    until_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < until_s
        time.sleep(0.05)


@pytest.mark.parametrize(("engine", "how"), [("synthetic", "curves by formula"), ("lora", "real LoRA")])
def test_a_rehearsal_is_called_one_with_its_engine_and_host(settings, engine, how):
    settings["trainer"] |= {"rehearsal": {"engine": engine}}

    words = parse(settings, "test").rehearsal_words

    assert words.startswith("A rehearsal: at raysweep's own server, " + how)
    assert words.endswith("no money is paid; scores mean nothing for openai.")
    del settings["trainer"]["rehearsal"]
    assert "" == parse(settings, "test").rehearsal_words


def test_the_terminal_and_the_report_of_a_rehearsal_say_what_it_is(settings, tmp_path):
    printed = io.StringIO()
    console = Console(file=printed, width=200)
    view = partial(make_view, "plain", clock=RealClock(), console=console)
    options = Options(folder=tmp_path / "run", runner=runner(), make_view=lambda setting: view(setting=setting))

    config = parse(settings | {"trials": 1}, "test")
    found = run_sweep(config, options)
    report_end(found.folder, say=None)

    assert 2 == printed.getvalue().count("A rehearsal: at raysweep's own server")
    assert f"\n> {config.rehearsal_words}\n" in (found.folder / "findings.md").read_text(encoding="utf-8")
    page = (found.folder / "report.html").read_text(encoding="utf-8")
    assert f'<p class="notice">{escape(config.rehearsal_words)}</p>' in page


def test_a_rehearsal_counts_by_the_prices_of_its_host_and_ends_by_the_budget(settings, tmp_path):
    settings |= {"trials": 6, "budget": {"max_usd": 0.1}, "concurrency": 1}
    settings["final"] = {"test": False, "baseline": False}
    each = Forecaster(make_ready(parse(settings, "test")), 6).forecast().dearest
    settings["budget"] = {"max_usd": 2.5 * each.usd}

    found = run_sweep(parse(settings, "test"), Options(folder=tmp_path / "run", runner=runner()))

    assert any("training 5 USD a million tokens" in line for line in each.prices)
    assert found.state.ended.reason.startswith("the budget is used up: trial")
    assert 0 < found.state.spending.spent <= 2.5 * each.usd


def test_a_rehearsal_with_too_little_money_for_one_job_is_refused_and_one_without_a_budget_starts(settings):
    poor, free = settings | {"budget": {"max_usd": 1e-6}}, settings | {"budget": {}}

    with pytest.raises(ConfigError, match="is below one job"):
        with_budget(make_ready(parse(poor, "test")))
    assert with_budget(make_ready(parse(free, "test"))).config.budget.max_usd is None


def test_the_plan_of_a_rehearsal_shows_what_its_host_would_charge(settings):
    text = "\n".join(plan(parse(settings | {"budget": {}}, "test")))

    assert "OpenAI's pricing page" in text
    assert "no money is paid" in text
    assert "it costs nothing" not in text


def test_a_rehearsed_host_whose_prices_nobody_knows_costs_nothing_and_the_plan_says_so(settings):
    settings["trainer"] |= {"host": "azure", "score": "finalists"}
    settings |= {"objective": {"metric": "val_loss"}, "final": {"test": False, "baseline": False}, "budget": {}}

    text = "\n".join(plan(parse(settings, "test")))

    assert "training: nobody knows what gpt-4.1-mini-2025-04-14 costs at azure, so it is rehearsed as nothing" in text
    assert "it costs nothing but the machine's time" in text


def test_the_check_of_a_rehearsal_wants_no_key(settings):
    text = "\n".join(findings(parse(settings | {"budget": {}}, "test")))

    assert "ready" in text
