"""What the wire's tests have in common: settings of a sweep at a local server, and what the server itself says."""

import json
import os
import urllib.request

from raysweep.config.load import parse
from raysweep.sweep import Options, run_sweep
from raysweep.testing.processes import ProcessRunner
from raysweep.trainers import make_trainer

KEY_ENV = "RAYSWEEP_TEST_HOST_KEY"
MODEL = "gpt-4.1-mini-2025-04-14"
FREE = dict.fromkeys(("training_usd_per_million", "input_usd_per_million", "output_usd_per_million"), 0.0)
"""Prices for a paid host's dialect, spoken by a server that costs nothing."""
FAST = {"shortest_s": 0.05, "longest_s": 0.2}


def trainer(server, **changes):
    """The trainer's section for this server."""
    section = {"kind": "wire", "host": "raysweep", "base_url": server.base_url, "key_env": KEY_ENV, "model": MODEL}
    return section | {"polls": FAST} | changes


def sweep(server, synthetic, **changes):
    """The settings of a small sweep at it."""
    settings = synthetic | {
        "trainer": trainer(server),
        "space": {"learning_rate_multiplier": {"kind": "loguniform", "low": 0.1, "high": 30.0}, "n_epochs": 3},
        "early_stopping": {"kind": "asha", "metric": "val_loss", "mode": "min", "rungs": [1.0, 2.0], "eta": 2},
        "evaluation": {"every_epochs": 1},
        "retries": {"attempts": 3, "wait_s": 0.1},
        "final": {"baseline": False},
        "objective": {"metric": "val_f1_weighted"},
    }
    return settings | changes


def runner():
    """Plain processes, which need not each load the trainer."""
    return ProcessRunner(modules=("raysweep.trainers.wire",))


def run(server, synthetic, **changes):
    """Run it to its end, by plain processes."""
    return run_sweep(parse(sweep(server, synthetic, **changes), "test"), Options(runner=runner()))


def call(server, path, method="GET", key=None):
    """What the server says, by plain HTTP."""
    request = urllib.request.Request(f"{server.base_url}{path}", method=method)
    request.add_header("Authorization", f"Bearer {key or server.key}")
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.loads(reply.read())


def jobs(server):
    """Every job at the server, the oldest first."""
    return list(reversed(call(server, "/fine_tuning/jobs?limit=100")["data"]))


def keys(server):
    """The key of every job at the server."""
    return [(job["metadata"] or {}).get("raysweep_key") for job in jobs(server)]


def keyed_trainer(recipe, key):
    """A trainer, also in a process that was forked from one which knows no key."""
    os.environ[KEY_ENV] = key
    return make_trainer(recipe)


def export(monkeypatch, server):
    """Give this process, and those it starts, the server's key."""
    monkeypatch.setenv(KEY_ENV, server.key)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/nowhere" if name.endswith("URL") else "sk-not-this-one")


def plant(server):
    """A file and a job of somebody else's."""
    rows = [
        {"messages": [{"role": "user", "content": f"row {n}"}, {"role": "assistant", "content": "1"}]}
        for n in range(12)
    ]
    body = "\r\n".join(
        [
            "--b",
            'Content-Disposition: form-data; name="purpose"',
            "",
            "fine-tune",
            "--b",
            'Content-Disposition: form-data; name="file"; filename="foreign.jsonl"',
            "Content-Type: application/octet-stream",
            "",
            "\n".join(json.dumps(row) for row in rows),
            "--b--",
            "",
        ]
    )
    file = post(server, "/files", body.encode(), "multipart/form-data; boundary=b")["id"]
    job = json.dumps({"model": MODEL, "training_file": file}).encode()
    return file, post(server, "/fine_tuning/jobs", job, "application/json")["id"]


def post(server, path, body, kind):
    request = urllib.request.Request(f"{server.base_url}{path}", data=body, method="POST")
    request.add_header("Authorization", f"Bearer {server.key}")
    request.add_header("Content-Type", kind)
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.loads(reply.read())
