"""The one place that knows OpenAI's SDK: each call in, plain values or a HostError out.

Nothing is retried in here: the gate does, by the table of `host_errors`. The SDK's own retries are off, because it
repeats a create without an idempotency key (openai 3.54, 2026).
"""

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from raysweep.clock import Clock, RealClock
from raysweep.trainers import gate_parse
from raysweep.trainers.dialects import Dialect
from raysweep.trainers.gate_identity import Credential, Pass, sdk_client
from raysweep.trainers.gate_time import HostTime
from raysweep.trainers.host_errors import HostError, No, kind_of
from raysweep.trainers.hosted import (
    KEY_TAG,
    SWEEP_TAG,
    Answer,
    HostedFile,
    HostedJob,
    HostedModel,
    JobRequest,
    Point,
    Question,
)

if TYPE_CHECKING:
    import openai


class _HasId(Protocol):
    id: str


Made = TypeVar("Made")
Listed = TypeVar("Listed", bound=_HasId)

LOOK_S, CREATE_S, UPLOAD_S, ASK_S = 30.0, 60.0, 600.0, 60.0
"""The longest that a call of each kind may take."""
PAGE = 100
_OF_KEY = frozenset({No.KEY, No.FORBIDDEN})
_OF_ADDRESS = frozenset({No.KEY, No.FORBIDDEN, No.NOT_FOUND, No.SILENT, No.NOT_JSON})
_OF_CLOCK = frozenset({No.KEY, No.SILENT})


