"""What watching costs: the real gate and the real server on one clock that is moved by hand."""

from server_toys import admin
from wire_toys import FREE, KEY_ENV, MODEL

from raysweep.clock import SimulatedClock
from raysweep.config import WireTrainer as Settings
from raysweep.dataset import Splits
from raysweep.jobs import DataRefs, JobSpec
from raysweep.task import Example, Message
from raysweep.testing.server import fine_tuning_server
from raysweep.testing.toy_data import TOY_TASK
from raysweep.trainers.dialects import dialect_of
from raysweep.trainers.gate import WireGate
from raysweep.trainers.gate_client import WireClient
from raysweep.trainers.wire import WireTrainer

__all__ = ["fine_tuning_server"]
EPOCH_S = 900


def test_a_job_of_a_step_a_second_costs_thirty_looks_an_hour_and_loses_no_evaluation(fine_tuning_server, tmp_path):
    server = fine_tuning_server("--admin", "--clock", "manual", "--epoch-s", str(EPOCH_S))
    settings = Settings(
        kind="wire",
        host="openai",
        base_url=server.base_url,
        key_env=KEY_ENV,
        model=MODEL,
        score="finalists",
        prices=FREE,
    )
    clock = SimulatedClock()
    gate = WireGate(settings, WireClient(dialect_of(settings), server.key), None, clock)
    trainer = WireTrainer(settings, TOY_TASK, lambda: gate, clock)
    rows = tuple(Example((Message("user", f"row {number}"),), str(number % 3 + 1)) for number in range(EPOCH_S + 20))
    data = DataRefs("0123456789abcdef", Splits(rows[:EPOCH_S], rows[EPOCH_S:], (), "0123456789abcdef"))
    prompt = {"template": "{prompt}", "system": None, "label_words": ()}
    params = {"n_epochs": 2, "batch_size": 1, "model": MODEL, **prompt}
    job = trainer.submit(JobSpec("abcdefgh", 0, 1, params, 0, tmp_path, (1.0, 2.0)), data)
    told, at_server_s = [], 0.0

    progress = job.advance(0)
    while not progress.is_final:
        due_s = gate.look_when_due()
        progress = job.advance(0)
        told += [progress.evaluation.epoch] if progress.evaluation else []
        clock.advance_to(min(max(due_s, clock.elapsed_s + 5), clock.elapsed_s + 50))
        admin(server, "POST", "clock", {"advance_s": clock.elapsed_s - at_server_s})
        at_server_s = clock.elapsed_s

    n_looks = sum(n for name, n in admin(server, "GET", "calls").items() if name.endswith("/events"))
    assert [1.0, 2.0] == told
    assert n_looks <= 30 * clock.elapsed_s / 3600
