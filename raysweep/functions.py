"""A user's function by its name: `module:function`, or what an installed package offers."""

import importlib
import math
import numbers
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint

from raysweep import plugins
from raysweep.errors import ConfigError


def find_function(name: str, group: str, folder: str | None = None) -> Callable[..., object]:
    """The function behind `module:function`, or behind a name of the entry points' group; importing runs its code.

    A module is looked for like any other, and last in `folder`, which stays on this process's search path for what
    the module itself imports. Raises ConfigError where there is no such module or function, where the module breaks
    while it is imported, and for what cannot be called.
    """
    found = _imported(name, group, folder) if ":" in name else plugins.load(group, name)
    if not callable(found):
        raise ConfigError(f"{name} is {found!r}, which cannot be called; name a function")
    return found


def find_at(place: str, name: str, folder: str | None) -> Callable[..., object]:
    """The function behind a setting, out of the metrics' group; a ConfigError names the setting's place."""
    try:
        return find_function(name, plugins.METRICS, folder)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from error


def number_of(place: str, name: str, call: Callable[[], object], *, takes_bool: bool = False) -> float | None:
    """The number that a call of the function gives; None for None, and for a number that is not finite.

    Raises ValueError, with the setting's place, for whatever the function raises, or gives that is no number.
    """
    try:
        value = call()
    except Exception as error:  # the function is the user's and may raise anything
        words = f"{type(error).__name__}: {error}"
        raise ValueError(f"{place}: {name} broke: {words}; mend it, or let it return None there") from error
    if value is None:
        return None
    if not isinstance(value, numbers.Real) or (isinstance(value, bool) and not takes_bool):
        given = f"{type(value).__name__} {value!r}"
        raise ValueError(  # one kind of error for all that a function can do wrong
            f"{place}: {name} returned {given:.100}, not a number; make it a float, or None"
        )
    return float(value) if math.isfinite(value) else None


def _imported(name: str, group: str, folder: str | None) -> object:
    module, _, function = name.partition(":")
    if folder is not None and folder not in sys.path:
        sys.path.append(folder)  # last: a user's random.py must not take the place of Python's
    if module not in sys.modules:
        importlib.invalidate_caches()  # the file may be younger than Python's last look into its folder
    try:
        return EntryPoint(name, name, group).load()
    except ModuleNotFoundError as error:
        place = f"neither installed nor in {folder}" if folder else "not installed"
        raise ConfigError(f"{name}: no module {error.name} ({place}); check the name, or install it") from error
    except AttributeError as error:
        if module not in sys.modules:  # it broke while it was imported, and so left no trace
            raise _broken(name, error) from error
        where = sys.modules[module].__file__ or module
        raise ConfigError(f"{name}: {where} holds no {function}; check its spelling") from error
    except Exception as error:  # a module may raise anything while it is imported
        raise _broken(name, error) from error


def _broken(name: str, error: Exception) -> ConfigError:
    return ConfigError(f"{name}: its module cannot be imported: {type(error).__name__}: {error}; mend it")
