"""Optuna's tree-structured Parzen estimator, driven by hand: a fresh study for every suggestion, nothing kept in it."""

from collections.abc import Iterator, Mapping
from random import Random
from typing import assert_never

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

from raysweep.dimensions import (
    Branch,
    Choice,
    Dimension,
    Fixed,
    Integer,
    LogUniform,
    Params,
    ParamValue,
    QUniform,
    Uniform,
    multiples,
    nested,
)
from raysweep.search.coordinates import assemble, branch_prefix, decoded, encoded, interval, leaves, options
from raysweep.search.observed import Observations, Observed
from raysweep.search.optuna_quiet import optuna_quietly
from raysweep.space import Space

_N_REDRAWS = 4

Group = Mapping[str, BaseDistribution]
"""Dimensions that are drawn together, by label: those of one level, which exist in the same trials."""


class OptunaModel:
    """Optuna's multivariate TPE as a model; see `ModelProposer`."""

    def __init__(self, space: Space, *, seed: int) -> None:
        self._space = space
        self._seed = seed
        self._groups = {label: group for group in _groups(space.dimensions) for label in group}
        self._distributions = {label: group[label] for label, group in self._groups.items()}

    def knows_enough(self, known: Observations) -> bool:
        """Whether there is a loss."""
        return known.n_told > 0 and bool(self._groups)

    def draws(self, number: int, known: Observations) -> Iterator[Params]:
        """Independent draws where the good ones are denser."""
        study, trial = self._study(known)
        return (self._draw(number, redraw, study, trial) for redraw in range(_N_REDRAWS))

    @optuna_quietly()
    def _study(self, known: Observations) -> tuple[optuna.Study, FrozenTrial]:
        """What is known, and the trial that is asked for."""
        study = optuna.create_study()
        study.add_trials([self._frozen(observed) for _, observed in known.by_number()])
        study.add_trial(optuna.trial.create_trial(state=TrialState.RUNNING))
        return study, study.get_trials(deepcopy=False)[-1]

    @optuna_quietly()
    def _draw(self, number: int, redraw: int, study: optuna.Study, trial: FrozenTrial) -> Params:
        # A sampler's generator goes on from draw to draw; a fresh one makes the draw a function of these three alone.
        seed = Random(f"raysweep optuna {self._seed} {number} {redraw}").getrandbits(32)
        sampler = TPESampler(seed=seed, n_startup_trials=1, multivariate=True, constant_liar=True)
        codes: dict[str, float] = {}

        def pick(label: str, dimension: Dimension) -> ParamValue:
            if label not in codes:
                codes.update(sampler.sample_relative(study, trial, dict(self._groups[label])))
            return decoded(dimension, codes[label])

        return assemble(self._space.dimensions, pick)

    def _frozen(self, observed: Observed) -> FrozenTrial:
        found = leaves(self._space.dimensions, observed.params)
        codes = {label: encoded(dimension, value) for label, dimension, value in found}
        return optuna.trial.create_trial(
            state=TrialState.RUNNING if observed.loss is None else TrialState.COMPLETE,
            value=observed.loss,
            params=codes,
            distributions={label: self._distributions[label] for label in codes},
        )


def _groups(dimensions: Mapping[str, Dimension], prefix: str = "") -> Iterator[Group]:
    """The dimensions of each level; a branch's own are drawn after the branch."""
    searched = {name: dimension for name, dimension in dimensions.items() if not isinstance(dimension, Fixed)}
    if searched:
        yield {prefix + name: _distribution(dimension) for name, dimension in searched.items()}
    for name, dimension in searched.items():
        if isinstance(dimension, Branch):
            for branch in dimension.branches:
                yield from _groups(nested(dimension, branch), branch_prefix(prefix + name, branch))


def _distribution(dimension: Dimension) -> BaseDistribution:
    """Of the dimension's code; Optuna knows that there is nothing between two whole numbers."""
    match dimension:
        case Fixed() | Choice() | Branch():
            return CategoricalDistribution(range(len(options(dimension))))
        case QUniform():
            return IntDistribution(*multiples(dimension))
        case Integer(log=False):
            return IntDistribution(dimension.low, dimension.high)
        case Uniform() | LogUniform() | Integer():
            return FloatDistribution(*interval(dimension))
        case _:
            assert_never(dimension)
