"""Proof by chaos: sweeps of real processes are struck at random, resumed, and compared with the same left alone.

`python -m raysweep.testing.chaos --trainer synthetic --n 200 --seed 0`; `--only INDEX` plays one schedule again.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import yaml

from raysweep.errors import RaysweepError
from raysweep.testing.chaos_check import check
from raysweep.testing.chaos_driver import MODULES, Orders, drive
from raysweep.testing.chaos_host import Host, make_host
from raysweep.testing.chaos_money import budget_usd
from raysweep.testing.chaos_scene import Played, Scene
from raysweep.testing.chaos_schedule import WIRE, Place, Pruning, Schedule, Sweep, make_schedule
from raysweep.testing.chaos_settings import settings, write_reviews
from raysweep.testing.nursery import Nursery

UNDISTURBED_S = 300.0


@dataclass(frozen=True)
class Result:
    """What came of a schedule."""

    schedule: Schedule
    played: Played
    folder: Path
    wall_s: float

    @property
    def problems(self) -> Sequence[str]:
        """In words; none for a proof."""
        return self.played.problems


class Stage:
    """Where schedules of one trainer are played, one after the other; a context manager."""

    def __init__(self, folder: Path, trainer: str, base: Mapping[str, object] | None = None) -> None:
        """`base` are settings of which the trainer's own sections are taken."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder.absolute()
        self._trainer = trainer
        self._base = base
        self._data = write_reviews(self._folder / "reviews.csv")
        self._undisturbed: dict[Sweep, Path] = {}
        self._nursery = Nursery(MODULES)

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *details: object) -> None:
        self._nursery.close()

    def play(self, schedule: Schedule) -> Result:
        """Strike, resume, compare; the folder of a schedule without problems is removed."""
        began_s = time.monotonic()
        folder = self._folder / f"schedule_{schedule.seed}_{schedule.index:04d}"
        shutil.rmtree(folder, ignore_errors=True)
        is_compared = schedule.sweep.pruning is Pruning.ASHA
        twin = self._left_alone(replace(schedule.sweep, pruning=Pruning.NONE) if is_compared else schedule.sweep)
        host = make_host(self._trainer, folder / "host", schedule.sweep, schedule)
        try:
            orders = self._orders(schedule.sweep, folder, schedule.place, host)
            if self._trainer == WIRE:
                budget = {"budget": {"max_usd": budget_usd(schedule.sweep, schedule)}}
                orders = replace(orders, settings={**(orders.settings or {}), **budget})
            if schedule.leaves:
                orders = replace(orders, settings={**(orders.settings or {}), "on_interrupt": "leave"})
            played = Scene(schedule, orders, self._nursery, host).play()
        finally:
            host.close()
        if not played.problems:
            try:
                played.problems += check(orders.folder, twin, is_compared=is_compared, host=host)
            except (OSError, RaysweepError) as error:
                played.problems.append(f"not everything is there: {error}")
        if not played.problems:
            shutil.rmtree(folder)
        return Result(schedule, played, folder, time.monotonic() - began_s)

    def _left_alone(self, sweep: Sweep) -> Path:
        """The folder of the same sweep, undisturbed; raises ChildProcessError where even that does not end."""
        if sweep not in self._undisturbed:
            folder = self._folder / f"undisturbed_{len(self._undisturbed):03d}"
            shutil.rmtree(folder, ignore_errors=True)
            host = make_host(self._trainer, folder / "host", sweep)
            try:
                orders = self._orders(sweep, folder, Place.PROCESSES, host)
                word = self._driven(orders)
            finally:
                host.close()
            if word:
                raise ChildProcessError(f"{folder}: the sweep does not even end when left alone: {word}")
            self._undisturbed[sweep] = orders.folder
        return self._undisturbed[sweep]

    def _driven(self, orders: Orders) -> str:
        """The word with which the driver ends."""
        child = self._nursery.spawn(partial(drive, orders), "driver")
        try:
            return str(child.link.recv()) if child.link.poll(UNDISTURBED_S) else "it takes too long"
        except EOFError:
            return "its process died"
        finally:
            child.kill()
            child.link.close()

    def _orders(self, sweep: Sweep, folder: Path, place: Place, host: Host) -> Orders:
        folder.mkdir(parents=True, exist_ok=True)
        tree = settings(sweep, self._trainer, data=self._data, host=host.address, base=self._base)
        log = folder / "driver.log"
        return Orders(folder / "sweep", tree, place, folder.name, self._trainer, log, host.variables)


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the schedules that were asked for, and say what came of them; 1 if any failed."""
    asked = _parser().parse_args(arguments)
    base = yaml.safe_load(asked.settings.read_text(encoding="utf-8")) if asked.settings else None
    indices = range(asked.n) if asked.only is None else [asked.only]
    schedules = [make_schedule(asked.seed, index, trainer=asked.trainer) for index in indices]
    if asked.place:
        schedules = [one for one in schedules if one.place.value.startswith(asked.place)]
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="raysweep_chaos_"))
    print(f"{len(schedules)} schedules of seed {asked.seed}, trainer {asked.trainer}, in {folder}", flush=True)
    results = []
    with Stage(folder, asked.trainer, base) as stage:
        for schedule in schedules:
            results.append(stage.play(schedule))
            print(line(results[-1]), flush=True)
    print(summary(results))
    failed = [result for result in results if result.problems]
    for result in failed:
        again = f"make chaos TRAINER={asked.trainer} SEED={asked.seed} ONLY={result.schedule.index}"
        print(f"\nFAILED {result.schedule.index}, kept in {result.folder}; again: {again}")
        print(*(f"  {problem}" for problem in result.problems), sep="\n")
    return 1 if failed or not results else 0


def line(result: Result) -> str:
    """A schedule and what came of it, in one line."""
    schedule, sweep = result.schedule, result.schedule.sweep
    strikes = "; ".join(f"{one.action} at {one.count} {one.entry} +{one.delay_s:.2f} s" for one in schedule.strikes)
    what = f"{sweep.pruning}, {sweep.search}, {sweep.n_trials} trials by {sweep.concurrency}"
    what += (", host" if sweep.has_host else "") + (", a failure" if sweep.has_failure else "")
    what += f", {sweep.failure}" if sweep.failure else ""
    what += ", leaves its jobs" if schedule.leaves else ""
    strikes = ", ".join((*schedule.misfortunes, "")) + strikes
    end = f"FAILED: {result.problems[0]}" if result.problems else "ok"
    played = result.played
    said = f"{played.struck.total()} struck, {played.n_sessions} sessions, {result.wall_s:.1f} s"
    return f"{schedule.index:4d}  {schedule.place}: {what} | {strikes} | {said} | {end}"


def summary(results: Sequence[Result]) -> str:
    """Schedules by place and pruning, strikes by kind, failures, time."""
    rows = [f"\n{'schedules':36}{'played':>8}{'failed':>8}{'seconds':>9}"]
    groups = sorted({(one.schedule.place.value, one.schedule.sweep.pruning.value) for one in results})
    for place, pruning in groups:
        mine = [one for one in results if (one.schedule.place, one.schedule.sweep.pruning) == (place, pruning)]
        rows.append(_row(f"{place}; {pruning}", mine))
    rows.append(_row("all", results))
    struck: Counter[str] = Counter()
    for one in results:
        struck.update({action.value: count for action, count in one.played.struck.items()})
    rows.append(f"\n{'strikes':36}{'made':>8}")
    rows += [f"{action:36}{count:8d}" for action, count in sorted(struck.items())]
    rows.append(f"{'missed: the sweep was faster':36}{sum(one.played.n_missed for one in results):8d}")
    rows.append(f"{'drivers that hung without a raylet':36}{sum(one.played.n_hung for one in results):8d}")
    return "\n".join(rows)


def _row(name: str, results: Sequence[Result]) -> str:
    failed = sum(bool(one.problems) for one in results)
    return f"{name:36}{len(results):8d}{failed:8d}{sum(one.wall_s for one in results):9.0f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m raysweep.testing.chaos", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--trainer", default="synthetic", help="synthetic, lora, wire, or a plug-in's kind")
    parser.add_argument("--n", type=int, default=200, help="how many schedules, from 0 on")
    parser.add_argument("--seed", type=int, default=0, help="of everything random")
    parser.add_argument("--only", type=int, help="the index of the one schedule to play")
    parser.add_argument("--place", choices=("processes", "ray"), help="play only those that run there")
    parser.add_argument("--folder", type=Path, help="where failing schedules are kept; a new one if left out")
    parser.add_argument("--settings", type=Path, help="a file whose trainer, task, data and space are taken instead")
    return parser


if __name__ == "__main__":
    sys.exit(main())
