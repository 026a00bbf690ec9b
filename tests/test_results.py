import json
import subprocess
import sys

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from scripted_sweep import METRICS, at, ended, evaluated, finals, proposed, started, sweep

from raysweep import results
from raysweep.encoding import encode
from raysweep.errors import DiskError, SweepFolderError
from raysweep.frames import COLUMNS
from raysweep.jobs import Outcome
from raysweep.ledger import Ledger
from raysweep.results import Results
from raysweep.state import fold


def written(folder, entries):
    with Ledger(folder) as ledger:
        for entry in entries:
            ledger.append(entry)
    results.write(results.load(folder))
    return pd.read_parquet(folder / "trials.parquet")


def trials_of(folder, *entries):
    return Results(folder, fold([started(), *entries])).trials


def test_a_row_a_trial_says_how_it_ended_and_what_it_measured_last(tmp_path):
    trials = written(tmp_path, sweep())

    assert list(trials["trial"]) == [0, 1, 2, 3, 4, 5]
    assert list(trials["outcome"][:5]) == ["completed", "completed", "pruned", "failed", "errored"]
    assert trials["outcome"].isna()[5]
    assert list(trials["objective"][:3]) == [0.41, 0.52, 0.21]
    assert trials["objective"].isna().tolist() == [False, False, False, True, True, True]
    assert trials["val_log_loss"][1] == pytest.approx(0.52 + METRICS.index("val_log_loss") / 1000)
    assert trials["duration_s"][1] == 6.0
    assert trials["job_id"][5] == "job-5"
    assert trials["params/learning_rate"][4] == pytest.approx(0.005)


def test_a_row_an_evaluation_has_every_metric(tmp_path):
    written(tmp_path, sweep())

    evaluations = pd.read_parquet(tmp_path / "evaluations.parquet")

    assert len(evaluations) == 6 + 6 + 1 + 1
    assert list(evaluations["epoch"][:6]) == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert set(METRICS) <= set(evaluations.columns)
    assert evaluations[list(METRICS)].notna().all().all()


def test_the_file_has_the_types_of_the_frame(tmp_path):
    trials = written(tmp_path, sweep())

    assert trials.dtypes.to_dict() == results.load(tmp_path).trials.dtypes.to_dict()
    assert str(trials["started_at"].dtype) == "datetime64[us, UTC]"
    assert str(trials["trained_tokens"].dtype) == "Int64"
    assert str(trials["params/rank"].dtype) == "Int64"
    assert str(trials["params/learning_rate"].dtype) == "float64"


def test_every_field_of_both_files_is_described(tmp_path):
    written(tmp_path, sweep())

    for name in ("trials.parquet", "evaluations.parquet"):
        schema = parquet.read_schema(tmp_path / name)
        assert [field.name for field in schema if not field.metadata[b"description"]] == []
    assert parquet.read_schema(tmp_path / "trials.parquet").field("trial").metadata[b"description"].decode() == (
        COLUMNS["trial"].help
    )


def test_the_file_says_which_sweep_it_is_of_and_how_the_best_scored(tmp_path):
    written(tmp_path, [*sweep(), *finals()])

    metadata = parquet.read_schema(tmp_path / "trials.parquet").metadata

    assert metadata[b"raysweep.sweep_id"] == b"abcd1234"
    assert metadata[b"raysweep.objective_metric"] == b"val_f1_weighted"
    assert metadata[b"raysweep.objective_mode"] == b"max"
    assert [final["name"] for final in json.loads(metadata[b"raysweep.finals"])] == ["best", "tfidf"]


def test_best_and_finals_are_there(tmp_path):
    written(tmp_path, [*sweep(), *finals()])

    loaded = results.load(str(tmp_path))

    assert loaded.best.number == 1
    assert [final.trial for final in loaded.finals] == [1, None]


def test_a_sweep_without_trials_makes_files_that_open(tmp_path):
    trials = written(tmp_path, [started()])

    assert len(trials) == 0
    assert list(trials.columns) == list(COLUMNS)
    assert len(pd.read_parquet(tmp_path / "evaluations.parquet")) == 0
    assert results.load(tmp_path).best is None


