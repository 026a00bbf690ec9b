"""How a sweep's completed trials stand to each other: by validation, by the winner's rule, and on the test split."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from raysweep import winner
from raysweep.config.sections import REPLICA_STEP
from raysweep.dimensions import Params
from raysweep.entries import BEST, DEFAULT, FINALIST, REPLICA
from raysweep.goal import Goal
from raysweep.jobs import Outcome
from raysweep.trial_state import TrialState
from raysweep.winner import Configuration


@dataclass(frozen=True)
class Standing:
    """The trials of one moment."""

    trials: Mapping[int, TrialState]
    goal: Goal
    default_params: Params | None
    """The default configuration, complete; None where nobody knows."""

    @cached_property
    def ranked(self) -> tuple[TrialState, ...]:
        """The search's completed trials by their objective, the best first; the earlier first where two are equal."""
        scored = [
            (self.goal.loss(value), number, self.trials[number])
            for number, trial in self.trials.items()
            if trial.replica_of is None and (value := _score(trial)) is not None
        ]
        return tuple(trial for _, _, trial in sorted(scored, key=lambda one: one[:2]))

    @property
    def configurations(self) -> tuple[Configuration, ...]:
        """What each of `ranked` and its replicas scored on validation."""
        scores: dict[int, list[float]] = {}
        n_failed: dict[int, int] = {}
        for number, trial in sorted(self.trials.items()):
            of, value = trial.replica_of, _score(self.trials[number])
            if of is not None and value is not None:
                scores.setdefault(of, []).append(value)
            elif of is not None and trial.outcome is Outcome.FAILED:
                n_failed[of] = n_failed.get(of, 0) + 1
        return tuple(
            Configuration(trial.number, value, tuple(scores.get(trial.number, ())), n_failed.get(trial.number, 0))
            for trial in self.ranked
            if (value := _score(trial)) is not None
        )

    def tested(self, scores: Mapping[int | None, float]) -> tuple[Configuration, ...]:
        """The configurations with what their models scored on the test split; `scores` is by trial."""
        models: dict[int, list[int]] = {}
        for number, trial in sorted(self.trials.items()):
            models.setdefault(number if trial.replica_of is None else trial.replica_of, []).append(number)
        return tuple(
            replace(one, tested=tuple(scores[number] for number in models[one.trial] if number in scores))
            for one in self.configurations
        )

    @cached_property
    def order(self) -> tuple[TrialState, ...]:
        """The same trials by the winner's rule, the winner first."""
        return tuple(self.trials[one.trial] for one in winner.order(self.configurations, self.goal))

    @property
    def default(self) -> int | None:
        """The completed trial with the default configuration; None where there is none, or nobody knows."""
        return next((trial.number for trial in self.ranked if trial.params == self.default_params), None)

    def replicas_to_make(self, n_finalists: int, n_each: int) -> tuple[tuple[int, TrialState], ...]:
        """Numbers of the replicas that no ledger knows yet, and what they repeat.

        The first of each of the best n by validation, then the second: those that can be paid are spread evenly.
        """
        wanted = [
            (REPLICA_STEP * replica + trial.number, trial)
            for replica in range(1, n_each + 1)
            for trial in self.ranked[:n_finalists]
        ]
        return tuple((number, trial) for number, trial in wanted if number not in self.trials)

    def to_test(self, n_finalists: int) -> tuple[tuple[str, TrialState], ...]:
        """The trials that are scored on the test split, under which name; the winner first, none for no finalists.

        The winner, the best n by validation, the default configuration, and the replicas of the former two.
        """
        if not n_finalists or not self.order:
            return ()
        best, default = self.order[0].number, self.default
        wanted = dict.fromkeys((best, *(trial.number for trial in self.ranked[:n_finalists])))
        named = [(BEST if one == best else DEFAULT if one == default else FINALIST, self.trials[one]) for one in wanted]
        named += [] if default is None or default in wanted else [(DEFAULT, self.trials[default])]
        named += [(REPLICA, one) for _, one in sorted(self.trials.items()) if one.replica_of in wanted]
        return tuple((name, one) for name, one in named if one.ended and one.ended.model is not None)


def _score(trial: TrialState) -> float | None:
    """Of a completed trial; an early-stopped one has none, so it can never win."""
    return trial.ended.objective if trial.ended and trial.outcome is Outcome.COMPLETED else None
