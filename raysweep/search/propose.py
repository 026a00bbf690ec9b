"""The seam to whatever thinks of hyperparameters: asked for params, told losses."""

from collections.abc import Sequence
from typing import Literal, Protocol, assert_never

from raysweep.errors import ConfigError
from raysweep.search.draw import RandomProposer
from raysweep.search.grid import GridProposer
from raysweep.search.model import ModelProposer
from raysweep.space import Params, Space

ProposerKind = Literal["hyperopt", "optuna", "random", "grid"]


class Proposer(Protocol):
    """Thinks of params for trials by number; numbers ascend, a trial is told at most once."""

    def ask(self, number: int) -> Params | None:
        """Complete params for the trial, which is pending from now on; None when there is nothing left to try."""
        ...

    def adopt(self, number: int, params: Params) -> None:
        """The trial is pending with params that came from elsewhere: a given point, or a record that is replayed.

        A number below zero is an earlier run's: told before the first `ask`, and no trial of this sweep.

        After the same `adopt` and `tell` as in the record, `ask` goes on as it would have gone on then.
        """
        ...

    def tell(self, number: int, loss: float | None) -> None:
        """The trial's finite loss, to be minimised; None when it ended without saying anything. No longer pending."""
        ...


class PointsFirst:
    """Hands out given points, trial 0 the first, and asks another proposer afterwards, which learns from them too."""

    def __init__(self, points: Sequence[Params], proposer: Proposer) -> None:
        self._points = points
        self._proposer = proposer

    def ask(self, number: int) -> Params | None:
        """The point with this number, or what the other proposer makes of it."""
        if number >= len(self._points):
            return self._proposer.ask(number)
        self._proposer.adopt(number, self._points[number])
        return self._points[number]

    def adopt(self, number: int, params: Params) -> None:
        """Passed on."""
        self._proposer.adopt(number, params)

    def tell(self, number: int, loss: float | None) -> None:
        """Passed on."""
        self._proposer.tell(number, loss)


def make_proposer(
    kind: ProposerKind,
    space: Space,
    *,
    seed: int,
    n_trials: int,
    points: Sequence[Params] = (),
    default_first: bool = True,
    random_start: int | None = None,
    grid_points: int | None = None,
) -> Proposer:
    """A proposer that begins with the default configuration, then the given points, completed by the defaults.

    `random_start`: trials, given points among them, before a model (HyperOpt's, Optuna's) is asked; a third of the
    sweep's at most, and that where it is None. `grid_points`: values of a continuous dimension in a grid.
    Raises SpaceError for a point outside the space and a dimension that a grid cannot exhaust, ConfigError where
    Optuna is not installed.
    """
    first = initial_points(space, points, default_first=default_first)
    most = max(1, n_trials // 3)
    n_start = most if random_start is None else min(random_start, most)
    return PointsFirst(first, _make(kind, space, seed=seed, n_start=n_start, grid_points=grid_points))


def initial_points(space: Space, points: Sequence[Params], *, default_first: bool) -> tuple[Params, ...]:
    """What is tried before the proposer is asked, complete, each once."""
    given = [space.complete(point) for point in points]
    wanted = [space.default(), *given] if default_first else given
    return tuple(point for place, point in enumerate(wanted) if point not in wanted[:place])


def _make(kind: ProposerKind, space: Space, *, seed: int, n_start: int, grid_points: int | None) -> Proposer:
    match kind:
        case "random":
            return RandomProposer(space, seed=seed)
        case "grid":
            return GridProposer(space, points=grid_points)
        case "hyperopt":
            # HyperOpt takes two seconds and scipy to load, which a random search should not pay.
            from raysweep.search.tpe import HyperOptModel

            return ModelProposer(HyperOptModel(space, seed=seed), space, seed=seed, n_start=n_start)
        case "optuna":
            try:
                from raysweep.search.optuna_tpe import OptunaModel
            except ModuleNotFoundError as error:
                raise ConfigError("search.kind: optuna is not installed; pip install 'raysweep[optuna]'") from error

            return ModelProposer(OptunaModel(space, seed=seed), space, seed=seed, n_start=n_start)
        case _:
            assert_never(kind)
