"""From settings to a running server: `raysweep serve`."""

import socket
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from starlette.requests import Request

from raysweep import assets
from raysweep.catalogue import ASSETS
from raysweep.clock import RealClock, SimulatedClock
from raysweep.errors import ConfigError
from raysweep.server.app import make_app
from raysweep.server.calls import Office
from raysweep.server.engine import Engine
from raysweep.server.faults import Faults, load_faults
from raysweep.server.host import Host, HostSettings
from raysweep.server.keys import Keys
from raysweep.server.limits import Meter
from raysweep.server.routes_admin import CLOCK
from raysweep.server.store import Count, Store
from raysweep.server.synthetic import Pace, SyntheticEngine


@dataclass(frozen=True)
class Settings:
    """Everything that the command line can say."""

    key: str = field(repr=False)
    engine: str = "synthetic"
    model: str = "smollm2-135m"
    """Of the lora engine: an asset or a folder, whatever name clients have for it."""
    host: str = "127.0.0.1"
    port: int = 0
    """0: one that is free."""
    state: Path | None = None
    """None: a folder that is gone when the server ends."""
    faults: Path | None = None
    hosting: HostSettings = field(default_factory=HostSettings)
    pace: Pace = field(default_factory=Pace)
    has_admin: bool = False
    """Whether the routes below /admin are there."""
    is_clock_manual: bool = False
    """The clock stands still but for /admin/clock."""
    takes_key: bool = True
    """False: the wire takes nothing but tokens of /admin/token."""
    token_ttl_s: float = 3600.0


def serve(settings: Settings) -> None:
    """Serve until a signal comes. The first line of stdout is the base URL.

    Raises ConfigError for an address that cannot be had, InputError or DiskError for a state folder.
    """
    listener = _listener(settings.host, settings.port)
    if settings.state is not None:
        _serve(settings, settings.state, listener)
        return
    with tempfile.TemporaryDirectory(prefix="raysweep-server-") as folder:
        _serve(settings, Path(folder), listener)


def _serve(settings: Settings, folder: Path, listener: socket.socket) -> None:
    faults = load_faults(settings.faults) if settings.faults else Faults()
    store = Store(folder, settings.engine)
    counts = {count.name: count.n for count in store.load(Count)}
    clock = SimulatedClock(counts.pop(CLOCK, 0) / 1000) if settings.is_clock_manual else RealClock()
    host = Host(store, _engine(settings, folder), clock, settings.hosting, faults)
    meter = Meter(settings.hosting.limits.requests_per_minute)
    connections = _Connections()
    keys = Keys(settings.key, settings.takes_key, settings.token_ttl_s)
    office = Office(host, keys, meter, connections.hang_up, counts)
    config = uvicorn.Config(
        make_app(office, has_admin=settings.has_admin), log_level="warning", access_log=False, lifespan="on"
    )
    connections.server = server = uvicorn.Server(config)
    sys.stdout.write(f"{base_url(settings, listener)}\n")
    sys.stdout.flush()
    try:
        server.run(sockets=[listener])
    finally:
        host.close()


def base_url(settings: Settings, listener: socket.socket) -> str:
    """What clients are pointed at."""
    port = listener.getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{port}{'/openai' if settings.hosting.rules.is_azure else ''}/v1"


def _engine(settings: Settings, folder: Path) -> Engine:
    if settings.engine == "synthetic":
        return SyntheticEngine(settings.pace)
    from raysweep.server.lora import LoraEngine

    named = Path(settings.model)
    if not named.is_dir() and settings.model not in ASSETS:
        raise ConfigError(f"--model {settings.model}: neither a folder nor a bundled model, such as smollm2-135m")
    model = named if named.is_dir() else assets.path(settings.model)
    if not (model / "config.json").is_file() or "CausalLM" not in (model / "config.json").read_text(encoding="utf-8"):
        raise ConfigError(
            f"--model {settings.model}: not a causal model's folder: its config.json names no …ForCausalLM"
        )
    return LoraEngine(str(model.absolute()), folder.absolute() / "lora")


def _listener(host: str, port: int) -> socket.socket:
    """A socket that listens from this moment on, so that the URL is true once it is printed."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise ConfigError(f"--host {host} --port {port}: cannot listen there: {error}; choose another port") from error


class _Connections:
    """Finds the connection of a request, to drop it as a broken network would."""

    def __init__(self) -> None:
        self.server: uvicorn.Server | None = None

    def hang_up(self, request: Request) -> None:
        """Close it at once, with nothing said."""
        if self.server is None or request.client is None:
            return
        for connection in self.server.server_state.connections:
            transport = connection.transport
            if transport is not None and transport.get_extra_info("peername")[:2] == tuple(request.client):
                transport.abort()
