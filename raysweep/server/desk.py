"""The life of a job as pure transitions: a record and what happens go in, the next record and its log come out.

    validating_files -> queued -> running -> succeeded | failed | cancelled
                          ^                 running -> pausing -> paused
                          +------------------------------- resume -+

No clock, no thread, no HTTP: every race is a call of `apply` in another order.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from raysweep.server import happenings as on
from raysweep.server.records import Checkpoint, Event, Job, JobError, Measures, Setting, Status, TunedModel

KEPT_EPOCHS = 3
"""Checkpoints that a job lists at its end (OpenAI's guide, 2025)."""
_LOSSES = (
    ("train_loss", "training loss"),
    ("valid_loss", "validation loss"),
    ("full_valid_loss", "full validation loss"),
)


class NotNow(Exception):  # noqa: N818  # a state, no error of ours
    """The job's state does not allow what was asked."""


@dataclass(frozen=True)
class Change:
    """What becomes of a job, and all that is to be kept besides."""

    job: Job
    events: tuple[Event, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    models: tuple[TunedModel, ...] = ()


@dataclass(frozen=True)
class Naming:
    """How this host writes the names of models."""

    organization: str = "raysweep"
    is_azure: bool = False

    def model(self, job: Job, step: int | None = None) -> str:
        """The final model's name, or that of the checkpoint at a step, which has eight letters of its own."""
        letters = token(f"{job.id} {step}", 8)
        if self.is_azure:
            name = f"{job.order.model}.ft-{token(job.id, 32).lower()}"
            name += f"-{job.order.suffix}" if job.order.suffix else ""
            return name if step is None else f"{name}:ckpt-step-{step}"
        base = job.order.model.split(":")[1] if job.order.model.startswith("ft:") else job.order.model
        name = f"ft:{base}:{self.organization}:{job.order.suffix or ''}:{letters}"
        return name if step is None else f"{name}:ckpt-step-{step}"


@dataclass(frozen=True)
class _Line:
    """One line for the log, not yet numbered."""

    message: str
    kind: str = "message"
    level: str = "info"
    data: Mapping[str, Setting] = field(default_factory=dict)


def opened(job: Job) -> Change:
    """The first lines of a job's log."""
    order = job.order
    files = f"Validating training file: {order.training_file}"
    files += f" and validation file: {order.validation_file}" if order.validation_file else ""
    return _logged(job, job.created_at_s, _Line(f"Created fine-tuning job: {job.id}"), _Line(files))


def apply(job: Job, what: on.Happening, now_s: float, naming: Naming) -> Change:
    """The next state. Reports that come too late change nothing; raises NotNow for a request that the state forbids.

    A cancelled job may be cancelled again, and stays as it is.
    """
    match what:
        case on.CancelAsked() | on.PauseAsked() | on.ResumeAsked():
            return _asked(job, what, now_s)
        case on.Validated() if job.status is Status.VALIDATING:
            queued = replace(job, status=Status.QUEUED, plan=what.plan, queued_at_s=now_s)
            return _logged(queued, now_s, _Line("Files validated, moving job to queued state"))
        case on.Began() if job.status is Status.QUEUED:
            word = "resumed" if job.step else "started"
            began = replace(job, status=Status.RUNNING, started_at_s=now_s, started_step=job.step)
            return _logged(began, now_s, _Line(f"Fine-tuning job {word}"))
        case on.Stepped() | on.Finished() | on.Held() | on.Broke():
            return _reported(job, what, now_s, naming)
        case on.Validated() | on.Began():
            return Change(job)
        case _ as never:
            assert_never(never)


def failed(job: Job, error: JobError, now_s: float) -> Change:
    """It ends badly, with the reason in its log."""
    ended = replace(job, status=Status.FAILED, error=error, finished_at_s=now_s)
    data = {"error_code": error.code} | ({"error_param": error.param} if error.param else {})
    return _logged(ended, now_s, _Line(error.message, level="error", data=data))


def token(seed: str, length: int) -> str:
    """Letters that look random and are the same for the same seed."""
    return hashlib.sha256(seed.encode()).hexdigest()[:length]


def _reported(job: Job, what: on.Report, now_s: float, naming: Naming) -> Change:
    match what:
        case on.Stepped() if job.status.holds_slot and what.step > job.step:
            return _stepped(job, what, now_s)
        case on.Finished() if job.status.holds_slot:
            return _finished(job, what, now_s, naming)
        case on.Held() if job.status is Status.PAUSING:
            return _held(job, what.snapshot, now_s, naming)
        case on.Broke() if not job.status.is_final:
            return failed(job, what.error, now_s)
        case _:
            return Change(job)


def _asked(job: Job, what: on.CancelAsked | on.PauseAsked | on.ResumeAsked, now_s: float) -> Change:
    match what:
        case on.CancelAsked():
            if job.status is Status.CANCELLED:
                return Change(job)
            if job.status.is_final:
                raise NotNow(f"Job has already completed with status {job.status}: {job.id}")
            return _logged(_cancelled(job, now_s), now_s, _Line("The job was cancelled"))
        case on.PauseAsked():
            if job.status in (Status.PAUSING, Status.PAUSED):
                return Change(job)
            if job.status is not Status.RUNNING or job.step < 1:
                raise NotNow(f"Only a running job with at least one step can be paused: {job.id} is {job.status}")
            return _logged(replace(job, status=Status.PAUSING), now_s, _Line("Pausing job"))
        case on.ResumeAsked():
            if job.status is not Status.PAUSED:
                raise NotNow(f"Only a paused job can be resumed: {job.id} is {job.status}")
            resumed = replace(job, status=Status.QUEUED, queued_at_s=now_s)
            return _logged(resumed, now_s, _Line("Resuming job, moving job to queued state"))


def _cancelled(job: Job, now_s: float) -> Job:
    plan = job.plan
    trained = plan.tokens_per_epoch * job.step // max(1, plan.steps_per_epoch) if plan else 0
    return replace(job, status=Status.CANCELLED, finished_at_s=now_s, trained_tokens=trained or None)


def _stepped(job: Job, what: on.Stepped, now_s: float) -> Change:
    plan = job.plan
    if plan is None:
        raise ValueError(f"{job.id}: a step of a job that was never validated")
    measures = Measures(what.step, what.values)
    is_epoch_end = what.step % plan.steps_per_epoch == 0
    marks = (*job.marks, measures) if is_epoch_end else job.marks
    said = ", ".join(f"{word}={what.values[name]:.4g}" for name, word in _LOSSES if name in what.values)
    data = {"step": what.step, "total_steps": plan.n_steps, **what.values}
    line = _Line(f"Step {what.step}/{plan.n_steps}: {said}", kind="metrics", data=data)
    return _logged(replace(job, step=what.step, marks=marks, latest=measures), now_s, line)


def _finished(job: Job, what: on.Finished, now_s: float, naming: Naming) -> Change:
    kept = what.snapshots[-KEPT_EPOCHS:]
    models = [_model(job, one, naming, now_s, is_last=one is kept[-1]) for one in kept]
    done = replace(
        job,
        status=Status.SUCCEEDED,
        finished_at_s=now_s,
        model=models[-1].name,
        trained_tokens=what.trained_tokens or (job.plan.trained_tokens if job.plan else None),
    )
    checkpoints = [_checkpoint(job, model, now_s, number) for number, model in enumerate(models, start=1)]
    lines = [_Line(f"Checkpoint created at step {one.step}") for one in kept[:-1]]
    lines += [
        _Line("New fine-tuned model created"),
        _Line("Evaluating model against our usage policies", kind="moderation_checks"),
        _Line("The job has successfully completed"),
    ]
    change = _logged(done, now_s, *lines)
    return replace(change, checkpoints=tuple(checkpoints), models=tuple(models))


def _held(job: Job, snapshot: on.Snapshot, now_s: float, naming: Naming) -> Change:
    """A pause leaves a checkpoint that answers like a model."""
    paused = replace(job, status=Status.PAUSED, step=max(job.step, snapshot.step))
    model = _model(job, snapshot, naming, now_s, is_last=False)
    lines = (_Line(f"Checkpoint created at step {snapshot.step}"), _Line("Job paused"))
    checkpoint = _checkpoint(job, model, now_s, number=0)
    return replace(_logged(paused, now_s, *lines), checkpoints=(checkpoint,), models=(model,))


def _model(job: Job, snapshot: on.Snapshot, naming: Naming, now_s: float, *, is_last: bool) -> TunedModel:
    return TunedModel(
        name=naming.model(job, None if is_last else snapshot.step),
        job_id=job.id,
        base=job.order.model,
        step=snapshot.step,
        created_at_s=now_s,
        where=snapshot.where,
        labels=job.plan.labels if job.plan else (),
    )


def _checkpoint(job: Job, model: TunedModel, now_s: float, number: int) -> Checkpoint:
    known = {mark.step: mark for mark in (*job.marks, *([job.latest] if job.latest else []))}
    measures = known.get(model.step, Measures(model.step, {}))
    id_ = f"ftckpt_{token(f'{job.id} {model.step}', 22)}"
    return Checkpoint(id_, job.id, number, now_s, model.name, measures)


def _logged(job: Job, now_s: float, *lines: _Line) -> Change:
    """The job with these lines at the end of its log."""
    events = []
    for number, line in enumerate(lines, start=job.n_events + 1):
        id_ = f"ftevent-{token(f'{job.id} {number}', 22)}"
        events.append(Event(id_, job.id, number, now_s, line.level, line.kind, line.message, line.data))
    return Change(replace(job, n_events=job.n_events + len(lines)), tuple(events))
