"""What a report finds, and that it is made of anything, or says clearly why not."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from inline_runner import InlineRunner
from matplotlib.figure import Figure
from report_toys import record, seed_scores, sweep, write_ledger
from scripted_sweep import ended, evaluated, finals, proposed, started
from scripted_sweep import sweep as small_sweep

from raysweep.cli import main
from raysweep.config.load import parse
from raysweep.entries import Evaluated
from raysweep.jobs import Outcome
from raysweep.ledger import Ledger
from raysweep.report.advice import advice
from raysweep.report.command import report_end
from raysweep.report.from_run import read_run
from raysweep.report.from_table import read_table
from raysweep.report.importance import importance
from raysweep.report.record import Predicted
from raysweep.report.statistics import Threshold, choose_threshold, given_threshold, is_far, tables
from raysweep.report.table import columns
from raysweep.report.write import write_report
from raysweep.scoring import UNREAD, Answers
from raysweep.sweep import Options, run_sweep

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def report(made, folder, threshold=None):
    written = write_report(made, folder, NOW, threshold)
    return written, written.page.read_text(encoding="utf-8"), written.text.read_text(encoding="utf-8")


def test_a_table_with_the_original_statistics_gives_both_of_its_tables(tmp_path):
    pd.DataFrame({"score": seed_scores(), "rate": np.arange(83.0)}).to_csv(tmp_path / "runs.csv", index=False)

    made = read_table(tmp_path / "runs.csv", "score", params=["rate"])
    whole, sound = tables(made, choose_threshold(made.scores, made.goal))

    got = [(one.count, *(round(x, 6) for x in (one.mean, one.min, one.median, one.max))) for one in (whole, sound)]
    assert got == [(83, 0.265154, 0.00858, 0.30742, 0.50695), (65, 0.335467, 0.21988, 0.33223, 0.50695)]


def test_statistics_are_those_of_pandas():
    scores = np.random.default_rng(1).normal(0.4, 0.1, 40)

    found = tables(record(scores), Threshold(None, ""))[0]

    assert list(found.cells.values()) == pytest.approx(pd.Series(scores).describe().tolist())


def test_too_few_scores_have_no_failed_trials():
    assert choose_threshold(np.array([0.41, 0.4, 0.0]), record([1.0]).goal).value is None
    assert choose_threshold(np.array([*[0.4, 0.41] * 5, 0.0]), record([1.0]).goal).value is not None


def test_three_trials_give_no_advice_on_where_to_search():
    few, more = (record([0.1 * place for place in range(n)]) for n in (3, 6))

    said = [" ".join(advice(made, importance(made), n_failed=0)) for made in (few, more)]

    assert ["edge" in one for one in said] == [False, True]
    assert "Very few trials completed" in said[0]


def test_a_param_of_many_values_is_drawn_in_few_strips_that_can_be_told_apart(tmp_path):
    paths = ["/a/long/path/of/a/run/small"] * 8 + [f"/a/long/path/of/a/run/{place}" for place in range(40)]

    report(record(np.linspace(0, 1, 48), {"path": paths}), tmp_path)

    drawn = (tmp_path / "plots" / "plot_slice_path.svg").read_text(encoding="utf-8")
    assert {"n = 8", "n = 1", "27 others", "/a/long/p…/run/small"} <= set(re.findall(">([^<>]+)</", drawn))


def test_advice_sends_nobody_below_nothing_and_says_one_thing_of_each_param():
    dice = np.random.default_rng(4)
    rate, depth = dice.uniform(0.0, 1.0, 60), dice.choice([1, 2, 3], 60)
    noise, dropout = dice.choice([8, 16, 32], 60), dice.choice([0.0, 0.1], 60)
    score = rate + 0.3 * depth
    best = int(np.argmax(score))
    noise[best], dropout[best] = 32, 0.0
    made = record(score.tolist(), {"rate": rate, "depth": depth, "noise": noise, "dropout": dropout})

    said = list(advice(made, importance(made), n_failed=0))

    assert "The winner's depth (3) lies at the upper edge of 1 to 3: try more." in said
    assert [] == [words for words in said if "dropout (0)" in words or "noise (32)" in words]
    (fixed,) = [words for words in said if words.startswith("No effect of")]
    assert "noise" in fixed
    assert "depth" not in fixed


def test_a_choice_that_was_never_drawn_is_in_the_space_all_the_same(tmp_path, synthetic):
    synthetic |= {"search": {"kind": "grid"}, "trials": 2, "early_stopping": {"kind": "none"}}
    synthetic["space"] = {"learning_rate": 1e-3, "rank": {"kind": "choice", "values": [8, 16, 32, 4]}, "n_epochs": 1}
    run_sweep(parse(synthetic, "test"), Options(folder=tmp_path / "run", runner=InlineRunner()))

    (rank,) = read_run(tmp_path / "run").params

    assert ("rank", 4.0, 32.0) == (rank.name, rank.low, rank.high)


def test_what_early_stopping_looked_at_is_drawn_too(tmp_path):
    made = record([0.1, 0.2], stopping_metric="val_log_loss")
    curve = {"trial": [0, 0, 1, 1], "epoch": [1, 2, 1, 2], "val_log_loss": [3.0, 2, 3, 1]}
    scored_once = {"val_f1_weighted": [np.nan, 0.1, np.nan, 0.2]}

    report(replace(made, evaluations=pd.DataFrame(curve | scored_once)), tmp_path)

    drawn = {path.stem for path in (tmp_path / "plots").glob("plot_intermediate*.svg")}
    assert drawn == {"plot_intermediate_values_val_log_loss"}


def test_the_text_has_a_table_that_fits_and_names_the_tuned_model_apart(tmp_path):
    made = record([0.1, 0.2], {"model": ["small", "large"]})
    trials = made.trials.assign(model=["folder/0", "folder/1"], job_id=["a", "b"])

    _, page, text = report(replace(made, trials=trials), tmp_path)

    heads = re.findall(r'<button type="button">([^<]+)</button>', page)
    assert (heads.count("model"), heads.count("tuned_model")) == (1, 1)
    assert "| trial | outcome | val_f1_weighted | model |" in text


def test_scores_without_a_gap_have_no_failed_trials():
    assert choose_threshold(np.random.default_rng(0).normal(0.4, 0.08, 175), record([1.0]).goal).value is None


def test_where_less_is_better_the_failed_trials_lie_above_the_threshold():
    scores = [*np.linspace(1.0, 1.4, 30), 9.0, 9.5]
    made = record(scores, mode="min")

    found = choose_threshold(made.scores, made.goal)

    assert found.value == pytest.approx((1.4 + 9.0) / 2)
    assert tables(made, found)[1].max == pytest.approx(1.4)


def test_a_threshold_that_was_asked_for_is_kept(tmp_path):
    _, page, text = report(record(seed_scores()), tmp_path, given_threshold(0.1))

    assert "below 0.1, as asked for" in text
    assert "below 0.1, as asked for" in page


def test_importance_of_noise_is_called_unreliable():
    dice = np.random.default_rng(0)

    found = importance(record(dice.normal(0, 1, 60), {"a": dice.uniform(0, 1, 60), "b": dice.uniform(0, 1, 60)}))

    assert not found.is_reliable
    assert found.words.startswith("unreliable")


def test_importance_finds_the_param_that_matters():
    dice = np.random.default_rng(0)
    kind = dice.choice(["x", "y"], 80)
    params = {"noise": dice.uniform(0, 1, 80), "kind": list(kind)}

    found = importance(record(np.where(kind == "x", 0.2, 0.6) + dice.normal(0, 0.02, 80), params))

    assert (found.is_reliable, found.params[0].param) == (True, "kind")
    assert found.params[0].low <= found.params[0].mean <= found.params[0].high


def test_a_sweep_becomes_a_page_a_text_and_pictures_by_optunas_names(tmp_path):
    write_ledger(tmp_path, [*sweep(20, 6, np.random.default_rng(0)), *finals()])

    written, page, text = report(read_run(tmp_path), tmp_path)

    names = {path.stem for path in (tmp_path / "plots").iterdir()}
    optunas = {"optimization_history", "slice_learning_rate", "param_importances", "intermediate_values"}
    assert {f"plot_{name}" for name in (*optunas, "parallel_coordinate", "histogram", "best_by_tokens")} <= names
    assert {path.suffix for path in (tmp_path / "plots").iterdir()} == {".svg", ".png"}
    assert written.findings.winner in text
    for title in ("How sure that is", "The bill", "What to try next", "Could this be a regression?"):
        assert title in page
        assert title in text
    assert "on the test split, which ranked no trial: f1_weighted 0.497" in text
    assert "| the winner | test | 0.497 |" in text.replace("trial 1, ", "")
    assert "The same rows, side by side" in page


def test_where_no_tokens_are_known_it_is_not_said_that_nothing_was_stopped(tmp_path):
    stopped = [proposed(0), evaluated(0, 0.5, 0.3), ended(0, Outcome.PRUNED, 0.3)]
    told = [replace(one, trained_tokens=0) if isinstance(one, Evaluated) else one for one in stopped]
    write_ledger(tmp_path / "my runs", [started(), *told])

    _, _, text = report(read_run(tmp_path / "my runs"), tmp_path)

    assert "1 trial was stopped early; how many tokens that has saved is not known." in text
    assert f"raysweep resume '{tmp_path / 'my runs'}'" in text


def test_the_filters_example_finds_trials(tmp_path):
    _, page, _ = report(record([0.5746, 0.52, 0.41]), tmp_path)

    assert 'placeholder="completed val_f1_weighted&gt;0.52"' in page


def test_the_page_needs_no_network(tmp_path):
    write_ledger(tmp_path, sweep(6, 4, np.random.default_rng(0)))

    _, page, _ = report(read_run(tmp_path), tmp_path)

    addresses = {address for address in re.findall(r"https?://[^\"' <)]+", page) if "www.w3.org" not in address}
    assert addresses == set()
    assert not re.search(r"<(script|img|link)[^>]+(src|href)=\"(?!data:)", page)


def test_every_trial_and_metric_stands_in_the_table(tmp_path):
    write_ledger(tmp_path, small_sweep())
    made = read_run(tmp_path)

    _, page, _ = report(made, tmp_path)

    heads = re.findall(r'<button type="button">([^<]+)</button>', page)
    assert set(made.metrics) <= set(heads)
    assert page.count("<tr") - page.split('class="all"')[0].count("<tr") >= len(made.trials)


def test_the_table_begins_with_the_outcome_the_objective_and_the_params_that_varied():
    made = record([0.5, 0.6, 0.4], outcomes=["completed", "pruned", None])
    made = replace(made, trials=made.trials.assign(val_brier=1.0), metrics=("val_f1_weighted", "val_brier"))

    found = columns(made)

    assert ["trial", "outcome", "val_f1_weighted", "rate", "val_brier"] == [one.name for one in found]
    assert ("completed", "pruned", "running") == found[1].cells


def test_only_the_page_of_a_sweep_that_is_driven_loads_itself_again(tmp_path):
    write_ledger(tmp_path, small_sweep())
    with Ledger(tmp_path):
        _, driven, _ = report(read_run(tmp_path), tmp_path)
    _, left, _ = report(read_run(tmp_path), tmp_path)

    assert 'http-equiv="refresh"' in driven
    assert "best so far" in driven
    assert 'http-equiv="refresh"' not in left
    assert "raysweep resume" in left


def test_pictures_of_an_older_report_do_not_stay(tmp_path):
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "plot_slice_gone.svg").touch()

    report(record([0.1, 0.2, 0.3]), tmp_path)

    assert not (tmp_path / "plots" / "plot_slice_gone.svg").exists()


def test_what_is_no_reports_is_left_where_it_lies(tmp_path):
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "mine.png").write_text("mine")

    report(record([0.1, 0.2, 0.3]), tmp_path)

    assert "mine" == (tmp_path / "plots" / "mine.png").read_text()
    assert (tmp_path / "plots" / "plot_histogram.png").is_file()
    assert {"plots", "findings.md", "report.html"} == {path.name for path in tmp_path.iterdir()}


def test_a_report_that_is_broken_off_leaves_no_half_of_it(tmp_path, monkeypatch):
    draw = Figure.savefig

    def broken_off(drawn, target, **how):
        if str(target).endswith("plot_slice_rate.png"):
            raise KeyboardInterrupt
        draw(drawn, target, **how)

    monkeypatch.setattr(Figure, "savefig", broken_off)

    with pytest.raises(KeyboardInterrupt):
        report(record([0.1, 0.2, 0.3]), tmp_path)

    assert [] == [path for path in tmp_path.rglob("*") if path.is_file() or path.name.startswith(".")]


@pytest.mark.parametrize(
    ("scores", "outcomes", "says"),
    [
        ([0.4], ["completed"], "It is the only completed trial"),
        ([np.nan, np.nan], ["failed", "failed"], "No trial completed with a score"),
        ([0.4] * 20, None, "19 other completed trials have the same score"),
        ([0.4, np.nan, 0.5, np.inf], None, "Trial 2 is the best"),
        ([0.4, 0.5], [None, None], "No trial completed with a score"),
        ([], [], "No trial completed with a score"),
    ],
)
def test_a_poor_record_makes_a_report_all_the_same(tmp_path, scores, outcomes, says):
    _, page, text = report(record(scores, outcomes=outcomes), tmp_path)

    assert says in text
    assert says in page


def test_a_sweep_without_trials_makes_a_report(tmp_path):
    write_ledger(tmp_path, [started()])

    _, _, text = report(read_run(tmp_path), tmp_path)

    assert "0 of 24 trials: none yet" in text


def test_names_from_outside_cannot_break_the_page(tmp_path):
    odd = {"<script>alert(1)</script>$x_1": ["<b>", "&", "$y"], "a\\d \\1 $\\frac{$": ["\\g<2>", "$x_{$", "多"]}
    _, page, _ = report(record([0.1, 0.2, 0.3], odd), tmp_path)

    assert "<script>alert" not in page
    assert "<b>" not in page
    assert "a\\d \\1 $\\frac{$" in page


def test_a_trial_that_diverged_beyond_all_measure_is_drawn_in_a_few_bins(tmp_path):
    scores = [*np.random.default_rng(0).normal(5, 0.1, 50), 1e12]

    report(record(scores, mode="min"), tmp_path)

    for name in ("histogram", "optimization_history", "slice_rate"):
        drawn = (tmp_path / "plots" / f"plot_{name}.svg").read_text(encoding="utf-8")
        assert "1 far poorer, beyond this edge" in drawn
        assert re.search(r">4\.8<|>5\.0<", drawn)  # a tick among the others


@pytest.mark.parametrize("scores", [seed_scores(), [0.4] * 30, [0.1, 0.5], [*[0.3] * 20, *[0.31] * 20, 0.32], []])
def test_scores_of_one_scale_are_all_drawn(scores):
    assert not is_far(np.array(scores), record([1.0]).goal).any()


def test_a_searched_null_is_a_value_as_any_other(tmp_path):
    values = [None, 0.1, None, 0.3]
    trials = [
        one
        for number, value in enumerate(values)
        for one in (proposed(number, params={"clip": value, "lr": 0.1 * number}), ended(number, objective=0.1 * number))
    ]
    write_ledger(tmp_path, [started(), *trials])

    made = read_run(tmp_path)

    assert [("clip", "category"), ("lr", "number")] == [(one.name, one.kind) for one in made.params]
    assert ["none", 0.1, "none", 0.3] == made.trials["params/clip"].tolist()


def test_the_winners_answers_are_drawn_where_they_are_known(tmp_path):
    table = np.array([(0.9, 0.1), (0.4, 0.6), (0.5, 0.5)])
    answers = Answers(np.array([0, 1, 1]), np.array([0, UNREAD, UNREAD]), 2, np.array([]), table, None)

    report(record([0.1, 0.2], predictions=Predicted(("1", "2"), answers, "test")), tmp_path)

    drawn = (tmp_path / "plots" / "plot_confusion_matrix.svg").read_text(encoding="utf-8")
    assert "no label" in drawn
    assert (tmp_path / "plots" / "plot_reliability.png").is_file()


def test_the_seeds_metric_names_are_read_as_ours(tmp_path):
    rows = {"classification/weighted_f1_score": [0.1, 0.3], "classification/accuracy": [0.2, 0.4], "model": ["a", "b"]}
    pd.DataFrame(rows).to_csv(tmp_path / "runs.csv", index=False)

    for name in ("classification/weighted_f1_score", "val_f1_weighted"):
        made = read_table(tmp_path / "runs.csv", name, params=["model"])

        assert (made.goal.metric, made.goal.mode, made.best) == ("val_f1_weighted", "max", 1)
        assert "val_accuracy" in made.metrics


def test_cells_of_any_kind_are_read(tmp_path):
    rows = [
        {"acc": 0.1, "params_m": ["q", "v"], "params_b": 8, "note": {"a": [1]}},
        {"acc": 0.2, "params_m": ["q"], "params_b": "auto", "note": None},
        {"acc": 0.3, "params_m": None, "params_b": None},
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pd.DataFrame(rows).drop(columns="params_b").to_parquet(tmp_path / "t.parquet")

    for name in ("t.jsonl", "t.parquet"):
        made = read_table(tmp_path / name, "acc")
        _, page, _ = report(made, tmp_path / name.replace(".", "-"))

        assert ('["q", "v"]', "category", 2) == (made.trials["params/m"][0], made.params[0].kind, made.best)
        assert "[&quot;q&quot;, &quot;v&quot;]" in page


def test_a_csvs_words_for_nothing_are_null_among_numbers_and_words_among_words(tmp_path):
    (tmp_path / "t.csv").write_text("acc,params_rate,params_weights\n.1,0.5,None\n.2,None,balanced\n.3,,None\n")

    made = read_table(tmp_path / "t.csv", "acc")

    assert [0.5] == made.trials["params/rate"].dropna().tolist()
    assert ["None", "balanced", "None"] == made.trials["params/weights"].tolist()


def test_a_table_of_optunas_keeps_its_states_and_numbers(tmp_path):
    frame = pd.DataFrame({"number": [4, 2, 7, 9], "value": [0.9, 0.5, None, 0.1], "params_w": [1, 2, 3, 4]})
    frame.assign(state=["PRUNED", "COMPLETE", "FAIL", "RUNNING"]).to_csv(tmp_path / "t.csv", index=False)

    made = read_table(tmp_path / "t.csv", "value", "max")

    assert ("pruned", "completed", "failed", "running") == made.outcomes
    assert ([4, 2, 7, 9], 1) == (made.trials["trial"].tolist(), made.best)


def test_our_own_table_keeps_its_running_trials_and_no_replica_wins(tmp_path):
    again = [replace(proposed(10_001), replica_of=1), evaluated(10_001, 3.0, 0.9), ended(10_001, objective=0.9)]
    write_ledger(tmp_path / "run", [*small_sweep(), *again])
    main(["export", str(tmp_path / "run"), "--to", "csv", "--out", str(tmp_path)])

    made = read_table(tmp_path / "trials.csv", "val_f1_weighted")

    assert read_run(tmp_path / "run").outcomes == made.outcomes
    assert 1 == made.best
    assert "left out, since they cannot win: 1 rows that are replicas of other trials" in made.notes


@pytest.mark.parametrize(
    ("head", "words", "says"),
    [
        ("acc,params_lr,config/lr", [], "params_lr and config/lr would both be called lr"),
        ("acc,params/lr,lr", ["--params", "lr"], "params/lr and lr would both be called lr"),
    ],
)
def test_two_columns_with_one_name_are_refused(tmp_path, capsys, head, words, says):
    (tmp_path / "t.csv").write_text(f"{head}\n.1,1,1\n.2,2,2\n")

    assert main(["report", str(tmp_path / "t.csv"), "--metric", "acc", *words]) == 2
    assert says in capsys.readouterr().err


def test_a_table_with_both_names_of_a_metric_keeps_both(tmp_path):
    (tmp_path / "t.csv").write_text("classification/accuracy,val_accuracy,params_a\n.1,.2,1\n.3,.1,2\n")

    assert [1, 0] == [read_table(tmp_path / "t.csv", name).best for name in ("classification/accuracy", "val_accuracy")]


def test_tables_of_each_kind_give_the_same_record(tmp_path):
    frame = pd.DataFrame({"val_loss": [0.3, 0.1, 0.2], "params_lr": [1e-5, 1e-3, 1e-1], "params_opt": ["a", "b", "a"]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_csv(tmp_path / "t.TSV", index=False, sep="\t")
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True)

    for name in ("t.csv", "t.TSV", "t.parquet", "t.jsonl"):
        made = read_table(tmp_path / name, "val_loss")

        assert made.best == 1
        assert [(one.name, one.kind, one.is_log) for one in made.params] == [
            ("lr", "number", True),
            ("opt", "category", False),
        ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--params", "rate"], "--metric: which column ranks the trials? Columns of numbers: score, rate"),
        (["--metric", "scor", "--params", "rate"], "no such column; did you mean score?"),
        (["--metric", "name", "--params", "rate"], "its values are no numbers, such as 'a'"),
        (["--metric", "rate", "--params", "name"], "add --mode max or --mode min"),
        (["--metric", "score", "--params", "nothing"], "--params nothing: no such column"),
        (["--metric", "score", "--params", "score"], "it is the metric; leave it out"),
        (["--metric", "score"], "which columns are hyperparameters? These vary: rate, name"),
        (["--metric", "score", "--params", "rate", "--failed-threshold", "low"], "not a number; give a score, or none"),
    ],
)
def test_a_wrong_word_about_a_table_is_refused_clearly(tmp_path, capsys, words, says):
    table = tmp_path / "t.csv"
    pd.DataFrame({"score": [0.1, 0.2], "rate": [1.0, 2.0], "name": ["a", "b"]}).to_csv(table, index=False)

    code = main(["report", str(table), *words, "--out", str(tmp_path / "out")])

    assert code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("gone.csv", None, "no such file"),
        ("empty.csv", "", "the first line must name the columns"),
        ("head.csv", "score,rate\n", "no rows"),
        ("ragged.csv", "score,rate\n1,2\n1,2,3\n", "line 3: 3 cells where the header has 2"),
        ("t.parquet", "no parquet", "is not a Parquet file"),
        ("t.jsonl", "{", "line 1: not JSON"),
    ],
)
def test_a_file_that_is_no_table_is_refused_clearly(tmp_path, capsys, name, content, says):
    if content is not None:
        (tmp_path / name).write_text(content)

    assert main(["report", str(tmp_path / name), "--metric", "score", "--params", "rate"]) == 2
    assert says in capsys.readouterr().err


def test_a_folder_without_a_sweep_and_a_sweep_with_words_for_tables_are_refused(tmp_path, capsys):
    write_ledger(tmp_path / "run", small_sweep())

    assert main(["report", str(tmp_path / "nothing")]) == 2
    assert main(["report", str(tmp_path / "run"), "--metric", "val_mse"]) == 2
    assert "are for tables; a sweep knows its own" in capsys.readouterr().err


def test_the_command_says_what_it_found_and_where(tmp_path, capsys):
    write_ledger(tmp_path, small_sweep())

    assert main(["report", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "Trial 1 is the best: val_f1_weighted 0.520." in said
    assert str(tmp_path / "report.html") in said


def test_the_command_line_loads_no_plots_before_it_draws():
    check = (
        "import sys, json, raysweep.cli; print(json.dumps([n for n in ('matplotlib', 'sklearn') if n in sys.modules]))"
    )

    said = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)

    assert json.loads(said.stdout) == []


def test_the_end_of_a_sweep_says_where_its_report_lies(tmp_path):
    said = []

    report_end(write_ledger(tmp_path, small_sweep()), said.append)

    assert said == [f"report in {tmp_path / 'report.html'}"]
    assert (tmp_path / "findings.md").is_file()


def test_a_report_that_cannot_be_made_is_logged_and_hides_no_sweep(tmp_path, caplog):
    write_ledger(tmp_path, small_sweep())
    (tmp_path / "plots").write_text("in the way")

    report_end(tmp_path, pytest.fail)

    assert f"`raysweep report {tmp_path}` tries again" in caplog.text
