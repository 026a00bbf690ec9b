"""`/fine_tuning/jobs`: create, list, look, cancel, pause, resume, events, checkpoints."""

import random
from collections.abc import Sequence

from starlette.responses import Response

from raysweep.server import happenings as on
from raysweep.server.calls import Call, json_response
from raysweep.server.pages import limit_of, page_of
from raysweep.server.records import Event, Job
from raysweep.server.refusal import bad
from raysweep.server.replies import Reply, checkpoint_reply, event_reply, job_reply, list_reply


async def create(call: Call) -> Response:
    """POST /fine_tuning/jobs; `Idempotency-Key` is honoured, which no host is known to do."""
    made = call.host.create(await call.request.body(), call.request.headers.get("idempotency-key"))
    return json_response(_reply(call, made), 201 if call.dialect.is_azure else 200)


async def jobs(call: Call) -> Reply:
    """GET /fine_tuning/jobs, newest first; `metadata[k]=v` pairs must all match, `metadata=null` means none at all."""
    found = [job for job in call.host.jobs() if _fits(call, job)]
    if call.host.faults.host.metadata_filter == "empty" and _wanted(call) is not None:
        found = []
    page = page_of(found, lambda job: job.id, after=call.query("after"), limit=limit_of(call.query("limit"), 20, 100))
    return list_reply(page, lambda job: _reply(call, job), has_ends=False, has_more=call.host.faults.host.has_more)


async def job(call: Call) -> Reply:
    """GET /fine_tuning/jobs/{id}."""
    return _reply(call, call.host.book.get(call.part("id")))


async def cancel(call: Call) -> Reply:
    """POST /fine_tuning/jobs/{id}/cancel; again is fine, after another end it is refused."""
    return _reply(call, call.host.ask(call.part("id"), on.CancelAsked()))


async def pause(call: Call) -> Reply:
    """POST /fine_tuning/jobs/{id}/pause."""
    return _reply(call, call.host.ask(call.part("id"), on.PauseAsked()))


async def resume(call: Call) -> Reply:
    """POST /fine_tuning/jobs/{id}/resume."""
    return _reply(call, call.host.ask(call.part("id"), on.ResumeAsked()))


async def events(call: Call) -> Reply:
    """GET /fine_tuning/jobs/{id}/events: newest first, or as the dialect has it."""
    burst_s, now_s = call.host.faults.host.burst_s, call.host.now_s()
    shown_until_s = now_s // burst_s * burst_s if burst_s else now_s
    log = [event for event in call.host.book.events(call.part("id")) if event.created_at_s <= shown_until_s]
    if not call.host.faults.host.metric_events:
        log = [event for event in log if event.kind != "metrics"]
    log = log if call.dialect.is_oldest_first else log[::-1]
    torn = _torn(log, call.host.faults.torn(call.host.book.get(call.part("id"))))
    page = page_of(
        torn, lambda event: event.id, after=call.query("after"), limit=limit_of(call.query("limit"), 20, 1000)
    )
    has_more = call.host.faults.host.has_more
    return list_reply(page, lambda event: event_reply(event, call.dialect), has_ends=False, has_more=has_more)


async def checkpoints(call: Call) -> Reply:
    """GET /fine_tuning/jobs/{id}/checkpoints: newest first."""
    found = call.host.book.checkpoints(call.part("id"))
    limit = limit_of(call.query("limit"), 10, 100)
    page = page_of(found, lambda one: one.id, after=call.query("after"), limit=limit)
    return list_reply(page, checkpoint_reply, has_ends=True, has_more=call.host.faults.host.has_more)


def _reply(call: Call, job: Job) -> Reply:
    host = call.host
    return job_reply(job, call.dialect, now_s=host.now_s(), ends_at_s=host.engine.ends_at_s(job))


def _wanted(call: Call) -> dict[str, str] | None:
    """The pairs that the list is to be filtered by; an empty dict where jobs without any are wanted."""
    pairs = {
        name[len("metadata[") : -1]: value
        for name, value in call.request.query_params.multi_items()
        if name.startswith("metadata[") and name.endswith("]")
    }
    if pairs:
        return pairs
    plain = call.query("metadata")
    if plain not in (None, "null"):
        raise bad("Invalid 'metadata': expected metadata[key]=value, or null.", param="metadata")
    return {} if plain == "null" else None


def _fits(call: Call, job: Job) -> bool:
    wanted = _wanted(call)
    if wanted is None or call.host.faults.host.metadata_filter == "ignored":
        return True
    said = job.order.metadata or {}
    return not said if not wanted else all(said.get(name) == value for name, value in wanted.items())


def _torn(log: list[Event], how: Sequence[str]) -> list[Event]:
    """The log as a faulty host lists it; the same at every look, so that pages fit together."""
    if "missing" in how:
        log = [event for event in log if event.number % 3]
    if "shuffled" in how:
        log = sorted(log, key=lambda event: random.Random(event.id).random())
    if "duplicated" in how:
        log = [event for event in log for _ in range(1 + event.number % 2)]
    return log
