"""`raysweep probe` against our own server, whose behaviour is hidden from it: profiled as it is, with nothing left."""

import hashlib
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from server_toys import admin, chats, client_of
from wire_toys import KEY_ENV, MODEL, call, export, jobs, trainer

from raysweep.clock import RealClock
from raysweep.config.load import parse
from raysweep.errors import ConfigError, RaysweepError
from raysweep.forecast import Forecaster
from raysweep.planning import plan
from raysweep.preflight import make_ready
from raysweep.probing import probe, tiny_of
from raysweep.rehearsing import rehearsed
from raysweep.testing.server import fine_tuning_server, running_server
from raysweep.trainers import facts, probe_looks
from raysweep.trainers.dialects import UNKNOWN_LAG_S, dialect_of
from raysweep.trainers.facts import Measured
from raysweep.trainers.gate import open_gate
from raysweep.trainers.hosted import JobRequest

__all__ = ["fine_tuning_server"]
pytestmark = pytest.mark.timeout(60)
WIRE_SWEEP = {
    "space": {"learning_rate_multiplier": {"kind": "loguniform", "low": 0.1, "high": 10.0}, "n_epochs": 2},
    "objective": {"metric": "val_loss"},
    "early_stopping": {"kind": "none"},
    "evaluation": {"every_epochs": 1},
}
PRICES = {"training_usd_per_million": 100.0}
MANUAL = ("--admin", "--clock", "manual", "--validation-s", "1", "--queue-s", "1", "--epoch-s", "4", "--after-s", "2")


@dataclass
class ServerClock:
    """The server's clock stands still but for this one: whoever waits here lets time pass there."""

    server: object
    elapsed_s: float = 0.0

    def monotonic_s(self):
        return self.elapsed_s

    def now(self):
        return RealClock().now()

    def sleep_s(self, seconds):
        self.elapsed_s += seconds
        there = f"{self.server.base_url.removesuffix('/v1').removesuffix('/openai')}/admin/clock"
        request = urllib.request.Request(there, json.dumps({"advance_s": seconds}).encode())  # quick: it loads no TLS
        request.add_header("Authorization", f"Bearer {self.server.key}")
        urllib.request.urlopen(request, timeout=10).close()


def tree(server, synthetic, **changes):
    section = {name: value for name, value in trainer(server).items() if name != "polls"}
    return synthetic | {"trainer": section | changes, **WIRE_SWEEP}


def config(server, synthetic, **changes):
    return parse(tree(server, synthetic, **changes), "test")


def probed(server, synthetic, *, max_usd=None, said=None, **changes):
    lines = said if said is not None else []
    return probe(config(server, synthetic, **changes), max_usd, say=lines.append, clock=ServerClock(server))


def alive(server):
    return [job["id"] for job in jobs(server) if job["status"] not in ("succeeded", "failed", "cancelled")]


def files(server):
    return [file["filename"] for file in call(server, "/files")["data"]]


@pytest.fixture(scope="module")
def hidden():
    with running_server(*MANUAL) as server:
        yield server


@pytest.fixture
def host(hidden, monkeypatch):
    """The server of this module, well behaved again."""
    admin(hidden, "PUT", "faults", {})
    export(monkeypatch, hidden)
    return hidden


HIDDEN = {
    "listing_lag_s": (0, 0.7, 4, 20),
    "metadata_filter": ("honoured", "ignored", "empty"),
    "events_order": ("newest_first", "oldest_first"),
    "result_encoding": ("base64", "plain"),
    "metric_events": (True, False),
    "has_more": (True, False),
    "trained_tokens": ("training", "with_validation", "once"),
}


def behaviours(n, seed):
    """So many hosts, drawn at random; each value of each kind comes about equally often."""
    dice = random.Random(seed)
    columns = {name: [values[place % len(values)] for place in range(n)] for name, values in HIDDEN.items()}
    for column in columns.values():
        dice.shuffle(column)
    return [{name: column[place] for name, column in columns.items()} for place in range(n)]


