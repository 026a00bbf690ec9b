"""What every call goes through: the key, the rate, the script of faults, the time it took, errors in one shape."""

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TypeVar

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from raysweep.errors import RaysweepError
from raysweep.server.faults import Faults, LostCall, LostReply, NotJson, Slow, Wrong
from raysweep.server.host import Host
from raysweep.server.keys import Keys
from raysweep.server.limits import Meter
from raysweep.server.refusal import Refusal
from raysweep.server.replies import Dialect, Reply
from raysweep.server.store import Count

T = TypeVar("T")
logger = logging.getLogger(__name__)
Handler = Callable[["Call"], Awaitable["Reply | Response"]]
ROOTS = ("/openai/v1", "/v1", "/openai")
"""What a path may begin with; behind it all are alike."""


@dataclass(frozen=True)
class Office:
    """What the calls have in common."""

    host: Host
    keys: Keys
    meter: Meter
    hang_up: Callable[[Request], None]
    """Drops the connection of a request, at once."""
    counts: dict[str, int] = field(default_factory=dict)
    """How often each scripted rule's calls have come."""
    answered: Counter[str] = field(default_factory=Counter)
    """How often each route was called."""

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do something slow without holding up other calls."""
        return await anyio.to_thread.run_sync(work)


@dataclass(frozen=True)
class Call:
    """One request, with what it is answered from."""

    request: Request
    office: Office

    @property
    def host(self) -> Host:
        """All that is kept."""
        return self.office.host

    @property
    def dialect(self) -> Dialect:
        """As the host is at this moment."""
        settings = self.host.settings
        return Dialect(settings.rules.is_azure, settings.organization, self.host.faults)

    def query(self, name: str) -> str | None:
        """A parameter of the URL."""
        return self.request.query_params.get(name)

    def part(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])


def answered(office: Office, handler: Handler, *, status: int = 200) -> Callable[[Request], Awaitable[Response]]:
    """The handler with all that every call goes through."""

    async def endpoint(request: Request) -> Response:
        began_s = time.monotonic()
        office.answered[f"{request.method} {relative(request.scope['route'].path)}"] += 1
        faults = _faults(office, request)
        try:
            office.keys.check(request.headers, request.url.path, office.host.now_s())
            if any(isinstance(fault, LostCall) for fault in faults):
                return _dropped(office, request)
            _refuse(faults, _sent(request))
            office.meter.count(office.host.now_s())
            office.host.tick()
            reply = _page(faults) or await handler(Call(request, office))
            response = reply if isinstance(reply, Response) else json_response(reply, status)
        except Refusal as refusal:
            response = json_response({"error": refusal.error}, refusal.status, refusal.headers)
        except RaysweepError as error:
            logger.exception("%s %s", request.method, request.url.path)
            response = json_response({"error": server_error(str(error))}, 500)
        if any(isinstance(fault, LostReply) for fault in faults):
            return _dropped(office, request)
        await asyncio.sleep(sum(fault.slow_s for fault in faults if isinstance(fault, Slow)))
        return _headed(response, office, took_s=time.monotonic() - began_s)

    return endpoint


def json_response(reply: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """As JSON; NaN stays NaN, which a diverged job's losses are."""
    content = json.dumps(reply, ensure_ascii=False).encode()
    return Response(content, status, dict(headers or {}), media_type="application/json")


def relative(path: str) -> str:
    """The path below the wire's root."""
    for root in ROOTS:
        if path.startswith(root + "/"):
            return path.removeprefix(root)
    return path


def _faults(office: Office, request: Request) -> list[LostReply | LostCall | Slow | Wrong | NotJson]:
    """The rules that strike this call; all that are about such calls are counted, on disk too."""
    faults: Faults = office.host.faults
    struck = []
    for place, rule in enumerate(faults.calls):
        if rule.matches(request.method, relative(request.url.path)):
            name = f"{place} {rule.kind} {rule.call}"
            office.counts[name] = office.counts.get(name, 0) + 1
            office.host.store.save([Count(name, office.counts[name])])
            if not rule.nth or office.counts[name] in rule.nth:
                struck.append(rule)
    return struck


def _sent(request: Request) -> str:
    """The key or token that came with a call."""
    return request.headers.get("authorization", "").partition(" ")[2] or request.headers.get("api-key", "")


def _refuse(faults: list[LostReply | LostCall | Slow | Wrong | NotJson], sent: str) -> None:
    for fault in faults:
        if isinstance(fault, Wrong):
            headers = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
            if fault.should_retry is not None:
                headers["x-should-retry"] = str(fault.should_retry).lower()
            words = fault.message.replace("{key}", sent)
            raise Refusal(fault.status, words, type=fault.type, param=fault.param, code=fault.code, headers=headers)


def _page(faults: list[LostReply | LostCall | Slow | Wrong | NotJson]) -> Response | None:
    for fault in faults:
        if isinstance(fault, NotJson):
            return Response(fault.body, fault.status, media_type="text/html")
    return None


def _dropped(office: Office, request: Request) -> Response:
    office.hang_up(request)
    return Response(status_code=499)  # nobody is there to read it


def _headed(response: Response, office: Office, *, took_s: float) -> Response:
    response.headers["x-request-id"] = f"req_{token_hex(16)}"
    response.headers["openai-processing-ms"] = str(round(took_s * 1000))
    response.headers["openai-version"] = "2020-10-01"
    response.headers["openai-organization"] = office.host.settings.organization
    response.headers.update(office.meter.headers())
    if response.status_code == 429:
        response.headers.setdefault("Retry-After", "1")
    return response


def server_error(message: str) -> dict[str, object]:
    """The four fields of a 500."""
    return {"message": message, "type": "server_error", "param": None, "code": "server_error"}
