"""Records as replies, built from the SDK's own response models: where the wire drifts, the types say so.

What hosts send besides, or otherwise than those models have it, is laid over them afterwards.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from openai.types import FileDeleted, FileObject, Model, ModelDeleted
from openai.types.chat import ChatCompletion, ChatCompletionMessage, ChatCompletionTokenLogprob
from openai.types.chat.chat_completion import Choice, ChoiceLogprobs
from openai.types.chat.chat_completion_token_logprob import TopLogprob
from openai.types.completion_usage import CompletionUsage
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent, SupervisedMethod
from openai.types.fine_tuning.fine_tuning_job import Error, Hyperparameters, Method
from openai.types.fine_tuning.jobs import FineTuningJobCheckpoint
from openai.types.fine_tuning.jobs.fine_tuning_job_checkpoint import Metrics
from openai.types.fine_tuning.supervised_hyperparameters import SupervisedHyperparameters

from raysweep.server.engine import Answer, Token
from raysweep.server.faults import Faults
from raysweep.server.orders import AUTO, BASIC
from raysweep.server.pages import Page
from raysweep.server.records import Checkpoint, Event, Job, Setting, Status, StoredFile

T = TypeVar("T")
Reply = dict[str, object]
AZURE_WORDS = {Status.VALIDATING: "pending", Status.QUEUED: "pending"}


@dataclass(frozen=True)
class Dialect:
    """What differs between hosts in how they say the same."""

    is_azure: bool
    organization: str
    faults: Faults

    def status(self, job: Job) -> str:
        """The host's word."""
        word: str = job.status
        if self.is_azure:
            word = "resuming" if job.status is Status.QUEUED and job.step else AZURE_WORDS.get(job.status, word)
        return self.faults.status(job, word)

    @property
    def is_oldest_first(self) -> bool:
        """The order of events."""
        chosen = self.faults.host.events_order
        return self.is_azure if chosen is None else chosen == "oldest_first"

    @property
    def has_base64_results(self) -> bool:
        """Whether a result file comes as base64, as OpenAI's does (seen 2024 and 2025)."""
        chosen = self.faults.host.result_encoding
        return not self.is_azure if chosen is None else chosen == "base64"

    @property
    def healthy_error(self) -> Reply | None:
        """What a job without an error has in its place."""
        chosen = self.faults.host.healthy_error or ("null" if self.is_azure else "object")
        nulls: Reply = {"code": None, "message": None, "param": None}
        return None if chosen == "null" else nulls if chosen == "nulls" else {}


def file_reply(file: StoredFile, now_s: float, dialect: Dialect) -> Reply:
    """A file object."""
    host = dialect.faults.host
    is_ready = now_s >= file.created_at_s + host.file_processing_s
    reply = FileObject(
        id=file.id,
        bytes=file.n_bytes,
        created_at=int(file.created_at_s),
        filename=file.filename,
        object="file",
        purpose=_purpose(file.purpose),
        status="processed" if is_ready else "uploaded",
        expires_at=None if file.expires_at_s is None else int(file.expires_at_s),
    ).model_dump(mode="json")
    if host.file_status != "processed":
        reply["status"] = None if host.file_status == "null" else host.file_status
    return reply


def file_deleted(file_id: str) -> Reply:
    """What a deleted file leaves."""
    return FileDeleted(id=file_id, deleted=True, object="file").model_dump(mode="json")


def job_reply(job: Job, dialect: Dialect, *, now_s: float, ends_at_s: float | None) -> Reply:
    """A job object; healthy ones have `error: {}`, as OpenAI has it (seen 2024)."""
    settings: dict[str, Setting] = dict(job.plan.hyperparameters if job.plan else job.order.hyperparameters)
    extra = {name: value for name, value in settings.items() if name not in BASIC}
    order = job.order
    error = None if job.error is None else Error(**vars(job.error))
    reply = FineTuningJob(
        id=job.id,
        created_at=int(job.created_at_s),
        error=error,
        fine_tuned_model=job.model,
        finished_at=None if job.finished_at_s is None else int(job.finished_at_s),
        hyperparameters=Hyperparameters(
            n_epochs=_whole(settings["n_epochs"]),
            batch_size=_whole(settings["batch_size"]),
            learning_rate_multiplier=_number(settings["learning_rate_multiplier"]),
        ),
        model=order.model,
        object="fine_tuning.job",
        organization_id=f"org-{dialect.organization}",
        result_files=[job.result_file] if job.result_file else [],
        seed=order.seed,
        status="running",
        trained_tokens=job.trained_tokens,
        training_file=order.training_file,
        validation_file=order.validation_file,
        estimated_finish=int(ends_at_s) if job.status is Status.RUNNING and ends_at_s else None,
        integrations=[],
        metadata=None if order.metadata is None else dict(order.metadata),
        method=Method(
            type="supervised",
            supervised=SupervisedMethod(
                hyperparameters=SupervisedHyperparameters(
                    n_epochs=_whole(settings["n_epochs"]),
                    batch_size=_whole(settings["batch_size"]),
                    learning_rate_multiplier=_number(settings["learning_rate_multiplier"]),
                )
            ),
        ),
    ).model_dump(mode="json", exclude={"method": {"dpo", "reinforcement"}})
    reply["status"] = dialect.status(job)
    reply["hyperparameters"] |= extra
    reply["method"]["supervised"]["hyperparameters"] |= extra
    reply["integrations"] = list(order.integrations)
    reply |= {"user_provided_suffix": order.suffix, "usage_metrics": None, "shared_with_openai": False, "eval_id": None}
    if job.error is None:
        reply["error"] = dialect.healthy_error
    if dialect.is_azure:
        reply |= {"trainingType": order.training_type, "organization_id": None}
    return reply


