"""A sweep's folder: refused before anything is done, then made and held; or found again, and read."""

import contextlib
import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raysweep import earlier as earliers
from raysweep import ledger, untuned
from raysweep.config import SweepConfig, load_config, to_yaml
from raysweep.config.identity import SESSION_SETTINGS, digests
from raysweep.config.sections import BudgetSection
from raysweep.earlier import Earlier
from raysweep.entries import ALL_ENDED, Entry, SweepStarted
from raysweep.errors import ConfigError, DiskError, InputError, SweepFolderError
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
    has_new_baselines: bool
    """Whether this session asks for baselines that the sweep began without."""

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to be done: no trial to make, to go on with, to repeat, to score or to settle."""
        if self.state.ended is None or self._lacks_final or self._lacks_replica or self.state.owed:
            return False
        trials, attempts = self.state.searched.values(), self.config.retries.attempts
        goes_on = any(one.goes_on(attempts) for one in trials)
        has_more = goes_on or (len(trials) < self.n_trials and not self._is_exhausted)
        return not has_more or self._has_reached_target

    @property
    def _is_exhausted(self) -> bool:
        """Whether fewer trials than asked for could be made: a grid has no more points."""
        ended = self.state.ended
        is_natural = ended is not None and ended.signal is None and ended.reason.startswith(ALL_ENDED)
        return is_natural and self.n_trials == self.state.n_trials

    @property
    def _lacks_final(self) -> bool:
        final, ended = self.config.final, self.state.ended
        was_interrupted = ended is not None and ended.signal is not None  # else the baseline could not be had
        asks_again = final.baseline and any(one.is_open for one in untuned.find(self.folder).values())
        is_baseline_due = self.has_new_baselines or (final.baseline and was_interrupted)
        lacks = self.state.lacks_finals(final.top if final.test else 0, baseline=is_baseline_due)
        return lacks or asks_again

    @property
    def _lacks_replica(self) -> bool:
        final, attempts = self.config.final, self.config.retries.attempts
        is_planned = bool(self.state.standing.replicas_to_make(final.top, final.replicas))
        return is_planned or any(one.goes_on(attempts) for one in self.state.replicas)

    @property
    def _has_reached_target(self) -> bool:
        best, target = next(iter(self.state.ranked), None), self.config.target
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


def open_ledger(folder: Path, config: SweepConfig, earlier: Earlier) -> Ledger:
    """The folder with its settings and the earlier runs that it learns from, held by this sweep alone.

    Raises SweepFolderError or DiskError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        opened = Ledger(folder)
        with contextlib.ExitStack() as undo:
            undo.callback(opened.close)
            if opened.path.stat().st_size:
                raise _taken(folder)
            _write_through(folder / CONFIG_NAME, to_yaml(config))
            if earlier.runs:
                _write_through(folder / earliers.FILE_NAME, earlier.lines)
            undo.pop_all()
    except OSError as error:
        raise DiskError(f"{folder}: {error.strerror or error}; choose another folder, or make room") from error
    return opened


def find(run: str | Path) -> Path:
    """The folder that a path, or a sweep's id below `runs`, means. Raises SweepFolderError where there is none."""
    named = Path(run).expanduser()
    if named.name == FILE_NAME and named.is_file():
        return named.parent.absolute()
    for folder in (named, Path("runs") / run):
        if (folder / FILE_NAME).is_file():
            return folder.absolute()
        if (folder / CONFIG_NAME).is_file():
            raise SweepFolderError(
                f"{folder}: its {FILE_NAME} is gone, and with it the sweep; restore it from a backup"
            )
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
    refuse_moved(folder, state.started)
    began = read_settings(folder, state.started)
    config = _changed(began, folder, overrides)
    has_new_baselines = config.final.baseline and not began.final.baseline
    n_trials = config.trials if any(one.startswith("trials=") for one in overrides) else state.n_trials
    n_made = len(state.searched)
    if n_trials < n_made:
        raise ConfigError(f"trials={n_trials}: the sweep has made {n_made} already; ask for that or more")
    config = config.model_copy(update={"trials": state.started.trials})  # the proposer begins as it began
    if state.max_usd is not None and not any(one.startswith("budget") for one in overrides):
        config = config.model_copy(update={"budget": BudgetSection(max_usd=state.max_usd)})  # as it was said last
    return Past(folder, entries, state.started, state, config, n_trials, has_new_baselines)


def read_settings(folder: Path, started: SweepStarted) -> SweepConfig:
    """With which the sweep began. Raises SweepFolderError where they are gone, or its results do not rest on them."""
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise SweepFolderError(f"{path}: not there; a sweep goes on with the settings that it began with, restore them")
    config = load_config(path)
    now, then = digests(config), started.settings
    changed = sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))
    changed += ["name"] if config.name != started.name else []
    if then and changed:
        raise SweepFolderError(
            f"{path}: {', '.join(changed)} changed since the sweep began, and its results rest on that; "
            "restore the file, or start a new sweep with the new settings"
        )
    return config


def known_settings(folder: Path, started: SweepStarted | None) -> SweepConfig | None:
    """As `read_settings`; None where they cannot be read any more: what was found is worth showing without."""
    try:
        return read_settings(folder, started) if started else None
    except InputError:
        return None


def _changed(config: SweepConfig, folder: Path, overrides: Sequence[str]) -> SweepConfig:
    for override in overrides:
        _refuse_kept(override)
    return load_config(folder / CONFIG_NAME, overrides) if overrides else config


def _refuse_kept(override: str) -> None:
    name, equals, _ = override.partition("=")
    section = name.partition(".")[0]
    can_change = f"what can change: {', '.join(SESSION_SETTINGS)}"
    if not equals:
        raise ConfigError(f"{override}: settings are written key=value, for example trials=60; {can_change}")
    if section in SESSION_SETTINGS:
        return
    if section not in SweepConfig.model_fields:
        nearest = difflib.get_close_matches(section, SESSION_SETTINGS, n=1)
        raise ConfigError(f"{override}: no such setting; " + (f"did you mean {nearest[0]}?" if nearest else can_change))
    raise ConfigError(
        f"{override}: a sweep that goes on keeps this setting, its results rest on it; {can_change}. "
        f"For another {section}, start a new sweep"
    )


def refuse_moved(folder: Path, started: SweepStarted) -> None:
    """Raises SweepFolderError for a folder that was moved or copied: two of them would own the same jobs."""
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
    if config.time_s is not None and driven_s >= config.time_s:
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
