"""`/files`: upload, list, look, read, delete."""

import base64

from starlette.datastructures import UploadFile
from starlette.responses import Response

from raysweep.server.calls import Call
from raysweep.server.pages import limit_of, page_of
from raysweep.server.records import StoredFile
from raysweep.server.refusal import bad, missing_parameter
from raysweep.server.replies import Reply, file_deleted, file_reply, list_reply

EXPIRES_S = (3600, 2_592_000)
"""What `expires_after` may be, in seconds (OpenAI's reference, 2026)."""


async def upload(call: Call) -> Reply:
    """POST /files, multipart."""
    async with call.request.form(max_part_size=2**20) as form:
        file, purpose = form.get("file"), form.get("purpose")
        if not isinstance(file, UploadFile):
            raise missing_parameter("file")
        if not isinstance(purpose, str):
            raise missing_parameter("purpose")
        expires_s = _expires_s(form.get("expires_after[anchor]"), form.get("expires_after[seconds]"))
        stored = call.host.upload(file.filename or "upload", purpose, await file.read(), expires_s)
    return _reply(call, stored)


async def files(call: Call) -> Reply:
    """GET /files."""
    purpose, order = call.query("purpose"), call.query("order") or "desc"
    if order not in ("asc", "desc"):
        raise bad(f"Invalid 'order': expected asc or desc, but got '{order}'.", param="order")
    found = [one for one in call.host.shelf.all(call.host.now_s()) if purpose in (None, one.purpose)]
    found = found[::-1] if order == "asc" else found
    limit = limit_of(call.query("limit"), 10_000, 10_000)
    page = page_of(found, lambda one: one.id, after=call.query("after"), limit=limit)
    return list_reply(page, lambda one: _reply(call, one), has_ends=True, has_more=call.host.faults.host.has_more)


async def file(call: Call) -> Reply:
    """GET /files/{id}."""
    return _reply(call, call.host.shelf.get(call.part("id"), call.host.now_s()))


async def content(call: Call) -> Response:
    """GET /files/{id}/content: the bytes; a result file as OpenAI gives it, base64, or as Azure does, plain."""
    stored = call.host.shelf.get(call.part("id"), call.host.now_s())
    raw = call.host.shelf.content(stored.id, call.host.now_s())
    if stored.purpose == "fine-tune-results" and call.dialect.has_base64_results:
        raw = base64.b64encode(raw)
    return Response(raw, media_type="application/octet-stream")


async def delete(call: Call) -> Reply:
    """DELETE /files/{id}."""
    call.host.shelf.delete(call.part("id"), call.host.now_s())
    return file_deleted(call.part("id"))


def _reply(call: Call, stored: StoredFile) -> Reply:
    return file_reply(stored, call.host.now_s(), call.dialect)


def _expires_s(anchor: object, seconds: object) -> int | None:
    if anchor is None and seconds is None:
        return None
    if anchor != "created_at":
        raise bad("Invalid 'expires_after.anchor': expected 'created_at'.", param="expires_after[anchor]")
    low, high = EXPIRES_S
    if not isinstance(seconds, str) or not seconds.isdecimal() or not low <= int(seconds) <= high:
        message = f"Invalid 'expires_after.seconds': expected an integer from {low} to {high}, but got '{seconds}'."
        raise bad(message, param="expires_after[seconds]")
    return int(seconds)