def event_reply(event: Event, dialect: Dialect) -> Reply:
    """One line of a log."""
    reply = FineTuningJobEvent(
        id=event.id,
        created_at=int(event.created_at_s),
        level="error" if event.level == "error" else "info",
        message=event.message,
        object="fine_tuning.job.event",
        data=dict(event.data),
        type="metrics" if event.kind == "metrics" else "message",
    ).model_dump(mode="json")
    return reply | {"type": event.kind, "data": dict(event.data)}  # the dump would make null of NaN


def checkpoint_reply(checkpoint: Checkpoint) -> Reply:
    """A checkpoint object; measures that were not made are left out."""
    step, values = checkpoint.measures.step, checkpoint.measures.values
    reply = FineTuningJobCheckpoint(
        id=checkpoint.id,
        created_at=int(checkpoint.created_at_s),
        fine_tuned_model_checkpoint=checkpoint.model,
        fine_tuning_job_id=checkpoint.job_id,
        metrics=Metrics.model_validate({"step": step, **values}),
        object="fine_tuning.job.checkpoint",
        step_number=step,
    )
    return reply.model_dump(mode="json", exclude_none=True) | {"metrics": {"step": step, **values}}  # as with events


def model_reply(name: str, *, created_s: float, owner: str, shutdown_date: str | None) -> Reply:
    """A model object."""
    return Model(
        id=name, created=int(created_s), object="model", owned_by=owner, shutdown_date=shutdown_date
    ).model_dump(mode="json")


def model_deleted(name: str) -> Reply:
    """What a deleted model leaves."""
    return ModelDeleted(id=name, deleted=True, object="model").model_dump(mode="json")


def chat_reply(answer: Answer, model: str, *, now_s: float, has_logprobs: bool) -> Reply:
    """A chat completion of one choice."""
    text = "".join(token.text for token in answer.tokens)
    logprobs = ChoiceLogprobs(content=[_token(token) for token in answer.tokens]) if has_logprobs else None
    n_tokens = len(answer.tokens)
    choice = Choice(
        finish_reason="length" if answer.is_cut else "stop",
        index=0,
        logprobs=logprobs,
        message=ChatCompletionMessage(role="assistant", content=text),
    )
    return ChatCompletion(
        id=f"chatcmpl-{hashlib.sha256(f'{now_s} {model} {text}'.encode()).hexdigest()[:24]}",
        choices=[choice],
        created=int(now_s),
        model=model,
        object="chat.completion",
        usage=CompletionUsage(
            prompt_tokens=answer.n_prompt_tokens,
            completion_tokens=n_tokens,
            total_tokens=answer.n_prompt_tokens + n_tokens,
        ),
    ).model_dump(mode="json")


def list_reply(page: Page[T], reply: Callable[[T], Reply], *, has_ends: bool, has_more: bool = True) -> Reply:
    """A list object; some lists name their first and last, all but a faulty host's say whether there is more."""
    data: Sequence[Reply] = [reply(item) for item in page.items]
    ends: Reply = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    more: Reply = {"has_more": page.has_more} if has_more else {}
    return {"object": "list", "data": data} | (ends if has_ends else {}) | more


def _token(token: Token) -> ChatCompletionTokenLogprob:
    top = [TopLogprob(token=text, logprob=logprob, bytes=list(text.encode())) for text, logprob in token.top]
    raw = list(token.text.encode())
    return ChatCompletionTokenLogprob(token=token.text, logprob=token.logprob, bytes=raw, top_logprobs=top)


def _whole(value: Setting) -> int | Literal["auto"]:
    return int(value) if isinstance(value, int | float) else AUTO


def _number(value: Setting) -> float | Literal["auto"]:
    return float(value) if isinstance(value, int | float) else AUTO


_Purpose = Literal["assistants", "batch", "fine-tune", "fine-tune-results", "vision", "user_data"]


def _purpose(word: str) -> _Purpose:
    known: dict[str, _Purpose] = {
        "assistants": "assistants",
        "batch": "batch",
        "fine-tune": "fine-tune",
        "fine-tune-results": "fine-tune-results",
        "vision": "vision",
    }
    return known.get(word, "user_data")
