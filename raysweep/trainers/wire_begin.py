"""How a job comes to be at a host exactly once: looked for, adopted, made, after a doubtful answer looked for again."""

from collections.abc import Callable
from dataclasses import replace

from raysweep.clock import Clock
from raysweep.errors import Fault, JobFailed
from raysweep.jobs import JobSpec
from raysweep.trainers import wire_record
from raysweep.trainers.dialects import UNKNOWN_LAG_S, Dialect
from raysweep.trainers.host_errors import HostError
from raysweep.trainers.hosted import Gate, HostedJob, JobRequest
from raysweep.trainers.wire_record import Record

LOOK_S = 2.0
"""How often a job is looked for that may not be listed yet."""


class Beginning:
    """Brings one attempt's job about. Its record says before each create that one is sent."""

    def __init__(
        self, spec: JobSpec, gate: Gate, dialect: Dialect, make_request: Callable[[], JobRequest], clock: Clock
    ) -> None:
        self._spec = spec
        self._gate = gate
        self._dialect = dialect
        self._make_request = make_request
        self._clock = clock
        self._doubt_since_s: float | None = None
        self._looked_at_s = float("-inf")
        self._is_looked_up = False
        self.record = wire_record.load(spec.folder, spec.key)
        if self.record.is_creating:
            self._doubt_since_s = clock.monotonic_s()

    def attempt(self) -> HostedJob | None:
        """The attempt's one job, or None while it has to wait: for a permit, or for the host's list to be whole.

        Raises JobFailed (unknown) where nobody will ever know whether there is a job, HostError for a no.
        """
        if self._doubt_since_s is not None:
            return self._look_again(self._doubt_since_s)
        if not self._is_looked_up:
            found = self._gate.find(self._spec.sweep_id, self._spec.key, thorough=False)
            self._is_looked_up = True
            if found is not None:
                return self._accept(found, self.record.files)
        return self._create()

    def _create(self) -> HostedJob | None:
        request = self._make_request()
        files = (request.training_file, request.validation_file)
        self._save(replace(self.record, is_creating=True, files=files))
        try:
            made = self._gate.create(request)
        except HostError as error:
            if error.meaning.is_ambiguous:
                self._doubt_since_s = self._clock.monotonic_s()
                return None
            self._save(replace(self.record, is_creating=False))
            raise
        if made is None:
            self._save(replace(self.record, is_creating=False))
            return None
        return self._accept(made, files)

    def _look_again(self, since_s: float) -> HostedJob | None:
        """After a create whose answer nobody heard."""
        now_s = self._clock.monotonic_s()
        lag_s = self._dialect.lag_s
        is_settled = now_s >= since_s + lag_s
        if not is_settled and now_s < self._looked_at_s + LOOK_S:
            return None
        found = self._gate.find(self._spec.sweep_id, self._spec.key, thorough=True)
        self._looked_at_s = now_s
        if found is not None:
            return self._accept(found, self.record.files)
        if not is_settled:
            return None
        if self._dialect.listing_lag_s is None:
            raise JobFailed(
                f"job {self._spec.key}: its create was lost, the host lists none after {UNKNOWN_LAG_S:g} s, and nobody "
                "knows how long its list lags behind; look with `raysweep jobs`, and set trainer.listing_lag_s in a "
                "new sweep once it is known",
                Fault.UNKNOWN,
            )
        self._doubt_since_s = None
        self._save(replace(self.record, is_creating=False))
        return None

    def _accept(self, job: HostedJob, files: tuple[str, ...]) -> HostedJob:
        self._doubt_since_s = None
        self._save(replace(self.record, is_creating=False, job_id=job.id, files=files or job.files))
        return job

    def _save(self, record: Record) -> None:
        self.record = record
        wire_record.save(self._spec.folder, record)
