"""What a host says no with, in one table: what it means, whose fault it is, and whether to ask again.

The SDK's exceptions cannot be pickled; they end in the gate's client, and what goes on from there is a HostError.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from raysweep.errors import ConfigError, DataError, Fault, InputError, JobFailed, RaysweepError


class No(StrEnum):
    """The kinds of no."""

    KEY = "key"
    FORBIDDEN = "forbidden"
    CLOSED = "closed"
    NOT_FOUND = "not found"
    MODEL = "model"
    PARAMS = "params"
    FILE = "file"
    FILE_PENDING = "file pending"
    FILE_GONE = "file gone"
    FULL = "full"
    CONFLICT = "conflict"
    RATE = "rate"
    DAILY = "daily"
    ACTIVE = "active"
    CREDIT = "credit"
    RESOURCE = "resource"
    BROKEN = "broken"
    SILENT = "silent"
    NOT_JSON = "not JSON"
    NOT_ASKED = "not asked"


@dataclass(frozen=True)
class Meaning:
    """What a kind of no leads to."""

    fault: Fault
    remedy: str
    is_transient: bool = False
    """Whether the same request may be let through a little later."""
    is_ambiguous: bool = False
    """Whether a create that was answered so may have made a job all the same."""
    is_wait: bool = False
    """Whether a create that was answered so made no job, and has to wait for its turn."""


MEANINGS: Mapping[No, Meaning] = MappingProxyType(
    {
        No.KEY: Meaning(
            Fault.ACCOUNT,
            "put a valid key into the variable that trainer.key_env names, or sign in where trainer.identity is entra",
        ),
        No.FORBIDDEN: Meaning(
            Fault.ACCOUNT,
            "give the key's owner the right to it, or use another account; where a page says so, it is a proxy's",
        ),
        No.CLOSED: Meaning(Fault.ACCOUNT, "this host trains no more for this account: use another trainer.host"),
        No.NOT_FOUND: Meaning(
            Fault.HOST, "look at trainer.base_url, path included, and whether the key is of the same project"
        ),
        No.MODEL: Meaning(
            Fault.ACCOUNT,
            "choose a trainer.model that the host tunes, and its trainer.training_type where it wants one",
        ),
        No.PARAMS: Meaning(Fault.PARAMS, "keep the space within what the host takes"),
        No.FILE: Meaning(Fault.DATA, "mend the rows that the host names"),
        No.FILE_PENDING: Meaning(Fault.HOST, "wait", is_wait=True),
        No.FILE_GONE: Meaning(Fault.HOST, "wait: it is uploaded anew", is_wait=True),
        No.FULL: Meaning(Fault.ACCOUNT, "delete what is not needed: `raysweep jobs RUN --prune` for an old sweep's"),
        No.CONFLICT: Meaning(Fault.HOST, "look at the host's own pages", is_transient=True),
        No.RATE: Meaning(
            Fault.HOST, "lower trainer.limits.requests_per_minute or tokens_per_minute", is_transient=True
        ),
        No.DAILY: Meaning(Fault.HOST, "set trainer.limits.creates_per_day, or come back tomorrow", is_wait=True),
        No.ACTIVE: Meaning(Fault.HOST, "lower trainer.limits.running and queued, or delete old jobs", is_wait=True),
        No.CREDIT: Meaning(Fault.ACCOUNT, "add credit at the host, then `raysweep resume`"),
        No.RESOURCE: Meaning(
            Fault.ACCOUNT,
            "look at trainer.azure: subscription, resource_group, account, and whether you may see them",
        ),
        No.BROKEN: Meaning(Fault.HOST, "wait, then `raysweep resume`", is_transient=True, is_ambiguous=True),
        No.SILENT: Meaning(
            Fault.HOST,
            "look at trainer.base_url, the network and its proxy (HTTPS_PROXY)",
            is_transient=True,
            is_ambiguous=True,
        ),
        No.NOT_JSON: Meaning(
            Fault.HOST,
            "look at trainer.base_url and HTTPS_PROXY: something between you and the host answers in its place",
            is_transient=True,
            is_ambiguous=True,
        ),
        No.NOT_ASKED: Meaning(Fault.HOST, "wait, then `raysweep resume`; no job was asked for", is_transient=True),
    }
)
"""Every kind of no; docs/operations.md has the same table for people."""


@dataclass(frozen=True)
class _Sign:
    no: No
    status: range
    code: str = ""
    """A pattern; empty: any."""
    words: str = ""
    """A pattern; empty: any."""


_ANY = range(400, 600)
_REFUSED = range(400, 424)
_SIGNS = (
    _Sign(No.KEY, range(401, 402)),
    _Sign(No.CLOSED, range(403, 404), code="training_not_available"),
    _Sign(No.FORBIDDEN, range(403, 404)),
    _Sign(No.CREDIT, range(402, 403)),
    _Sign(No.CREDIT, _ANY, code="insufficient_quota|exceeded_quota|billing"),
    _Sign(No.DAILY, range(429, 430), code="daily"),
    _Sign(No.DAILY, range(429, 430), words="per day"),
    _Sign(No.ACTIVE, range(400, 430), code="quota|limit_reached", words="job|fine-?tun"),
    _Sign(No.ACTIVE, range(400, 430), words=r"(active|concurrent|running|queued).*(fine-?tun|job)"),
    _Sign(No.ACTIVE, range(400, 430), words=r"(maximum|limit).{0,40}(fine-?tun\w*|number of).{0,20} jobs"),
    _Sign(No.RATE, range(429, 430)),
    _Sign(No.FILE_PENDING, range(400, 401), words="still being processed|not ready to be used"),
    _Sign(No.RESOURCE, range(400, 405), code="subscription|resourcegroup|^(parent)?resourcenotfound"),
    _Sign(No.MODEL, range(400, 405), code="model_not_found|model_not_available|deploymentnotfound"),
    _Sign(No.MODEL, _REFUSED, words="not available for fine-tuning|does not support fine-tuning|cannot be fine-tuned"),
    _Sign(No.FILE_GONE, range(400, 405), words="no such file|file.{0,60}(not found|not exist|expired|deleted)"),
    _Sign(No.FILE, range(400, 401), code="invalid_training_file|invalid_file|invalid_n_examples"),
    _Sign(No.FILE, range(413, 414)),
    _Sign(No.NOT_FOUND, range(404, 405)),
    _Sign(No.CONFLICT, range(409, 410)),
    _Sign(No.BROKEN, range(408, 409)),
    _Sign(No.PARAMS, _REFUSED),
    _Sign(No.BROKEN, range(500, 600)),
)


class HostError(RaysweepError):
    """A host said no, or nothing.

    Args: what was wanted of it, the kind of no, the host's own words, the seconds that it asks to wait.
    """

    def __init__(self, wanted: str, no: No, words: str, retry_after_s: float | None = None) -> None:
        super().__init__(wanted, no, words, retry_after_s)
        self.wanted = wanted
        self.no = no
        self.words = words
        self.retry_after_s = retry_after_s

    @property
    def meaning(self) -> Meaning:
        """What it leads to."""
        return MEANINGS[self.no]

    def __str__(self) -> str:
        return f"{self.wanted}: {self.words or self.no}; {self.meaning.remedy}"


def kind_of(status: int, code: str, words: str) -> No:
    """What an answer with this status means; `code` and `words` are those of its body."""
    for sign in _SIGNS:
        fits = status in sign.status and re.search(sign.code, code.lower()) and re.search(sign.words, words.lower())
        if fits:
            return sign.no
    return No.NOT_JSON


def as_failure(error: HostError) -> JobFailed | HostError:
    """What a trial raises for it: a failure with its fault, or the error itself where its job may live on."""
    if error.meaning.fault is Fault.HOST:
        return error
    return JobFailed(str(error), error.meaning.fault)


def as_input_error(error: HostError) -> InputError | HostError:
    """What a driver raises for it before anything was spent."""
    match error.meaning.fault:
        case Fault.HOST if error.no is not No.NOT_FOUND:
            return error
        case Fault.DATA:
            return DataError(str(error))
        case _:
            return ConfigError(str(error))


_DATA_CODES = re.compile(r"invalid_(training_|validation_)?file|invalid_n_examples|file_not_found|file_expired")
_CREDIT_CODES = re.compile(r"quota|billing|insufficient")
_PARAM_WORDS = re.compile(r"\bnan\b|diverg|loss|hyperparameter|usage polic|moderation|safety")
_PARAM_CODES = re.compile(r"nan|diverg|hyperparameter|usage_polic|moderation|safety|content_filter")


def fault_of_job(code: str, words: str) -> Fault:
    """Whose fault it is that a host failed a job which it had taken."""
    code, words = code.lower(), words.lower()
    if _DATA_CODES.search(code):
        return Fault.DATA
    if _CREDIT_CODES.search(code):
        return Fault.ACCOUNT
    return Fault.PARAMS if _PARAM_CODES.search(code) or _PARAM_WORDS.search(words) else Fault.HOST
