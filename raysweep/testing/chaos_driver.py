"""What a driver's process does while chaos strikes it: begin a sweep, or go on with one."""

import os
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from raysweep import environment
from raysweep.config.load import parse
from raysweep.errors import RaysweepError
from raysweep.sweep import Options, resume_sweep, run_sweep
from raysweep.testing.chaos_schedule import Place
from raysweep.testing.nursery import die_with
from raysweep.testing.processes import ProcessRunner

MARK = "RAYSWEEP_CHAOS"
"""The variable that every process of a driver's carries; not the driver's own, whose number is known."""
MODULES = (
    "raysweep.testing.chaos_driver",
    "raysweep.results",
    "raysweep.search.tpe",
    "pyarrow.parquet",
    "tensorboardX",
)
"""Loaded once for all drivers; not Ray, which leaves threads behind."""
TRIAL_MODULES: Mapping[str, tuple[str, ...]] = {"lora": ("raysweep.engine.job",)}
"""Loaded once for all trials of a driver, by trainer."""


@dataclass(frozen=True)
class Orders:
    """What a driver is to do."""

    folder: Path
    """The sweep's."""
    settings: Mapping[str, object] | None
    """Of a new sweep; None goes on with the one in the folder."""
    place: Place
    mark: str
    trainer: str
    log: Path
    """Where what it prints is added."""
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of its environment: a host's key."""


def drive(orders: Orders, link: Connection) -> None:
    """Drive the sweep to its end, or to this process's; one word about how it ended goes over the link.

    That is an empty one for a sweep that ended, whatever the reason, else the error's.
    """
    _print_to(orders.log)
    for name, value in {MARK: orders.mark, **orders.variables}.items():
        environment.mark(name, value)
    die_with(link)
    try:
        with _options(orders) as options:
            if orders.settings is None:
                resume_sweep(orders.folder, (), options)
            else:
                run_sweep(parse(orders.settings, "chaos"), options)
        word = ""
    except RaysweepError as error:
        traceback.print_exc()
        word = f"{type(error).__name__}: {error}"
    except Exception as error:
        link.send(f"{type(error).__name__}: {error}")
        raise
    link.send(word)


@contextmanager
def _options(orders: Orders) -> Iterator[Options]:
    match orders.place:
        case Place.PROCESSES:
            runner = ProcessRunner(cpus=4.0, modules=TRIAL_MODULES.get(orders.trainer, ()))
            yield Options(folder=orders.folder, runner=runner)
        case Place.RAY:
            yield Options(folder=orders.folder, cluster="local", dashboard=False)
        case Place.RAY_NODES:
            with _nodes() as address:
                yield Options(folder=orders.folder, cluster=address, dashboard=False)


@contextmanager
def _nodes() -> Iterator[str]:
    """A cluster of this process's own: a head that takes no trial, so that its death is not the one looked for."""
    environment.prepare_for_ray()
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        yield cluster.address
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]  # Ray has no types here


def _print_to(log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
