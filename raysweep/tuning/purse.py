"""The sweep's money as its driver handles it: what a trial's job may cost, whether that fits, what a job has used."""

from collections.abc import Callable
from dataclasses import dataclass, field

from raysweep.dimensions import Params
from raysweep.errors import JobFailed, RaysweepError
from raysweep.jobs import Estimate, JobSpec, Progress
from raysweep.recorder import Recorder

REPLICAS_SHARE = 0.5
"""Of the budget, which is kept back for the finalists' replicas at most: a search comes before what confirms it."""


@dataclass(frozen=True)
class Means:
    """What there is to be spent, and what things cost."""

    estimate: Callable[[JobSpec], Estimate] | None = None
    """Of a trial's job, at most; None: nothing costs anything."""
    max_usd: float | None = None
    """What may be spent and reserved together; None: no limit."""
    scores_best: bool = False
    """Whether money is kept back, to score the best model on the test split."""
    n_finalists: int = 1
    """How many models of the search's own that is."""
    base_usd: Callable[[Params], float] | None = None
    """Of asking the base model of a winner of these params, at most; None: nothing."""
    n_replicas: int = 0
    """How many replicas are to be made after the search."""
    replicates: bool = False
    """Whether they are being made now: nothing is kept back for them any more but their own scores."""


