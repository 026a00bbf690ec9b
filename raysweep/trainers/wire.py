"""Fine-tunes at a host of OpenAI's wire, through a gate; neither the SDK nor torch is loaded in here."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

from raysweep import ranking, scoring
from raysweep.clock import Clock, RealClock
from raysweep.config import WireTrainer as Settings
from raysweep.dataset import Splits
from raysweep.jobs import Capabilities, DataRefs, Estimate, JobSpec, JobView, ParamDoc, TokenView
from raysweep.scoring import Prediction
from raysweep.space import Params
from raysweep.task import Example, Task
from raysweep.trainers.dialects import dialect_of
from raysweep.trainers.host_errors import HostError, as_input_error
from raysweep.trainers.hosted import Gate, HostedJob, JobRequest
from raysweep.trainers.prompting import PROMPT_PARAMS, prompt_of
from raysweep.trainers.wire_answers import NOWHERE_TO_ANSWER, Answering, deployment_name
from raysweep.trainers.wire_begin import Beginning
from raysweep.trainers.wire_costs import Costs
from raysweep.trainers.wire_data import ChatFile, chat_file, check_rows, places_of, tokens_of, uploaded
from raysweep.trainers.wire_grading import grader_of
from raysweep.trainers.wire_job import WireJob
from raysweep.trainers.wire_metrics import HOST_METRICS
from raysweep.trainers.wire_models import refuse_shut_down
from raysweep.trainers.wire_params import check_params, wire_params
from raysweep.trainers.wire_scores import asked_rows, coverage_of, final_metrics, scores_of
from raysweep.trainers.wire_size import Size
from raysweep.trainers.wire_untuned import Untuned

CPUS = 0.05
"""A remote job only has to be watched."""
DEPLOYMENT = "deployment:"
"""What the id of a deployment begins with where it stands among jobs."""


class WireTrainer:
    """Makes jobs at a host. Raises ConfigError for settings that do not fit its dialect."""

    def __init__(
        self, settings: Settings, task: Task, make_gate: Callable[[], Gate], clock: Clock | None = None
    ) -> None:
        """Asks nothing; the gate is made when there is need of it."""
        self._settings = settings
        self._task = task
        self._dialect = dialect_of(settings)
        self._make_gate = make_gate
        self._clock = clock or RealClock()
        self._is_scored = settings.score == "all" or (settings.score == "auto" and not self._dialect.needs_deployment)
        self._costs = Costs(settings, self._dialect, task, is_scored=self._is_scored)
        self._untuned = Untuned(settings, self._dialect, task, self._costs)
        self._answering = Answering(settings, self._dialect, task, lambda: self._gate, self._clock)

    @cached_property
    def _gate(self) -> Gate:
        return self._make_gate()

    def describe(self) -> Capabilities:
        """What the dialect takes; losses at epochs' ends, and metrics of answers at the end where models are scored."""
        model = ParamDoc(default=self._settings.model, help="The base model that is tuned.")
        return Capabilities(
            params={**self._dialect.params, "model": model, **PROMPT_PARAMS},
            metrics=HOST_METRICS,
            final_metrics=final_metrics(self._task) if self._is_scored else frozenset(),
            evaluates_anywhere=False,
            cpus=CPUS,
            is_paid=self._costs.is_paid,
            has_host=True,
            listing_lag_s=self._dialect.lag_s,
            concurrency=self._dialect.limits.running,
            max_concurrency=self._dialect.limits.active,
            cannot_predict=NOWHERE_TO_ANSWER if self._dialect.needs_deployment and not self._settings.azure else "",
            answers_untuned=True,
        )

    def prepare(self, data: Splits) -> DataRefs:
        """Refuse what the host would: rows, key, models. Files are uploaded with the first job that wants them."""
        check_rows(data.train, data.validation)
        if self._settings.rehearsal and self._settings.base_url is None:  # its server does not run: nobody to ask
            return DataRefs(data.fingerprint, data)
        try:
            model = self._gate.model(self._settings.model)
            grader = grader_of(self._task)
            if grader and not self._dialect.needs_deployment:
                self._gate.model(grader.model)
            self._gate.deployments()  # whoever may not make any learns so before jobs are paid
        except HostError as error:
            raise as_input_error(error) from error
        refuse_shut_down(model, self._clock.now().date().isoformat())
        return DataRefs(data.fingerprint, data)

    def submit(self, spec: JobSpec, data: DataRefs) -> WireJob:
        """The attempt's one job, or one that waits for its permit: its id is empty until there is a job."""
        check_params(spec, self._dialect.params)
        prompt = prompt_of(spec.params)
        splits = data.splits

        @lru_cache(maxsize=1)
        def files() -> tuple[ChatFile, ChatFile]:
            return chat_file(splits.train, prompt, self._task), chat_file(splits.validation, prompt, self._task)

        def request() -> JobRequest:
            training, validation = (uploaded(file, self._gate) for file in files())
            return JobRequest(
                spec.sweep_id,
                spec.key,
                str(spec.params["model"]),
                training,
                validation,
                self._suffix(spec.key),
                spec.seed,
                wire_params(spec.params, self._dialect.params),
            )

        def scores(note: str, is_stopped: Callable[[], bool]) -> Mapping[str, float | None]:
            rows = asked_rows(splits.validation, self._task)
            return self._scores(note, rows, is_stopped) if self._is_scored else {}

        batch_size = spec.params.get("batch_size")
        size = Size(
            len(splits.train),
            tokens_of(splits.train, prompt, self._task),
            int(batch_size) if isinstance(batch_size, int | float) else None,
            self._costs.bill(spec, splits),
            places_of(splits),
        )
        beginning = Beginning(spec, self._gate, self._dialect, request, self._clock)
        job = WireJob(spec, self._gate, beginning, size=size, scorer=scores, clock=self._clock)
        job.begin()
        return job

    def jobs(self, sweep_id: str) -> Iterable[JobView]:
        """The sweep's jobs as the host lists them, and deployments of theirs, which cost too."""
        views = [_view(one) for one in self._gate.jobs(sweep_id)]
        ours = [one for one in self._gate.deployments() if one.name.startswith(f"{deployment_name(sweep_id)}-")]
        prefix = len(deployment_name(""))
        deployed = (
            JobView(one.name[prefix:], DEPLOYMENT + one.name, is_final=False, status="deployed", is_deployment=True)
            for one in ours
        )
        return [*views, *deployed]

    def cancel(self, job_id: str) -> None:
        """At the host; nothing for a final or unknown one."""
        if job_id.startswith(DEPLOYMENT):
            self._gate.discard("deployment", job_id.removeprefix(DEPLOYMENT))
        else:
            self._gate.cancel(job_id)

    def prune(self, sweep_id: str, keys: Collection[str], keep: Collection[str]) -> Iterator[str]:
        """Delete what final jobs left: models but those to keep, files that no other job needs, then their records."""
        everybody = self._gate.jobs(None)
        ours = [job for job in everybody if job.sweep_id == sweep_id and job.key in keys and job.is_final]
        ids = {job.id for job in ours}
        needed = {file for job in everybody if job.id not in ids and not job.is_final for file in job.files}
        models = [("model", job.model) for job in ours if job.model and job.key not in keep]
        files = {file for job in ours for file in (*job.files, *job.result_files)} - needed
        records = [("job", job.id) for job in ours if job.key not in keep]
        for kind, name in (*models, *(("file", file) for file in sorted(files)), *records):
            if self._gate.discard(kind, name):
                yield f"deleted {kind} {name}"

    def predict(self, model: str, examples: Sequence[Example]) -> Sequence[Prediction]:
        """What a model that one of the jobs has made says of each example."""
        return [reading.prediction for reading in self._answering.readings(model, examples, lambda: False)]

    def why_not_untuned(self, params: Params, shots: Sequence[Example]) -> str:
        """Where it has no deployment, or no price."""
        return self._untuned.why_not(params)

    def untuned_usd(self, params: Params, shots: Sequence[Example], examples: Sequence[Example]) -> float | None:
        """By the prices of the base model."""
        return self._untuned.usd(params, shots, examples)

    def untuned(self, params: Params, shots: Sequence[Example], folder: Path) -> str:
        """The path of its note: the trial's prompt, with a sentence that names the labels, and earlier turns."""
        return self._untuned.note(params, shots, folder)

    def estimate(self, spec: JobSpec, data: DataRefs) -> Estimate:
        """Tokens and money at most. Raises ConfigError where a paid host's price is known to nobody."""
        return self._costs.estimate(spec, data.splits)

    def preview(self, params: Params, examples: Sequence[Example], n: int) -> Sequence[Sequence[TokenView]]:
        """None: only the host knows its tokens."""
        return ()

    def _suffix(self, key: str) -> str:
        given = self._settings.suffix
        return key if given is None else f"{given}-{key}"[-self._dialect.max_suffix :].lstrip("-_")

    def _scores(
        self, note: str, examples: Sequence[Example], is_stopped: Callable[[], bool]
    ) -> Mapping[str, float | None]:
        readings = self._answering.readings(note, examples, is_stopped)
        if len(readings) < len(examples):
            return {}
        said = scoring.graded(self._task, examples, [reading.prediction for reading in readings])
        labels = [example.label for example in examples]
        ranking.keep(Path(note).parent, self._task, scoring.answers_of(self._task, labels, said))
        return scores_of(self._task, examples, said) | coverage_of(self._task, readings)


def _view(job: HostedJob) -> JobView:
    return JobView(job.key, job.id, job.is_final, job.status, job.trained_tokens, job.has_succeeded, job.has_failed)
