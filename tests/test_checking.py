import os
import subprocess
import sys

import pytest

from raysweep.checking import findings
from raysweep.cli import main
from raysweep.config.load import parse


def test_check_says_what_a_sweep_would_do(synthetic):
    text = "\n".join(findings(parse(synthetic, "test")))

    assert "4 trials, random search, max val_f1_weighted" in text
    assert "train: 120 rows" in text
    assert "learning_rate: loguniform 1e-05 to 0.1" in text
    assert "evaluations at 0.5, 1, 1.5, 2" in text
    assert "100,000 training tokens" in text


def test_check_reports_rows_that_were_dropped_by_line(synthetic, reviews_csv):
    reviews_csv.write_text(reviews_csv.read_text(encoding="utf-8") + ",3\n", encoding="utf-8")
    synthetic["data"]["empty"] = "drop"

    text = "\n".join(findings(parse(synthetic, "test")))

    assert "1 rows: empty_prompt" in text
    assert "202" in text


def test_the_tokens_that_carry_the_loss_are_marked():
    from raysweep.checking import _token
    from raysweep.jobs import TokenView

    assert _token(TokenView("good", is_trained=True)) == "[reverse]«good»[/reverse]"
    assert "«" not in _token(TokenView("[CLS]", is_trained=False))


def test_check_of_a_good_config_exits_with_0_and_writes_nothing(synthetic, tmp_path, capsys):
    import yaml

    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(synthetic), encoding="utf-8")

    assert main(["check", str(path)]) == 0
    assert "nothing was run" in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "no-such-config"],
        ["check", "default", "trials=0"],
        ["check", "default", "rehearsal"],
        ["tune", "no-such-config"],
        ["nonsense"],
    ],
)
def test_bad_input_exits_with_2_and_one_message(arguments, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("raysweep: ")


def test_help_and_version_exit_with_0(capsys):
    assert main(["--help"]) == 0
    assert main(["--version"]) == 0
    assert "raysweep" in capsys.readouterr().out


def test_the_schema_is_printed_as_json(capsys):
    import json

    assert main(["schema"]) == 0
    assert "space" in json.loads(capsys.readouterr().out)["properties"]


def test_a_folder_that_cannot_be_one_is_bad_input(synthetic, tmp_path):
    import subprocess
    import sys

    import yaml

    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(synthetic), encoding="utf-8")
    command = [sys.executable, "-m", "raysweep.cli", "tune", str(path), "--folder", str(path)]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 2
    assert "is a file" in done.stderr


def test_users_words_are_shown_as_they_are(synthetic):
    synthetic["space"]["template"] = {"kind": "choice", "values": ["[INST]{prompt}[/INST]", "{prompt}"]}

    from rich.text import Text

    assert "[INST]{prompt}[/INST]" in Text.from_markup("\n".join(findings(parse(synthetic, "test")))).plain


@pytest.mark.parametrize("command", ["schema", "--help"])
def test_a_reader_that_goes_away_is_no_crash(command):
    read, write = os.pipe()
    os.close(read)

    with os.fdopen(write, "w") as nobody:
        done = subprocess.run(
            [sys.executable, "-m", "raysweep.cli", command], stdout=nobody, stderr=subprocess.PIPE, check=False
        )

    assert (141, b"") == (done.returncode, done.stderr)
