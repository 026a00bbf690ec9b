"""Azure's form of the wire: its states and URLs, tokens that run out, models that answer only once deployed."""

import contextlib
import json
import sys
import time
import urllib.request

import pytest
from identity_service import identity_service
from server_toys import chats
from wire_toys import FAST, FREE, KEY_ENV, MODEL, export, jobs, run

from raysweep.clock import RealClock, SimulatedClock
from raysweep.config import WireTrainer
from raysweep.config.load import load_config
from raysweep.errors import ConfigError, JobFailed, RaysweepError
from raysweep.jobs import JobSpec, Outcome
from raysweep.reconcile import reconcile
from raysweep.state import SweepState
from raysweep.testing.server import fine_tuning_server
from raysweep.testing.toy_data import TOY_SPLITS, TOY_TASK
from raysweep.trainers import TrainerRecipe, make_trainer
from raysweep.trainers.dialects import dialect_of
from raysweep.trainers.gate import WireGate, open_gate
from raysweep.trainers.gate_client import WireClient
from raysweep.trainers.host_errors import HostError
from raysweep.trainers.hosted import Deployment, Gate, JobRequest
from raysweep.trainers.wire import WireTrainer as Trainer

__all__ = ["fine_tuning_server"]
pytestmark = pytest.mark.timeout(120)
KEYS = ("sweep001-0000-1", "sweep001-0001-1", "sweep002-0000-1")
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


def admin(server, path, method="GET", body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{root(server)}{path}", data, method=method)
    request.add_header("Authorization", f"Bearer {server.key}")
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.loads(reply.read())


@pytest.fixture
def identity(monkeypatch):
    """Lets the real azure-identity find an identity service that hands out the server's own tokens."""
    with contextlib.ExitStack() as stack:

        def set_up(server):
            export(monkeypatch, server)
            return stack.enter_context(identity_service(server, monkeypatch))

        yield set_up


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
        "--azure", "--admin", "--no-keys", "--token-ttl-s", "3", "--deployments", "2", "--deploy-s", "0.5",
        "--epoch-s", "0.4", "--running", "5",
    )  # fmt: skip
    identity(server)
    began_s = time.monotonic()

    results = run(
        server,
        synthetic,
        trials=3,
        concurrency=3,
        trainer=with_tokens(server, score="all", limits={"deployments": 2, "requests_per_minute": 6000}),
        objective={"metric": "val_mse"},
        early_stopping={"kind": "none"},
    )

    assert time.monotonic() > began_s + 6  # tokens died twice meanwhile
    assert {Outcome.COMPLETED} == {trial.outcome for trial in results.state.trials.values()}
    assert all(trial.ended.objective is not None for trial in results.state.trials.values())
    assert ["best"] == [final.name for final in results.state.finals]
    assert 2 == admin(server, "/admin/most")["deployments"]
    assert [] == list(open_gate(WireTrainer(**with_tokens(server))).deployments())


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
    assert frozenset() == done.keys_lost  # its job is done, and nobody pays for another
    assert {"raysweep-sweep002-0000-1", "mine"} == {one.name for one in gate.deployments()}


class NoRoom(Gate):
    """Of a host on which no deployment succeeds."""

    def __init__(self):
        self.discarded = []

    def deploy(self, name, model):
        return Deployment(name, model, is_ready=False, failure="Failed")

    def discard(self, kind, name):
        self.discarded.append((kind, name))
        return True


def test_a_model_whose_deployment_failed_is_deployed_again_and_not_trained_again(fine_tuning_server, monkeypatch):
    server = fine_tuning_server("--azure")
    export(monkeypatch, server)
    gate = NoRoom()
    trainer = Trainer(WireTrainer(**with_tokens(server, score="all")), TOY_TASK, lambda: gate)

    with pytest.raises(RaysweepError, match="Failed") as caught:
        trainer.predict("ft:model", TOY_SPLITS.test)

    assert not isinstance(caught.value, JobFailed)  # that would be the job's end
    assert [("deployment", "raysweep-ft:model")] == gate.discarded


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
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:9/nowhere")

    with pytest.raises(ConfigError, match=r"(?s)a token for .*ManagedIdentityCredential.*sign in"):
        run(
            server,
            synthetic,
            trainer=with_tokens(server, score="finalists"),
            objective={"metric": "val_loss", "mode": "min"},
        )


def test_whoever_lacks_azure_identity_is_told_what_to_install(fine_tuning_server, synthetic, monkeypatch):
    server = fine_tuning_server("--azure")
    monkeypatch.setitem(sys.modules, "azure.identity", None)

    with pytest.raises(ConfigError, match=r"pip install 'raysweep\[azure\]'"):
        run(server, synthetic, trainer=with_tokens(server, score="finalists"), objective={"metric": "val_loss"})


def test_a_token_that_the_host_repeats_is_in_no_message(fine_tuning_server, identity):
    server = fine_tuning_server("--azure", "--admin", "--no-keys")
    service = identity(server)
    gate = open_gate(WireTrainer(**with_tokens(server)))
    gate.deployments()
    gate.model(MODEL)

    for token, call in zip(service.tokens, (gate.deployments, lambda: gate.model(MODEL)), strict=True):
        answer = {"call": "GET *", "kind": "answer", "status": 401, "message": f"Incorrect token: {token}"}
        admin(server, "/admin/faults", "PUT", {"calls": [answer]})
        with pytest.raises(HostError, match=r"Incorrect token: \*\*\*") as caught:
            call()
        assert token not in str(caught.value)
        admin(server, "/admin/faults", "PUT", {})


@pytest.mark.parametrize("name", ["azure", "seed_azure"])
def test_the_place_holder_of_a_shipped_config_is_refused_by_name(name, monkeypatch):
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "a-key")

    with pytest.raises(ConfigError, match="put your own resource in place of YOUR-RESOURCE"):
        open_gate(load_config(name).trainer)


def test_a_full_host_is_counted_anew_since_other_gates_delete_too(fine_tuning_server, monkeypatch):
    server = fine_tuning_server("--azure", "--epoch-s", "30", "--total-jobs", "2", "--running", "4")
    export(monkeypatch, server)
    settings, clock = WireTrainer(**section(server, limits={"jobs": 2, "running": 4})), SimulatedClock()
    others, ours = open_gate(settings), WireGate(settings, WireClient(dialect_of(settings), server.key), None, clock)
    file = ours.upload("train.jsonl", chats(20))
    requests = [JobRequest(key[:8], key, MODEL, file, file, key, 7, {"n_epochs": 1}) for key in KEYS]

    theirs = [others.create(request) for request in requests[:2]]
    for job in theirs:
        others.cancel(job.id)
    before = ours.create(requests[2])
    others.discard("job", theirs[0].id)
    clock.sleep_s(20)
    after = ours.create(requests[2])

    assert before is None
    assert requests[2].key == after.key


def test_a_subscription_that_is_not_there_is_refused_before_jobs_are_paid(fine_tuning_server, synthetic, identity):
    words = "The subscription 'sub' could not be found."
    answer = {"kind": "answer", "status": 404, "code": "SubscriptionNotFound", "message": words}
    server = fine_tuning_server("--azure", "--admin", faults={"calls": [answer | {"call": "GET /subscriptions/*"}]})
    identity(server)

    with pytest.raises(
        ConfigError, match=r"subscription 'sub' could not be found.*trainer\.azure: subscription, resource"
    ):
        run(server, synthetic, trainer=with_tokens(server, score="all"))

    assert [] == jobs(server)
