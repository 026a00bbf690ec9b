"""A job is made exactly once: with the real gate, the real SDK and the real server, on a clock that stands still."""

import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from scripted_sweep import at, proposed, started
from wire_toys import FREE, jobs, keys, trainer

from raysweep.clock import SimulatedClock
from raysweep.config import WireTrainer
from raysweep.entries import TrialEnded, TrialInterrupted
from raysweep.errors import Fault, JobFailed
from raysweep.jobs import JobSpec, Outcome
from raysweep.retries import GiveUp, next_step
from raysweep.state import fold
from raysweep.task import Prompt
from raysweep.testing.server import fine_tuning_server
from raysweep.testing.toy_data import TOY_SPLITS, TOY_TASK
from raysweep.trainers import wire_record
from raysweep.trainers.dialects import UNKNOWN_LAG_S, dialect_of
from raysweep.trainers.gate import open_gate
from raysweep.trainers.host_errors import HostError
from raysweep.trainers.hosted import JobRequest
from raysweep.trainers.wire import WireTrainer as Trainer
from raysweep.trainers.wire_begin import Beginning
from raysweep.trainers.wire_data import chat_file, uploaded
from raysweep.trainers.wire_record import Record

__all__ = ["fine_tuning_server"]
LOST_REPLY = {"calls": [{"call": "POST /fine_tuning/jobs", "nth": [1], "kind": "lost_reply"}]}
LOST_CALL = {"calls": [{"call": "POST /fine_tuning/jobs", "nth": [1], "kind": "lost_call"}]}


class Scene:
    """One attempt's beginning, at a server of its own."""

    def __init__(self, server, folder, **changes):
        self.server = server
        self.settings = WireTrainer(**trainer(server, **changes))
        self.gate = open_gate(self.settings, key=server.key)
        self.clock = SimulatedClock(100.0)
        self.spec = JobSpec("sweep001", 0, 1, {}, 7, folder, (1.0,))
        self.n_requests = 0

    def request(self):
        self.n_requests += 1
        file = uploaded(chat_file(TOY_SPLITS.train, Prompt(), TOY_TASK), self.gate)
        key = self.spec.key
        return JobRequest("sweep001", key, self.settings.model, file, file, key, 7, {"n_epochs": 1})

    def beginning(self):
        return Beginning(self.spec, self.gate, dialect_of(self.settings), self.request, self.clock)


@pytest.fixture
def make_scene(fine_tuning_server, tmp_path):
    def make(faults=None, *options, **changes):
        return Scene(fine_tuning_server(*options, faults=faults), tmp_path / "job", **changes)

    return make


def test_a_lost_reply_is_adopted_once_the_list_can_hold_the_job(make_scene):
    scene = make_scene(LOST_REPLY, listing_lag_s=20)
    begun = scene.beginning()

    assert begun.attempt() is None
    assert begun.record.is_creating
    found = begun.attempt()

    assert [found.id] == [job["id"] for job in jobs(scene.server)]
    assert (found.id, False) == (begun.record.job_id, begun.record.is_creating)
    assert 1 == scene.n_requests


def test_a_lost_call_is_made_again_only_after_the_lag(make_scene):
    scene = make_scene(LOST_CALL, listing_lag_s=20)
    begun = scene.beginning()

    early = [begun.attempt(), begun.attempt()]
    scene.clock.sleep_s(19)
    early.append(begun.attempt())
    scene.clock.sleep_s(1)
    late = [begun.attempt(), begun.attempt()]

    assert [None, None, None] == early
    assert None is late[0]
    assert [late[1].id] == [job["id"] for job in jobs(scene.server)]


def test_whoever_comes_after_a_death_in_mid_create_waits_out_the_lag(make_scene):
    scene = make_scene(None, listing_lag_s=20)
    wire_record.save(scene.spec.folder, Record(scene.spec.key, is_creating=True))

    begun = scene.beginning()
    first = begun.attempt()
    scene.clock.sleep_s(20)
    begun.attempt()

    assert first is None
    assert begun.attempt() is not None
    assert [scene.spec.key] == keys(scene.server)


def test_where_nobody_knows_the_lag_an_attempt_stays_unknown(make_scene):
    scene = make_scene(LOST_CALL, host="custom")
    begun = scene.beginning()
    begun.attempt()
    begun.attempt()
    scene.clock.sleep_s(UNKNOWN_LAG_S)

    with pytest.raises(JobFailed, match="nobody knows how long its list lags") as caught:
        begun.attempt()

    assert Fault.UNKNOWN is caught.value.fault
    assert begun.record.is_creating
    assert GiveUp(Outcome.ERRORED, "lost") == next_step([Fault.UNKNOWN], "lost", attempts=9, wait_s=0)


def test_a_lost_reply_is_adopted_even_where_the_lag_is_unknown(make_scene):
    scene = make_scene(LOST_REPLY, host="custom")
    begun = scene.beginning()

    begun.attempt()

    assert begun.attempt().id == jobs(scene.server)[0]["id"]


