"""The contract with Ray: what raysweep.tuning takes for granted, one test each, named after it.

`make ray-contract` runs this file on the oldest supported, the pinned and the newest Ray. So it needs Ray, pytest and
`raysweep.environment`, and nothing else. One cluster and three sweeps serve all tests.
"""

import contextlib
import itertools
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raysweep import environment

pytestmark = [pytest.mark.ray, pytest.mark.timeout(180), pytest.mark.filterwarnings("ignore")]

TESTS = Path(__file__).parent
STOP_S = 8.0
"""What `cleanup` may take: `SUBMIT_WAIT_S` in raysweep/tuning/actor.py."""


@pytest.fixture(scope="module")
def ray():
    """A cluster with one CPU, started as raysweep.tuning.cluster does."""
    environment.prepare_for_ray()
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(TESTS))  # for the toys
        environment.stage_trials(2)
        ray.init(
            address="local",
            num_cpus=1,
            include_dashboard=False,
            dashboard_host="127.0.0.1",
            _node_ip_address="127.0.0.1",
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=True,
        )
        for name in ("ray", "ray.tune", "ray.data", "ray._private"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        yield ray
        ray.shutdown()


@pytest.fixture(scope="module")
def toys(ray):
    import ray_toys

    return ray_toys


@pytest.fixture(scope="module")
def sweep(toys, tmp_path_factory):
    """Trials that end in every way, two at once; a while in which nothing runs; one more; the end."""
    folder = tmp_path_factory.mktemp("sweep")

    def script(seen):
        yield toys.Spec(0, folder, steps=3)
        yield toys.Spec(1, folder, steps=9, stopped_after=2)
        yield toys.Spec(2, folder, dies_in="step")
        yield toys.Spec(3, folder, dies_in="setup")
        while seen.n_ended() < 4:
            yield None
        seen.idle_s = time.monotonic()
        while time.monotonic() < seen.idle_s + 2.5:
            yield None
        yield toys.Spec(4, folder)

    return toys.run(toys.Seen(folder), script)


@pytest.fixture(scope="module")
def interrupted(toys, tmp_path_factory):
    """Two trials whose steps block; after two seconds of it a SIGINT, of which our handler makes the sweep's end."""
    folder = tmp_path_factory.mktemp("interrupted")
    seen = toys.Seen(folder)

    def script(seen):
        yield toys.Spec(0, folder, blocks=True)
        yield toys.Spec(1, folder, blocks=True, stop_s=STOP_S)
        while True:
            yield None

    def handle(number, frame):
        seen.signals.append(number)
        seen.is_over = True

    def on_tick():
        blocked = [seen.marked(number, "blocks") for number in (0, 1)]
        if all(blocked) and not seen.signals and time.time() > max(map(float, blocked)) + 2:
            seen.signalled_s = time.time()
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, handle)
    try:
        toys.run(seen, script, on_tick)
    finally:
        signal.signal(signal.SIGINT, before)
    seen.returned_s = time.time()
    return seen


# What is suggested


def test_suggest_gives_the_config_and_objects_in_it_arrive(sweep, toys):
    said = sweep.told("scheduler", "result", 0)[0]

    assert toys.Spec(0, sweep.folder, steps=3) == said.spec


def test_with_parameters_hands_setup_what_all_trials_share(sweep):
    assert {"shared"} == {event[3].word for event in sweep.events if event[1] == "result"}


def test_none_from_suggest_means_wait_also_while_nothing_runs(sweep):
    while_idle = [asked_s for asked_s in sweep.asked_s if asked_s >= sweep.idle_s]

    assert len(while_idle) >= 2
    assert max(after - before for before, after in itertools.pairwise(while_idle[:3])) < 5
    assert sweep.told("scheduler", "complete", 4)


def test_finished_from_suggest_ends_a_sweep_of_minus_one_samples(sweep):
    suggested = [event[2] for event in sweep.events if event[1] == "suggest"]

    assert [0, 1, 2, 3, 4] == suggested


def test_max_pending_trials_is_how_many_wait_for_their_process_at_once(sweep):
    assert 2 == sweep.most_pending


def test_a_fraction_of_a_cpu_may_be_asked_for(interrupted):
    """Both trials of half a CPU lived at once in a cluster of one."""
    assert interrupted.marked(0, "blocks")
    assert interrupted.marked(1, "blocks")