@pytest.mark.parametrize("hides", behaviours(8, seed=7), ids=str)
def test_a_host_with_hidden_behaviour_is_profiled_as_it_is(host, synthetic, hides):
    admin(host, "PUT", "faults", {"host": hides})

    found = probed(host, synthetic)

    words = {"training": "each epoch", "with_validation": "each epoch, with validation", "once": "once"}
    assert {"honoured": "works"}.get(hides["metadata_filter"], hides["metadata_filter"]) == found.metadata_filter
    assert hides["listing_lag_s"] <= found.listing_lag_s <= 1.15 * hides["listing_lag_s"] + 1
    assert words[hides["trained_tokens"]] == found.tokens_counted
    for name in ("events_order", "result_encoding", "metric_events", "has_more"):
        assert hides[name] == asdict(found)[name], name
    assert found.checkpoints
    assert {} == found.unmeasured
    assert ("running", True) == (found.cancelled_while, found.cancel_s < 5)
    assert ([], []) == (alive(host), files(host))
    assert [] == [
        one["id"] for one in call(host, "/models")["data"] if one["id"].startswith("ft:") and "ckpt" not in one["id"]
    ]


def test_azure_is_profiled_too_and_its_records_are_deleted(fine_tuning_server, monkeypatch, synthetic):
    server = fine_tuning_server("--azure", *MANUAL)
    export(monkeypatch, server)

    found = probed(server, synthetic, host="azure", prices={"training_usd_per_million": 1.0}, max_usd=1.0)

    assert ("oldest_first", "plain", "works") == (found.events_order, found.result_encoding, found.metadata_filter)
    assert ([], []) == (jobs(server), files(server))


@pytest.mark.parametrize(
    ("changes", "max_usd", "words"),
    [
        ({"prices": PRICES}, 0.01, r"--max-usd: 0\.01 USD is too little: 2 tiny jobs cost up to 0\.\d\d USD"),
        ({"prices": PRICES}, None, r"--max-usd: missing, and 2 tiny jobs cost up to"),
        ({"host": "custom"}, 2.0, r"nobody knows what .* costs at custom \(training\).*training_usd_per_million"),
    ],
)
def test_nothing_is_asked_of_a_host_whose_jobs_would_cost_too_much(host, synthetic, changes, max_usd, words):
    before = admin(host, "GET", "calls")

    with pytest.raises(ConfigError, match=words):
        probed(host, synthetic, max_usd=max_usd, **changes)

    after = admin(host, "GET", "calls")
    wire = {name: n for name, n in after.items() if "admin" not in name}
    assert {name: n for name, n in before.items() if "admin" not in name} == wire


def test_what_both_jobs_are_charged_lies_within_what_was_said_they_may_cost(host, synthetic):
    admin(host, "PUT", "faults", {"host": {"trained_tokens": "with_validation"}})
    tiny = tiny_of(make_ready(config(host, synthetic, prices=PRICES)))

    found = probed(host, synthetic, prices=PRICES, max_usd=tiny.at_most_usd)

    assert 2 * found.trained_tokens * 100 / 1e6 <= tiny.at_most_usd


def test_a_create_whose_answer_is_lost_is_adopted_and_made_once(host, synthetic):
    n_before = len(jobs(host))
    admin(host, "PUT", "faults", {"calls": [{"call": "POST /fine_tuning/jobs", "nth": [1, 2], "kind": "lost_reply"}]})

    found = probed(host, synthetic)

    assert n_before + 2 == len(jobs(host))
    assert {"listing_lag_s"} == set(found.unmeasured)
    assert "works" == found.metadata_filter
    assert ([], []) == (alive(host), files(host))


def test_a_create_that_nobody_knows_of_is_not_made_again_but_told(host, synthetic):
    n_before, said = len(jobs(host)), []
    admin(host, "PUT", "faults", {"calls": [{"call": "POST /fine_tuning/jobs", "nth": [1], "kind": "lost_call"}]})

    with pytest.raises(RaysweepError, match="its create was lost"):
        probed(host, synthetic, said=said)

    assert n_before == len(jobs(host))
    assert "LEFT AT THE HOST: a job with the suffix" in said[-1]
    assert [] == files(host)


def test_a_job_that_fails_leaves_its_facts_unmeasured_and_the_others_written(host, synthetic):
    admin(host, "PUT", "faults", {"jobs": [{"kind": "safety_block"}]})

    found = probed(host, synthetic)

    assert {"checkpoints", "result_encoding", "trained_tokens"} == set(found.unmeasured)
    assert (None, "works", "newest_first") == (found.trained_tokens, found.metadata_filter, found.events_order)
    assert "usage policies" in found.unmeasured["trained_tokens"]
    assert found == facts.find(config(host, synthetic).trainer).measured


def begun(server, synthetic, folder):
    """`raysweep probe`, as a person runs it."""
    path = folder / "host.yaml"
    path.write_text(yaml.safe_dump(tree(server, synthetic)))
    words = [sys.executable, "-u", "-m", "raysweep.cli", "probe", str(path), "--max-usd", "2"]
    variables = os.environ | {KEY_ENV: server.key}
    pipe = subprocess.PIPE
    return subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True, cwd=folder, env=variables)


