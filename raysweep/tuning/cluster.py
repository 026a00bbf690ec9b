"""Joins a Ray cluster or starts one, quietly."""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray

from raysweep import environment
from raysweep.errors import ClusterError
from raysweep.tuning import contract
from raysweep.tuning.runner import Cluster

PROBE_S = 2.0
"""Ray itself waits for over a minute for a head that is not there."""


@contextmanager
def joined(address: str, *, dashboard: bool = True) -> Iterator[Cluster]:
    """A Ray cluster for as long as the block runs.

    `address`: `auto` joins the one of $RAY_ADDRESS or a head that `ray start` made on this host, else starts one;
    `local` always starts one; anything else is joined. One that this process has joined already is used as it is.
    Raises ClusterError where there is none at the address.
    """
    contract.check()
    if ray.is_initialized():
        yield _look("the Ray cluster that this process has joined already", None)
        return
    target = _find() if address == "auto" else None if address == "local" else address
    _quiet()
    url = _start(dashboard) if target is None else _join(target)
    _quiet()
    words = f"the Ray cluster at {target}" if target else "a Ray cluster started on this machine"
    try:
        yield _look(words, url)
    finally:
        ray.shutdown()


def _find() -> str | None:
    """$RAY_ADDRESS, else the head that `ray start` wrote down on this host, where it still answers."""
    named = environment.ray_address()
    if named:
        return None if named == "local" else named
    note = Path(ray._common.utils.get_ray_address_file(None))
    address = note.read_text(encoding="utf-8").strip() if note.is_file() else ""
    return address if address and _answers(address) else None


def _join(address: str) -> str | None:
    if not address.startswith("ray://") and address != "auto" and not _answers(address):
        raise ClusterError(
            f"--cluster {address}: nothing answers there; start a head with `ray start --head`, or use --cluster local"
        )
    try:
        context = ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=True)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterError(f"--cluster {address}: cannot join it: {error}") from error
    return _url(context)


def _start(dashboard: bool) -> str | None:
    context = ray.init(
        address="local",
        include_dashboard=dashboard,
        dashboard_host="127.0.0.1",
        _node_ip_address="127.0.0.1",  # else every port of Ray's listens to the whole network
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    return _url(context) if dashboard else None


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ClusterError(f"--cluster {address}: not an address; write auto, local or HOST:PORT")
    try:
        socket.create_connection((host, int(port)), timeout=PROBE_S).close()
    except OSError:
        return False
    return True


def _look(words: str, url: str | None) -> Cluster:
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray has no types here
    return Cluster(words, resources.get("CPU", 0.0), resources.get("GPU", 0.0), url)


def _url(context: object) -> str | None:
    url = getattr(context, "dashboard_url", None)
    return f"http://{url}" if url else None


def _quiet() -> None:
    for name in ("ray", "ray.tune", "ray.data", "ray._private"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
