"""The server as a child process: for rehearsals that start their own, and for tests; loads neither Ray nor torch."""

import contextlib
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from raysweep import environment
from raysweep.errors import RaysweepError

START_S = 60.0
"""How long a server may take until it says where it is."""


@dataclass
class Server:
    """A server that can be killed and started again, with the same state at the same port."""

    folder: Path
    """Its state, and what it said on stderr."""
    options: Sequence[str] = ()
    """Of `raysweep serve`, all but `--state`, `--port` and `--faults`."""
    key: str = field(default_factory=lambda: f"rs-{secrets.token_hex(16)}", repr=False)
    base_url: str = ""
    """Ends in `/v1`; known once it runs."""
    _process: "subprocess.Popen[str] | None" = field(default=None, repr=False)

    def start(self, *, faults: Mapping[str, object] | None = None) -> None:
        """Start it, or start it again. Raises RaysweepError with its own words where it does not come up."""
        words = [sys.executable, "-m", "raysweep.cli", "serve", "--state", str(self.folder / "state"), *self.options]
        words += ["--port", str(urlsplit(self.base_url).port or 0)]
        if faults is not None:
            (self.folder / "faults.yaml").write_text(yaml.safe_dump(dict(faults)), encoding="utf-8")
        if (self.folder / "faults.yaml").is_file():
            words += ["--faults", str(self.folder / "faults.yaml")]
        with self.stderr.open("ab") as errors:
            self._process = subprocess.Popen(
                words, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment.with_server_key(self.key)
            )
        self.base_url = self._first_line(self._process)

    def stop(self) -> None:
        """End it as a person would; it finishes the calls that it is busy with."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    @property
    def pid(self) -> int | None:
        """Of its process, while it runs."""
        return self._process.pid if self._process else None

    @property
    def stderr(self) -> Path:
        """What it said, over all its lives."""
        return self.folder / "stderr.txt"

    def _first_line(self, process: "subprocess.Popen[str]") -> str:
        late = threading.Timer(START_S, process.kill)
        late.start()
        try:
            line = process.stdout.readline().strip() if process.stdout else ""
        finally:
            late.cancel()
        if not line:
            self._end(signal.SIGKILL)
            said = self.stderr.read_text(encoding="utf-8", errors="replace").strip()
            raise RaysweepError(f"the server did not start: {said or f'nothing within {START_S:g} s'}")
        return line

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


@contextlib.contextmanager
def running_server(
    *options: str, folder: Path | None = None, faults: Mapping[str, object] | None = None
) -> Iterator[Server]:
    """A server with these options of `raysweep serve`; ended, and its folder gone, when the block is left.

    A folder that is given stays.
    """
    with contextlib.ExitStack() as stack:
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="raysweep-server-")))
        place.mkdir(parents=True, exist_ok=True)
        server = Server(place, options)
        stack.callback(server.kill)
        server.start(faults=faults)
        yield server
