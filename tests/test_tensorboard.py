import pytest
from scripted_sweep import METRICS, ended, evaluated, finals, proposed, started, sweep, whole_trial

from raysweep.jobs import Outcome
from raysweep.state import SweepState
from raysweep.views.tensorboard import TensorBoardView, flat

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
hparams = pytest.importorskip("tensorboard.plugins.hparams.metadata")
api = pytest.importorskip("tensorboard.plugins.hparams.api_pb2")


def shown(folder, *entries):
    """An open view that has been shown the entries."""
    view, state = TensorBoardView(folder), SweepState()
    for entry in entries:
        state = state.apply(entry)
        view.show(entry, state)
    return view, state


def run_of(folder, trial):
    run = accumulator.EventAccumulator(str(folder / "tensorboard" / f"trial_{trial:04d}"))
    run.Reload()
    return run


def session_start(run):
    return hparams.parse_session_start_info_plugin_data(content(run, hparams.SESSION_START_INFO_TAG))


def content(run, tag):
    return run.SummaryMetadata(tag).plugin_data.content


def test_every_metric_is_a_scalar_by_epoch_while_the_trial_runs(tmp_path):
    view, state = shown(tmp_path, started(), proposed(0), evaluated(0, 0.5, 0.3), evaluated(0, 1.0, 0.4))

    run = run_of(tmp_path, 0)

    assert set(run.Tags()["scalars"]) == set(METRICS)
    assert [(one.step, round(one.value, 3)) for one in run.Scalars("val_f1_weighted")] == [(500, 0.3), (1000, 0.4)]
    view.close(state)


def test_labels_that_differ_in_an_odd_letter_have_scalars_of_their_own(tmp_path):
    metrics = {"val_f1_of_<5": 0.1, "val_f1_of_>5": 0.2}
    view, state = shown(tmp_path, started(), proposed(0), evaluated(0, 0.5, 0.3, metrics=metrics))

    run = run_of(tmp_path, 0)

    told = {name: [round(one.value, 3) for one in run.Scalars(name)] for name in run.Tags()["scalars"]}
    assert {"val_f1_of__5": [0.1], "val_f1_of__5_1": [0.2]} == told
    view.close(state)


def test_the_time_of_a_scalar_is_the_evaluations(tmp_path):
    evaluation = evaluated(0, 0.5, 0.3, 90)
    view, state = shown(tmp_path, started(), proposed(0), evaluation)

    assert run_of(tmp_path, 0).Scalars("val_mse")[0].wall_time == evaluation.at.timestamp()
    view.close(state)


def test_params_are_in_the_hparams_tab_from_the_proposal_on(tmp_path):
    params = {"learning_rate": 0.01, "targets": ("q", "v"), "system": None, "bf16": True}
    view, state = shown(tmp_path, started(), proposed(0, params=params), proposed(1, params={"head_scale": 2.0}))

    start = session_start(run_of(tmp_path, 0))

    assert start.hparams["learning_rate"].number_value == 0.01
    assert start.hparams["targets"].string_value == "q, v"
    assert start.hparams["system"].string_value == "none"
    assert start.hparams["bf16"].bool_value is True
    assert list(session_start(run_of(tmp_path, 1)).hparams) == ["head_scale"]
    view.close(state)


def test_no_run_describes_the_experiment_for_the_others_params_would_be_hidden(tmp_path):
    view, state = shown(tmp_path, started(), *whole_trial(0, 0.4))

    assert hparams.EXPERIMENT_TAG not in run_of(tmp_path, 0).Tags()["tensors"]
    view.close(state)


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome.COMPLETED, "STATUS_SUCCESS"),
        (Outcome.PRUNED, "STATUS_SUCCESS"),
        (Outcome.FAILED, "STATUS_FAILURE"),
        (Outcome.ERRORED, "STATUS_FAILURE"),
        (Outcome.CANCELLED, "STATUS_UNKNOWN"),
    ],
)
def test_the_end_of_a_trial_has_a_status(tmp_path, outcome, status):
    view, state = shown(tmp_path, started(), proposed(0), ended(0, outcome))

    end = hparams.parse_session_end_info_plugin_data(content(run_of(tmp_path, 0), hparams.SESSION_END_INFO_TAG))

    assert end.status == api.Status.Value(status)
    view.close(state)


def test_a_metric_that_is_absent_is_no_point(tmp_path):
    view, state = shown(
        tmp_path, started(), proposed(0), evaluated(0, 1.0, 0, metrics={"val_mse": None, "val_mae": 1.0})
    )

    assert run_of(tmp_path, 0).Tags()["scalars"] == ["val_mae"]
    view.close(state)


def test_a_whole_sweep_is_one_run_a_trial_and_closing_twice_is_fine(tmp_path):
    view, state = shown(tmp_path, *sweep(), *finals())

    view.tick()
    view.close(state)
    view.close(state)

    runs = sorted(path.name for path in (tmp_path / "tensorboard").iterdir())
    assert runs == [f"trial_{trial:04d}" for trial in range(6)]
    assert len(run_of(tmp_path, 1).Scalars("val_f1_weighted")) == 6


def test_a_further_attempt_in_the_same_second_keeps_what_the_first_wrote(tmp_path):
    view, state = shown(
        tmp_path,
        started(),
        proposed(0),
        evaluated(0, 0.5, 0.3),
        ended(0, Outcome.ERRORED),
        proposed(0, attempt=1),
        evaluated(0, 1.0, 0.4),
    )

    assert [one.step for one in run_of(tmp_path, 0).Scalars("val_f1_weighted")] == [500, 1000]
    view.close(state)


def test_nested_lists_are_flattened():
    assert flat({"layers": ((1, 2), None), "rank": 8}) == {"layers": "1, 2, none", "rank": 8}
