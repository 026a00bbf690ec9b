"""What the tests of the server share: rows to upload, and a host to ask, ours or a live one."""

import json
import os
import time
from dataclasses import dataclass
from typing import Any

import httpx2
import openai
from openai import OpenAI

from raysweep.testing.server import Server

MODEL = "gpt-4.1-mini-2025-04-14"
LIVE = ("RAYSWEEP_LIVE_BASE_URL", "RAYSWEEP_LIVE_API_KEY", "RAYSWEEP_LIVE_MODEL")


def chats(n: int, start: int = 0, n_labels: int = 5) -> bytes:
    """So many lines of a training file; labels 1, 2… in turn."""
    lines = []
    for number in range(start, start + n):
        turns = [
            {"role": "user", "content": f"review number {number}"},
            {"role": "assistant", "content": str(number % n_labels + 1)},
        ]
        lines.append(json.dumps({"messages": turns}))
    return "\n".join(lines).encode()


def client_of(server: Server, **settings: Any) -> OpenAI:
    """The real SDK, pointed at our server alone, whatever the environment says."""
    return OpenAI(**{"base_url": server.base_url, "api_key": server.key, "max_retries": 0, "timeout": 10.0} | settings)


def live_settings() -> tuple[str, str, str] | None:
    """Base URL, key and model of a live host, where all three are set."""
    found = [os.environ.get(name) for name in LIVE]
    return (found[0], found[1], found[2]) if all(found) else None


@dataclass
class Place:
    """A host under test."""

    client: OpenAI
    model: str
    server: Server | None = None

    def pass_s(self, seconds: float) -> None:
        """Let so much time pass, by our server's manual clock."""
        admin(self.server, "POST", "clock", {"advance_s": seconds})

    def upload(self, content: bytes, name: str = "train.jsonl") -> str:
        return self.client.files.create(file=(name, content), purpose="fine-tune").id

    def create(self, *, n_rows: int = 40, n_validation: int = 20, **fields: Any) -> Any:
        """A small job with a validation file."""
        training = self.upload(chats(n_rows))
        if n_validation:
            fields.setdefault("validation_file", self.upload(chats(n_validation, start=1000), "validation.jsonl"))
        fields.setdefault("method", supervised(batch_size=4, n_epochs=2))
        return self.client.fine_tuning.jobs.create(model=self.model, training_file=training, **fields)

    def ended(self, job_id: str) -> Any:
        """The job once it is final."""
        if self.server is not None:
            self.pass_s(1000)
        until_s = time.monotonic() + (0 if self.server else 7200)
        while True:
            job = self.client.fine_tuning.jobs.retrieve(job_id)
            if job.status in ("succeeded", "failed", "cancelled"):
                return job
            assert time.monotonic() < until_s, f"{job_id} is still {job.status}"
            time.sleep(15)

    def log(self, job_id: str) -> list[Any]:
        """All events, oldest first."""
        return list(self.client.fine_tuning.jobs.list_events(job_id, limit=100))[::-1]


def supervised(**hyperparameters: Any) -> dict[str, Any]:
    return {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}}


def refused(call: Any, *arguments: Any, **fields: Any) -> openai.APIStatusError:
    """The error that the call is answered with."""
    try:
        answer = call(*arguments, **fields)
    except openai.APIStatusError as error:
        return error
    raise AssertionError(f"it was not refused: {answer}")


def admin(server: Server, method: str, what: str, body: object = None) -> Any:
    """A call of /admin."""
    response = raw(server, method, f"/admin/{what}", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def raw(server: Server, method: str, path: str, **settings: Any) -> httpx2.Response:
    """A bare HTTP call to a path from the server's root, with its key."""
    root = server.base_url.removesuffix("/v1").removesuffix("/openai")
    settings.setdefault("headers", {"Authorization": f"Bearer {server.key}"})
    with httpx2.Client(timeout=10.0, trust_env=False) as client:
        return client.request(method, root + path, **settings)
