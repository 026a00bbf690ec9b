"""A warm start: which earlier runs count, what they change, what is refused, and that a resumed sweep keeps them."""

import json
import math
import shutil

import pytest
from inline_runner import Died, InlineRunner

from raysweep import ledger, results
from raysweep.checking import findings
from raysweep.clock import RealClock
from raysweep.config.load import load_config, parse
from raysweep.earlier import FILE_NAME, read_earlier
from raysweep.errors import ConfigError, DataError, InputError, SweepFolderError
from raysweep.preflight import make_ready
from raysweep.search.earlier import EarlierRun, Misfit, point_of, tell_earlier
from raysweep.search.propose import make_proposer
from raysweep.space import Branch, Choice, Fixed, Integer, LogUniform, QUniform, Space
from raysweep.steering import reconcile_run
from raysweep.sweep import Options, resume_sweep, run_sweep

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

TABLE = "lr,n_epochs,f1\n" + "".join(f"{10 ** (-4 + row / 10)},2,{0.5 - abs(row - 15) / 50}\n" for row in range(20))


@pytest.fixture
def settings(synthetic, tmp_path):
    """A sweep that learns from a table of 20 runs, best at a learning rate of 10^-2.5."""
    (tmp_path / "runs.csv").write_text(TABLE, encoding="utf-8")
    source = {"path": str(tmp_path / "runs.csv"), "metric": "f1", "mode": "max", "params": {"lr": "learning_rate"}}
    quick = {"early_stopping": {"kind": "none"}, "final": {"test": False, "baseline": False}, "trials": 6}
    return synthetic | quick | {"search": {"kind": "hyperopt"}, "warm_start": [source]}


def changed(settings, **source):
    return settings | {"warm_start": [settings["warm_start"][0] | source]}


def read(settings):
    return read_earlier(parse(settings, "test"))


def begin(settings, folder, n_steps=None):
    try:
        run_sweep(parse(settings, "test"), Options(folder=folder, runner=InlineRunner(n_steps)))
    except Died:
        lines = (folder / ledger.FILE_NAME).read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if b'"the sweep ended"' not in line]
        (folder / ledger.FILE_NAME).write_bytes(b"".join(kept))
    return folder


def params_of(folder):
    return [trial.params for _, trial in sorted(results.load(folder).state.trials.items())]


def test_a_table_becomes_points_of_the_space_with_losses(settings):
    earlier = read(settings)

    assert len(earlier.runs) == 20
    assert earlier.runs[0].params == {"learning_rate": pytest.approx(1e-4), "n_epochs": 2}
    assert earlier.runs[0].loss == pytest.approx(-0.2)
    assert "20 of 20 earlier runs are learnt from, by f1 (max)" in earlier.notes[0]


