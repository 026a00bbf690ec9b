"""What is known of the model that a winner was tuned from: its name on a hub, its licence."""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from raysweep.catalogue import ASSETS

ON_A_HUB = re.compile(r"[\w.-]+/[\w.-]+")
FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---", re.DOTALL)


@dataclass(frozen=True)
class Base:
    """A base model."""

    name: str
    """For people."""
    hub: str | None
    """Its name on a model hub; None where it has none, or nobody knows it."""
    licence: str | None
    """As hubs write it; None where nobody knows it."""
    note: str = ""
    """In what the weights that were tuned differ from those on the hub."""


def base_of(model: str, path: str) -> Base:
    """Of a model as the settings named it, which lay at a path: an asset, a local folder, or a name on a hub."""
    asset = ASSETS.get(model)
    if asset is not None:
        return Base(asset.hub or model, asset.hub or None, asset.licence or None, asset.hub_note)
    if Path(path).is_dir():
        licence = _card(Path(path)).get("license")
        return Base(Path(path).name, None, licence if isinstance(licence, str) else None)
    return Base(model, model if ON_A_HUB.fullmatch(model) else None, None)


def _card(folder: Path) -> dict[str, object]:
    """The front matter of the folder's own card; empty where it has none."""
    try:
        found = FRONT_MATTER.match((folder / "README.md").read_text(encoding="utf-8"))
        told = yaml.safe_load(found[1]) if found else {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return told if isinstance(told, dict) else {}
