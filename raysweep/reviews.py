"""The default data: rated snippets of movie and product reviews, converted to a CSV of five ordered labels.

The texts themselves come from the archive that `assets` fetches; they are no part of this package.
"""

import csv
import html
import tarfile
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from raysweep.errors import AssetError
from raysweep.rows import normalise

FILE_NAME = "reviews.csv"
COLUMNS = ("id", "group", "text", "rating", "label", "source")
EDGES = (-1.8, -0.6, 0.6, 1.8)
"""Between the labels 1 to 5, on the raters' scale from -4 to 4."""
MIN_WORDS = 3
SOURCES = {"movie": "movieReviewSnippets_GroundTruth.txt", "amazon": "amazonReviewSnippets_GroundTruth.txt"}
FOLDER = "hutto_ICWSM_2014"


@dataclass(frozen=True)
class Review:
    """One snippet with the mean of some twenty people's ratings."""

    id: str
    group: str
    """The review that it is a sentence of."""
    text: str
    rating: str
    label: str
    source: str


def convert(archive: Path, out: Path) -> None:
    """Write `reviews.csv` into `out`: snippets of three words or more, each text once.

    `archive` is the tar file of ground truth. Raises AssetError where it holds something else.
    """
    seen: set[str] = set()
    with (out / FILE_NAME).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for review in _reviews(archive):
            key = normalise(review.text)
            if len(review.text.split()) >= MIN_WORDS and key not in seen:
                seen.add(key)
                writer.writerow([review.id, review.group, review.text, review.rating, review.label, review.source])


def _reviews(archive: Path) -> Iterator[Review]:
    try:
        with tarfile.open(archive) as tar:
            for source, name in SOURCES.items():
                member = tar.extractfile(f"{FOLDER}/{name}")
                content = member.read() if member else b""
                # Neither quoting nor a header: a tab and a line end are the whole format.
                for line in content.decode("utf-8-sig").split("\r\n"):
                    if line:
                        yield _review(source, line)
    except (tarfile.TarError, KeyError, ValueError) as error:
        raise AssetError(f"{archive.name}: not the archive of ratings that was expected ({error})") from error


def _review(source: str, line: str) -> Review:
    number, rating, text = line.split("\t")
    # An amazon number is `review_sentence`; a movie snippet stands for itself.
    return Review(
        id=f"{source}-{number}",
        group=f"{source}-{number.split('_')[0]}",
        text=html.unescape(text).strip(),
        rating=rating,
        label=str(1 + bisect_right(EDGES, float(rating))),
        source=source,
    )
