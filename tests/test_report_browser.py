"""The page in a real browser: it sorts, filters and logs nothing; that of a large sweep is small and soon made."""

import json
import re
import shutil
import subprocess
import time
from datetime import UTC, datetime

import numpy as np
import pytest
from report_toys import sweep

from raysweep.report.from_run import record_of
from raysweep.report.write import write_report
from raysweep.results import Results
from raysweep.state import fold

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

STEPS = """
<script>
const all = document.querySelector("table.all");
const heads = [...all.tHead.rows[0].cells];
const place = heads.findIndex((head) => head.textContent === "val_mse");
const shown = () => [...all.tBodies[0].rows].filter((row) => !row.hidden);
const column = (at) => shown().map((row) => row.cells[at].dataset.key ?? row.cells[at].textContent);
const type = (words) => {
  const input = document.querySelector(".filter input");
  input.value = words;
  input.dispatchEvent(new Event("input"));
};
const said = {};
heads[place].querySelector("button").click();
said.up = column(place).map(Number);
heads[place].querySelector("button").click();
said.down = column(place).map(Number);
type("pruned");
said.pruned = column(1);
type("completed rank=8 trial<10");
said.trials = column(0).map(Number);
said.words = document.querySelector(".filter output").textContent;
document.body.innerHTML = "<pre id=said></pre>";
document.querySelector("#said").textContent = JSON.stringify(said);
</script>
"""


def record(folder, n_trials, n_evaluations):
    return record_of(Results(folder, fold(sweep(n_trials, n_evaluations, np.random.default_rng(0)))))


@pytest.mark.timeout(120)
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_table_sorts_and_filters_in_a_browser_that_has_nothing_to_complain_of(tmp_path):
    made = record(tmp_path, 11, 4)
    page = write_report(made, tmp_path, NOW).page
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{STEPS}</body>"), encoding="utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        f"--user-data-dir={tmp_path}/b",
    ]

    seen = subprocess.run(
        [CHROMIUM, *options, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=90, check=True
    )

    said = json.loads(re.search(r'<pre id="said">(.*?)</pre>', seen.stdout)[1].replace("&lt;", "<"))
    trials = made.trials
    assert said["up"] == sorted(trials["val_mse"])
    assert said["down"] == sorted(trials["val_mse"], reverse=True)
    assert said["pruned"] == ["pruned"] * 3
    expected = trials[(trials["outcome"] == "completed") & (trials["params/rank"] == 8) & (trials["trial"] < 10)]
    assert sorted(said["trials"]) == sorted(expected["trial"])
    assert said["words"] == f"{len(expected)} of 11 trials"
    assert "CONSOLE" not in seen.stderr


@pytest.mark.timeout(120)
def test_500_trials_of_50_evaluations_make_a_page_under_5_mb_in_under_20_s_of_a_core(tmp_path):
    made = record(tmp_path, 500, 50)
    began_s = time.process_time()

    written = write_report(made, tmp_path, NOW)

    assert time.process_time() - began_s < 20
    assert written.page.stat().st_size < 5_000_000
