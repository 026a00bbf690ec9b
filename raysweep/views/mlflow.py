"""MLflow: a run of the sweep and one a trial below it, every metric of every evaluation, while the sweep runs.

Where to, MLflow's own variables say: MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME or _ID, and what it logs in with.
Within a run that is given by MLFLOW_RUN_ID, as in a job of Azure ML, the trials' runs are that run's.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from mlflow.entities import Metric, Param, Run, RunStatus, RunTag
from mlflow.tracking import MlflowClient

from raysweep import environment
from raysweep.entries import Evaluated
from raysweep.jobs import Outcome
from raysweep.state import SweepState, TrialState
from raysweep.views.follower import Follower
from raysweep.views.tensorboard import flat
from raysweep.views.told import (
    end_metrics,
    evaluation_metrics,
    n_ended,
    names_for,
    sweep_metrics,
    sweep_words,
    trial_finals,
    trial_words,
)

PREFIX = "raysweep."
"""What the names of our tags begin with."""
SWEEP, TRIAL, EVALUATIONS = f"{PREFIX}sweep", f"{PREFIX}trial", f"{PREFIX}evaluations"
PARENT = "mlflow.parentRunId"
"""By this tag MLflow's pages nest a run below another."""
LETTERS = 5000
"""Of a tag or a param, at most: MLflow 3 takes 8000 and 6000."""
PAGE = 1000
PARAMS_AT_ONCE, METRICS_AT_ONCE = 100, 1000
"""MLflow's own limits for one request."""


def recorder(folder: Path) -> Follower:
    """The recorder `mlflow`; what fails is tried again by the follower, with all that has come since."""
    environment.prepare_for_mlflow()
    return Follower("mlflow", MlflowTracker(MlflowClient()))


@dataclass
class _Sent:
    """What a run has been told."""

    run_id: str
    has_params: bool = False
    evaluations: int = 0
    status: str = RunStatus.to_string(RunStatus.RUNNING)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    """Those that are told again only where they change."""


