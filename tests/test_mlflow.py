"""MLflow's own client reads back what the recorder told its store while the sweep ran."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from inline_runner import Died, InlineRunner
from scripted_sweep import METRICS, accepted, ended, evaluated, finals, proposed, started, sweep, whole_trial

from raysweep.config.load import parse
from raysweep.entries import SweepEnded, SweepResumed
from raysweep.errors import ConfigError
from raysweep.jobs import Outcome
from raysweep.state import SweepState, fold
from raysweep.sweep import Options, resume_sweep, run_sweep

mlflow = pytest.importorskip("mlflow")
pytest.importorskip("sqlalchemy")
from mlflow.tracking import MlflowClient  # noqa: E402  # after the skip

from raysweep.views.mlflow import MlflowTracker, recorder  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*noload.*"),  # of MLflow 3.17 with SQLAlchemy 2.1
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # MLflow keeps its connections
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store's address; its tables are made once."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def client(store, monkeypatch, request):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", request.node.name)
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)
    return MlflowClient(store)


def runs(client, name):
    """The sweep's run, and the trials' by number."""
    found = client.search_runs([client.get_experiment_by_name(name).experiment_id])
    (parent,) = (run for run in found if "mlflow.parentRunId" not in run.data.tags)
    children = [run for run in found if run is not parent]
    assert {parent.info.run_id} == {run.data.tags["mlflow.parentRunId"] for run in children} or not children
    by_number = {int(run.data.tags["raysweep.trial"]): run for run in children}
    assert len(by_number) == len(children)
    return parent, by_number


def test_every_metric_of_every_evaluation_shows_while_the_trial_runs(client, request):
    tracker = MlflowTracker(client)

    tracker.follow(fold([started(), proposed(0), accepted(0), evaluated(0, 0.5, 0.3)]))
    tracker.follow(fold([started(), proposed(0), accepted(0), evaluated(0, 0.5, 0.3), evaluated(0, 1.0, 0.4)]))
    parent, children = runs(client, request.node.name)

    run = children[0]
    assert {"trial_0000", "RUNNING"} == {run.info.run_name, run.info.status}
    assert {*METRICS, "epoch", "trained_tokens"} == set(run.data.metrics)
    assert {"learning_rate": "0.001", "rank": "8", "epochs": "3"} == run.data.params
    history = client.get_metric_history(run.info.run_id, "val_f1_weighted")
    assert [(1000, 0.3), (2000, 0.4)] == sorted((one.step, one.value) for one in history)
    assert ("reviews abcd1234", "RUNNING") == (parent.info.run_name, parent.info.status)
    assert "f" * 16 == parent.data.tags["raysweep.data_fingerprint"]


def test_a_trial_whose_creation_was_done_but_not_answered_is_not_made_twice(client, request):
    class Deaf(MlflowClient):
        """As where the server dies before it answers."""

        def create_run(self, *args, **kwargs):
            made = super().create_run(*args, **kwargs)
            if kwargs["run_name"] == "trial_0000" and not self.is_again:
                self.is_again = True
                raise ConnectionError("no answer")
            return made

    deaf = Deaf(client.tracking_uri)
    deaf.is_again = False
    tracker, state = MlflowTracker(deaf), fold([started(), *whole_trial(0, 0.5)])

    with pytest.raises(ConnectionError):
        tracker.follow(state)
    tracker.follow(state)

    _, children = runs(client, request.node.name)
    assert [0] == list(children)
    assert "6" == children[0].data.tags["raysweep.evaluations"]


def test_a_trial_whose_run_somebody_has_deleted_is_told_anew(client, request):
    before = [started(), proposed(0), accepted(0), evaluated(0, 0.5, 0.3)]
    tracker = MlflowTracker(client)
    tracker.follow(fold(before))
    client.delete_run(runs(client, request.node.name)[1][0].info.run_id)
    state = fold([*before, evaluated(0, 1.0, 0.4)])

    with pytest.raises(mlflow.MlflowException, match="must be in the 'active' state"):
        tracker.follow(state)
    tracker.follow(state)

    assert "2" == runs(client, request.node.name)[1][0].data.tags["raysweep.evaluations"]


def test_the_end_is_told_in_mlflows_words(client, request):
    outcomes = dict(zip(range(5), Outcome, strict=True))
    trials = [one for trial, outcome in outcomes.items() for one in (proposed(trial), ended(trial, outcome, 0.5))]
    state = fold([started(), *trials, SweepEnded(ended(0).at, "all trials have ended")])
    tracker = MlflowTracker(client)

    tracker.follow(state)
    tracker.leave(state)
    parent, children = runs(client, request.node.name)

    told = {run.data.tags["raysweep.outcome"]: run.info.status for run in children.values()}
    assert {
        "completed": "FINISHED",
        "pruned": "FINISHED",
        "failed": "FAILED",
        "errored": "FAILED",
        "cancelled": "KILLED",
    } == told
    assert "FINISHED" == parent.info.status


def test_the_sweeps_run_has_the_winner_and_its_test_scores(client, request):
    state = fold([*sweep(), *finals()])
    tracker = MlflowTracker(client)

    tracker.follow(state)
    parent, children = runs(client, request.node.name)

    best, test = state.best, next(one for one in state.finals if one.trial is not None)
    assert str(best.number) == parent.data.tags["raysweep.best_trial"]
    assert best.ended.objective == parent.data.metrics["best_val_f1_weighted"]
    for name, value in test.metrics.items():
        assert value == parent.data.metrics[name] == children[test.trial].data.metrics[name]
    assert {name for name in parent.data.metrics if name.startswith("tfidf/test_")}


def test_another_session_goes_on_with_the_same_runs_and_tells_nothing_twice(client, request):
    before = [started(), *whole_trial(0, 0.5), proposed(1), evaluated(1, 0.5, 0.2)]
    MlflowTracker(client).follow(fold(before))

    sent = set()

    class Listening(MlflowClient):
        """A store drops what it is told twice: what was sent has to be seen on the way."""

        def log_batch(self, run_id, metrics=(), *args, **kwargs):
            sent.update(one.step for one in metrics if one.key == "val_mse")
            return super().log_batch(run_id, metrics, *args, **kwargs)

    again = MlflowTracker(Listening(client.tracking_uri))
    again.follow(fold([*before, evaluated(1, 1.0, 0.3), ended(1, Outcome.PRUNED, 0.3)]))
    _, children = runs(client, request.node.name)

    assert [0, 1] == sorted(children)
    assert ["FINISHED", "FINISHED"] == [children[number].info.status for number in (0, 1)]
    history = client.get_metric_history(children[1].info.run_id, "val_mse")
    assert [1000, 2000] == sorted(one.step for one in history)
    assert {2000} == sent


def test_another_session_tells_the_sweeps_own_numbers_only_once(client, request):
    entries = [*sweep(), *finals()]
    MlflowTracker(client).follow(fold(entries))

    MlflowTracker(client).follow(fold([*entries, proposed(6, 30)]))

    parent, _ = runs(client, request.node.name)
    assert 1 == len(client.get_metric_history(parent.info.run_id, "test_f1_weighted"))
    assert 1 == len(client.get_metric_history(parent.info.run_id, "best_val_f1_weighted"))


def test_what_was_missed_is_told_in_few_requests(client, request):
    many = [evaluated(0, 0.1 * step, 0.3) for step in range(1, 201)]

    MlflowTracker(client).follow(fold([started(), proposed(0), *many]))
    _, children = runs(client, request.node.name)

    assert "200" == children[0].data.tags["raysweep.evaluations"]
    history = client.get_metric_history(children[0].info.run_id, "val_qwk")
    assert [one.examples for one in many] == sorted(one.step for one in history)


def test_a_trial_that_goes_on_after_its_end_runs_again(client, request):
    entries = [started(), proposed(0), ended(0, Outcome.CANCELLED)]
    tracker = MlflowTracker(client)

    tracker.follow(fold(entries))
    tracker.follow(fold([*entries, proposed(0, 10, attempt=1)]))
    _, children = runs(client, request.node.name)

    assert ("RUNNING", "running") == (children[0].info.status, children[0].data.tags["raysweep.outcome"])


def test_what_an_interrupt_left_is_true_no_more_once_the_sweep_has_gone_on(client, request):
    left = ended(0, Outcome.CANCELLED, reason="interrupted by SIGINT")
    halted = [started(1), proposed(0), left, SweepEnded(left.at, "interrupted by SIGINT", "SIGINT")]
    MlflowTracker(client).follow(fold(halted))

    over = ended(0, objective=0.5, seconds=20)
    whole = [*halted, SweepResumed(left.at, 1, "0.1.0"), proposed(0, 10, attempt=1), over]
    MlflowTracker(client).follow(fold(whole))

    parent, children = runs(client, request.node.name)
    assert (0, 1) == (parent.data.metrics["trials_cancelled"], parent.data.metrics["trials_completed"])
    assert ("", "") == (children[0].data.tags["raysweep.reason"], parent.data.tags["raysweep.end"])


def test_within_a_run_that_is_given_the_trials_are_that_ones(client, request, monkeypatch):
    experiment = client.create_experiment(request.node.name)
    given = client.create_run(experiment, run_name="job").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", given)
    state = fold(sweep())
    tracker = MlflowTracker(client)

    tracker.follow(state)
    tracker.leave(state)
    parent, children = runs(client, request.node.name)

    assert given == parent.info.run_id
    assert len(state.trials) == len(children)
    assert "RUNNING" == parent.info.status  # whose run it is ends it


def test_a_label_of_any_letters_gives_a_name_that_mlflow_takes(client, request):
    metrics = {"val_f1_weighted": 0.5, "val_f1_of_très bien?!": 0.4, "val_auroc": None}

    MlflowTracker(client).follow(fold([started(), proposed(0), evaluated(0, 0.5, 0.3, metrics=metrics)]))
    _, children = runs(client, request.node.name)

    assert {"val_f1_weighted", "val_f1_of_très bien__", "epoch", "trained_tokens"} == set(children[0].data.metrics)


def test_a_whole_sweep_is_followed_through_a_death(client, request, synthetic, tmp_path):
    synthetic["recorders"] = ["mlflow"]
    folder = tmp_path / "one"
    with pytest.raises(Died):
        run_sweep(parse(synthetic, "test"), Options(folder=folder, runner=InlineRunner(n_steps=5)))

    found = resume_sweep(folder, options=Options(runner=InlineRunner()))
    parent, children = runs(client, request.node.name)

    assert "FINISHED" == parent.info.status
    for number, trial in found.state.trials.items():
        history = client.get_metric_history(children[number].info.run_id, "val_f1_weighted")
        told = sorted((one.step, one.value) for one in history)
        assert [(one.examples, one.metrics["val_f1_weighted"]) for one in trial.evaluations] == told
        assert trial.outcome == children[number].data.tags["raysweep.outcome"]


def test_a_sweep_that_has_ended_is_told_by_resume_to_a_tracker_that_was_away(client, request, synthetic, tmp_path):
    folder = tmp_path / "one"
    found = run_sweep(parse(synthetic, "test"), Options(folder=folder, runner=InlineRunner()))

    for _ in range(2):
        resume_sweep(folder, ["recorders=[mlflow]"], Options(runner=InlineRunner()))

    parent, children = runs(client, request.node.name)
    assert "FINISHED" == parent.info.status
    assert set(found.state.trials) == set(children)
    for number, trial in found.state.trials.items():
        history = client.get_metric_history(children[number].info.run_id, "val_f1_weighted")
        assert len(trial.evaluations) == len(history)


def test_an_address_that_mlflow_refuses_is_told_without_its_password(synthetic, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "ftp://me:secret@127.0.0.1/mlflow")

    with pytest.raises(ConfigError, match="mlflow cannot begin") as refused:
        run_sweep(parse(synthetic | {"recorders": ["mlflow"]}, "test"), Options(runner=InlineRunner()))

    assert "secret" not in str(refused.value)


def test_a_store_out_of_reach_is_a_warning(synthetic, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    began_s = time.monotonic()

    found = run_sweep(parse(synthetic | {"recorders": ["mlflow"]}, "test"), Options(runner=InlineRunner()))

    assert found.best is not None
    assert time.monotonic() - began_s < 15  # by itself MLflow's client tries for four minutes
    assert "mlflow failed; the sweep goes on" in caplog.text
    assert "mlflow was not told of the sweep's end" in caplog.text
    assert "secret" not in caplog.text
    assert {"raysweep.views.follower"} == {record.name for record in caplog.records}


class Server(BaseHTTPRequestHandler):
    """Says of any run that it is there."""

    def _answer(self):
        info = {"run_id": "1", "run_uuid": "1", "experiment_id": "1", "status": "FINISHED", "artifact_uri": ""}
        body = json.dumps({"run_info": info, "run": {"info": info, "data": {}}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):  # its name
        self._answer()

    def do_POST(self):  # its name
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer()

    def log_message(self, *_):
        pass


def test_mlflows_client_prints_no_address_and_no_password_where_a_run_ends(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", raising=False)
    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{server.server_port}")
        recorder(tmp_path)

        MlflowClient().set_terminated("1")
        server.shutdown()

    assert "" == capsys.readouterr().out


def test_the_recorder_is_found_by_its_name(tmp_path, client):
    follower = recorder(tmp_path)

    follower.close(SweepState())