def test_jsonl_and_parquet_tell_the_same_as_csv(settings, tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(tmp_path / "runs.csv")
    frame.to_json(tmp_path / "runs.jsonl", orient="records", lines=True, double_precision=15)
    frame.to_parquet(tmp_path / "runs.parquet")

    jsonl, parquet = (read(changed(settings, path=str(tmp_path / f"runs.{kind}"))) for kind in ("jsonl", "parquet"))

    csv = read(settings)
    assert csv.runs == parquet.runs
    assert [run.params["learning_rate"] for run in jsonl.runs] == pytest.approx(
        [run.params["learning_rate"] for run in csv.runs], rel=1e-9
    )


def test_a_sweeps_folder_tells_what_its_own_search_was_told(settings, synthetic, tmp_path):
    space = {"learning_rate": {"kind": "loguniform", "low": 1e-5, "high": 0.1}, "n_epochs": 2}
    faults = {"kind": "synthetic", "faults": {1: "nan", 2: "setup"}}
    once = {"trials": 5, "space": space, "trainer": faults, "retries": {"attempts": 1}}
    folder = begin(synthetic | once | {"final": {"test": False, "baseline": False}}, tmp_path / "former")
    trials = results.load(folder).trials.set_index("trial")

    earlier = read(changed(settings, path=str(folder), metric=None, mode="auto", params={}))

    outcomes = list(trials["outcome"])
    told = [number for number, outcome in enumerate(outcomes) if outcome in ("completed", "pruned", "failed")]
    assert {"failed", "completed"} <= set(outcomes)
    assert [trials["params/learning_rate"][number] for number in told] == [
        run.params["learning_rate"] for run in earlier.runs
    ]
    assert earlier.runs[0].loss == pytest.approx(-trials["objective"][0])
    assert all(math.isfinite(run.loss) for run in earlier.runs)
    assert max(run.loss for run in earlier.runs) == earlier.runs[told.index(outcomes.index("failed"))].loss


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"rate": "3e-4", "rank": "8", "step": "0.12"}, {"rate": 3e-4, "rank": 8, "step": 0.1}),
        ({"rate": 3e-4, "rank": 8.0, "step": 0.3}, {"rate": 3e-4, "rank": 8, "step": 0.3}),
    ],
)
def test_values_are_read_as_the_dimensions_want_them(cells, expected):
    space = Space(
        {
            "rate": LogUniform("loguniform", 1e-5, 1e-1),
            "rank": Choice("choice", (4, 8)),
            "step": QUniform("quniform", 0.1, 0.5, 0.1),
            "fixed": Fixed(3),
        }
    )

    point = point_of(space, cells)

    assert {**expected, "fixed": 3} == point
    assert [type(value) for value in point.values()] == [float, int, float, int]


@pytest.mark.parametrize(
    ("dimension", "cell", "reason"),
    [
        (LogUniform("loguniform", 1e-5, 1e-1), 0.5, "x not in loguniform 1e-05 to 0.1"),
        (LogUniform("loguniform", 1e-5, 1e-1), "fast", "x not in loguniform 1e-05 to 0.1"),
        (LogUniform("loguniform", 1e-5, 1e-1), math.nan, "no value of x"),
        (Integer("integer", 1, 5), 2.5, "x not in integer 1 to 5"),
        (Choice("choice", (4, 8)), 16, "x not in choice of 4, 8"),
        (Choice("choice", (0, 1)), True, "x not in choice of 0, 1"),
        (Choice("choice", ("a", "b")), None, "no value of x"),
        (Fixed(16), 8, "x not in fixed 16"),
    ],
)
def test_what_a_dimension_does_not_hold_is_no_point(dimension, cell, reason):
    with pytest.raises(Misfit, match=f"^{reason}$"):
        point_of(Space({"x": dimension}), {"x": cell})


def test_what_was_fixed_there_counts_as_its_value_and_lists_and_none_are_found():
    space = Space({"words": Choice("choice", (("a", "b"), None)), "on": Choice("choice", (True, False))})

    assert point_of(space, {"words": '["a", "b"]', "on": "False"}) == {"words": ("a", "b"), "on": False}
    assert point_of(space, {"words": None, "on": True}) == {"words": None, "on": True}


def test_words_among_numbers_are_read_as_raysweeps_own_tables_have_them():
    space = Space({"size": Choice("choice", (8, "auto"))})

    assert [8, "auto", "auto"] == [point_of(space, {"size": cell})["size"] for cell in ("8", '"auto"', "auto")]


def test_only_the_taken_branchs_params_count():
    branches = {"qv": {"rate": LogUniform("loguniform", 1e-4, 1e-2)}, "all": {"rank": Choice("choice", (4, 8))}}
    space = Space({"targets": Branch("branch", branches)})

    assert point_of(space, {"targets": "all", "rank": 4, "rate": 7.0}) == {"targets": "all", "rank": 4}
    with pytest.raises(Misfit, match="no value of rank"):
        point_of(space, {"targets": "all", "rate": 1e-3})


