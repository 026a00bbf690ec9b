"""HyperOpt's tree-structured Parzen estimator, driven by hand: no `fmin`, no loop, no state but what was told."""

import math
from collections.abc import Mapping
from itertools import chain

import hyperopt
from hyperopt import hp, tpe

from raysweep.dimensions import Branch, Choice, Dimension, Fixed, Params, nested
from raysweep.search.coordinates import assemble, branch_prefix, decoded, encoded, interval, leaves
from raysweep.search.draw import RandomProposer
from raysweep.search.observed import Observations, Observed
from raysweep.space import Space

_GAMMA = 0.5
"""The best gamma * sqrt(n) of n trials are the good ones."""

_N_REDRAWS = 8
_N_RANDOM_REDRAWS = 64
"""In a small discrete space all may have been tried; then a suggestion is repeated."""


class HyperOptProposer:
    """Proposes by TPE after `n_start` random draws.

    A suggestion is a function of the seed, the trial's number, the trials that are pending and the losses that were
    told, in whatever order: so it can be rebuilt from a record by `adopt` and `tell`. Pending trials count as bad,
    which keeps parallel suggestions apart.
    """

    def __init__(self, space: Space, *, seed: int, n_start: int) -> None:
        self._space = space
        self._seed = seed
        self._n_start = n_start
        self._random = RandomProposer(space, seed=seed)
        self._domain = hyperopt.Domain(_no_objective, _expression(space.dimensions))
        self._observed = Observations()

    def ask(self, number: int) -> Params:
        """Complete params; the trial is pending from now on."""
        params = self._suggest(number) if self._knows_enough(number) else self._random.ask(number)
        self.adopt(number, params)
        return params

    def adopt(self, number: int, params: Params) -> None:
        """A trial that came from elsewhere is pending; what is told of it counts like any other."""
        self._observed.adopt(number, params)

    def tell(self, number: int, loss: float | None) -> None:
        """The trial's loss; without one it is forgotten. Raises ValueError for a loss that is not finite."""
        self._observed.tell(number, loss)

    def _knows_enough(self, number: int) -> bool:
        # TPE takes the best ceil(gamma sqrt(n)) of all n for good: pending ones must never be among them.
        n_good = _GAMMA * math.sqrt(len(self._observed))
        return number >= self._n_start and self._observed.n_told > n_good and bool(self._domain.params)

    def _suggest(self, number: int) -> Params:
        """What was tried before would teach little: then another draw, at last from the prior."""
        trials = self._trials()
        drawn = (self._draw(number, trials, redraw) for redraw in range(_N_REDRAWS))
        random = (self._random.ask(number, redraw) for redraw in range(_N_RANDOM_REDRAWS))
        return self._observed.first_new(chain(drawn, random))

    def _draw(self, number: int, trials: hyperopt.Trials, redraw: int) -> Params:
        seed = [self._seed, number, redraw]
        (document,) = tpe.suggest([number], self._domain, trials, seed, n_startup_jobs=0, gamma=_GAMMA, verbose=False)
        return self._params(document["misc"]["vals"])

    def _trials(self) -> hyperopt.Trials:
        trials = hyperopt.Trials()
        known = self._observed.by_number()
        trials.insert_trial_docs([self._document(trials, number, observed) for number, observed in known])
        trials.refresh()
        return trials

    def _document(self, trials: hyperopt.Trials, number: int, observed: Observed) -> object:
        places = {label: encoded(d, value) for label, d, value in leaves(self._space.dimensions, observed.params)}
        values = {label: [places[label]] if label in places else [] for label in self._domain.params}
        indices = {label: [number] if label in places else [] for label in self._domain.params}
        misc = {"tid": number, "cmd": self._domain.cmd, "workdir": None, "idxs": indices, "vals": values}
        (document,) = trials.new_trial_docs([number], [None], [_result(observed.loss)], [misc])
        document["state"] = hyperopt.JOB_STATE_RUNNING if observed.loss is None else hyperopt.JOB_STATE_DONE
        return document

    def _params(self, values: Mapping[str, list[float]]) -> Params:
        return assemble(self._space.dimensions, lambda label, dimension: decoded(dimension, float(values[label][0])))


def _no_objective(params: object) -> float:
    raise NotImplementedError(f"the sweep evaluates trials, HyperOpt does not: {params}")


def _result(loss: float | None) -> Mapping[str, object]:
    return {"status": hyperopt.STATUS_RUNNING} if loss is None else {"status": hyperopt.STATUS_OK, "loss": loss}


def _expression(dimensions: Mapping[str, Dimension], prefix: str = "") -> dict[str, object]:
    return {
        name: _variable(prefix + name, dimension)
        for name, dimension in dimensions.items()
        if not isinstance(dimension, Fixed)
    }


def _variable(label: str, dimension: Dimension) -> object:
    match dimension:
        case Fixed():
            return dimension.value
        case Choice():
            return hp.randint(label, len(dimension.values))
        case Branch():
            inner = [_expression(nested(dimension, name), branch_prefix(label, name)) for name in dimension.branches]
            return hp.choice(label, inner)
        case _:
            return hp.uniform(label, *interval(dimension))
