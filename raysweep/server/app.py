"""The routes: one table of what stands behind which method and path, under every root that the wire has."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from raysweep.errors import RaysweepError
from raysweep.server import routes_admin, routes_azure, routes_files, routes_jobs, routes_models
from raysweep.server.calls import Call, Handler, Office, answered, json_response, server_error
from raysweep.server.refusal import INVALID
from raysweep.server.replies import Reply

logger = logging.getLogger(__name__)
TICK_S = 0.1
"""How often jobs go on while nobody calls."""


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    method: str
    path: str
    handler: Handler


WIRE = (
    Line("POST", "/files", routes_files.upload),
    Line("GET", "/files", routes_files.files),
    Line("GET", "/files/{id}", routes_files.file),
    Line("DELETE", "/files/{id}", routes_files.delete),
    Line("GET", "/files/{id}/content", routes_files.content),
    Line("POST", "/fine_tuning/jobs", routes_jobs.create),
    Line("GET", "/fine_tuning/jobs", routes_jobs.jobs),
    Line("GET", "/fine_tuning/jobs/{id}", routes_jobs.job),
    Line("POST", "/fine_tuning/jobs/{id}/cancel", routes_jobs.cancel),
    Line("POST", "/fine_tuning/jobs/{id}/pause", routes_jobs.pause),
    Line("POST", "/fine_tuning/jobs/{id}/resume", routes_jobs.resume),
    Line("GET", "/fine_tuning/jobs/{id}/events", routes_jobs.events),
    Line("GET", "/fine_tuning/jobs/{id}/checkpoints", routes_jobs.checkpoints),
    Line("GET", "/models", routes_models.models),
    Line("GET", "/models/{name:path}", routes_models.model),
    Line("DELETE", "/models/{name:path}", routes_models.delete),
    Line("POST", "/chat/completions", routes_models.chat),
)
AZURE = (
    Line("DELETE", "/fine_tuning/jobs/{id}", routes_azure.delete_job),
    Line("POST", "/deployments/{deployment}/chat/completions", routes_models.chat),
)
MANAGEMENT = (
    Line("GET", routes_azure.ACCOUNT, routes_azure.deployments),
    Line("GET", routes_azure.ACCOUNT + "/{name}", routes_azure.deployment),
    Line("PUT", routes_azure.ACCOUNT + "/{name}", routes_azure.put_deployment),
    Line("DELETE", routes_azure.ACCOUNT + "/{name}", routes_azure.delete_deployment),
)
ADMIN = (
    Line("GET", "/admin/faults", routes_admin.faults),
    Line("PUT", "/admin/faults", routes_admin.put_faults),
    Line("POST", "/admin/clock", routes_admin.advance),
    Line("POST", "/admin/token", routes_admin.token),
    Line("GET", "/admin/calls", routes_admin.calls),
    Line("GET", "/admin/most", routes_admin.most),
)


def make_app(office: Office, *, has_admin: bool = False) -> Starlette:
    """The server as an ASGI application."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_tick, office)
            yield
            tasks.cancel_scope.cancel()

    handlers = {HTTPException: _no_route, Exception: _broken}
    return Starlette(routes=list(_routes(office, has_admin=has_admin)), lifespan=lifespan, exception_handlers=handlers)


def _routes(office: Office, *, has_admin: bool) -> Iterator[Route]:
    lines = [Line(line.method, f"/v1{line.path}", line.handler) for line in WIRE]
    if office.host.settings.rules.is_azure:
        for line in (*WIRE, *AZURE):
            lines.append(Line(line.method, f"/openai/v1{line.path}", line.handler))
            lines.append(Line(line.method, f"/openai{line.path}", _dated(line.handler)))
        lines += MANAGEMENT
    for line in (*lines, *(ADMIN if has_admin else ())):
        yield Route(line.path, answered(office, line.handler), methods=[line.method])


def _dated(handler: Handler) -> Handler:
    """The same for a route that demands `api-version`."""

    async def dated(call: Call) -> Reply | Response:
        routes_azure.check_version(call)
        return await handler(call)

    return dated


async def _tick(office: Office) -> None:
    """Jobs go on by themselves; a call sees them up to its own moment."""
    while True:
        try:
            office.host.tick()
        except RaysweepError:
            logger.exception("jobs cannot go on")  # calls say so too; the next tick tries again
        await anyio.sleep(TICK_S)


async def _no_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    message, code = f"Invalid URL ({request.method} {request.url.path})", "unknown_url"
    if isinstance(error, HTTPException) and status not in (404, 405):
        message, code = error.detail, "invalid_request"
    return json_response({"error": {"message": message, "type": INVALID, "param": None, "code": code}}, status)


async def _broken(_request: Request, error: Exception) -> Response:
    """A mistake of ours, which uvicorn logs; clients get the shape that they know."""
    return json_response({"error": server_error(f"The server broke: {type(error).__name__}")}, 500)
