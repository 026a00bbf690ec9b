"""The routes: one table of what stands behind which method and path, under every root that the wire has."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from raysweep.server import routes_files, routes_jobs, routes_models
from raysweep.server.calls import Desk, Handler, answered, json_response

TICK_S = 0.1
"""How often jobs go on while nobody calls."""

WIRE: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/files", routes_files.upload),
    ("GET", "/files", routes_files.files),
    ("GET", "/files/{id}", routes_files.file),
    ("DELETE", "/files/{id}", routes_files.delete),
    ("GET", "/files/{id}/content", routes_files.content),
    ("POST", "/fine_tuning/jobs", routes_jobs.create),
    ("GET", "/fine_tuning/jobs", routes_jobs.jobs),
    ("GET", "/fine_tuning/jobs/{id}", routes_jobs.job),
    ("POST", "/fine_tuning/jobs/{id}/cancel", routes_jobs.cancel),
    ("POST", "/fine_tuning/jobs/{id}/pause", routes_jobs.pause),
    ("POST", "/fine_tuning/jobs/{id}/resume", routes_jobs.resume),
    ("GET", "/fine_tuning/jobs/{id}/events", routes_jobs.events),
    ("GET", "/fine_tuning/jobs/{id}/checkpoints", routes_jobs.checkpoints),
    ("GET", "/models", routes_models.models),
    ("GET", "/models/{name:path}", routes_models.model),
    ("DELETE", "/models/{name:path}", routes_models.delete),
    ("POST", "/chat/completions", routes_models.chat),
)


def make_app(desk: Desk) -> Starlette:
    """The server as an ASGI application."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_tick, desk)
            yield
            tasks.cancel_scope.cancel()

    return Starlette(routes=list(_routes(desk)), lifespan=lifespan, exception_handlers={HTTPException: _no_route})


def _routes(desk: Desk) -> Iterator[Route]:
    for method, path, handler in WIRE:
        yield Route(f"/v1{path}", answered(desk, handler), methods=[method])


async def _tick(desk: Desk) -> None:
    """Jobs go on by themselves; a call sees them up to its own moment."""
    while True:
        desk.host.tick()
        await anyio.sleep(TICK_S)


async def _no_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    message = f"Invalid URL ({request.method} {request.url.path})"
    body = {"message": message, "type": "invalid_request_error", "param": None, "code": "unknown_url"}
    return json_response({"error": body}, status)
