"""How every picture looks, and how a figure becomes a file or a part of the page that follows light and dark."""

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#1c2330", "#5b6577", "#e2e6ed", "#fefefe"
COMPLETED, PRUNED, FAILED, BEST, LINE = "#0b6bb5", "#8a93a3", "#c8501e", "#e08a00", "#12805c"
SEQUENCE = ("#d3dde8", "#b0cbe4", "#86b3dc", "#5b97cf", "#377abb", "#1d5c9b", "#0c3f74")
"""From the worst to the best score; told apart by lightness, so that no colour has to be seen."""

COLOURS: Mapping[str, str] = MappingProxyType(
    {
        INK: "ink",
        MUTED: "muted",
        GRID: "grid",
        PAPER: "paper",
        COMPLETED: "completed",
        PRUNED: "pruned",
        FAILED: "failed",
        BEST: "best",
        LINE: "line",
        **{colour: f"step-{place}" for place, colour in enumerate(SEQUENCE)},
    }
)
"""The page's name of each colour; page.css gives it another value in the dark."""

DOTS_PER_INCH = 160
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@contextmanager
def style() -> Iterator[None]:
    """Within it, figures are made and drawn our way; outside nothing changes."""
    from matplotlib import rc_context

    settings = rc_context(
        {
            "font.size": 9.5,
            "font.family": ["DejaVu Sans"],
            "text.color": INK,
            "axes.edgecolor": MUTED,
            "axes.labelcolor": INK,
            "axes.labelsize": 9.5,
            "axes.linewidth": 0.7,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.facecolor": "none",
            "axes.axisbelow": True,
            "axes.grid": True,
            "axes.unicode_minus": True,
            "grid.color": GRID,
            "grid.linewidth": 0.7,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
            "xtick.labelcolor": MUTED,
            "ytick.labelcolor": MUTED,
            "xtick.labelsize": 8.5,
            "ytick.labelsize": 8.5,
            "xtick.major.size": 0,
            "ytick.major.size": 0,
            "xtick.minor.size": 0,
            "ytick.minor.size": 0,
            "figure.facecolor": PAPER,
            "legend.frameon": False,
            "legend.fontsize": 8.5,
            "lines.solid_capstyle": "round",
            "svg.fonttype": "none",
            "text.parse_math": False,  # a param or a label with two dollar signs is no formula
        }
    )
    with settings, warnings.catch_warnings():
        # A label may have letters that the PNG's font lacks: boxes there, the SVG has the reader's own fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        yield


def figure(width: float = 4.8, height: float = 3.2) -> "tuple[Figure, Axes]":
    """A figure with one pair of axes, in inches."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    return made, made.add_subplot()


def shade(share: float) -> str:
    """The colour of a score that is better than this share of the range."""
    return SEQUENCE[min(len(SEQUENCE) - 1, max(0, int(share * len(SEQUENCE))))]


def svg(drawn: "Figure", name: str) -> str:
    """The figure as SVG, in the colours of paper; `name` keeps its inner names apart from those of other figures."""
    from matplotlib import rc_context

    target = io.StringIO()
    with rc_context({"svg.hashsalt": name}):
        drawn.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    text = target.getvalue()
    text = text[text.index("<svg") :].replace("'DejaVu Sans'", _FONTS)
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    used = set(re.findall(r"#([\w.-]+)", text))
    return re.sub(r' id="([\w.-]+)"', lambda found: found[0] if found[1] in used else "", text)


def inline(svg_text: str, label: str) -> str:
    """The SVG as a part of a page: its colours are the page's own, `label` is read out in its place."""
    for colour, name in COLOURS.items():
        svg_text = svg_text.replace(colour, f"var(--{name})")
    return svg_text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def save(drawn: "Figure", svg_text: str, folder: Path, name: str) -> None:
    """`NAME.svg` and `NAME.png` in the folder."""
    head = '<?xml version="1.0" encoding="utf-8"?>\n'
    (folder / f"{name}.svg").write_text(head + svg_text, encoding="utf-8")
    drawn.savefig(folder / f"{name}.png", dpi=DOTS_PER_INCH)
