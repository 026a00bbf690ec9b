"""What docs/server.md says that a machine can hold."""

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import yaml

from raysweep.server import app
from raysweep.server.faults import CallFault, HostFaults, JobFault, parse_faults
from raysweep.server.routes_azure import ACCOUNT

ROOT = Path(__file__).parent.parent
DOCS = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")


def test_every_test_that_is_named_exists():
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_server_*.py"))
    named = set(re.findall(r"`(test_\w+)`", DOCS))

    assert len(named) > 50
    assert [] == sorted(name for name in named if f"def {name}(" not in tests)


def test_every_claim_names_its_test_and_its_standing():
    rows = [line.strip("| ").split(" | ") for line in DOCS.splitlines() if line.startswith("|") and "`test_" in line]

    assert len(rows) > 40
    assert [] == [row for row in rows if not re.search(r"\b(seen|documented|assumed|ours)\b", row[-1])]


def test_every_route_is_listed_and_no_other():
    listed = re.search(r"^All routes:(.*)$", DOCS, re.MULTILINE)[1]
    lines = {*app.WIRE, *app.AZURE, *app.MANAGEMENT, *app.ADMIN}

    paths = {line: line.path.replace(ACCOUNT, "/…/deployments").replace(":path}", "}") for line in lines}
    assert {f"{line.method} {path}" for line, path in paths.items()} == set(re.findall("`([^`]+)`", listed))


def test_the_script_of_faults_is_valid():
    (block,) = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)

    assert 4 == len(parse_faults(yaml.safe_load(block), "docs").calls)


def test_every_fault_is_documented():
    kinds = [
        kind
        for union in (CallFault, JobFault)
        for rule in get_args(get_args(union)[0])
        for kind in get_args(rule.model_fields["kind"].annotation)
    ]

    assert [] == [name for name in (*kinds, *HostFaults.model_fields) if f"`{name}" not in DOCS]


def test_every_option_that_is_named_is_the_commands():
    help_ = subprocess.run(
        [sys.executable, "-m", "raysweep.cli", "serve", "--help"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout

    named = set(re.findall(r"`[^`]*?(--[a-z][a-z-]+)", DOCS))
    assert len(named) > 15
    assert [] == sorted(option for option in named - {"--help", "--no-deps"} if option not in help_)