class WireClient:
    """Calls a host. Thread-safe, as the SDK's client is."""

    def __init__(self, dialect: Dialect, credential: Credential, clock: Clock | None = None) -> None:
        self._dialect = dialect
        self._pass = Pass(credential)
        self.time = HostTime(clock or RealClock(), dialect.base_url or dialect.name)
        self._client = sdk_client(dialect, self._pass.for_sdk, self.time.heard)
        weakref.finalize(self, self._client.close)

    def model(self, name: str) -> HostedModel:
        """A model that the host knows."""
        found = self._call(f"model {name}", lambda: self._client.models.retrieve(name, timeout=LOOK_S))
        if not found.id:
            raise self._no(f"model {name}", No.NOT_JSON, "the answer is JSON, but describes no model")
        return HostedModel(name, gate_parse.shutdown_date(found.model_dump()))

    def files(self) -> Sequence[HostedFile]:
        """All files for training."""
        pages = self._call(
            "the files", lambda: list(_each_once(self._client.files.list(purpose="fine-tune", timeout=LOOK_S)))
        )
        return [HostedFile(one.id, one.filename, one.status, one.expires_at) for one in pages]

    def upload(self, name: str, content: bytes) -> str:
        """The new file's id."""
        made = self._call(
            f"upload of {name}",
            lambda: self._client.files.create(file=(name, content), purpose="fine-tune", timeout=UPLOAD_S),
        )
        return made.id

    def create(self, request: JobRequest) -> HostedJob:
        """Make a job, whoever has made one before."""
        body = self._body(request)
        made = self._call(
            f"job {request.key}",
            lambda: self._client.post(
                "/fine_tuning/jobs",
                cast_to=gate_parse.job_type(),
                body=body,
                options={"headers": {"Idempotency-Key": request.key}, "timeout": CREATE_S, "max_retries": 0},
            ),
        )
        return gate_parse.job(made, self._dialect)

    def job(self, job_id: str) -> HostedJob:
        """A job by its id."""
        found = self._call(f"job {job_id}", lambda: self._client.fine_tuning.jobs.retrieve(job_id, timeout=LOOK_S))
        return gate_parse.job(found, self._dialect)

    def jobs(self, metadata: Mapping[str, str] | None = None) -> Sequence[HostedJob]:
        """All jobs that the host lists, or those with this metadata if its filter works."""

        def listed() -> list[HostedJob]:
            pages = self._client.fine_tuning.jobs.list(
                limit=PAGE, timeout=LOOK_S, metadata=dict(metadata) if metadata else None
            )
            return [gate_parse.job(one, self._dialect) for one in _each_once(pages)]

        return self._call("the list of jobs", listed)

    def cancel(self, job_id: str) -> HostedJob:
        """Stop a job; raises HostError (conflict, params) for one that has ended, as the host has it."""
        found = self._call(f"cancel of {job_id}", lambda: self._client.fine_tuning.jobs.cancel(job_id, timeout=LOOK_S))
        return gate_parse.job(found, self._dialect)

    def events(
        self, job_id: str, known: frozenset[str], is_enough: Callable[[Sequence[Point]], bool]
    ) -> Sequence[tuple[str, Point | None]]:
        """Events that are not known yet, by id, as they came.

        A host that lists new ones first is read to the first that is known, or, page by page, until it is enough.
        """

        def read() -> list[tuple[str, Point | None]]:
            new: list[tuple[str, Point | None]] = []
            for event in _each_once(self._client.fine_tuning.jobs.list_events(job_id, limit=PAGE, timeout=LOOK_S)):
                if event.id not in known:
                    new.append((event.id, gate_parse.event_point(event)))
                elif self._dialect.newest_events_first:
                    break
                is_page = self._dialect.newest_events_first and len(new) % PAGE == 0
                if is_page and is_enough([point for _, point in new if point]):
                    break
            return new

        return self._call(f"events of {job_id}", read)

    def checkpoints(self, job_id: str) -> Sequence[Point]:
        """What was measured at the checkpoints that were kept."""

        def read() -> list[Point]:
            pages = self._client.fine_tuning.jobs.checkpoints.list(job_id, timeout=LOOK_S)
            return [point for one in _each_once(pages) if (point := gate_parse.checkpoint_point(one, self._dialect))]

        return self._call(f"checkpoints of {job_id}", read)

    def content(self, file_id: str) -> bytes:
        """What a file holds."""
        return self._call(f"file {file_id}", lambda: self._client.files.content(file_id, timeout=LOOK_S).read())

    def ask(self, model: str, question: Question, *, top_logprobs: int) -> Answer:
        """One answer, as likely as any other of its kind: temperature 0."""
        options: dict[str, object] = {"logprobs": True, "top_logprobs": top_logprobs} if top_logprobs else {}
        said = self._call(
            f"answer of {model}",
            lambda: self._client.chat.completions.create(
                model=model,
                messages=[{"role": one.role, "content": one.content} for one in question.messages],  # type: ignore[misc]  # roles are those that the data was checked for
                max_completion_tokens=question.max_tokens,
                temperature=0,
                extra_body=options,
                timeout=ASK_S,
            ),
        )
        return gate_parse.answer(said)

    def page(self, path: str) -> Mapping[str, object]:
        """A list's page as the host has sent it."""
        found = self._call(path, lambda: self._client.get(path, cast_to=object, options={"timeout": LOOK_S}))
        return found if isinstance(found, Mapping) else {}

    def delete(self, kind: str, name: str) -> None:
        """Delete a `job`, a `file` or a `model`."""
        paths = {"job": f"/fine_tuning/jobs/{name}", "file": f"/files/{name}", "model": f"/models/{name}"}
        self._call(
            f"deletion of {kind} {name}", lambda: self._client.delete(paths[kind], cast_to=type(None))
        )  # Azure says nothing

    def _body(self, request: JobRequest) -> dict[str, object]:
        params = dict(request.params)
        in_method = self._dialect.hyperparameters_in == "method"
        method = {"method": {"type": "supervised", "supervised": {"hyperparameters": params}}}
        training = {"trainingType": self._dialect.training_type} if self._dialect.training_type else {}
        return {
            "model": request.model,
            "training_file": request.training_file,
            "validation_file": request.validation_file,
            "suffix": request.suffix,
            "seed": request.seed,
            "metadata": {SWEEP_TAG: request.sweep_id, KEY_TAG: request.key},
            **(method if in_method else {"hyperparameters": params}),
            **training,
        }

    def _call(self, wanted: str, call: Callable[[], Made]) -> Made:
        import openai

        try:
            made = call()
        except openai.APIStatusError as error:
            raise self._refused(wanted, error) from None  # the SDK's exception holds the request, key and all
        except openai.APIConnectionError as error:  # time-outs too
            raise self._no(wanted, No.SILENT, f"{error} ({error.__cause__})") from None
        except (ValueError, openai.OpenAIError, AttributeError, TypeError, KeyError) as error:
            raise self._no(wanted, No.NOT_JSON, f"{type(error).__name__}: {error}") from None
        if isinstance(made, str):  # the SDK hands out a body that is not JSON as it came
            raise self._no(wanted, No.NOT_JSON, gate_parse.page(200, self._pass.clean(made)))
        return made

    def _refused(self, wanted: str, error: "openai.APIStatusError") -> HostError:
        code, words = gate_parse.said(error.body)
        is_json = "json" in error.response.headers.get("content-type", "")
        if not words:
            body = "" if is_json else self._pass.clean(str(error.body or ""))  # before it is cut: no half of a key
            words = gate_parse.page(error.status_code, body)
        no = kind_of(error.status_code, code, words) if is_json or error.status_code in (401, 403, 429) else No.NOT_JSON
        return self._no(wanted, no, words, gate_parse.retry_after_s(error.response.headers))

    def _no(self, wanted: str, no: No, words: str, retry_after_s: float | None = None) -> HostError:
        """With the value that is in question: the address, the key's variable, this machine's clock."""
        facts = []
        if no in _OF_KEY:
            facts.append(
                f"trainer.key_env is {self._dialect.key_env}" if self._pass.is_key else "trainer.identity is entra"
            )
        if no in _OF_ADDRESS:
            facts.append(f"trainer.base_url is {self._dialect.base_url}")
        if no in _OF_CLOCK and self.time.words:
            facts.append(self.time.words)
        if "certificate" in words.lower():
            facts.append("so it is where this machine's clock is wrong, or SSL_CERT_FILE lacks a proxy's certificate")
        words = self._pass.clean(words)
        return HostError(wanted, no, f"{words} ({'; '.join(facts)})" if facts else words, retry_after_s)


def _each_once(listed: Iterable[Listed]) -> Iterator[Listed]:
    """Each item once; a host that gives its first page again and again comes to an end."""
    seen: set[str] = set()
    n_repeats = 0
    for one in listed:
        n_repeats = n_repeats + 1 if one.id in seen else 0
        if n_repeats > PAGE:
            return
        if not n_repeats:
            seen.add(one.id)
            yield one
