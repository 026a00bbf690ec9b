"""HyperOpt's tree-structured Parzen estimator, driven by hand: no `fmin`, no loop, no state but what was told."""

import math
from collections.abc import Iterator, Mapping

import hyperopt
from hyperopt import hp, tpe

from raysweep.dimensions import Branch, Choice, Dimension, Fixed, Params, nested
from raysweep.search.coordinates import assemble, branch_prefix, decoded, encoded, interval, leaves
from raysweep.search.observed import Observations, Observed
from raysweep.space import Space

_GAMMA = 0.5
"""The best gamma * sqrt(n) of n trials are the good ones."""

_N_REDRAWS = 8


class HyperOptModel:
    """HyperOpt's TPE as a model; see `ModelProposer`."""

    def __init__(self, space: Space, *, seed: int) -> None:
        self._space = space
        self._seed = seed
        self._domain = hyperopt.Domain(_no_objective, _expression(space.dimensions))

    def knows_enough(self, known: Observations) -> bool:
        """Whether more have a loss than TPE takes for good."""
        # TPE takes the best ceil(gamma sqrt(n)) of all n for good: pending ones must never be among them.
        return known.n_told > _GAMMA * math.sqrt(len(known)) and bool(self._domain.params)

    def draws(self, number: int, known: Observations) -> Iterator[Params]:
        """Independent draws where the good ones are denser."""
        trials = self._trials(known)
        return (self._draw(number, trials, redraw) for redraw in range(_N_REDRAWS))

    def _draw(self, number: int, trials: hyperopt.Trials, redraw: int) -> Params:
        seed = [self._seed, number, redraw]
        (document,) = tpe.suggest([number], self._domain, trials, seed, n_startup_jobs=0, gamma=_GAMMA, verbose=False)
        return self._params(document["misc"]["vals"])

    def _trials(self, known: Observations) -> hyperopt.Trials:
        trials = hyperopt.Trials()
        trials.insert_trial_docs([self._document(trials, number, observed) for number, observed in known.by_number()])
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