def test_runs_that_do_not_fit_are_left_out_and_counted(settings, tmp_path):
    rows = "lr,n_epochs,f1\n1e-3,2,0.4\n1e-3,3,0.9\n5,2,0.9\n7,2,0.9\n1e-4,2,\n"
    (tmp_path / "runs.csv").write_text(rows, encoding="utf-8")

    (note,) = read(settings).notes

    assert "1 of 5 earlier runs" in note
    assert "2 learning_rate not in loguniform 1e-05 to 0.1; 1 n_epochs not in fixed 2; 1 without a result" in note


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ({"path": "nowhere.csv"}, ConfigError, r"warm_start.0.path: nowhere.csv: not there; give a sweep's folder"),
        ({"metric": "n_epoch"}, ConfigError, r"warm_start.0.metric: .* has no 'n_epoch'; did you mean 'n_epochs'\?"),
        ({"params": {"rate": "learning_rate"}}, ConfigError, r"warm_start.0.params: .* has no 'rate'; .*there: f1, lr"),
        ({"params": {}}, ConfigError, r"none of its 20 runs can be used: 20 no value of learning_rate; .*warm_start.0"),
        ({"params": {"lr": "learning_rat"}}, ConfigError, r"warm_start.0.params.lr: the space has no 'learning_rat'"),
        ({"mode": "auto"}, ConfigError, r"warm_start.0.mode: f1: .*set its mode to max or min|did you mean val_f1"),
    ],
)
def test_a_source_that_cannot_be_used_is_refused_by_place_and_remedy(settings, source, error, message):
    with pytest.raises(error, match=message):
        read(changed(settings, **source))


def test_a_folder_without_a_sweep_and_a_file_of_no_known_kind_are_refused(settings, tmp_path):
    (tmp_path / "runs.txt").write_text("x", encoding="utf-8")

    with pytest.raises(ConfigError, match=r"no ledger.jsonl in it; give a sweep's folder"):
        read(changed(settings, path=str(tmp_path)))
    with pytest.raises(DataError, match=r"runs.txt: unknown kind of file"):
        read(changed(settings, path=str(tmp_path / "runs.txt")))


@pytest.mark.parametrize("kind", ["random", "grid"])
def test_a_search_that_learns_nothing_takes_no_warm_start(settings, kind):
    space = {"learning_rate": {"kind": "choice", "values": [0.1, 0.01]}, "n_epochs": 2}

    with pytest.raises(ConfigError, match=f"warm_start: a search of kind {kind} learns nothing"):
        parse(settings | {"search": {"kind": kind}, "space": space}, "test")


@pytest.mark.parametrize("kind", ["hyperopt", "optuna"])
def test_the_first_suggestions_lie_where_earlier_runs_were_good(kind):
    pytest.importorskip(kind)
    space = Space({"rate": LogUniform("loguniform", 1e-6, 1.0)})
    rates = [10 ** (-6 + row / 5) for row in range(31)]
    runs = [EarlierRun({"rate": rate}, abs(math.log10(rate) + 2.5)) for rate in rates]

    def first(runs):
        distances = []
        for seed in range(5):
            proposer = make_proposer(kind, space, seed=seed, n_trials=12, default_first=False)
            tell_earlier(proposer, runs)
            distances += [abs(math.log10(proposer.ask(number)["rate"]) + 2.5) for number in range(4)]
        return sum(distances) / len(distances)

    assert first(runs) < first([]) / 2


def test_the_best_earlier_configuration_can_be_tried_again():
    space = Space({"rank": Choice("choice", (1, 2))})
    proposer = make_proposer("hyperopt", space, seed=0, n_trials=4, default_first=False)
    tell_earlier(proposer, [EarlierRun({"rank": 1}, 0.0), EarlierRun({"rank": 2}, 1.0)] * 10)

    assert {proposer.ask(number)["rank"] for number in range(2)} == {1, 2}