# What the scheduler is told


def test_a_result_reaches_on_trial_result_once_and_in_order(sweep):
    assert [1, 2] == [said.step for said in sweep.told("scheduler", "result", 0)]


def test_a_final_result_reaches_on_trial_complete_only(sweep):
    assert [3] == [said.step for said in sweep.told("scheduler", "complete", 0)]


def test_stop_from_on_trial_result_stops_the_trial(sweep):
    assert [1, 2] == [said.step for said in sweep.told("scheduler", "result", 1)]
    assert {2} == {said.step for said in sweep.told("scheduler", "complete", 1)}
    assert sweep.marked(1, "cleaned up")


def test_results_need_no_metric(sweep):
    """None of the sweep's results holds one: heartbeats do not either."""
    assert {False} == set(sweep.told("searcher", "complete", 0))


def test_a_killed_actor_reaches_on_trial_error_once_with_a_file_that_says_so(sweep):
    (error,) = sweep.told("scheduler", "error", 2)

    lines = [line.strip() for line in error.splitlines() if line.strip() and not line.startswith("Failure #")]
    assert "actor died" in lines[0]
    assert not sweep.told("scheduler", "complete", 2)


def test_an_exception_in_setup_reaches_on_trial_error_once(sweep):
    (error,) = sweep.told("scheduler", "error", 3)

    assert "broken in setup" in error
    assert not sweep.told("scheduler", "complete", 3)


def test_a_lost_trial_is_not_begun_again_by_tune(sweep):
    assert [1] == [said.step for said in sweep.told("scheduler", "result", 2)]
    assert [True] == sweep.told("searcher", "complete", 2)


def test_the_searcher_hears_of_each_end_once_by_its_trial_id(sweep):
    assert [1] * 5 == [len(sweep.told("searcher", "complete", number)) for number in range(5)]


# What is kept


def test_what_tune_is_given_need_not_pickle(sweep):
    """Its faces hold a lock; `__getstate__` gives nothing, and yet those that are given are those that are called."""
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(sweep)

    assert sweep.events
    assert sweep.ticked_s


def test_trials_are_named_by_their_creators(sweep):
    named = {path.name for path in (sweep.folder / "tune").iterdir() if path.is_dir()}

    assert {f"trial_{number:04d}" for number in range(5)} == named


def test_checkpoints_can_be_switched_off(sweep):
    """The toy cannot save: a call would have failed its trial."""
    assert not [path for path in sweep.folder.rglob("*") if "checkpoint_" in path.name]


def test_global_checkpoint_s_keeps_tune_from_saving_between_begin_and_end(sweep):
    assert sweep.saves <= 2


# Processes


def test_each_trial_has_a_process_of_its_own(sweep):
    assert 5 == len({sweep.marked(number, "pid") for number in range(5)})


def test_cleanup_has_run_for_every_trial_that_ended_well_when_fit_returns(sweep):
    assert all(sweep.marked(number, "cleaned up") for number in (0, 1, 4))


def test_no_process_outlives_fit_for_long(sweep):
    pids = [int(sweep.marked(number, "pid")) for number in range(5)]

    assert gone(pids, within_s=10)


# The end of a sweep that is stopped


def test_our_signal_handler_stays_in_place_and_fit_returns(interrupted):
    assert [signal.SIGINT] == interrupted.signals
    assert interrupted.returned_s


def test_stop_all_is_looked_at_while_every_step_blocks_and_ends_the_sweep(interrupted):
    assert interrupted.returned_s - interrupted.signalled_s < STOP_S + 10
    assert not interrupted.told("scheduler", "complete", 0)


def test_an_async_stop_reaches_a_step_that_blocks(interrupted):
    asked = float(interrupted.marked(0, "asked to stop"))

    assert asked - interrupted.signalled_s < 5


def test_an_actor_is_given_eight_seconds_to_stop(interrupted):
    assert interrupted.marked(1, "cleaned up")


def test_a_sweep_that_is_stopped_repeats_no_result(interrupted):
    """Else an evaluation would be on record twice."""
    assert [("scheduler", "result")] * 2 == [event[:2] for event in interrupted.events if event[0] == "scheduler"]


def test_on_step_end_is_called_while_every_step_blocks(interrupted):
    """Nine times a second on an idle machine."""
    last_s = interrupted.ticked_s[-1]
    blocked_s = max(float(interrupted.marked(number, "blocks")) for number in (0, 1))
    assert blocked_s < interrupted.signalled_s - 1.9
    assert sum(last_s - 2 < at_s for at_s in interrupted.ticked_s) >= 5


