"""From the SDK's objects to plain values. The SDK checks nothing: a null where a value should be passes through it."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from raysweep.trainers.dialects import Dialect
from raysweep.trainers.hosted import KEY_TAG, SWEEP_TAG, Answer, HostedJob, Point, Token
from raysweep.trainers.wire_metrics import point_of

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion
    from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent
    from openai.types.fine_tuning.jobs import FineTuningJobCheckpoint

_TITLE, _TAG = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL), re.compile(r"<[^>]*>")
_KEY = re.compile(r"([a-z0-9]{8})-\d{4,}-\d+$")
"""What a suffix ends with, at a host that keeps no metadata."""


def job_type() -> "type[FineTuningJob]":
    """What the SDK is to make of a job."""
    from openai.types.fine_tuning import FineTuningJob

    return FineTuningJob


def job(found: "FineTuningJob", dialect: Dialect) -> HostedJob:
    """A job; one without metadata is known by its suffix."""
    metadata = _mapping(found.metadata)
    suffix = _KEY.search(str((found.model_extra or {}).get("user_provided_suffix") or ""))
    status = str(found.status or "unknown")
    return HostedJob(
        id=found.id,
        key=str(metadata.get(KEY_TAG) or (suffix[0] if suffix else "")),
        sweep_id=str(metadata.get(SWEEP_TAG) or (suffix[1] if suffix else "")),
        status=status,
        is_final=status in dialect.final_states,
        created_at_s=float(found.created_at or 0),
        finished_at_s=float(found.finished_at) if found.finished_at else None,
        model=found.fine_tuned_model or None,
        error_code=(found.error.code or "") if found.error else "",
        error=(found.error.message or "") if found.error else "",
        error_param=(found.error.param or "") if found.error else "",
        trained_tokens=found.trained_tokens,
        n_epochs=_n_epochs(found),
        files=tuple(one for one in (found.training_file, found.validation_file) if one),
        result_files=tuple(found.result_files or ()),
    )


def event_point(event: "FineTuningJobEvent") -> Point | None:
    """What an event measured; None for one that only says something."""
    return point_of(_mapping(event.data), event.message or "")


def checkpoint_point(checkpoint: "FineTuningJobCheckpoint", dialect: Dialect) -> Point | None:
    """What a checkpoint measured; where no events do, its loss is the epoch's."""
    measured = checkpoint.metrics.model_dump() if checkpoint.metrics else {}
    measured |= {"step": checkpoint.step_number or measured.get("step")}
    if not dialect.has_metric_events and measured.get("full_valid_loss") is None:
        measured["full_valid_loss"] = measured.get("valid_loss")
    return point_of(measured)


def answer(completion: "ChatCompletion") -> Answer:
    """What a model wrote, with the tokens that it might have written."""
    choice = completion.choices[0]
    content = choice.logprobs.content if choice.logprobs and choice.logprobs.content else []
    tokens = tuple(
        Token(one.token, tuple((top.token, top.logprob) for top in one.top_logprobs or ())) for one in content
    )
    return Answer(choice.message.content or "", tokens)


def shutdown_date(said: Mapping[str, object]) -> str | None:
    """When a model will be switched off, by all that its host says of it."""
    date = said.get("shutdown_date")
    return str(date) if date else None


def said(body: object) -> tuple[str, str]:
    """The code and the message of a refusal; empty where its body has another shape."""
    mapping = _mapping(body)
    inner = _mapping(mapping.get("error")) or mapping
    code = str(inner.get("code") or inner.get("type") or "")
    words = inner.get("message") or inner.get("detail") or ""
    param = inner.get("param")
    return code, f"{words} (param {param})" if param and str(param) not in str(words) else str(words)


def page(status: int, text: str) -> str:
    """What stands in place of a host's JSON, in one line: a page by its title, anything else by its beginning."""
    title = _TITLE.search(text)
    shown = " ".join((title[1] if title else _TAG.sub(" ", text)).split())[:100]
    return f"answered {status}, with {f'a page: {shown!r}' if shown else 'nothing'}, in place of JSON"


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The seconds that a host asks to wait; None where it does not, or by the date."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * unit_s)
        except (KeyError, ValueError):
            continue
    return None


def _n_epochs(found: "FineTuningJob") -> int | None:
    supervised = found.method.supervised if found.method else None
    hyperparameters = (supervised.hyperparameters if supervised else None) or found.hyperparameters
    n_epochs = hyperparameters.n_epochs if hyperparameters else None
    return int(n_epochs) if isinstance(n_epochs, int | float) and n_epochs > 0 else None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
