"""The folder that plays a remote host: jobs that nobody watches, asked for twice, listed late, cancelled by anybody."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from raysweep.clock import SimulatedClock
from raysweep.config import SyntheticTrainer as Settings
from raysweep.errors import ConfigError, Fault, JobFailed
from raysweep.jobs import JobSpec, JobView
from raysweep.testing.toy_data import TOY_SPLITS, TOY_TASK
from raysweep.trainers.synthetic import SyntheticTrainer
from raysweep.trainers.synthetic_host import HostedJob, Status, SyntheticHost


def trainer(tmp_path, **settings):
    section = Settings(kind="synthetic", **{"host": tmp_path / "host", "epoch_s": 0.05, **settings})
    return SyntheticTrainer(section, TOY_TASK)


def spec_for(work, tmp_path, trial=0):
    params = {name: doc.default for name, doc in work.describe().params.items()}
    return JobSpec("abcdefgh", trial, 1, params, 7, tmp_path / "job", (0.5, 1.0, 2.0))


def submit(work, spec):
    return work.submit(spec, work.prepare(TOY_SPLITS))


def told(job):
    epochs = []
    while True:
        progress = job.advance(5.0)
        epochs += [progress.evaluation.epoch] if progress.evaluation else []
        if progress.is_final:
            return epochs


def n_creates(tmp_path, key):
    return len((tmp_path / "host" / "creates" / key).read_text().splitlines())


def test_a_job_goes_on_while_nobody_watches(tmp_path):
    work = trainer(tmp_path, epoch_s=0.75)
    spec = spec_for(work, tmp_path)
    submit(work, spec)

    time.sleep(1.6)
    begun_s = time.monotonic()
    epochs = told(submit(trainer(tmp_path, epoch_s=0.75), replace(spec, n_evaluations=1)))

    assert [1.0, 2.0] == epochs
    assert time.monotonic() - begun_s < 1.2  # all 1.5 s of it would have to pass again
    assert [JobView(spec.key, "synthetic-abcdefgh-0000-1", is_final=True)] == work.jobs("abcdefgh")


@pytest.mark.parametrize("lag_s", [0.0, 0.3])
def test_asked_for_by_many_at_once_a_job_is_made_once(lag_s, tmp_path):
    work = trainer(tmp_path, listing_lag_s=lag_s)
    spec = spec_for(work, tmp_path)

    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(lambda _: submit(trainer(tmp_path, listing_lag_s=lag_s), spec), range(8)))

    assert 1 == len({job.id for job in jobs})
    assert 1 == n_creates(tmp_path, spec.key)


def test_processes_that_ask_at_once_make_a_job_once(tmp_path):
    work = trainer(tmp_path, listing_lag_s=0.2)
    spec = spec_for(work, tmp_path)
    code = (
        "import pathlib, sys; sys.path.insert(0, sys.argv[2]); import test_synthetic_host as t;"
        "p = pathlib.Path(sys.argv[1]); w = t.trainer(p, listing_lag_s=0.2); t.submit(w, t.spec_for(w, p))"
    )
    here = str(tmp_path), str(Path(__file__).parent)

    others = [subprocess.Popen([sys.executable, "-c", code, *here]) for _ in range(3)]

    assert [0, 0, 0] == [one.wait(30) for one in others]
    assert 1 == n_creates(tmp_path, spec.key)


def test_a_young_job_is_not_listed_but_known_to_who_made_it(tmp_path):
    work = trainer(tmp_path, listing_lag_s=0.3)
    spec = spec_for(work, tmp_path)

    job = submit(work, spec)
    young = list(work.jobs(spec.sweep_id))
    time.sleep(0.3)

    assert [] == young
    assert [job.id] == [view.id for view in work.jobs(spec.sweep_id)]
    assert 0.3 == work.describe().listing_lag_s


def test_a_job_cancelled_by_another_process_fails_its_watcher_as_the_hosts_fault(tmp_path):
    work = trainer(tmp_path, epoch_s=60.0)
    spec = spec_for(work, tmp_path)
    job = submit(work, spec)
    job.advance(0.0)

    trainer(tmp_path, epoch_s=60.0).cancel(job.id)

    for watcher in (job, submit(work, spec)):
        with pytest.raises(JobFailed, match="cancelled at the host") as caught:
            watcher.advance(5.0)
        assert caught.value.fault is Fault.HOST


def test_a_cancel_before_a_job_is_made_does_not_harm_it(tmp_path):
    work = trainer(tmp_path, epoch_s=0.0)

    work.cancel("synthetic-abcdefgh-0000-1")

    assert [0.5, 1.0, 2.0] == told(submit(work, spec_for(work, tmp_path)))


@pytest.mark.parametrize(
    ("at_s", "cancelled_at_s", "status", "epoch"),
    [
        (0.0, None, Status.RUNNING, 0.0),
        (5.0, None, Status.RUNNING, 0.5),
        (20.0, None, Status.SUCCEEDED, 2.0),
        (30.0, 5.0, Status.CANCELLED, 0.5),
        (30.0, 25.0, Status.SUCCEEDED, 2.0),
    ],
)
def test_what_has_become_of_a_job_depends_on_the_clock_alone(at_s, cancelled_at_s, status, epoch, tmp_path):
    clock = SimulatedClock()
    host = SyntheticHost(tmp_path, listing_lag_s=0.0, clock=clock)
    job = HostedJob("k-0-0", "synthetic-k-0-0", "k", host.now_s(), epoch_s=10.0, budget=2.0, quality=0.5, seed=0)

    assert host.create(job)
    assert not host.create(job)
    if cancelled_at_s is not None:
        clock.advance_to(cancelled_at_s)
        host.cancel(job.id)
    clock.advance_to(at_s)

    assert status is host.status(job)
    assert epoch == pytest.approx(host.epoch(job))


@pytest.mark.parametrize(
    ("word", "fault"), [("nan", Fault.PARAMS), ("host", Fault.HOST), ("data", Fault.DATA), ("memory", Fault.MEMORY)]
)
@pytest.mark.parametrize("at_a_host", [True, False])
def test_a_scripted_failure_is_told_again_to_whoever_goes_on(word, fault, at_a_host, tmp_path):
    work = trainer(tmp_path, faults={0: word}, **({} if at_a_host else {"host": None}))
    spec = spec_for(work, tmp_path)

    for _ in range(2):
        with pytest.raises(JobFailed) as caught:
            submit(work, spec).advance(1.0)
        assert caught.value.fault is fault
    assert all(view.is_final for view in work.jobs(spec.sweep_id))


@pytest.mark.parametrize("at_a_host", [True, False])
def test_a_flaky_fault_strikes_in_the_first_attempts_only(at_a_host, tmp_path):
    work = trainer(tmp_path, faults={0: "host:2", 1: "setup:1"}, **({} if at_a_host else {"host": None}))
    spec = spec_for(work, tmp_path)

    for attempt in (1, 2):
        with pytest.raises(JobFailed, match="host"):
            submit(work, replace(spec, attempt=attempt)).advance(1.0)
    with pytest.raises(RuntimeError, match="set-up"):
        submit(work, spec_for(work, tmp_path, trial=1))

    assert [0.5, 1.0, 2.0] == told(submit(work, replace(spec, attempt=3)))
    elsewhere = replace(spec_for(work, tmp_path, trial=1), attempt=2, folder=tmp_path / "other")
    assert [0.5, 1.0, 2.0] == told(submit(work, elsewhere))


@pytest.mark.parametrize(("at_a_host", "attempts"), [(True, (1, 1, 1)), (False, (1, 2, 3))])
def test_a_worker_is_killed_so_many_times_and_no_more(at_a_host, attempts, tmp_path):
    settings = {"faults": {0: "kill:2"}} | ({} if at_a_host else {"host": None})
    spec = spec_for(trainer(tmp_path, **settings), tmp_path)
    code = (
        "import pathlib, sys; sys.path.insert(0, sys.argv[2]); from test_synthetic_host import *;"
        "p = pathlib.Path(sys.argv[1]); w = trainer(p, **eval(sys.argv[3]));"
        "told(submit(w, replace(spec_for(w, p), attempt=int(sys.argv[4]))))"
    )
    here = str(tmp_path), str(Path(__file__).parent), repr(settings)

    ends = [subprocess.run([sys.executable, "-c", code, *here, str(one)], check=False).returncode for one in attempts]

    assert [-9, -9, 0] == ends
    assert not at_a_host or n_creates(tmp_path, spec.key) == 1


@pytest.mark.parametrize("word", ["explode", "host:often"])
def test_a_fault_that_nobody_knows_is_refused_by_name(word, tmp_path):
    with pytest.raises(ConfigError, match=r"trainer\.faults\.3"):
        trainer(tmp_path, faults={3: word})
