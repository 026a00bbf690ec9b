"""`raysweep jobs RUN [--prune]`: what a sweep has at its host, and what of it may go."""

import pytest
from wire_toys import call, export, jobs, plant, run

from raysweep import cli
from raysweep.jobs import Outcome
from raysweep.testing.server import fine_tuning_server

__all__ = ["fine_tuning_server"]


@pytest.mark.timeout(120)
def test_jobs_shows_each_attempt_and_prunes_only_what_the_ledger_owns(
    fine_tuning_server, monkeypatch, synthetic, capsys
):
    server = fine_tuning_server("--epoch-s", "0.1")
    export(monkeypatch, server)
    file, job = plant(server)
    results = run(server, synthetic, trials=3, early_stopping={"kind": "none"})
    state = results.state

    assert 0 == cli.main(["jobs", str(results.folder)])
    shown = capsys.readouterr().out.splitlines()
    assert 0 == cli.main(["jobs", str(results.folder), "--prune"])
    said = capsys.readouterr().out

    assert 4 == len(shown)
    for line, trial in zip(shown[1:], state.trials.values(), strict=True):
        assert line.startswith(trial.proposed.key)
        assert f" {trial.job.job_id} " in line
        assert "succeeded" in line
        assert line.endswith(Outcome.COMPLETED)
    files = {one["id"] for one in call(server, "/files")["data"]}
    models = {one["id"] for one in call(server, "/models")["data"]}
    tuned = {one["metadata"]["raysweep_key"]: one["fine_tuned_model"] for one in jobs(server) if one["metadata"]}
    best = tuned.pop(state.best.proposed.key)
    assert 2 == said.count("deleted model")
    assert file in files
    assert job in {one["id"] for one in jobs(server)}
    assert best in models
    assert not models & set(tuned.values())


def test_a_sweep_without_a_host_has_no_jobs_to_show(synthetic, capsys):
    from raysweep.config.load import parse
    from raysweep.sweep import Options, run_sweep
    from raysweep.testing.processes import ProcessRunner

    settings = parse(synthetic | {"trials": 1, "final": {"baseline": False, "test": False}}, "test")
    results = run_sweep(settings, Options(runner=ProcessRunner()))

    assert 2 == cli.main(["jobs", str(results.folder)])
    assert "at no host" in capsys.readouterr().err
