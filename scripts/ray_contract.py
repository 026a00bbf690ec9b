"""Run the contract with Ray on the oldest supported, the pinned and the newest Ray: `make ray-contract`.

Each version gets a virtual environment of its own in .venv-ray/, made at the first run and kept. The exit code is 1
where a test failed.
"""

import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from raysweep import environment

ROOT = Path(__file__).parent.parent
VENVS = ROOT / ".venv-ray"
TESTS = ("tests/test_contract.py", "tests/test_ray_contract.py")
NEEDS = ("numpy", "pytest", "pytest-timeout")
"""Of the tests, beside Ray itself."""


@dataclass(frozen=True)
class Run:
    """The contract's tests on one version."""

    n_passed: int
    failed: tuple[str, ...]
    """Names of the tests that did not pass, skipped ones too."""
    duration_s: float


def main() -> int:
    """Run the tests on each version and print a table."""
    environment.prepare_for_ray()
    from raysweep.tuning.contract import OLDEST  # noqa: PLC0415  # it imports Ray, which must find all prepared

    runs = {}
    versions = by_version({"oldest supported": OLDEST, "pinned": pinned(), "newest": newest()})
    for version in versions:
        python = made(version)
        say(f"Ray {version}: running …")
        runs[version] = run(python)
    say(f"\n{'Ray':10}{'is the':28}{'passed':>8}{'failed':>8}{'seconds':>9}")
    for version, roles in versions.items():
        ran = runs[version]
        say(f"{version:10}{', '.join(roles):28}{ran.n_passed:8}{len(ran.failed):8}{ran.duration_s:9.0f}")
    for version, ran in runs.items():
        for name in ran.failed:
            say(f"Ray {version}: {name} failed")
    return 1 if any(ran.failed for ran in runs.values()) else 0


def by_version(wanted: dict[str, str]) -> dict[str, list[str]]:
    """The roles of each version, so that none is run twice."""
    roles: dict[str, list[str]] = {}
    for role, version in wanted.items():
        roles.setdefault(version, []).append(role)
    return roles


def pinned() -> str:
    """Ray's version in the lock."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    (version,) = re.findall(r"^ray==(\S+)$", lock, re.MULTILINE)
    return str(version)


def newest() -> str:
    """The newest that pip finds."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "index", "versions", "ray"]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    (version,) = re.findall(r"^ray \((\S+)\)", told)
    return str(version)


def made(version: str) -> Path:
    """The interpreter of an environment with this Ray; one that was left half made is made anew."""
    folder = VENVS / version
    python, done = folder / "bin" / "python", folder / ".done"
    if not done.exists():
        say(f"Ray {version}: making {folder.relative_to(ROOT)} …")
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([*pip, f"ray[tune]=={version}", *NEEDS], check=True)
        subprocess.run([*pip, "--no-deps", "--editable", str(ROOT)], check=True)
        done.touch()
    return python


def run(python: Path) -> Run:
    """Run the tests; what they print stays in the environment's folder."""
    began_s = time.monotonic()
    report, log = python.parents[1] / "report.xml", python.parents[1] / "tests.log"
    report.unlink(missing_ok=True)
    with log.open("w", encoding="utf-8") as output:
        command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *TESTS]
        code = subprocess.run(command, check=False, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT).returncode
    cases = list(ElementTree.parse(report).iter("testcase")) if report.exists() else []
    failed = [case.attrib["name"] for case in cases if len(case)]  # a failure, an error or a skip is a child
    if code and not failed:
        return Run(0, (f"the run itself (exit code {code}, see {log.relative_to(ROOT)})",), time.monotonic() - began_s)
    return Run(len(cases) - len(failed), tuple(failed), time.monotonic() - began_s)


def say(line: str) -> None:
    """To the terminal, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
