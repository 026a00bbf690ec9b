"""Answers that are errors, in the one shape that the wire has for them."""

from collections.abc import Mapping

INVALID = "invalid_request_error"


class Refusal(Exception):  # noqa: N818  # an answer to a client, no error of ours
    """What the server says instead of a result: a status, and the body's four fields."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = INVALID,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"message": message, "type": type, "param": param, "code": code}
        self.headers = dict(headers or {})


def bad(message: str, *, param: str | None = None, code: str | None = "invalid_value") -> Refusal:
    """400: the request itself is at fault."""
    return Refusal(400, message, param=param, code=code)


def unknown_parameter(name: str) -> Refusal:
    """400: a field that the host does not take."""
    return bad(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")


def missing_parameter(name: str) -> Refusal:
    """400: a field that must be there."""
    return bad(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")


def no_such_file(file_id: str) -> Refusal:
    """404: no file of this id, or one that has expired."""
    return Refusal(404, f"No such File object: {file_id}", param="id")


def no_such_job(job_id: str) -> Refusal:
    """404: no job of this id."""
    return Refusal(404, f"Could not find fine tune: {job_id}", param="fine_tune_id", code="fine_tune_not_found")


def no_such_model(name: str) -> Refusal:
    """404: no model of this name, or not yet."""
    message = f"The model `{name}` does not exist or you do not have access to it."
    return Refusal(404, message, param="model", code="model_not_found")


def too_many(message: str, *, code: str, type: str = INVALID, retry_after_s: int | None = None) -> Refusal:
    """429: a limit is reached."""
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return Refusal(429, message, type=type, code=code, headers=headers)
