"""A sweep's folder: refused before anything is done, then made and held; or found again, and read."""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raysweep import ledger
from raysweep.config import SweepConfig, load_config, to_yaml
from raysweep.config.identity import SESSION_SETTINGS, digests
from raysweep.entries import Entry, SweepStarted
from raysweep.errors import ConfigError, DiskError, SweepFolderError
from raysweep.ledger import FILE_NAME, Ledger
from raysweep.state import SweepState, fold

CONFIG_NAME = "config.yaml"


@dataclass(frozen=True)
class Past:
    """What a sweep's folder says of it before it goes on."""

    folder: Path
    entries: tuple[Entry, ...]
    started: SweepStarted
    state: SweepState
    """The fold of the entries."""
    config: SweepConfig
    """As the sweep began, but for what this session was told otherwise."""
    n_trials: int
    """How many the sweep may make from now on."""

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to be done: no trial to make, to go on with, or to score."""
        if self.state.ended is None or self._lacks_final:
            return False
        trials = self.state.trials.values()
        has_more = any(one.can_go_on for one in trials) or len(trials) < self.n_trials
        return not has_more or self._has_reached_target

    @property
    def _lacks_final(self) -> bool:
        best = self.state.best
        if not (self.config.final.test and best and best.ended and best.ended.model):
            return False
        return not self.state.is_scored("best", "test", best.number)

    @property
    def _has_reached_target(self) -> bool:
        best, target = self.state.best, self.config.target
        if best is None or best.ended is None or best.ended.objective is None:
            return False
        return target is not None and self.state.goal.reached(best.ended.objective, target)


def refuse_unusable(folder: Path) -> None:
    """Raises SweepFolderError for a folder that holds a sweep, or cannot be made or written."""
    if (folder / FILE_NAME).exists() and (folder / FILE_NAME).stat().st_size:
        raise _taken(folder)
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise SweepFolderError(f"{folder}: {there} is a file; choose another folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise SweepFolderError(f"{folder}: {there} cannot be written; choose another folder, or its owner")


def open_ledger(folder: Path, config: SweepConfig) -> Ledger:
    """The folder with its settings, held by this sweep alone; raises SweepFolderError or DiskError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        opened = Ledger(folder)
        with contextlib.ExitStack() as undo:
            undo.callback(opened.close)
            if opened.path.stat().st_size:
                raise _taken(folder)
            _write_through(folder / CONFIG_NAME, to_yaml(config))
            undo.pop_all()
    except OSError as error:
        raise DiskError(f"{folder}: {error.strerror or error}; choose another folder, or make room") from error
    return opened


def find(run: str | Path) -> Path:
    """The folder that a path, or a sweep's id below `runs`, means. Raises SweepFolderError where there is none."""
    for folder in (Path(run).expanduser(), Path("runs") / run):
        if (folder / FILE_NAME).is_file():
            return folder.absolute()
    known = ", ".join(sorted(path.parent.name for path in Path("runs").glob(f"*/{FILE_NAME}"))) or "none"
    raise SweepFolderError(f"{run}: no sweep's folder, and no id of one in runs; there: {known}")


def read_past(folder: Path, overrides: Sequence[str] = ()) -> Past:
    """The sweep in a folder, and the settings with which it goes on; changes nothing.

    Raises SweepFolderError for a folder that was moved, or whose ledger or settings were damaged or changed by hand,
    or were written by a newer version; ConfigError for an override of what the results rest on.
    """
    entries = tuple(ledger.read(folder))
    state = fold(entries)
    if state.started is None:
        raise SweepFolderError(f"{folder}: nothing was begun in it; start the sweep anew")
    _refuse_moved(folder, state.started)
    config = _changed(_settings(folder, state.started), folder, overrides)
    n_trials = config.trials if any(one.startswith("trials=") for one in overrides) else state.n_trials
    if n_trials < len(state.trials):
        raise ConfigError(f"trials={n_trials}: the sweep has made {len(state.trials)} already; ask for that or more")
    config = config.model_copy(update={"trials": state.started.trials})  # the proposer begins as it began
    return Past(folder, entries, state.started, state, config, n_trials)


def _settings(folder: Path, started: SweepStarted) -> SweepConfig:
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise SweepFolderError(f"{path}: not there; a sweep goes on with the settings that it began with, restore them")
    config = load_config(path)
    now, then = digests(config), started.settings
    changed = sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))
    if then and changed:
        raise SweepFolderError(
            f"{path}: {', '.join(changed)} changed since the sweep began, and its results rest on that; "
            "restore the file, or start a new sweep with the new settings"
        )
    return config


def _changed(config: SweepConfig, folder: Path, overrides: Sequence[str]) -> SweepConfig:
    for override in overrides:
        name = override.partition("=")[0].partition(".")[0]
        if name not in SESSION_SETTINGS:
            raise ConfigError(
                f"{override}: a sweep that goes on keeps this setting, its results rest on it; what can change: "
                f"{', '.join(SESSION_SETTINGS)}. For another {name}, start a new sweep"
            )
    return load_config(folder / CONFIG_NAME, overrides) if overrides else config


def _refuse_moved(folder: Path, started: SweepStarted) -> None:
    if started.folder is None:
        return
    home = Path(started.folder)
    if not (home.is_dir() and home.samefile(folder)):
        raise SweepFolderError(
            f"{folder}: this sweep was made in {home}, where its jobs and models are looked for; "
            "move it back, or put a link to it there"
        )


def refuse_late(past: Past) -> None:
    """Raises ConfigError where the sweep has no time left."""
    state, config = past.state, past.config
    driven_s = state.elapsed_s(state.at) if state.at else 0.0
    if state.ended and config.time_s is not None and driven_s >= config.time_s:
        raise ConfigError(
            f"time_s: the sweep was driven for {driven_s:.0f} s and may be for {config.time_s:g} s, all sessions "
            f"together; give it more, for example time_s={round(driven_s + config.time_s)}"
        )


def _taken(folder: Path) -> SweepFolderError:
    return SweepFolderError(
        f"{folder}: holds a sweep already; go on with it by `raysweep resume {folder}`, or choose another folder"
    )


def _write_through(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
