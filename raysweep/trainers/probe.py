"""Measures how a host behaves, by two tiny jobs: one is cancelled, one runs to its end.

One job cannot do both: a cancelled job has no results and no whole count of tokens, and one that has ended cannot be
cancelled any more.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from raysweep.trainers import probe_looks as looks
from raysweep.trainers.facts import Filter, Measured
from raysweep.trainers.host_errors import HostError, No
from raysweep.trainers.hosted import KEY_TAG, HostedJob
from raysweep.trainers.probe_host import Made, ProbeHost
from raysweep.trainers.wire_metrics import encoding_of

START_S, CANCEL_S = 900.0, 600.0
"""How long a job's start is waited for before it is cancelled where it stands, and how long the cancel may take."""
LISTED_S, FILTERED_S = 900.0, 60.0
END_S = 3 * 3600.0
SETTLE_S = 30.0
"""How long after a job's end its news may come in."""
NOBODY = "nobody-has-this-key"
Seen = TypeVar("Seen")


class Probe:
    """One round of measurements. `say` is told what happens, for a person."""

    def __init__(
        self, host: ProbeHost, *, training: int, validation: int, n_epochs: int, say: Callable[[str], None]
    ) -> None:
        """`training`, `validation`: tokens of one pass over each file, at most."""
        self._host = host
        self._clock = host.clock
        self._training, self._validation, self._n_epochs = training, validation, n_epochs
        self._say = say
        self._seen = Measured()

    def measure(self) -> Measured:
        """All that can be measured, and why the rest could not. Raises HostError where the host does not play along."""
        self._cancel_one()
        self._run_one()
        return self._seen

    def _cancel_one(self) -> None:
        made = self._host.make(0)
        self._say(f"job {made.job.id} was made, to be cancelled as soon as it trains")
        waiting = self._host.dialect.waiting_states
        job = self._wait(made.job.id, lambda one: one.is_final or one.status not in waiting, START_S)
        if job.is_final:
            self._note(cancel_s=f"the job had ended before ({job.status})")
            return
        began_s, status = self._clock.monotonic_s(), job.status
        job = self._host.cancel(job.id)
        if not job.is_final:
            job = self._wait(job.id, lambda one: one.is_final, CANCEL_S)
        if not job.is_final:
            self._note(cancel_s=f"the job was still {job.status} {CANCEL_S:g} s after its cancel")
        elif job.has_succeeded:
            self._note(cancel_s="the job came to its end before the cancel took effect")
        else:
            cancel_s = round(self._clock.monotonic_s() - began_s, 2)
            tokens = job.trained_tokens
            self._seen = replace(self._seen, cancel_s=cancel_s, cancelled_while=status, cancelled_tokens=tokens)

    def _run_one(self) -> None:
        made = self._host.make(1)
        self._say(f"job {made.job.id} was made, to run to its end")
        if self._is_listed(made):
            self._look_at_filter(made.job)
        page = self._host.calls.again(lambda: self._host.client.page("/fine_tuning/jobs?limit=1"))
        self._seen = replace(self._seen, has_more="has_more" in page)
        job = self._wait(made.job.id, lambda one: one.is_final, END_S)
        self._look_at_events(job)
        if job.has_succeeded:
            self._look_at_results(job)
            return
        why = f"the job ended as {job.status}: {job.error or job.error_code or 'the host does not say why'}"
        why = why if job.is_final else f"the job was still {job.status} after {END_S / 3600:g} h"
        self._note(checkpoints=why, result_encoding=why, trained_tokens=why)

    def _is_listed(self, made: Made) -> bool:
        while True:
            listed = self._host.calls.again(self._host.client.jobs)
            lag_s = self._clock.monotonic_s() - made.at_s
            if any(job.id == made.job.id for job in listed):
                break
            if lag_s > LISTED_S:
                why = f"the list did not hold the job after {LISTED_S:g} s"
                self._note(listing_lag_s=why, metadata_filter=why)
                return False
            self._clock.sleep_s(_interval_s(lag_s))
        if made.was_lost:
            self._note(listing_lag_s="the answer to the create was lost, so nobody knows when the job was made")
        else:
            self._seen = replace(self._seen, listing_lag_s=round(lag_s, 2))
        return True

    def _look_at_filter(self, job: HostedJob) -> None:
        """By a value that no job has, and by the job's own; the filter may be later than the list."""
        found = self._patiently(lambda: self._filter(job), lambda one: one != "empty", FILTERED_S)
        self._seen = replace(self._seen, metadata_filter=found)

    def _filter(self, job: HostedJob) -> Filter:
        client, calls = self._host.client, self._host.calls
        try:
            if calls.again(lambda: client.jobs({KEY_TAG: NOBODY})):
                return "ignored"
            mine = calls.again(lambda: client.jobs({KEY_TAG: self._host.order.key(1)}))
        except HostError as error:
            if error.no not in (No.PARAMS, No.NOT_FOUND):
                raise
            return "refused"
        return "works" if [job.id] == [one.id for one in mine] else "empty"

    def _look_at_events(self, job: HostedJob) -> None:
        path = f"/fine_tuning/jobs/{job.id}/events?limit=100"
        try:
            events = self._patiently(
                lambda: looks.items(self._host.calls.again(lambda: self._host.client.page(path))),
                looks.has_metrics,
                SETTLE_S,
            )
        except HostError as error:
            if error.no is not No.NOT_FOUND:
                raise
            events = ()
        order = looks.order_of(events)
        if order is None:
            self._note(events_order="there were too few events, or all of one moment")
        has_metrics = looks.has_metrics(events)
        is_told = has_metrics or job.has_succeeded
        self._seen = replace(self._seen, events_order=order, metric_events=has_metrics if is_told else None)
        if not is_told:
            self._note(metric_events=f"the job ended as {job.status}")

    def _look_at_results(self, job: HostedJob) -> None:
        done = self._patiently(
            lambda: self._host.look(job.id),
            lambda one: one.trained_tokens is not None and bool(one.result_files),
            SETTLE_S,
        )
        self._seen = replace(self._seen, checkpoints=self._has_checkpoints(job.id))
        self._look_at_tokens(done.trained_tokens)
        if not done.result_files:
            self._note(result_encoding="the job has no result file")
            return
        content = self._host.calls.again(lambda: self._host.client.content(done.result_files[0]))
        encoding = encoding_of(content)
        self._seen = replace(self._seen, result_encoding=encoding)
        if encoding is None:
            self._note(result_encoding="the result file is no table that raysweep knows")

    def _has_checkpoints(self, job_id: str) -> bool:
        try:
            return bool(self._host.calls.again(lambda: self._host.client.checkpoints(job_id)))
        except HostError as error:
            if error.no is not No.NOT_FOUND:
                raise
            return False

    def _look_at_tokens(self, trained: int | None) -> None:
        at_most = self._n_epochs * self._training
        self._seen = replace(self._seen, trained_tokens=trained, tokens_at_most=at_most)
        if not trained:
            self._note(trained_tokens="the host does not say what the job has trained")
            return
        counted = looks.counted(trained, n_epochs=self._n_epochs, training=self._training, validation=self._validation)
        self._seen = replace(self._seen, tokens_counted=counted)

    def _wait(self, job_id: str, is_enough: Callable[[HostedJob], bool], at_most_s: float) -> HostedJob:
        """Look until it is enough, or the time is up."""
        began_s, status = self._clock.monotonic_s(), ""
        while True:
            job = self._host.look(job_id)
            waited_s = self._clock.monotonic_s() - began_s
            if job.status != status:
                self._say(f"job {job_id}: {job.status}")
                status = job.status
            if is_enough(job) or waited_s > at_most_s:
                return job
            self._clock.sleep_s(_interval_s(waited_s))

    def _patiently(self, look: Callable[[], Seen], is_good: Callable[[Seen], bool], at_most_s: float) -> Seen:
        """Look again while it is not good, for so long."""
        began_s = self._clock.monotonic_s()
        while True:
            seen = look()
            waited_s = self._clock.monotonic_s() - began_s
            if is_good(seen) or waited_s > at_most_s:
                return seen
            self._clock.sleep_s(_interval_s(waited_s))

    def _note(self, **why: str) -> None:
        self._seen = replace(self._seen, unmeasured={**self._seen.unmeasured, **why})


def _interval_s(waited_s: float) -> float:
    """Half a second at first, up to ten: a tenth of what has passed."""
    return min(10.0, max(0.5, waited_s / 10))
