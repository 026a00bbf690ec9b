"""The files at a host, by name: a name carries its content's hash, so that equal content is never uploaded twice."""

import threading

from raysweep.clock import Clock
from raysweep.trainers.gate_calls import Calls
from raysweep.trainers.gate_client import WireClient
from raysweep.trainers.host_errors import HostError, No
from raysweep.trainers.hosted import HostedFile

DEAD = frozenset({"error", "deleting", "deleted"})
"""Every other state, and none, means a file that can be named in a job (Nebius says null, 2026)."""
BELIEVED_S = 300.0
MARGIN_S = 24 * 3600.0
"""A file that expires within a job's life is no use."""


class Files:
    """Finds and uploads; one upload a name at a time."""

    def __init__(self, client: WireClient, calls: Calls, cap: int | None, clock: Clock) -> None:
        self._client = client
        self._calls = calls
        self._cap = cap
        self._clock = clock
        self._lock = threading.Lock()
        self._ids: dict[str, str] = {}
        self._n_files = 0
        self._read_at_s = float("-inf")

    def find(self, name: str) -> str | None:
        """The id of a file of this name that can be trained on now."""
        with self._lock:
            return self._find(name)

    def upload(self, name: str, content: bytes) -> str:
        """The id of the one file of this name. Raises HostError (full) where the host takes no more."""
        with self._lock:
            known = self._find(name)
            if known is not None:
                return known
            if self._cap is not None and self._n_files >= self._cap:
                raise HostError(f"upload of {name}", No.FULL, f"the host keeps {self._n_files} files, its limit")
            self._ids[name] = self._calls.again(lambda: self._client.upload(name, content))
            self._n_files += 1
            return self._ids[name]

    def forget(self) -> None:
        """One of them is not what it was: read the list again."""
        with self._lock:
            self._read_at_s = float("-inf")
            self._ids.clear()

    def _find(self, name: str) -> str | None:
        now_s = self._clock.monotonic_s()
        if name not in self._ids or now_s - self._read_at_s > BELIEVED_S:
            listed = self._calls.again(self._client.files)
            self._n_files = len(listed)
            self._ids |= {one.name: one.id for one in reversed(listed) if self._is_alive(one)}
            for gone in set(self._ids.values()) - {one.id for one in listed if self._is_alive(one)}:
                self._ids = {known: id_ for known, id_ in self._ids.items() if id_ != gone}
            self._read_at_s = now_s
        return self._ids.get(name)

    def _is_alive(self, file: HostedFile) -> bool:
        today_s = self._client.time.now_s()
        return file.status not in DEAD and (file.expires_at_s is None or file.expires_at_s > today_s + MARGIN_S)
