"""The winner as a folder in the style of a model hub: adapter, head, description and card."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from raysweep.errors import ConfigError, DiskError, SweepFolderError
from raysweep.export.base import Base, base_of
from raysweep.export.card import Winner, card
from raysweep.folder import known_settings
from raysweep.results import Results
from raysweep.state import TrialState

DESCRIPTION, ADAPTER, CARD = "raysweep_model.json", "adapter_config.json", "README.md"


def write_model(found: Results, target: Path, name: str | None, *, may_replace: bool) -> str:
    """Make the folder, whole or not at all; what lies in it, in words.

    Raises SweepFolderError where no trial has won or its model is gone, ConfigError for a model of another kind and
    for a file or a folder that holds something, DiskError.
    """
    target = target.absolute()
    best = found.best
    if best is None or best.ended is None or best.ended.model is None:
        raise SweepFolderError(f"{found.folder}: no trial has completed with a model; there is no winner to export")
    weights = _weights(found, best)
    if not may_replace:
        _refuse_taken(target)
    described = json.loads((weights / DESCRIPTION).read_text(encoding="utf-8")) if weights else None
    winner = _winner(found, best, name, described)
    scratch, former = target.with_name(f".{target.name}.part"), target.with_name(f".{target.name}.old")
    try:
        for folder in (scratch, former):
            shutil.rmtree(folder, ignore_errors=True)
        if weights:
            shutil.copytree(weights, scratch)
            _name_base(scratch, winner.base)
        scratch.mkdir(parents=True, exist_ok=True)
        (scratch / CARD).write_text(card(winner), encoding="utf-8")
        if target.exists():
            target.rename(former)
        scratch.rename(target)
        shutil.rmtree(former, ignore_errors=True)
    except OSError as error:
        raise DiskError(f"{target}: cannot be written: {error}; free space, or choose another --out") from error
    what = "adapter, head and card" if weights else f"a card for {best.ended.model}, whose weights are at its host,"
    return f"trial {best.number}: {what} in {target}"


def _refuse_taken(target: Path) -> None:
    if target == Path.cwd():  # in its place would come another folder of that name
        raise ConfigError(f"{target}: is the working directory; give --out a folder below it")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{target}: holds something already; choose another --out")


def _weights(found: Results, best: TrialState) -> Path | None:
    """The model's folder; None where the model lives elsewhere. Raises SweepFolderError where it is gone."""
    told = Path(best.ended.model) if best.ended and best.ended.model else Path()
    ours = found.folder / "jobs" / f"trial_{best.number:04d}" / "model"
    for folder in (told, ours):
        if (folder / DESCRIPTION).is_file():
            return folder
    if not told.is_absolute():
        return None
    if told.exists():
        raise ConfigError(
            f"{told}: the winner is no adapter of the local trainer and lives at no host; copy it as it is"
        )
    raise SweepFolderError(f"{told}: the winner's model is gone; restore it, or train it again")


def _winner(found: Results, best: TrialState, name: str | None, described: Mapping[str, object] | None) -> Winner:
    state, started = found.state, found.state.started
    title = name or (f"{started.name}-{started.sweep_id}" if started else found.folder.name)
    config = known_settings(found.folder, started)
    return Winner(
        name=title,
        state=state,
        trial=best,
        certainty=found.certainty,
        gap=found.gap,
        config=config,
        base=_base(described) if described else None,
        model_id="" if described else (best.ended.model if best.ended and best.ended.model else ""),
        facts=_facts(described) if described else {},
    )


def _base(described: Mapping[str, object]) -> Base:
    return base_of(str(described["base_model"]), str(described["base_model_path"]))


def _facts(described: Mapping[str, object]) -> dict[str, str]:
    task, prompt = described["task"], described["prompt"]
    if not isinstance(task, dict) or not isinstance(prompt, dict):
        return {}
    facts = {"Labels": ", ".join(f"`{label}`" for label in task["labels"])}
    if not task["labels"]:
        facts = {"Texts": f"of up to {task['max_new_tokens']} tokens"}
    return facts | {"A row is put to the model as": f"`{prompt['template']!r}`"}


def _name_base(folder: Path, base: Base | None) -> None:
    """By its name on the hub, or by its bare name: where it lay on this machine is nobody else's concern."""
    if base is None:
        return
    for file, key in ((DESCRIPTION, "base_model_path"), (ADAPTER, "base_model_name_or_path")):
        told = json.loads((folder / file).read_text(encoding="utf-8"))
        told[key] = base.hub or base.name
        if file == DESCRIPTION:
            told["base_model"] = base.hub or base.name
        (folder / file).write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
