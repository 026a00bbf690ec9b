"""How many requests a sweep of remote jobs costs: 50 that run, 200 that wait, simulated hours, counted at the server.

    python benchmarks/wire_requests.py [--running 50] [--queued 200] [--steps 200] [--hours 1] [--no-drain]

Real: the wire trainer and its jobs, the gate, the SDK, HTTP over loopback, and the server with its synthetic engine.
Simulated: time. Gate and server read one scripted clock that jumps to the next moment at which the gate wants to look
(15 s on, at most); trials are asked in turn, in one thread. The polls are those of the `openai` dialect: 5 to 300 s.

Jobs have 2, 3 or 4 epochs of 20 minutes. Whenever one ends a further one is made, so that as many exist all the time.
After the warm-up the window opens; requests in it are divided by the hours of all jobs that exist, and by those of the
running. At last nothing is made any more, and all jobs come to their ends: every evaluation has to have arrived, once.
Exits with 1 where one has not, or there are more than 6 requests a job-hour.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from raysweep.clock import SimulatedClock
from raysweep.config import WireTrainer as Settings
from raysweep.dataset import Splits
from raysweep.jobs import DataRefs, JobSpec
from raysweep.task import Example, Message, Task, TaskKind
from raysweep.testing.server import Server, running_server
from raysweep.trainers.dialects import dialect_of
from raysweep.trainers.gate import WireGate
from raysweep.trainers.gate_client import WireClient
from raysweep.trainers.wire import WireTrainer
from raysweep.trainers.wire_job import WireJob

GOAL = 6.0
EPOCH_S = 1200.0
EPOCHS = (3, 2, 4)
STEP_S = 15.0
"""The longest jump of the clock: trials ask again at least so often."""
PROMPT = {"template": "{prompt}", "system": None, "label_words": ()}
MODEL = "gpt-4.1-mini-2025-04-14"
FREE = dict.fromkeys(("training_usd_per_million", "input_usd_per_million", "output_usd_per_million"), 0.0)


@dataclass
class Watched:
    """One trial's job, and what it has told."""

    job: WireJob
    n_epochs: int
    epochs: list[float] = field(default_factory=list)


class World:
    """Gate, server and trials on one clock."""

    def __init__(self, server: Server, folder: Path, *, running: int, queued: int, steps: int) -> None:
        self.server = server
        self.clock = SimulatedClock()
        self._server_s = 0.0
        self._folder = folder
        self._n_wanted = running + queued
        settings = Settings(
            kind="wire",
            host="openai",
            base_url=server.base_url,
            model=MODEL,
            score="finalists",
            prices=FREE,
            limits={"running": running, "queued": queued, "requests_per_minute": 6000},
        )
        client = WireClient(dialect_of(settings), server.key)
        self.gate = WireGate(settings, client, None, self.clock)
        task = Task(TaskKind.RATING, ("1", "2", "3"))
        self._trainer = WireTrainer(settings, task, lambda: self.gate, self.clock)
        self._data = DataRefs("0123456789abcdef", _splits(steps))
        self.live: list[Watched] = []
        self.ended: list[Watched] = []

    def fill(self) -> None:
        """Make jobs until as many exist as may."""
        while len(self.live) < self._n_wanted:
            number = len(self.live) + len(self.ended)
            n_epochs = EPOCHS[number % len(EPOCHS)]
            params = {"n_epochs": n_epochs, "batch_size": 1, "model": MODEL, **PROMPT}
            ends = tuple(float(epoch) for epoch in range(1, n_epochs + 1))
            spec = JobSpec("benchmrk", number, 1, params, 0, self._folder / str(number), ends)
            spec.folder.mkdir()
            self.live.append(Watched(self._trainer.submit(spec, self._data), n_epochs))

    def go_on(self) -> None:
        """To the next moment at which anything may be seen."""
        due_s = self.gate.look_when_due()
        self._tell()
        now_s = self.clock.monotonic_s()
        self.clock.advance_to(min(max(due_s, now_s + 0.05), now_s + STEP_S))
        passed_s = self.clock.monotonic_s() - self._server_s  # the gate's own waits too
        self._server_s += passed_s
        admin(self.server, "POST", "clock", {"advance_s": passed_s})

    def _tell(self) -> None:
        for watched in tuple(self.live):
            while True:
                progress = watched.job.advance(0)
                if progress.evaluation:
                    watched.epochs.append(progress.evaluation.epoch)
                if progress.is_final or not progress.evaluation:
                    break
            if progress.is_final:
                self.live.remove(watched)
                self.ended.append(watched)

    @property
    def lost(self) -> int:
        """Ended jobs whose evaluations are not all there, each once and in order."""
        return sum(one.epochs != [float(epoch) for epoch in range(1, one.n_epochs + 1)] for one in self.ended)