class MlflowTracker:
    """Runs of MLflow that follow a sweep; those that a former session made are found by their tags and gone on with."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self._experiment = ""
        self._parent: _Sent | None = None
        self._is_guest = False
        """Whether the sweep's run is somebody else's, who will end it."""
        self._trials: dict[int, _Sent] = {}

    def follow(self, state: SweepState) -> None:
        """Tell each run what it lacks."""
        try:
            self._follow(state)
        except Exception:
            self._parent = None  # what was not answered may have been done: next time the runs are asked for anew
            raise

    def _follow(self, state: SweepState) -> None:
        parent = self._parent or self._begin(state)
        for number in sorted(state.trials):
            self._follow_trial(state, state.trials[number], parent.run_id)
        self._tell(parent, sweep_metrics(state), sweep_words(state), n_ended(state), _ms(state))

    def leave(self, state: SweepState) -> None:
        """End the sweep's run, unless it is somebody else's."""
        if self._parent and not self._is_guest:
            ended = state.ended
            status = "FINISHED" if ended and ended.signal is None else "KILLED"
            self._client.set_terminated(self._parent.run_id, status, end_time=_ms(state))

    def _begin(self, state: SweepState) -> _Sent:
        given = environment.mlflow_run_id()
        self._experiment = self._client.get_run(given).info.experiment_id if given else self._find_experiment(state)
        known = list(self._known(state))
        self._trials = {int(run.data.tags[TRIAL]): _sent(run) for run in known if TRIAL in run.data.tags}
        ours = next((run for run in known if TRIAL not in run.data.tags), None)
        self._is_guest = given is not None
        if given is not None:
            self._parent = _Sent(given)
        elif ours is not None:
            self._parent = _sent(ours)
            self._client.update_run(ours.info.run_id, status="RUNNING")
        else:
            self._parent = _Sent(self._create(state, _name(state), {}, _ms(state)))
        return self._parent

    def _find_experiment(self, state: SweepState) -> str:
        given = environment.mlflow_experiment_id()
        if given:
            return given
        name = environment.mlflow_experiment_name() or (state.started.name if state.started else "raysweep")
        there = self._client.get_experiment_by_name(name)
        return str(there.experiment_id if there else self._client.create_experiment(name))

    def _known(self, state: SweepState) -> Iterator[Run]:
        """The runs of this sweep that are there already."""
        token: str | None = None
        while True:
            page = self._client.search_runs(
                [self._experiment], f"tags.`{SWEEP}` = '{state.sweep_id}'", max_results=PAGE, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def _create(self, state: SweepState, name: str, tags: Mapping[str, str], start_ms: int) -> str:
        all_tags = {SWEEP: state.sweep_id, "mlflow.source.name": "raysweep", **tags}
        run = self._client.create_run(self._experiment, start_time=start_ms, tags=all_tags, run_name=name)
        return str(run.info.run_id)

    def _follow_trial(self, state: SweepState, trial: TrialState, parent: str) -> None:
        sent = self._trials.get(trial.number) or self._begin_trial(state, trial, parent)
        if not sent.has_params:
            self._log_params(sent, trial)
        self._log_evaluations(sent, trial.evaluations[sent.evaluations :])
        step = trial.last.examples if trial.last else 0
        ended_ms = _stamp(trial.ended.at) if trial.ended else _ms(state)
        told = end_metrics(trial) | trial_finals(state, trial.number)
        self._tell(sent, told, trial_words(trial), step, ended_ms)
        self._end(sent, _status(trial), ended_ms)

    def _log_evaluations(self, sent: _Sent, new: Sequence[Evaluated]) -> None:
        """As many as there are in as few requests as MLflow takes them in."""
        made = [
            [Metric(name, value, _stamp(one.at), one.examples) for name, value in evaluation_metrics(one).items()]
            for one in new
        ]
        while made:
            n_now = max(1, METRICS_AT_ONCE // max(map(len, made)))
            told = [metric for of_one in made[:n_now] for metric in of_one]
            place = sent.evaluations + len(made[:n_now])
            # In one request, so that what a former session told is known by the tag, and not told twice.
            self._client.log_batch(sent.run_id, told, tags=[RunTag(EVALUATIONS, str(place))])
            sent.evaluations, made = place, made[n_now:]

    def _begin_trial(self, state: SweepState, trial: TrialState, parent: str) -> _Sent:
        start_ms = _stamp(trial.started_at or trial.proposed.at)
        tags = {TRIAL: str(trial.number), PARENT: parent}
        sent = _Sent(self._create(state, f"trial_{trial.number:04d}", tags, start_ms))
        self._trials[trial.number] = sent
        return sent

    def _log_params(self, sent: _Sent, trial: TrialState) -> None:
        names = names_for(trial.params)
        params = [Param(names[name], str(value)[:LETTERS]) for name, value in flat(trial.params).items()]
        for start in range(0, len(params), PARAMS_AT_ONCE):
            self._client.log_batch(sent.run_id, params=params[start : start + PARAMS_AT_ONCE])
        sent.has_params = True

    def _end(self, sent: _Sent, status: str, at_ms: int) -> None:
        if status == sent.status:
            return
        if status == "RUNNING":
            self._client.update_run(sent.run_id, status=status)
        else:
            self._client.set_terminated(sent.run_id, status, end_time=at_ms)
        sent.status = status

    def _tell(self, sent: _Sent, metrics: Mapping[str, float], words: Mapping[str, str], step: int, at_ms: int) -> None:
        """What has changed since it was told last."""
        new = {name: value for name, value in metrics.items() if sent.metrics.get(name) != value}
        tags = {PREFIX + name: value for name, value in words.items() if sent.tags.get(PREFIX + name, "") != value}
        if new or tags:
            self._log(sent.run_id, new, tags, step, at_ms)
            sent.metrics |= new
            sent.tags |= tags

    def _log(self, run_id: str, metrics: Mapping[str, float], tags: Mapping[str, str], step: int, at_ms: int) -> None:
        made = [Metric(name, value, at_ms, step) for name, value in metrics.items()]
        self._client.log_batch(run_id, made, tags=[RunTag(name, value[:LETTERS]) for name, value in tags.items()])


def _sent(run: Run) -> _Sent:
    tags = dict(run.data.tags)
    known = dict(run.data.metrics)
    return _Sent(run.info.run_id, bool(run.data.params), int(tags.get(EVALUATIONS, 0)), run.info.status, tags, known)


def _status(trial: TrialState) -> str:
    """In the words that MLflow has: a pruned trial has served its purpose."""
    match trial.outcome:
        case None:
            return "RUNNING"
        case Outcome.COMPLETED | Outcome.PRUNED:
            return "FINISHED"
        case Outcome.FAILED | Outcome.ERRORED:
            return "FAILED"
        case Outcome.CANCELLED:
            return "KILLED"


def _name(state: SweepState) -> str:
    return f"{state.started.name} {state.sweep_id}" if state.started else state.sweep_id


def _ms(state: SweepState) -> int:
    return _stamp(state.at) if state.at else 0


def _stamp(at: datetime) -> int:
    return round(at.timestamp() * 1000)