def test_an_exception_in_a_face_ends_the_sweep_and_stops_what_runs(toys, tmp_path):
    seen = toys.Seen(tmp_path)

    def on_tick():
        if seen.marked(0, "blocks"):
            raise LookupError("broken in a view")

    with pytest.raises(LookupError, match="broken in a view"):
        toys.run(seen, lambda seen: iter([toys.Spec(0, tmp_path, blocks=True), *[None] * 10**6]), on_tick)

    assert seen.marked(0, "cleaned up")


def test_a_sweep_prints_nothing(toys, tmp_path, capfd):
    toys.run(toys.Seen(tmp_path), lambda seen: iter([toys.Spec(0, tmp_path)]))

    assert ("", "") == capfd.readouterr()


# Tasks


def test_wait_gives_up_after_its_timeout_and_cancel_by_force_ends_a_busy_task(ray, toys):
    reference = ray.remote(num_cpus=0.5, num_gpus=0)(toys.sleep).remote(300)

    assert ([], [reference]) == ray.wait([reference], timeout=2)
    ray.cancel(reference, force=True)

    with pytest.raises(ray.exceptions.RayError):
        ray.get(reference, timeout=20)


def test_an_exception_in_a_task_is_a_ray_error_that_ends_with_its_words(ray, toys):
    reference = ray.remote(num_cpus=0.5, num_gpus=0)(toys.fail).remote("broken in a task")

    with pytest.raises(ray.exceptions.RayError) as caught:
        ray.get(reference, timeout=60)

    assert "broken in a task" in str(caught.value).strip().splitlines()[-1]


# Clusters


def test_cluster_resources_says_cpus_under_that_name(ray):
    assert 1.0 == ray.cluster_resources()["CPU"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_cluster_on_127_0_0_1_listens_to_this_machine_alone(ray):
    addresses = listening(os.getpid())

    assert addresses
    assert {"127.0.0.1"} == addresses


def test_nobody_joins_without_the_token(ray):
    ours, another = python(ray, "print('came in')"), python(ray, "print('came in')", RAY_AUTH_TOKEN="f" * 64)
    (told, _), (told_another, errors) = ours.communicate(timeout=60), another.communicate(timeout=60)

    assert "came in" in told
    assert "came in" not in told_another
    assert "InvalidAuthToken" in errors
    assert "ConnectionError" in errors.splitlines()[-1]


def test_an_actor_dies_with_its_driver_when_that_is_killed(ray):
    """Else a further attempt would work beside it in the same folder."""
    code = """
import os, time
class Actor:
    def pid(self): return os.getpid()
    def block(self): time.sleep(300)
actor = ray.remote(num_cpus=0.5)(Actor).remote()
pid = ray.get(actor.pid.remote())
actor.block.remote()
print(pid, flush=True)
time.sleep(300)
"""
    driver = python(ray, code)
    pid = int(driver.stdout.readline())
    driver.kill()
    driver.communicate()

    assert gone([pid], within_s=30)


def python(ray, code, **variables):
    """A process that joins the cluster, tries it but once, and runs some code."""
    join = f"import ray; ray.init(address={ray.get_runtime_context().gcs_address!r}, log_to_driver=False)"
    return subprocess.Popen(
        [sys.executable, "-c", f"{join}\n{code}"],
        env=os.environ | {"RAY_NUM_REDIS_GET_RETRIES": "1"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def gone(pids, within_s):
    until_s = time.monotonic() + within_s
    while any(is_alive(pid) for pid in pids) and time.monotonic() < until_s:
        time.sleep(0.05)
    return not any(is_alive(pid) for pid in pids)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def listening(ancestor):
    """Addresses on which a process's descendants accept connections, IPv4 and IPv6."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it may be gone by now
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    family = {ancestor}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    sockets = set()
    for pid in family - {ancestor}:
        for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                sockets.add(descriptor.readlink().name)
    found = set()
    for table, version in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                raw = bytes.fromhex(fields[1].partition(":")[0])
                words = b"".join(raw[start : start + 4][::-1] for start in range(0, len(raw), 4))
                found.add(socket.inet_ntop(version, words).removeprefix("::ffff:"))
    return found
