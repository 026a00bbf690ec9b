"""`/admin`: what only a rehearsal has. Off by default, on no host, and never below the wire's root.

Faults can be looked at and replaced, a clock that stands still moved on, short-lived tokens had for the key, and the
calls counted that were answered so far.
"""

from raysweep.clock import SimulatedClock
from raysweep.errors import ConfigError
from raysweep.server.calls import Call
from raysweep.server.faults import parse_faults
from raysweep.server.fields import Fields, parse_object
from raysweep.server.refusal import Refusal, bad, missing_parameter
from raysweep.server.replies import Reply
from raysweep.server.store import Count

CLOCK = "manual clock, ms"
"""Under which the store keeps a manual clock."""


async def faults(call: Call) -> Reply:
    """GET /admin/faults."""
    return call.host.faults.model_dump(mode="json")


async def put_faults(call: Call) -> Reply:
    """PUT /admin/faults: these from now on, in place of all others; what was counted for them begins at none."""
    try:
        call.host.faults = parse_faults(parse_object(await call.request.body()), "faults")
    except ConfigError as error:
        raise bad(str(error)) from error
    for name in list(call.office.counts):
        call.host.store.drop(Count, name)
        del call.office.counts[name]
    return await faults(call)


async def advance(call: Call) -> Reply:
    """POST /admin/clock {"advance_s": 60}: move a manual clock on."""
    clock = call.host.clock
    if not isinstance(clock, SimulatedClock):
        raise Refusal(409, "The clock is the machine's own; start the server with --clock manual.", code="conflict")
    seconds = Fields(parse_object(await call.request.body())).number("advance_s", low=0)
    if seconds is None:
        raise missing_parameter("advance_s")
    clock.sleep_s(seconds)
    call.host.store.save([Count(CLOCK, round(clock.elapsed_s * 1000))])
    call.host.tick()
    return {"now": call.host.now_s()}


async def token(call: Call) -> Reply:
    """POST /admin/token: a bearer for the key, as an identity service would give it."""
    keys = call.office.keys
    return {"access_token": keys.hand_out(call.host.now_s()), "token_type": "Bearer", "expires_in": keys.token_ttl_s}


async def most(call: Call) -> Reply:
    """GET /admin/most: the most jobs and deployments that there were at any time since the server started."""
    return {"jobs": call.host.book.most, "deployments": call.host.deployments.most}


async def calls(call: Call) -> Reply:
    """GET /admin/calls: how many of each there were since the server started, as METHOD PATTERN."""
    return dict(call.office.answered)
