"""The synthetic trainer's local jobs: time that passes between looks, damaged records, full disks."""

from dataclasses import replace

import pytest

from raysweep.config import SyntheticTrainer as Settings
from raysweep.errors import DiskError, Fault, JobFailed
from raysweep.jobs import JobSpec
from raysweep.testing.toy_data import TOY_SPLITS, TOY_TASK
from raysweep.trainers.synthetic import SyntheticTrainer
from raysweep.trainers.synthetic_curve import PARAMS


def submit(tmp_path, *, epoch_s=0.0, **changes):
    work = SyntheticTrainer(Settings(kind="synthetic", epoch_s=epoch_s), TOY_TASK)
    params = {name: doc.default for name, doc in work.describe().params.items()}
    spec = JobSpec("abcdefgh", 0, 0, params, 7, tmp_path / "job", (0.5, 1.0, 2.0))
    return work.submit(replace(spec, **changes), work.prepare(TOY_SPLITS))


def to_end(job):
    told = []
    while True:
        progress = job.advance(1.0)
        told += [progress.evaluation] if progress.evaluation else []
        if progress.is_final:
            return told


def test_looks_shorter_than_an_evaluation_takes_come_to_the_evaluation_all_the_same(tmp_path):
    job = submit(tmp_path, epoch_s=0.2)

    epochs = [job.advance(0.02).epoch for _ in range(4)]

    assert sorted(set(epochs)) == epochs
    assert 3 == len(to_end(job))


@pytest.mark.parametrize("text", ["", '{"epoch": 0.5, "ma', "[]", '{"epoch": 0.5, "made": [{"epoch": 1}]}', "\x00" * 9])
def test_a_damaged_record_is_walked_anew_with_a_warning(text, tmp_path, caplog):
    whole = to_end(submit(tmp_path))
    (tmp_path / "job" / "state.json").write_text(text)

    again = to_end(submit(tmp_path, n_evaluations=1))

    assert whole[1:] == again
    assert "damaged" in caplog.text


def test_a_record_that_cannot_be_written_is_a_disk_error_that_names_it(tmp_path):
    job = submit(tmp_path)
    (tmp_path / "job").write_text("a file where the folder should be")

    with pytest.raises(DiskError, match="job"):
        job.advance(1.0)


def test_a_folder_that_is_kept_too_long_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr("raysweep.holding.WAIT_S", 0.2)
    first = submit(tmp_path, epoch_s=60.0)
    first.advance(0.0)

    with pytest.raises(JobFailed, match=str(tmp_path / "job")) as caught:
        submit(tmp_path).advance(5.0)
    first.cancel()

    assert caught.value.fault is Fault.HOST
    assert 3 == len(to_end(submit(tmp_path)))


def test_a_wait_for_the_folder_can_be_cancelled(tmp_path):
    first, second = submit(tmp_path, epoch_s=60.0), submit(tmp_path)
    first.advance(0.0)

    second.cancel()

    assert not second.advance(60.0).is_final


def test_a_job_that_has_failed_lets_go_of_its_folder_and_fails_again(tmp_path):
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "state.json").mkdir()
    broken = submit(tmp_path)
    for _ in range(2):
        with pytest.raises(DiskError):
            broken.advance(1.0)

    (tmp_path / "job" / "state.json").rmdir()

    assert 3 == len(to_end(submit(tmp_path)))


@pytest.mark.parametrize(("name", "value"), [("rank", 0), ("learning_rate", 1e9), ("dropout", True)])
def test_params_out_of_range_are_refused(name, value, tmp_path):
    params = {one: doc.default for one, doc in PARAMS.items()}

    with pytest.raises(JobFailed, match=name) as caught:
        submit(tmp_path, params={**params, name: value})
    assert caught.value.fault is Fault.PARAMS