def test_a_host_whose_jobs_cannot_be_counted_leaves_no_doubt_about_a_create(make_scene):
    outage = {"call": "GET /fine_tuning/jobs", "nth": [2, 3, 4, 5, 6], "kind": "answer", "status": 500}
    scene = make_scene({"calls": [outage]}, host="custom", prices=FREE)
    begun = scene.beginning()

    with pytest.raises(HostError, match="no job was asked for"):
        begun.attempt()

    assert not begun.record.is_creating
    assert [] == jobs(scene.server)
    assert begun.attempt().id == jobs(scene.server)[0]["id"]


def test_a_refused_create_leaves_no_doubt(make_scene):
    answer = {"call": "POST /fine_tuning/jobs", "kind": "answer", "status": 400, "code": "invalid_value"}
    scene = make_scene({"calls": [answer]})
    begun = scene.beginning()

    with pytest.raises(HostError):
        begun.attempt()

    assert not begun.record.is_creating
    assert [] == jobs(scene.server)


def test_a_full_host_keeps_a_job_waiting_and_then_lets_it_in(make_scene):
    scene = make_scene(None, "--epoch-s", "60", limits={"running": 1, "queued": 0})
    first = scene.beginning().attempt()
    scene.spec = replace(scene.spec, trial=1, folder=scene.spec.folder.with_name("other"))
    begun = scene.beginning()

    waiting = [begun.attempt(), begun.attempt()]
    scene.gate.cancel(first.id)

    assert [None, None] == waiting
    assert not begun.record.is_creating
    assert begun.attempt() is not None
    assert ["cancelled", "running"] == [job["status"] for job in jobs(scene.server)]


def test_a_file_that_was_deleted_or_expires_is_uploaded_anew(make_scene):
    scene = make_scene(None)
    file = chat_file(TOY_SPLITS.train, Prompt(), TOY_TASK)
    first, again = uploaded(file, scene.gate), uploaded(file, scene.gate)
    scene.gate.discard("file", first)
    other = open_gate(scene.settings, key=scene.server.key)

    anew = uploaded(file, other)

    assert first == again
    assert first != anew


def test_a_job_that_ended_is_told_from_its_folder_when_the_host_has_forgotten_it(make_scene):
    scene = make_scene(None, "--epoch-s", "0.1")
    made = Trainer(scene.settings, TOY_TASK, lambda: scene.gate)
    takes = made.describe()
    params = {name: doc.default for name, doc in takes.params.items()} | {"n_epochs": 2}
    spec = replace(scene.spec, params=params, evaluate_at=(1.0, 2.0))
    job, told = made.submit(spec, made.prepare(TOY_SPLITS)), []
    while not told or not told[-1].is_final:
        told.append(job.advance(5))
    scene.server.kill()

    again = made.submit(spec, made_refs(told))
    end = [again.advance(1), again.advance(1)]

    assert [1.0, 2.0] == [one.evaluation.epoch for one in end]
    assert told[-1] == end[-1]


def made_refs(_told):
    from raysweep.jobs import DataRefs

    return DataRefs(TOY_SPLITS.fingerprint, TOY_SPLITS)


def test_a_record_that_was_damaged_counts_as_a_create_that_was_sent(make_scene):
    scene = make_scene(listing_lag_s=5.0)
    scene.spec.folder.mkdir(parents=True)
    (scene.spec.folder / wire_record.NAME).write_text("")
    made = scene.gate.create(scene.request())

    beginning = scene.beginning()
    beginning.attempt()
    scene.clock.sleep_s(6.0)

    assert made.id == beginning.attempt().id
    assert 1 == len(jobs(scene.server))


def test_no_job_is_made_for_a_sweep_that_has_gone_and_those_under_way_are_waited_for(make_scene):
    scene = make_scene({"calls": [{"call": "POST /fine_tuning/jobs", "nth": [1], "kind": "slow", "slow_s": 1.0}]})
    request = scene.request()

    with ThreadPoolExecutor(1) as trial:
        under_way = trial.submit(scene.gate.create, request)
        while request.key not in keys(scene.server):
            time.sleep(0.02)
        scene.gate.dismiss("sweep001")
        assert under_way.done()
    assert scene.gate.create(replace(request, key="sweep001-0001-1")) is None
    scene.gate.admit("sweep001")

    assert "sweep001-0001-1" == scene.gate.create(replace(request, key="sweep001-0001-1")).key
    assert 2 == len(jobs(scene.server))


def test_a_trial_whose_job_nobody_knows_of_is_never_tried_again_by_itself():
    entries = [started(1), proposed(0), TrialInterrupted(at(1), 0, 1, Fault.UNKNOWN, "its create was lost")]
    entries += [TrialEnded(at(2), 0, Outcome.ERRORED, "its create was lost", None, None, 0)]

    trial = fold(entries).trials[0]

    assert trial.ended_waiting
    assert not trial.can_be_tried_again(99)


def _polls():
    return [one for one in threading.enumerate() if one.name == "poll"]


def test_a_gate_that_nobody_holds_any_more_asks_for_no_news(make_scene):
    for left in _polls():  # of gates that earlier tests dropped, until they are collected
        gc.collect()
        left.join(10)
    scene = make_scene(None, "--epoch-s", "100")
    job = scene.beginning().attempt()
    scene.gate.watch(job.id, version=99, n_points=99, timeout_s=0.2)
    (poll,) = _polls()

    scene.gate = None
    gc.collect()
    poll.join(10)

    assert not poll.is_alive()