def _splits(n_rows: int) -> Splits:
    rows = [Example((Message("user", f"row {number}"),), str(number % 3 + 1)) for number in range(n_rows + 30)]
    return Splits(
        tuple(rows[:n_rows]), tuple(rows[n_rows : n_rows + 20]), tuple(rows[n_rows + 20 :]), "0123456789abcdef"
    )


def admin(server: Server, method: str, what: str, body: object = None) -> Mapping[str, int]:
    """What the server says about itself."""
    url = f"{server.base_url.removesuffix('/v1')}/admin/{what}"
    request = urllib.request.Request(url, method=method, data=json.dumps(body).encode() if body else None)
    request.add_header("Authorization", f"Bearer {server.key}")
    with urllib.request.urlopen(request, timeout=60) as reply:
        found: Mapping[str, int] = json.loads(reply.read())
    return found


def calls(server: Server) -> Counter[str]:
    """All requests so far but those about the server itself."""
    return Counter({name: n for name, n in admin(server, "GET", "calls").items() if "/admin" not in name})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--running", type=int, default=50)
    parser.add_argument("--queued", type=int, default=200)
    parser.add_argument("--steps", type=int, default=200, help="an epoch")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--warm-up", type=float, default=1.0, help="hours")
    parser.add_argument("--no-drain", action="store_true")
    given = parser.parse_args()
    os.environ["no_proxy"] = "127.0.0.1"
    began_s = time.monotonic()
    options = ["--admin", "--clock", "manual", "--epoch-s", str(EPOCH_S)]
    options += ["--running", str(given.running), "--queued", str(given.queued)]
    with tempfile.TemporaryDirectory(prefix="rs") as scratch, running_server(*options) as server:
        world = World(server, Path(scratch), running=given.running, queued=given.queued, steps=given.steps)
        while world.clock.elapsed_s < given.warm_up * 3600:
            world.fill()
            world.go_on()
        good = window(world, given.hours, given.running)
        while world.live and not given.no_drain:
            world.go_on()
        world.gate.close()
        total = calls(server)
    n_told, n_ended = sum(len(one.epochs) for one in world.ended), len(world.ended)
    print(f"{n_ended} jobs ended, {n_told} evaluations arrived; jobs with one lost or repeated: {world.lost}")
    print(f"in all {sum(total.values())} requests in {world.clock.elapsed_s / 3600:.1f} simulated hours")
    print(f"took {time.monotonic() - began_s:.0f} s")
    return 0 if good and not world.lost else 1


def window(world: World, hours: float, n_running: int) -> bool:
    """Whether the steady state costs as little as it should."""
    before, began_s, job_s = calls(world.server), world.clock.elapsed_s, 0.0
    while world.clock.elapsed_s < began_s + hours * 3600:
        world.fill()
        at_s = world.clock.elapsed_s
        world.go_on()
        job_s += len(world.live) * (world.clock.elapsed_s - at_s)
    used, window_h = calls(world.server) - before, (world.clock.elapsed_s - began_s) / 3600
    each = sum(used.values()) / (job_s / 3600)
    print(f"{sum(used.values())} requests in {window_h:.2f} h with {job_s / 3600 / window_h:.1f} jobs:")
    for name, number in used.most_common():
        print(f"  {number:7d}  {name}")
    print(f"{each:.2f} requests a job-hour, {sum(used.values()) / (n_running * window_h):.1f} a running job-hour")
    return each <= GOAL


if __name__ == "__main__":
    sys.exit(main())