@pytest.mark.parametrize(
    ("sent", "until"),
    [(signal.SIGINT, "to be cancelled as"), (signal.SIGTERM, "to run to its end"), (signal.SIGINT, "")],
    ids=["before the cancel", "while it trains", "before a create is answered"],
)
def test_a_probe_that_is_broken_off_leaves_nothing_alive(fine_tuning_server, synthetic, tmp_path, sent, until):
    slow = {"calls": [{"call": "POST /fine_tuning/jobs", "nth": [1], "kind": "slow", "slow_s": 30}]}
    server = fine_tuning_server("--epoch-s", "20", faults={} if until else slow)
    with begun(server, synthetic, tmp_path) as process:
        try:
            while until not in (process.stdout.readline() if until else ""):
                assert process.poll() is None
            while not jobs(server) and process.poll() is None:
                time.sleep(0.05)
            process.send_signal(sent)
            said, errors = process.communicate(timeout=40)
        finally:
            process.kill()

    assert (130, True, False) == (process.returncode, "broken off" in errors, "LEFT" in said)
    assert ([], []) == (alive(server), files(server))
    assert jobs(server)
    assert not facts.path_of(config(server, synthetic).trainer).exists()


def test_a_filter_that_was_found_dead_is_trusted_no_more(fine_tuning_server, monkeypatch, synthetic):
    host = fine_tuning_server(*MANUAL, faults={"host": {"metadata_filter": "empty"}})  # it keeps a job and a file
    export(monkeypatch, host)
    file = call_upload(host)
    request = JobRequest("sweep001", "sweep001-0000-1", MODEL, file, file, "sweep001-0000-1", 7, {"n_epochs": 1})
    trusting = make_ready(config(host, synthetic)).recipe.settings
    made = open_gate(trusting).create(request)
    assert open_gate(trusting).find("sweep001", request.key, thorough=False) is None

    probed(host, synthetic)
    ready = make_ready(config(host, synthetic))

    assert made.id == open_gate(ready.recipe.settings).find("sweep001", request.key, thorough=False).id
    assert ready.config.trainer.metadata_filter is None  # the sweep's settings stay what they were


def call_upload(host):
    return client_of(host).files.create(file=("train.jsonl", chats(12)), purpose="fine-tune").id


def test_a_signal_that_comes_while_things_are_taken_back_does_not_stop_that(host, synthetic):
    def say(line):
        if line == "taking back what was made":
            os.kill(os.getpid(), signal.SIGINT)

    try:
        probe(config(host, synthetic), None, say=say, clock=ServerClock(host))
    except KeyboardInterrupt:  # it would end all tests
        pytest.fail("the signal broke it off")

    assert ([], []) == (alive(host), files(host))
    assert facts.find(config(host, synthetic).trainer) is not None


SEEN = Measured(
    listing_lag_s=20.0,
    metadata_filter="ignored",
    events_order="oldest_first",
    metric_events=False,
    checkpoints=True,
    tokens_counted="each epoch, with validation",
)


def saved(synthetic, measured=SEEN, age_days=0, **changes):
    section = {
        "kind": "wire",
        "host": "openai",
        "base_url": "http://127.0.0.1:9/v1",
        "model": "gpt-4.1-mini-2025-04-14",
    }
    given = parse(synthetic | {"trainer": section | changes, **WIRE_SWEEP}, "test")
    facts.save(given.trainer, measured, at=datetime.now(UTC) - timedelta(days=age_days), version="1")
    return given


def test_facts_reach_a_trial_on_another_machine_by_its_recipe(synthetic, monkeypatch, tmp_path):
    recipe = pickle.dumps(make_ready(saved(synthetic)).recipe)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))

    dialect = dialect_of(pickle.loads(recipe).settings)

    assert (60.0, False, False, False, True) == (
        dialect.listing_lag_s,
        dialect.metadata_filter,
        dialect.newest_events_first,
        dialect.has_metric_events,
        dialect.counts_validation,
    )


def test_a_lag_that_was_seen_once_is_waited_for_with_a_margin(synthetic):
    assert UNKNOWN_LAG_S == make_ready(saved(synthetic, Measured(listing_lag_s=0.4))).capabilities.listing_lag_s


