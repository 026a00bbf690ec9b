"""Package archives: downloaded by the user's own pip, checked by hash, unpacked without leaving their folder."""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from raysweep.errors import AssetError

DOWNLOAD_LIMIT_S = 1800


@dataclass(frozen=True)
class Pin:
    """One file of a package index, by name, version and content."""

    package: str
    version: str
    file_name: str
    sha256: str

    @property
    def is_wheel(self) -> bool:
        """Whether it is a wheel rather than a source archive."""
        return self.file_name.endswith(".whl")


def pip_download(pin: Pin, folder: Path) -> Path:
    """Have pip put the archive into `folder`, from wherever the user's settings of pip point to.

    Raises AssetError where pip is missing, fails, or gives a file of another name.
    """
    kind = "--only-binary" if pin.is_wheel else "--no-binary"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet"]
    wanted = ["--no-deps", kind, pin.package, "--dest", str(folder), f"{pin.package}=={pin.version}"]
    try:
        done = subprocess.run([*pip, *wanted], capture_output=True, text=True, timeout=DOWNLOAD_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise AssetError(f"{pin.package}: pip gave nothing in {DOWNLOAD_LIMIT_S} s; check the network") from error
    if done.returncode != 0:
        raise AssetError(_pip_failure(pin, done.stderr))
    archive = folder / pin.file_name
    if not archive.is_file():
        got = ", ".join(sorted(each.name for each in folder.iterdir())) or "nothing"
        raise AssetError(f"{pin.package}: expected {pin.file_name} from pip, got {got}; check pip's index settings")
    return archive


def check_sha256(path: Path, expected: str) -> None:
    """Raises AssetError where the file's content is not what was pinned."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise AssetError(
            f"{path.name}: its sha256 is {found}, pinned is {expected}; "
            "the download was damaged or changed: fetch again, and check where pip gets its packages"
        )


def unpack(archive: Path, folder: Path) -> None:
    """Write the archive's plain files below `folder`; links and devices are left out.

    Raises AssetError for a name that leads out of the folder, and for an archive that is damaged.
    """
    root = folder.resolve()
    try:
        for name, content in _files(archive):
            target = (root / name).resolve()
            if not target.is_relative_to(root):
                raise AssetError(f"{archive.name}: holds {name!r}, which leads out of its folder; it is not to be used")
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                shutil.copyfileobj(content, file)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise AssetError(f"{archive.name}: cannot be unpacked ({error}); fetch it again") from error


def _pip_failure(pin: Pin, stderr: str) -> str:
    if "No module named pip" in stderr:
        return f"{pin.package}: this Python has no pip; add it with `{sys.executable} -m ensurepip`"
    lines = [line for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines
    reason = errors[0].strip() if errors else "no message"
    return f"{pin.package}=={pin.version}: pip could not download it ({reason}); check the network and pip's settings"


def _files(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            for info in packed.infolist():
                if not info.is_dir():
                    with packed.open(info) as content:
                        yield info.filename, content
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            content_or_none = tar.extractfile(member) if member.isfile() else None
            if content_or_none is not None:
                with content_or_none:
                    yield member.name, content_or_none
