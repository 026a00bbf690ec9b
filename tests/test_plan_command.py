"""`raysweep plan`: worst case and what is expected, against the budget; no host is asked."""

import subprocess
import sys

import pytest
import yaml

from raysweep.cli import main
from raysweep.config.load import parse
from raysweep.errors import ConfigError
from raysweep.forecast import Forecaster
from raysweep.planning import plan
from raysweep.preflight import make_ready

NO_STOPPING = {"kind": "none"}
WIRE = {
    "kind": "wire",
    "host": "openai",
    "base_url": "http://127.0.0.1:9/v1",  # nobody listens there
    "model": "gpt-4.1-mini-2025-04-14",
}


@pytest.fixture
def paid(synthetic):
    """Trials of 2 epochs, 50k tokens each, at 10 USD a million: a dollar a trial."""
    synthetic["trainer"] = {"kind": "synthetic", "usd_per_million_tokens": 10.0, "epoch_s": 30.0}
    synthetic["trials"] = 12
    return synthetic


@pytest.fixture
def remote(synthetic):
    synthetic["trainer"] = dict(WIRE)
    synthetic["space"] = {"learning_rate_multiplier": {"kind": "loguniform", "low": 0.1, "high": 10.0}, "n_epochs": 3}
    synthetic["early_stopping"] = {"kind": "asha", "metric": "val_loss", "rungs": [1.0], "eta": 2}
    synthetic["evaluation"] = {"every_epochs": 1}
    return synthetic


def forecast(settings):
    config = parse(settings, "test")
    return Forecaster(make_ready(config), config.trials).forecast()


def text(settings):
    return "\n".join(plan(parse(settings, "test")))


def test_at_worst_every_trial_runs_to_its_end(paid):
    found = forecast(paid)

    assert (12 * 100_000, pytest.approx(12.0)) == (found.worst.trained_tokens, found.worst.usd)
    assert 6 * 60.0 == found.worst.duration_s  # two at once


def test_early_stopping_lets_less_be_expected_and_none_does_not(paid):
    stopped, whole = forecast(paid), forecast(paid | {"early_stopping": NO_STOPPING})

    assert 0.25 * 12 < stopped.expected.usd < 0.8 * 12
    assert stopped.expected.usd / 12 == pytest.approx(stopped.expected.trained_tokens / 1.2e6)
    assert stopped.expected.duration_s < stopped.worst.duration_s
    assert stopped.usually_usd[0] <= stopped.expected.usd <= stopped.usually_usd[1]
    assert whole.expected.usd == pytest.approx(12.0)


def test_the_worst_case_is_that_of_the_longest_budget_and_the_expected_one_of_the_space(paid):
    paid["space"]["n_epochs"] = {"kind": "choice", "values": [1, 4]}
    paid["early_stopping"] = NO_STOPPING

    found = forecast(paid)

    assert (0.5, 2.0) == (pytest.approx(found.cheapest.usd), pytest.approx(found.dearest.usd))
    assert found.worst.usd == pytest.approx(24.0)
    assert 12 < found.expected.usd < 18


def test_a_grid_has_no_more_trials_than_points(paid):
    paid["space"] = {"learning_rate": {"kind": "choice", "values": [0.001, 0.01, 0.1]}, "n_epochs": 2}
    paid["search"] = {"kind": "grid"}

    assert 3 == forecast(paid).n_trials


def test_what_stops_by_values_cannot_be_foretold(paid):
    paid["early_stopping"] = {"kind": "threshold", "rungs": [1.0], "values": [0.9]}

    assert forecast(paid).expected is None
    assert "expected: not known" in text(paid)


def test_the_same_plan_twice_is_the_same(paid):
    assert forecast(paid) == forecast(paid)


@pytest.mark.parametrize(
    ("max_usd", "words"),
    [
        (None, "no budget"),
        (0.5, "below one job"),
        (3.0, "will likely end by it"),
        (11.0, "covers what is expected, but not the worst case"),
        (12.0, "enough for every trial to run to its end"),
    ],
)
def test_a_plan_is_held_against_the_budget(paid, max_usd, words):
    paid["budget"] = {"max_usd": max_usd}

    assert words in text(paid)


def test_a_remote_plan_shows_prices_with_date_and_source_and_asks_nobody(remote):
    shown = text(remote)

    assert "as of 2026-11-23, OpenAI's pricing page" in shown
    assert "scoring the best and the default configuration on the test split: up to" in shown
    assert "about" in shown  # the time, by the dialect's pace


def test_the_models_answers_are_paid_by_completed_trials_alone(remote):
    remote["trainer"]["prices"] = {"training_usd_per_million": 0.0, "input_usd_per_million": 1000.0}

    found = forecast(remote)

    assert found.dearest.usd == pytest.approx(found.dearest.scoring_usd, rel=0.01)
    assert found.expected.usd < 0.9 * found.worst.usd


def test_a_host_whose_price_nobody_knows_has_no_plan(remote):
    remote["trainer"]["model"] = "gpt-9"

    with pytest.raises(ConfigError, match=r"trainer\.prices: nobody knows what gpt-9 costs"):
        text(remote)


def test_a_sweep_that_costs_nothing_says_so(synthetic):
    assert "it costs nothing but the machine's time" in text(synthetic)


def test_the_command_prints_the_plan_and_writes_nothing(paid, tmp_path, capsys):
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(paid), encoding="utf-8")

    assert main(["plan", str(path), "budget.max_usd=20"]) == 0
    assert "12.00" in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()


def test_a_sweep_that_costs_money_is_refused_without_a_budget(paid, tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(paid), encoding="utf-8")
    words = [sys.executable, "-m", "raysweep.cli", "tune", str(path), "--cluster", "local"]

    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 2
    assert "budget.max_usd: missing, and a job costs up to 1.00 USD, 12 of them up to 12.00" in done.stderr
    assert not (tmp_path / "runs").exists()