def test_the_settings_count_before_the_facts_and_facts_before_the_dialect(synthetic):
    ready = make_ready(saved(synthetic, metadata_filter=True, listing_lag_s=2.0))

    assert (True, 2.0, False) == (
        ready.recipe.settings.metadata_filter,
        ready.recipe.settings.listing_lag_s,
        dialect_of(ready.recipe.settings).newest_events_first,
    )
    assert "the settings themselves say listing_lag_s, metadata_filter" in next(ready.facts_words(datetime.now(UTC)))


def test_a_host_without_losses_anywhere_is_still_asked_for_events(synthetic):
    neither = Measured(metric_events=False, checkpoints=False)

    assert make_ready(saved(synthetic, neither)).recipe.settings.metric_events is None


def test_validation_rows_that_are_charged_are_reserved(synthetic):
    without = tokens_of_a_trial(saved(synthetic, Measured()))

    assert 1.2 * without < tokens_of_a_trial(saved(synthetic)) < 1.5 * without  # 120 rows train, 40 validate


def tokens_of_a_trial(given):
    return Forecaster(make_ready(given), 1).forecast().dearest.trained_tokens


def test_plan_names_the_facts_date_and_says_when_they_are_old(synthetic):
    fresh, old = ("\n".join(plan(saved(synthetic, age_days=age))) for age in (3, 200))

    assert f"measured by raysweep probe on {datetime.now(UTC) - timedelta(days=3):%Y-%m-%d}" in fresh
    assert "metadata_filter false" in fresh
    assert "probe again" not in fresh
    assert "200 days are long, hosts change: probe again" in old


def test_facts_are_of_one_host_and_account_and_hold_no_key(synthetic, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    ours = saved(synthetic).trainer

    text = facts.path_of(ours).read_text()

    assert "sk-canary" not in text
    assert not any(hashlib.new(name, b"sk-canary").hexdigest()[:8] in text for name in ("sha256", "sha1", "md5"))
    assert facts.find(ours.model_copy(update={"base_url": "http://127.0.0.1:9/v1/"})) is not None
    assert facts.find(ours.model_copy(update={"base_url": "http://127.0.0.1:8/v1"})) is None
    assert facts.find(ours.model_copy(update={"key_env": "OTHER_ACCOUNT"})) is None


def test_a_rehearsal_uses_no_facts_of_the_host(synthetic):
    given = saved(synthetic)

    assert facts.find(rehearsed(given).trainer) is None


def test_damaged_facts_are_named_with_the_remedy(synthetic):
    given = saved(synthetic)
    facts.path_of(given.trainer).write_text("host: [")

    with pytest.raises(ConfigError, match=r"hosts/openai-\w+\.yaml: cannot be read .* delete it, or probe again"):
        make_ready(given)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"kind": "synthetic"}, "synthetic asks no host"), ({"rehearsal": {}}, "a rehearsal asks no host")],
)
def test_what_asks_no_host_cannot_be_probed(synthetic, change, words):
    section = change if "kind" in change else {"kind": "wire", "model": "gpt-4.1-mini-2025-04-14", **change}
    sweep = {} if "kind" in change else WIRE_SWEEP

    with pytest.raises(ConfigError, match=words):
        probe(parse(synthetic | {"trainer": section, **sweep}, "test"), 2.0, say=print)


@pytest.mark.parametrize(
    ("times", "steps", "order"),
    [
        ((1, 2, 3), (0, 1, 2), "oldest_first"),
        ((3, 2, 2), (2, 1, 0), "newest_first"),
        ((5, 5, 5), (1, 2, 3), "oldest_first"),
        ((1, 3, 2), (1, 3, 2), "mixed"),
        ((1, 2, 3), (3, 2, 1), "mixed"),
        ((5,), (1,), None),
    ],
)
def test_the_order_of_events_is_that_of_their_times_and_steps(times, steps, order):
    events = [
        {"created_at": at, "data": {"step": step, "train_loss": 1}} for at, step in zip(times, steps, strict=True)
    ]

    assert order == probe_looks.order_of(events)


@pytest.mark.parametrize(
    ("trained", "validation", "way"),
    [
        (230, 300, "each epoch"),
        (80, 300, "once"),
        (900, 300, "each epoch, with validation"),
        (1300, 300, "unclear"),
        (280, 40, "unclear"),  # so few validation rows that both ways fit
    ],
)
def test_how_tokens_are_counted_is_said_only_where_one_way_fits(trained, validation, way):
    assert way == probe_looks.counted(trained, n_epochs=3, training=100, validation=validation)
