"""The host's files: uploaded ones, and the results that jobs leave."""

import csv
import io
from collections.abc import Iterable, Sequence
from secrets import token_hex

from raysweep.server.chatfile import ChatFile, read_chats
from raysweep.server.limits import Limits, check_upload
from raysweep.server.records import Event, JobError, StoredFile
from raysweep.server.refusal import Refusal, bad, no_such_file
from raysweep.server.store import Store

PURPOSES = ("fine-tune", "batch", "assistants", "vision", "user_data", "evals")
MAX_BYTES = 512 * 1024 * 1024
"""Of one upload (OpenAI's reference, 2026)."""
KEPT_READ = 8
"""Files that stay in memory, read: a sweep's jobs share theirs."""
OPENAI_COLUMNS = {
    "step": "step",
    "train_loss": "train_loss",
    "train_accuracy": "train_mean_token_accuracy",
    "valid_loss": "valid_loss",
    "valid_mean_token_accuracy": "valid_mean_token_accuracy",
}
AZURE_COLUMNS = {
    "step": "step",
    "train_loss": "train_loss",
    "train_mean_token_accuracy": "train_mean_token_accuracy",
    "valid_loss": "valid_loss",
    "validation_mean_token_accuracy": "valid_mean_token_accuracy",
    "full_valid_loss": "full_valid_loss",
    "full_valid_mean_token_accuracy": "full_valid_mean_token_accuracy",
}
"""Column by column, the name of the measure that it holds."""


class Shelf:
    """All files, by id; expired ones are as good as gone."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._limits = limits
        self._files = {file.id: file for file in store.load(StoredFile)}
        self._read: dict[tuple[str, str], ChatFile | JobError] = {}
        self._number = max((file.number for file in self._files.values()), default=0)

    def add(
        self, filename: str, purpose: str, content: bytes, *, now_s: float, expires_s: int | None = None
    ) -> StoredFile:
        """Keep an upload. Raises Refusal for a purpose, a suffix or a size that the host does not take."""
        if purpose not in PURPOSES:
            raise bad(f"'{purpose}' is not one of {list(PURPOSES)} - 'purpose'", param="purpose")
        if purpose == "fine-tune" and not filename.endswith(".jsonl"):
            raise bad(f"Invalid file format: '{filename}'. Fine-tune files must be .jsonl.", param="file", code=None)
        if not content:
            raise bad("The file is empty.", param="file", code=None)
        if len(content) > MAX_BYTES:
            raise Refusal(413, f"The file has {len(content)} bytes, the maximum is {MAX_BYTES}.", param="file")
        check_upload(self._limits, sum(1 for _ in self.all(now_s)))
        return self._keep(filename, purpose, content, now_s, now_s + expires_s if expires_s else None)

    def add_results(self, events: Iterable[Event], *, is_azure: bool, now_s: float) -> StoredFile:
        """Write a job's measures as its result file."""
        columns = AZURE_COLUMNS if is_azure else OPENAI_COLUMNS
        name = "results.csv" if is_azure else "step_metrics.csv"
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(columns)
        for event in events:
            if event.kind == "metrics":
                rows.writerow([event.data.get(measure, "") for measure in columns.values()])
        return self._keep(name, "fine-tune-results", text.getvalue().encode(), now_s, None)

    def get(self, file_id: str, now_s: float) -> StoredFile:
        """The file. Raises Refusal where there is none."""
        file = self._files.get(file_id)
        if file is None or _is_expired(file, now_s):
            raise no_such_file(file_id)
        return file

    def all(self, now_s: float) -> Sequence[StoredFile]:
        """Newest first."""
        return [file for file in reversed(self._files.values()) if not _is_expired(file, now_s)]

    def content(self, file_id: str, now_s: float) -> bytes:
        """The file's bytes. Raises Refusal where there are none."""
        content = self._store.read_bytes(self.get(file_id, now_s).id)
        if content is None:
            raise no_such_file(file_id)
        return content

    def delete(self, file_id: str, now_s: float) -> None:
        """Forget the file. Raises Refusal where there is none."""
        self.get(file_id, now_s)
        self._store.drop(StoredFile, file_id)
        self._store.drop_bytes(file_id)
        del self._files[file_id]

    def chats(self, file_id: str, param: str, now_s: float) -> ChatFile | JobError:
        """The file as chats, or why a job cannot have it. The files read last are not read again."""
        key = (file_id, param)
        try:
            content = self.content(file_id, now_s)
        except Refusal as refusal:
            return JobError("invalid_file", str(refusal), param)
        if key not in self._read:
            self._read[key] = read_chats(content, param)
            if len(self._read) > KEPT_READ:
                del self._read[next(iter(self._read))]
        return self._read[key]

    def _keep(
        self, filename: str, purpose: str, content: bytes, now_s: float, expires_at_s: float | None
    ) -> StoredFile:
        self._number += 1
        id_ = f"file-{token_hex(11)}"
        file = StoredFile(id_, self._number, filename, purpose, len(content), now_s, expires_at_s)
        self._store.write_bytes(file.id, content)
        self._store.save([file])
        self._files[file.id] = file
        return file


def _is_expired(file: StoredFile, now_s: float) -> bool:
    return file.expires_at_s is not None and now_s >= file.expires_at_s
