"""Makes a host and a ledger agree: jobs that nobody owns are cancelled, those of unfinished trials are kept."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from raysweep.clock import Clock
from raysweep.errors import RaysweepError
from raysweep.jobs import JobView, Outcome, Trainer
from raysweep.state import SweepState


@dataclass(frozen=True)
class Cancel:
    """The job is not final and has no owner."""

    job: JobView
    reason: str


@dataclass(frozen=True)
class Adopt:
    """The job is not final and belongs to a trial that goes on: whoever takes the trial up finds it by its key."""

    job: JobView
    trial: int


@dataclass(frozen=True)
class Plan:
    """What is to be done about the jobs that a host lists."""

    actions: tuple[Cancel | Adopt, ...]
    unseen: tuple[str, ...]
    """Keys that may have a job which is not final, and which the host does not list (yet)."""

    @property
    def cancels(self) -> list[Cancel]:
        """Of these, the cancels."""
        return [action for action in self.actions if isinstance(action, Cancel)]


@dataclass(frozen=True)
class Reconciled:
    """What was done about them."""

    cancelled: tuple[Cancel, ...] = ()
    adopted: tuple[Adopt, ...] = ()
    problems: tuple[str, ...] = ()
    """What could not be done, in words."""
    hints: tuple[str, ...] = ()
    """What somebody may want to do about it, a line each."""
    listed: tuple[JobView, ...] = ()
    """The jobs as the host listed them last."""
    unseen: tuple[str, ...] = ()
    """Keys that may have a job, and that the host did not list even after its lag."""

    @property
    def keys_lost(self) -> frozenset[str]:
        """Of the attempts whose jobs were cancelled; one that lost what its model answers from still has its job."""
        return frozenset(one.job.key for one in self.cancelled if not one.job.is_deployment)

    @property
    def words(self) -> tuple[str, ...]:
        """What was done, for a person, a line each."""
        if not (self.cancelled or self.adopted or self.problems):
            return ("nothing to do: no job without an owner",)
        cancelled = (f"cancelled {one.job.id}: {one.reason}" for one in self.cancelled)
        kept = (f"kept {one.job.id}: trial {one.trial} goes on with it" for one in self.adopted)
        return (*cancelled, *kept, *self.hints)


def plan(state: SweepState, jobs: Iterable[JobView], *, is_over: bool) -> Plan:
    """Compare a sweep's ledger with its jobs; touches nothing.

    `is_over`: nobody will go on with the unfinished trials, so that their jobs have no owner either.
    """
    listed = tuple(jobs)
    actions = tuple(_action(state, job, is_over=is_over) for job in listed if not job.is_final)
    known = {job.key for job in listed}
    return Plan(actions, tuple(key for key in _unsettled_keys(state) if key not in known))


def reconcile(
    trainer: Trainer, sweep_id: str, read_state: Callable[[], SweepState], clock: Clock, *, is_over: bool
) -> Reconciled:
    """Carry a plan out, then look again where a cancelled job may live on, or a job may not be listed yet.

    The state is read after the jobs were listed: every job's intent is in the ledger before the job exists.
    Nothing is done for a trainer without a host. A host that refuses is a problem in the answer, never an error.
    """
    capabilities = trainer.describe()
    if not capabilities.has_host:
        return Reconciled()
    done: dict[str, Cancel | Adopt] = {}
    problems: list[str] = []
    jobs: tuple[JobView, ...] = ()
    unseen: tuple[str, ...] = ()
    for is_last in (False, True):
        try:
            listed = tuple(trainer.jobs(sweep_id))
        except RaysweepError as error:
            problems.append(f"the jobs cannot be listed: {error}")
            break
        planned = plan(read_state(), listed, is_over=is_over)
        jobs, unseen = listed, planned.unseen if is_last else ()
        cancels = planned.cancels
        refused = cancel(trainer, cancels)
        problems += refused.values()
        done |= {action.job.key: action for action in planned.actions if action.job.id not in refused}
        if is_last or not (cancels or planned.unseen):
            break
        clock.sleep_s(capabilities.listing_lag_s)
    cancelled = tuple(action for action in done.values() if isinstance(action, Cancel))
    adopted = tuple(action for action in done.values() if isinstance(action, Adopt))
    return Reconciled(cancelled, adopted, tuple(dict.fromkeys(problems)), listed=jobs, unseen=unseen)


def _action(state: SweepState, job: JobView, *, is_over: bool) -> Cancel | Adopt:
    trial = next((one for one in state.trials.values() if job.key in state.keys(one)), None)
    if trial is None:
        return Cancel(job, "the ledger knows no trial with this key")
    if trial.ended:
        return Cancel(job, f"trial {trial.number} has ended: {trial.ended.outcome}")
    if trial.proposed.key != job.key:
        return Cancel(job, f"trial {trial.number} has a further attempt")
    if not trial.may_have_job:  # its cancel was lost, say: a further attempt beside it would be paid twice
        return Cancel(job, f"trial {trial.number} goes on without it")
    if is_over:
        return Cancel(job, f"nobody goes on with trial {trial.number}")
    return Adopt(job, trial.number)


def _unsettled_keys(state: SweepState) -> Iterator[str]:
    """Of every attempt whose job the ledger does not know to be over by itself."""
    for trial in state.trials.values():
        if trial.is_owed or trial.outcome not in (Outcome.COMPLETED, Outcome.FAILED):
            yield from state.keys(trial)


def cancel(trainer: Trainer, cancels: Sequence[Cancel]) -> dict[str, str]:
    """What could not be cancelled, by the job's id, and why."""
    problems = {}
    for action in cancels:
        try:
            trainer.cancel(action.job.id)
        except RaysweepError as error:
            problems[action.job.id] = f"job {action.job.id} could not be cancelled: {error}"
    return problems
