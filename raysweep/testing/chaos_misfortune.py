"""What a host of the wire does wrong in a schedule: names, and what each is to the server that plays the host."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

CREATE, ANY_JOB, LIST = "POST /fine_tuning/jobs", "GET /fine_tuning/jobs/*", "GET /fine_tuning/jobs"
CANCEL = "POST /fine_tuning/jobs/*/cancel"
ODD_TRIAL = "*-0001-*"
"""The key of trial 1, whatever the sweep and the attempt."""
_WHERE: Mapping[str, object] = {"where": {"raysweep_key": ODD_TRIAL}}
LAG_S = 1.0

CALLS: Mapping[str, Sequence[Mapping[str, object]]] = MappingProxyType(
    {
        "lost create": [{"call": CREATE, "nth": [1, 3], "kind": "lost_reply"}],
        "lost call": [
            {"call": CREATE, "nth": [2], "kind": "lost_call"},
            {"call": ANY_JOB, "nth": [4], "kind": "lost_call"},
        ],
        "slow create": [{"call": CREATE, "nth": [1, 2], "kind": "slow", "slow_s": 1.0}],
        "storm of 429": [
            {"call": "*", "nth": [*range(4, 60, 5)], "kind": "answer", "status": 429, "code": "rate_limit_exceeded"}
        ],
        "storm of 5xx": [
            {"call": "*", "nth": [*range(5, 60, 6)], "kind": "answer", "status": 503, "code": "server_is_overloaded"}
        ],
        "5xx on create": [{"call": CREATE, "nth": [1, 2], "kind": "answer", "status": 500, "code": "server_error"}],
        "lost cancel": [{"call": CANCEL, "nth": [1, 2, 3, 4, 5, 7], "kind": "lost_call"}],
        "refused cancel": [
            {"call": CANCEL, "nth": [1, 2], "kind": "answer", "status": 400, "code": "invalid_job_state"}
        ],
        "slow cancel": [{"call": CANCEL, "nth": [1, 2, 4], "kind": "slow", "slow_s": 1.5}],
        "not JSON": [{"call": LIST, "nth": [2, 5], "kind": "not_json"}],
    }
)
"""To calls, counted over restarts."""
JOBS: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "stuck queue": {"kind": "stuck_queue", **_WHERE},
        "stuck validation": {"kind": "stuck_validation", **_WHERE},
        "model missing": {"kind": "model_missing", "missing_s": 1.0},
        "cancel race": {"kind": "finishes_before_cancel"},
        "unknown status": {"kind": "unknown_status"},
        "doubled events": {"kind": "events", "how": "duplicated"},
        "shuffled events": {"kind": "events", "how": "shuffled"},
        "missing events": {"kind": "events", "how": "missing"},
    }
)
"""To jobs; none of them changes what a job comes to."""
HOSTS: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "listing lag": {"listing_lag_s": LAG_S},
        "filter ignored": {"metadata_filter": "ignored"},
        "filter empty": {"metadata_filter": "empty"},
        "file status null": {"file_status": "null"},
        "slow files": {"file_status": "pending", "file_processing_s": 1.0},
        "no has_more": {"has_more": False},
        "oldest events first": {"events_order": "oldest_first"},
        "plain results": {"result_encoding": "plain"},
        "no metric events": {"metric_events": False},
    }
)
"""To the host as a whole."""
FAILURES: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "NaN loss": {"kind": "nan_loss", "at": 0.2, **_WHERE},
        "safety block": {"kind": "safety_block", **_WHERE},
    }
)
"""Those that end trial 1 otherwise than it would; the undisturbed sweep has them too."""
STUCK = frozenset({"stuck queue", "stuck validation"})
"""They end when the server starts again."""
NEEDS_CURVES = frozenset({"missing events", "no metric events"})
"""They hide a curve until the job has ended well: nothing can be pruned by it, and a job that fails never tells it."""
NAMES = (*CALLS, *JOBS, *HOSTS)


def faults_of(names: Sequence[str], *, is_restarted: bool = False) -> dict[str, object]:
    """What the server is told; what strikes calls is over, and nothing is stuck, once it was started again."""
    jobs = [one for name, one in {**JOBS, **FAILURES}.items() if name in names and not (is_restarted and name in STUCK)]
    calls = [] if is_restarted else [rule for name in names for rule in CALLS.get(name, ())]
    host = {key: value for name in names for key, value in HOSTS.get(name, {}).items()}
    return {"calls": calls, "jobs": jobs, "host": host}