@dataclass
class Purse:
    """Reads what was spent from the ledger's state, so that every session goes on where the last one was."""

    means: Means
    recorder: Recorder
    has_host: bool = False
    """Whether a job may live on when nobody works on its trial any more."""
    _kept_usd: float = 0.0
    """For the final score of the trial whose model would cost the most."""
    _kept_base_usd: float = 0.0
    """For asking the dearest of the base models."""
    _dearest_usd: float = 0.0
    """The most that a job of a trial may take."""
    _seen: dict[int, tuple[JobSpec, Progress]] = field(default_factory=dict)
    """The last that was seen of the jobs that are watched."""
    _said: dict[int, float] = field(default_factory=dict)
    """What jobs that failed have cost, where that is known."""
    _never_made: set[int] = field(default_factory=set)
    """Trials whose attempt surely has no job."""

    def reservation(self, spec: JobSpec) -> float | None:
        """What is to be set aside for the attempt, or is already; None where it costs nothing."""
        open_usd = self._open(spec)
        return self._estimate(spec).usd if open_usd is None else open_usd

    def lack(self, spec: JobSpec) -> str | None:
        """Why the attempt's job cannot be paid, in words; None where it can."""
        spending, open_usd, max_usd = self.recorder.state.spending, self._open(spec), self.means.max_usd
        needed = self.reservation(spec)
        if max_usd is None or needed is None or open_usd is not None:
            return None
        to_score, for_replicas = self._kept_back(spec, max_usd)
        if spending.fits(needed + to_score + for_replicas, max_usd):
            return None
        left, owed_usd = max(0.0, max_usd - spending.committed), self.owed_usd
        besides = f", {to_score:.2f} are kept back to score the best" if to_score >= 0.005 else ""
        besides += f", {for_replicas:.2f} for replicas of the best" if for_replicas >= 0.005 else ""
        owed = f"; {owed_usd:.2f} are held for jobs that their host has not shown to be over" if owed_usd else ""
        return (
            f"trial {spec.trial} may take {needed:.2f} USD{besides}, and {left:.2f} of {max_usd:.2f} USD are left{owed}"
            "; for more, resume with a larger budget.max_usd"
        )

    def begin(self, spec: JobSpec) -> None:
        """The attempt was proposed, now or in the past: somebody begins to watch its job."""
        self._kept_usd = max(self._kept_usd, self._final(spec))
        self._kept_base_usd = max(self._kept_base_usd, self._base(spec))
        self._dearest_usd = max(self._dearest_usd, self._estimate(spec).usd or 0.0)
        self.forget(spec.trial)

    def see(self, spec: JobSpec, progress: Progress) -> None:
        """The latest of the trial's job."""
        self._seen[spec.trial] = (spec, progress)

    def hear(self, trial: int, failure: JobFailed, *, is_job_over: bool) -> None:
        """The trial's job failed: it has cost what its trainer says, and nothing where none was ever made."""
        state = self.recorder.state.trials[trial]
        is_first = all(one.attempt != state.attempt for one in state.interruptions)
        if failure.usd is not None:
            self._said[trial] = failure.usd
        elif is_job_over and is_first and state.job is None:
            self._said[trial] = 0.0
            self._never_made.add(trial)

    def forget(self, trial: int) -> None:
        """Nobody watches the trial's job any more: what it does from now on is not known."""
        self._seen.pop(trial, None)
        self._said.pop(trial, None)
        self._never_made.discard(trial)

    def is_settled(self, trial: int) -> bool:
        """Whether the trial's job can cost no more: there is none, it ended well, or it lives here, not at a host."""
        seen = self._seen.get(trial)
        is_over = trial in self._never_made or (seen is not None and seen[1].is_final)
        return is_over or not self.has_host or self.recorder.state.trials[trial].account.open_usd is None

    @property
    def owed_usd(self) -> float:
        """Reserved for jobs of ended trials, until their host has shown them to be over."""
        return self.recorder.state.owed_usd

    def settle(self, trial: int) -> float | None:
        """What the trial's open attempt has cost: as was said, or by what was seen of its job, else all of it.

        None where nothing is reserved, because it costs nothing or is settled already.
        """
        reserved = self.recorder.state.trials[trial].account.open_usd
        said, seen = self._said.get(trial), self._seen.get(trial)
        self.forget(trial)
        if reserved is None or said is not None:
            return None if reserved is None else said
        if seen is None:
            return reserved
        spec, progress = seen
        if progress.usd is not None:
            return progress.usd
        return reserved if progress.is_final else reserved * min(1.0, progress.epoch / spec.evaluate_at[-1])

    def final_usd(self, spec: JobSpec) -> float | None:
        """What scoring the trial's model on the test split costs; None: nothing.

        Raises RaysweepError where that is not left: jobs have cost more than was thought, or the budget was cut.
        """
        usd = self._final(spec)
        self.afford(usd, f"trial {spec.trial}'s model was not scored on the test split")
        return usd or None

    def afford(self, usd: float, otherwise: str) -> None:
        """Raises RaysweepError, which says what then is not done, where so much is not left."""
        spending, max_usd = self.recorder.state.spending, self.means.max_usd
        if usd and max_usd is not None and not spending.fits(usd, max_usd):
            raise RaysweepError(
                f"{otherwise}: that may cost {usd:.2f} USD, and "
                f"{spending.spent:.2f} of {max_usd:.2f} USD are spent; resume with a larger budget.max_usd"
            )

    def _kept_back(self, spec: JobSpec, max_usd: float) -> tuple[float, float]:
        """What this attempt must leave for the final scores, and for the finalists' replicas with theirs."""
        means, final_usd = self.means, max(self._kept_usd, self._final(spec))
        base_usd = max(self._kept_base_usd, self._base(spec))
        if means.replicates:
            made = {spec.trial, *(one.number for one in self.recorder.state.replicas)}
            return (means.n_finalists + len(made)) * final_usd + base_usd, 0.0
        each_usd = max(self._dearest_usd, self._estimate(spec).usd or 0.0) + final_usd
        return means.n_finalists * final_usd + base_usd, min(means.n_replicas * each_usd, REPLICAS_SHARE * max_usd)

    def _open(self, spec: JobSpec) -> float | None:
        """What is reserved for this very attempt."""
        trial = self.recorder.state.trials.get(spec.trial)
        return trial.account.open_usd if trial and trial.account.attempt == spec.attempt else None

    def _final(self, spec: JobSpec) -> float:
        return self._estimate(spec).final_usd if self.means.scores_best else 0.0

    def _base(self, spec: JobSpec) -> float:
        return self.means.base_usd(spec.params) if self.means.base_usd else 0.0

    def _estimate(self, spec: JobSpec) -> Estimate:
        return self.means.estimate(spec) if self.means.estimate else Estimate(0, None)
