"""Azure's form of the wire: its states and URLs, tokens that run out, models that answer only once deployed."""

import json
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from wire_toys import FAST, FREE, KEY_ENV, MODEL, export, run

from raysweep.clock import RealClock
from raysweep.config import WireTrainer
from raysweep.errors import ConfigError
from raysweep.jobs import JobSpec, Outcome
from raysweep.reconcile import reconcile
from raysweep.state import SweepState
from raysweep.testing.server import fine_tuning_server
from raysweep.testing.toy_data import TOY_SPLITS, TOY_TASK
from raysweep.trainers import TrainerRecipe, make_trainer
from raysweep.trainers.gate import open_gate

__all__ = ["fine_tuning_server"]
pytestmark = pytest.mark.timeout(120)
STUB = Path(__file__).parent / "azure_stub"
ACCOUNT = {"subscription": "sub", "resource_group": "group", "account": "res"}


def root(server):
    return server.base_url.removesuffix("/v1").removesuffix("/openai")


def section(server, **changes):
    given = {
        "kind": "wire",
        "host": "azure",
        "prices": FREE,
        "base_url": f"{root(server)}/openai/v1/",
        "key_env": KEY_ENV,
        "model": MODEL,
        "polls": FAST,
        "listing_lag_s": 0.0,
        "limits": {"requests_per_minute": 6000},
    }
    return given | changes


def with_tokens(server, **changes):
    azure = ACCOUNT | {"management_url": root(server)}
    return section(server, identity="entra", azure=azure, **changes)


def admin(server, path, method="GET"):
    request = urllib.request.Request(f"{root(server)}{path}", method=method)
    request.add_header("Authorization", f"Bearer {server.key}")
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.loads(reply.read())


@pytest.fixture
def identity(monkeypatch):
    """Lets azure.identity hand out the server's own tokens."""

    def set_up(server):
        export(monkeypatch, server)
        monkeypatch.syspath_prepend(str(STUB))
        monkeypatch.setenv("TEST_TOKEN_URL", f"{root(server)}/admin/token")
        monkeypatch.setenv("TEST_TOKEN_KEY", server.key)

    return set_up


@pytest.mark.parametrize("form", ["azure", "azure_classic"])
def test_finalists_are_ranked_by_validation_loss_in_both_url_forms(fine_tuning_server, monkeypatch, synthetic, form):
    server = fine_tuning_server("--azure", "--epoch-s", "0.2")
    export(monkeypatch, server)
    url = {"base_url": root(server)} if form == "azure_classic" else {}

    results = run(
        server,
        synthetic,
        trials=3,
        trainer=section(server, host=form, **url),
        objective={"metric": "val_loss", "mode": "min"},
        final={"test": False, "baseline": False},
    )

    assert {trial.outcome for trial in results.state.trials.values()} <= {Outcome.COMPLETED, Outcome.PRUNED}
    assert results.state.best.ended.objective == results.state.best.last.metrics["val_loss"]
    assert "val_mse" not in results.state.best.last.metrics


def test_every_trial_is_deployed_scored_and_undeployed_within_the_cap(fine_tuning_server, synthetic, identity):
    server = fine_tuning_server(
        "--azure", "--admin", "--no-keys", "--token-ttl-s", "6", "--deployments", "2", "--deploy-s", "0.5",
        "--epoch-s", "0.2", "--running", "5",
    )  # fmt: skip
    identity(server)
    gate = open_gate(WireTrainer(**with_tokens(server)))
    seen: list[int] = []
    over = threading.Event()

    def look():
        while not over.wait(0.2):
            seen.append(len(gate.deployments()))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        results = run(
            server,
            synthetic,
            trials=4,
            concurrency=4,
            trainer=with_tokens(server, score="all", limits={"deployments": 2, "requests_per_minute": 6000}),
            objective={"metric": "val_mse"},
            early_stopping={"kind": "none"},
        )
    finally:
        over.set()
        looking.join()

    assert {Outcome.COMPLETED} == {trial.outcome for trial in results.state.trials.values()}
    assert all(trial.ended.objective is not None for trial in results.state.trials.values())
    assert ["best"] == [final.name for final in results.state.finals]
    assert 2 == max(seen)
    assert [] == list(gate.deployments())


def test_a_deployment_left_by_a_crash_is_found_by_reconcile_and_others_are_not(fine_tuning_server, identity, tmp_path):
    server = fine_tuning_server("--azure", "--admin", "--no-keys", "--epoch-s", "0.1")
    identity(server)
    trainer = make_trainer(TrainerRecipe(WireTrainer(**with_tokens(server, score="all")), TOY_TASK))
    gate = open_gate(WireTrainer(**with_tokens(server)))
    params = {name: doc.default for name, doc in trainer.describe().params.items()} | {"n_epochs": 1}
    spec = JobSpec("sweep001", 0, 1, params, 7, tmp_path / "job", (1.0,))
    job = trainer.submit(spec, trainer.prepare(TOY_SPLITS))
    while not job.advance(5).is_final:
        pass
    model = gate.jobs("sweep001")[0].model
    for name in (f"raysweep-{spec.key}", "raysweep-sweep002-0000-1", "mine"):
        gate.deploy(name, model)

    done = reconcile(trainer, "sweep001", SweepState, RealClock(), is_over=True)

    assert [f"deployment:raysweep-{spec.key}"] == [one.job.id for one in done.cancelled]
    assert {"raysweep-sweep002-0000-1", "mine"} == {one.name for one in gate.deployments()}


def test_room_is_made_by_deleting_ended_jobs_of_sweeps_alone(fine_tuning_server, monkeypatch, tmp_path):
    server = fine_tuning_server("--azure", "--epoch-s", "30", "--total-jobs", "4", "--running", "4")
    export(monkeypatch, server)
    settings = WireTrainer(**section(server, limits={"jobs": 4, "running": 4}))
    trainer = make_trainer(TrainerRecipe(settings, TOY_TASK))
    data = trainer.prepare(TOY_SPLITS)
    params = {name: doc.default for name, doc in trainer.describe().params.items()} | {"n_epochs": 1}

    def submit(trial):
        return trainer.submit(JobSpec("sweep001", trial, 1, params, 7, tmp_path / str(trial), (1.0,)), data)

    first = [submit(trial) for trial in range(4)]
    waiting = submit(4)
    is_waiting = waiting.id
    first[1].cancel()
    until_s = time.monotonic() + 20
    while not waiting.id and time.monotonic() < until_s:
        waiting.advance(0.2)

    left = {view.id for view in trainer.jobs("sweep001")}
    assert "" == is_waiting
    assert {first[0].id, first[2].id, first[3].id, waiting.id} == left


def test_whoever_cannot_sign_in_is_told_so_before_the_start(fine_tuning_server, synthetic, identity, monkeypatch):
    server = fine_tuning_server("--azure")
    identity(server)
    monkeypatch.setenv("TEST_TOKEN_URL", f"{root(server)}/nowhere")

    with pytest.raises(ConfigError, match=r"no identity service.*sign in"):
        run(
            server,
            synthetic,
            trainer=with_tokens(server, score="finalists"),
            objective={"metric": "val_loss", "mode": "min"},
        )
