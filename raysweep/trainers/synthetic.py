"""Learning curves by formula, with noise, costs and scripted faults: a sweep in seconds that trains nothing.

Jobs live in their process, or at a folder that plays a remote host (`host`).
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from raysweep.config import SyntheticTrainer as Settings
from raysweep.dataset import Splits
from raysweep.jobs import Capabilities, DataRefs, Estimate, Job, JobSpec, JobView, TokenView
from raysweep.scoring import Prediction, metrics_of
from raysweep.space import Params
from raysweep.task import Example, Task
from raysweep.trainers.synthetic_curve import PARAMS, Curve, guesses
from raysweep.trainers.synthetic_faults import scripted_fault
from raysweep.trainers.synthetic_host import HostedSyntheticJob, SyntheticHost, hosted_job
from raysweep.trainers.synthetic_job import SyntheticJob


class SyntheticTrainer:
    """Makes jobs that follow a formula. Raises ConfigError for a fault that it does not know."""

    def __init__(self, settings: Settings, task: Task) -> None:
        for trial in settings.faults:
            scripted_fault(settings, trial)
        self._settings = settings
        self._task = task
        self._host = SyntheticHost(settings.host, listing_lag_s=settings.listing_lag_s) if settings.host else None

    def describe(self) -> Capabilities:
        """A few params; every metric of the task; evaluates anywhere; a tenth of a core."""
        names = ["accuracy", "f1_weighted", "f1_macro", "log_loss"]
        names += ["mse", "mae", "qwk", "mse_expected"] if self._task.is_ordered else []
        names += [metric.name for metric in self._task.metrics]
        names = list(metrics_of(self._task)) if self._task.writing else names
        return Capabilities(
            params=PARAMS,
            metrics=frozenset({"train_loss", *(f"val_{name}" for name in names)}),
            evaluates_anywhere=True,
            cpus=0.1,
            is_paid=self._settings.usd_per_million_tokens > 0,
            has_host=self._host is not None,
            listing_lag_s=self._settings.listing_lag_s if self._host else 0.0,
        )

    def prepare(self, data: Splits) -> DataRefs:
        """Nothing to do."""
        return DataRefs(data.fingerprint, data)

    def submit(self, spec: JobSpec, data: DataRefs) -> Job:
        """Go on from the folder's record, or watch the host's one job of this key, which is made if there is none."""
        fault = scripted_fault(self._settings, spec.trial)
        fault.set_up(spec.attempt - 1)
        curve = Curve(self._settings, self._task, spec, data.splits)
        if self._host is None:
            return SyntheticJob(curve, fault)
        job = self._host.create_or_find(hosted_job(curve, fault, self._host.now_s()))
        return HostedSyntheticJob(self._host, job, curve, fault)

    def jobs(self, sweep_id: str) -> Iterable[JobView]:
        """Those of the host; none where a job lives and dies with its process."""
        return [self._host.view(job) for job in self._host.listed(sweep_id)] if self._host else ()

    def cancel(self, job_id: str) -> None:
        """At the host, if there is one."""
        if self._host:
            self._host.cancel(job_id)

    def predict(self, model: str, examples: Sequence[Example]) -> Sequence[Prediction]:
        """Right as often as the model is good; the same rows are hard for every model."""
        quality = float(json.loads(Path(model).read_text(encoding="utf-8"))["quality"])
        return guesses(self._task, examples, quality)

    def estimate(self, spec: JobSpec, data: DataRefs) -> Estimate:
        """By the settings' tokens and price."""
        tokens = round(spec.evaluate_at[-1] * self._settings.tokens_per_epoch)
        usd = tokens * self._settings.usd_per_million_tokens / 1e6
        return Estimate(tokens, usd or None, duration_s=spec.evaluate_at[-1] * self._settings.epoch_s)

    def preview(self, params: Params, examples: Sequence[Example], n: int) -> Sequence[Sequence[TokenView]]:
        """None: nothing is tokenised."""
        return ()