def test_a_metric_that_an_evaluation_lacks_is_null(tmp_path):
    trials = trials_of(
        tmp_path,
        proposed(0),
        proposed(1),
        evaluated(0, 1.0, 0.4, metrics={"val_mse": None, "val_accuracy": 0.4}),
        evaluated(1, 1.0, 0.4, metrics={"train_loss": 1.5}),
    )

    assert trials[["val_mse", "val_accuracy", "train_loss"]].isna().to_numpy().tolist() == [
        [True, False, True],
        [True, True, False],
    ]


def test_a_param_of_a_branch_not_taken_is_null(tmp_path):
    trials = trials_of(
        tmp_path, proposed(0, params={"loss": "squared", "scale": 2}), proposed(1, params={"loss": "ce"})
    )

    assert trials["params/scale"].isna().tolist() == [False, True]
    assert trials["params/scale"][0] == 2


def test_params_that_mix_types_or_are_lists_become_json(tmp_path):
    trials = trials_of(
        tmp_path,
        proposed(0, params={"targets": ("q", "v"), "batch": "auto"}),
        proposed(1, params={"targets": "all", "batch": 16}),
    )

    assert list(trials["params/targets"]) == ['["q", "v"]', '"all"']
    assert list(trials["params/batch"]) == ['"auto"', "16"]


def test_a_metric_with_the_name_of_a_column_does_not_hide_it(tmp_path):
    trials = trials_of(tmp_path, proposed(0), evaluated(0, 1.0, 0.4, metrics={"epoch": 7.0}))

    assert (trials["epoch"][0], trials["metrics/epoch"][0]) == (1.0, 7.0)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = SCALARS | st.lists(SCALARS, max_size=3).map(tuple)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example([2**53 + 1, 0.5])
@given(st.lists(VALUES, min_size=1, max_size=4))
def test_any_params_can_be_written_and_read_back(tmp_path, values):
    state = fold([started(), *(proposed(trial, params={"it": value}) for trial, value in enumerate(values))])
    results.write(Results(tmp_path, state))

    read = parquet.read_table(tmp_path / "trials.parquet").column("params/it").to_pylist()

    is_json = (
        "as JSON"
        in parquet.read_schema(tmp_path / "trials.parquet").field("params/it").metadata[b"description"].decode()
    )
    back = [json.loads(value) if is_json and value is not None else value for value in read]
    assert back == [list(value) if isinstance(value, tuple) else value for value in values]


def test_a_further_attempt_is_counted_and_keeps_the_first_start(tmp_path):
    trials = trials_of(
        tmp_path,
        proposed(0, 0),
        ended(0, Outcome.ERRORED, seconds=5),
        proposed(0, 7, attempt=1),
        ended(0, objective=0.3, seconds=9),
    )

    assert (trials["attempts"][0], trials["outcome"][0], trials["started_at"][0]) == (2, "completed", at(0))
    assert trials["duration_s"][0] == 9.0


def test_a_full_disk_is_named_and_leaves_the_former_file(tmp_path):
    before = written(tmp_path, sweep())
    (tmp_path / "trials.parquet.tmp").symlink_to("/dev/full")

    with pytest.raises(DiskError, match=r"trials\.parquet: No space left on device; free some space"):
        results.write(results.load(tmp_path))

    assert pd.read_parquet(tmp_path / "trials.parquet").equals(before)
    assert not (tmp_path / "trials.parquet.tmp").is_symlink()


def test_a_running_sweep_can_be_loaded_while_its_last_line_is_being_written(tmp_path):
    written(tmp_path, sweep())
    with (tmp_path / "ledger.jsonl").open("a") as ledger:
        ledger.write(encode(ended(5))[:20])

    assert len(results.load(tmp_path).trials) == 6


def test_a_line_that_is_no_entry_is_refused_by_its_number(tmp_path):
    written(tmp_path, [started()])
    with (tmp_path / "ledger.jsonl").open("a") as ledger:
        ledger.write("{}\n")

    with pytest.raises(SweepFolderError, match="line 2: not a ledger entry"):
        results.load(tmp_path)


def test_a_folder_without_a_ledger_is_refused(tmp_path):
    with pytest.raises(SweepFolderError, match="not a sweep's folder"):
        results.load(tmp_path)


def test_importing_results_loads_neither_pandas_nor_pyarrow():
    check = "import sys, raysweep.results; print({'pandas', 'pyarrow', 'torch', 'ray'} & set(sys.modules))"

    said = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "set()"