@pytest.mark.parametrize("kind", ["hyperopt", "optuna"])
@pytest.mark.parametrize(("n_own", "is_same"), [(7, False), (8, True)])
def test_earlier_runs_are_forgotten_once_the_sweep_has_enough_of_its_own(kind, n_own, is_same):
    pytest.importorskip(kind)
    space = Space({"rate": LogUniform("loguniform", 1e-6, 1.0)})
    warm, cold = (make_proposer(kind, space, seed=0, n_trials=24, default_first=False) for _ in range(2))
    tell_earlier(warm, [EarlierRun({"rate": 1e-5 * (1 + run / 50)}, 0.0) for run in range(20)])
    for proposer in (warm, cold):
        for number in range(n_own):
            proposer.adopt(number, {"rate": 10 ** (-6 + number / 2)})
            proposer.tell(number, 1.0 + number)

    assert (warm.ask(n_own + 1) == cold.ask(n_own + 1)) is is_same


def test_earlier_runs_are_no_trials_of_the_sweep(settings, tmp_path):
    folder = begin(settings, tmp_path / "run")

    found = results.load(folder)
    cold = begin({**settings, "warm_start": []}, tmp_path / "cold")
    assert list(range(6)) == list(found.trials["trial"])
    assert found.best.number in range(6)
    assert params_of(folder) != params_of(cold)
    assert not (cold / FILE_NAME).exists()


def test_a_resumed_sweep_goes_on_as_undisturbed_though_its_source_is_gone(settings, tmp_path):
    whole = begin(settings, tmp_path / "whole")
    cut = begin(settings, tmp_path / "cut", n_steps=12)
    n_before = len(params_of(cut))
    (tmp_path / "runs.csv").unlink()

    resume_sweep(cut, (), Options(runner=InlineRunner()))

    assert n_before < 6
    assert params_of(whole) == params_of(cut)


@pytest.mark.parametrize("damage", ["gone", "changed", "cut"])
def test_earlier_runs_that_were_changed_by_hand_are_refused(settings, tmp_path, damage):
    folder = begin(settings, tmp_path / "cut", n_steps=12)
    path = folder / FILE_NAME
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    match damage:
        case "gone":
            path.unlink()
        case "changed":
            path.write_text("".join([*lines[:-1], json.dumps({**json.loads(lines[-1]), "loss": 7.0}) + "\n"]))
        case "cut":
            path.write_text("".join(lines)[:-5])

    with pytest.raises(SweepFolderError, match=f"{FILE_NAME}: .*restore it"):
        resume_sweep(folder, (), Options(runner=InlineRunner()))


def test_earlier_runs_that_are_gone_hinder_nobody_from_cancelling_jobs(settings, tmp_path):
    folder = begin(settings, tmp_path / "cut", n_steps=12)
    (folder / FILE_NAME).unlink()

    done = reconcile_run(folder, RealClock(), is_over=True)

    assert () == done.problems


def test_another_warm_start_at_resume_is_refused(settings, tmp_path):
    folder = begin(settings, tmp_path / "cut", n_steps=12)

    with pytest.raises(InputError, match=r"warm_start.*keeps this setting"):
        resume_sweep(folder, ("warm_start=[]",), Options(runner=InlineRunner()))


def test_a_sweep_of_which_another_one_learns_can_be_thrown_away(settings, synthetic, tmp_path):
    former = begin(synthetic | {"final": {"test": False, "baseline": False}}, tmp_path / "former")
    folder = begin(
        changed(settings, path=str(former), metric=None, mode="auto", params={}), tmp_path / "cut", n_steps=12
    )
    shutil.rmtree(former)

    resume_sweep(folder, (), Options(runner=InlineRunner()))

    assert len(params_of(folder)) == 6


def test_check_says_what_is_learnt_from(settings):
    lines = list(findings(parse(settings, "test")))

    assert any("warm start" in line and "20 of 20 earlier runs" in line for line in lines)


def test_paths_are_kept_absolute_in_the_sweeps_settings(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    folder = begin(changed(settings, path="runs.csv"), tmp_path / "run")

    assert load_config(folder / "config.yaml").warm_start[0].path == tmp_path / "runs.csv"
    assert len(make_ready(load_config(folder / "config.yaml")).earlier.runs) == 20
