"""Fine-tunes small transformers with LoRA in this process; torch is loaded only when a job is made."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep import assets, environment
from raysweep.catalogue import ASSETS
from raysweep.clock import Clock, RealClock
from raysweep.config import LoraTrainer as LoraSettings
from raysweep.dataset import Splits
from raysweep.engine.params import param_docs, parse_params
from raysweep.errors import ConfigError
from raysweep.jobs import Capabilities, DataRefs, Estimate, JobSpec, JobView, TokenView
from raysweep.scoring import Prediction, metrics_of
from raysweep.space import Params
from raysweep.task import Example, Task

if TYPE_CHECKING:
    from raysweep.engine.job import LoraJob
    from raysweep.engine.place import Place
    from raysweep.engine.tokens import Tokenizer


def bundled_model(name: str) -> Path | None:
    """The folder of a bundled model; None for another name. Raises AssetError where it is not fetched yet."""
    return assets.path(name) if name in ASSETS else None


@dataclass(frozen=True)
class LoraTrainer:
    """Makes jobs that train adapters and, for an encoder, a head."""

    settings: LoraSettings
    task: Task
    cache: Path = field(default_factory=environment.cache_folder)
    """The node's folder for tokens and activations."""
    clock: Clock = field(default_factory=RealClock)

    def describe(self) -> Capabilities:
        """Every param and metric; touches neither torch nor the model."""
        return Capabilities(
            params=param_docs(self.task),
            metrics=frozenset(f"val_{name}" for name in metrics_of(self.task)) | {"train_loss"},
            evaluates_anywhere=True,
            gpus=self.settings.gpu_share if self.settings.device == "cuda" else 0.0,
            gpus_if_any=self.settings.gpu_share if self.settings.device == "auto" else 0.0,
            answers_untuned=True,
        )

    def prepare(self, data: Splits) -> DataRefs:
        """Check that model, tokenizer and device are there. Raises ConfigError or AssetError where one is not."""
        from raysweep.engine.tokens import Tokenizer
        from raysweep.task import Prompt

        if not data.train or not data.validation:
            raise ConfigError("data: training and validation need at least one row each")
        Tokenizer(self._place().encoding(Prompt()))
        return DataRefs(data.fingerprint, data)

    def submit(self, spec: JobSpec, data: DataRefs) -> "LoraJob":
        """A job that starts from its folder's state, if there is one. Raises JobFailed for params it refuses."""
        from raysweep.engine.job import LoraJob

        return LoraJob(self._place(), spec, data, self.clock)

    def jobs(self, sweep_id: str) -> Iterable[JobView]:
        """None: local jobs live in their callers, and no host lists them."""
        return ()

    def cancel(self, job_id: str) -> None:
        """Nothing: there is no host."""

    def predict(self, model: str, examples: Sequence[Example]) -> Sequence[Prediction]:
        """One prediction an example, by the model in this folder."""
        from raysweep.engine import untuned
        from raysweep.engine.batches import Collator
        from raysweep.engine.loop import predict_rows
        from raysweep.engine.place import place_on
        from raysweep.engine.saved import load_answerer, read_saved
        from raysweep.engine.tokens import Tokenizer

        placement = place_on(self.settings.device, self.settings.dtype)
        if untuned.is_base(Path(model)):
            return untuned.predict(Path(model), placement, examples)
        saved = read_saved(Path(model))
        answerer = load_answerer(Path(model), saved, placement)
        return predict_rows(answerer, Collator(Tokenizer(saved.encoding).rows(examples)), lambda: None)

    def why_not_untuned(self, params: Params, shots: Sequence[Example]) -> str:
        """An encoder has no words; a causal model may lack room for the examples."""
        from raysweep.engine import untuned

        return untuned.why_not(self._place(), parse_params(params, self.task).prompt, shots)

    def untuned_usd(self, params: Params, shots: Sequence[Example], examples: Sequence[Example]) -> None:
        """Nothing."""

    def untuned(self, params: Params, shots: Sequence[Example], folder: Path) -> str:
        """The folder, with how the base model is prompted."""
        from raysweep.engine import untuned

        base = untuned.base_model(self._place(), parse_params(params, self.task).prompt, shots)
        return str(untuned.save(folder, base))

    def estimate(self, spec: JobSpec, data: DataRefs) -> Estimate:
        """Training tokens by the tokenizer's own count; a local job costs no money."""
        lengths = self.token_lengths(spec.params, data.splits.train)
        longest = self.settings.max_length
        trained, warnings = sum(min(one, longest) for one in lengths), _cut(lengths, longest)
        if self.task.writing is not None:
            texts, longest = (
                self._tokenizer(spec.params).text_lengths(data.splits.train),
                self.task.writing.max_new_tokens,
            )
            trained += sum(min(one, longest) for one in texts)
            warnings += _cut(texts, longest, what="training texts", setting="task.max_new_tokens")
        return Estimate(round(trained * spec.evaluate_at[-1]), usd=None, warnings=warnings)

    def token_lengths(self, params: Params, examples: Sequence[Example]) -> tuple[int, ...]:
        """Tokens of each example as these params put it to the model, without its free text, before any cut."""
        return self._tokenizer(params).lengths(examples)

    def preview(self, params: Params, examples: Sequence[Example], n: int) -> tuple[tuple[TokenView, ...], ...]:
        """The first examples as the model sees them, token by token, with those that the loss is taken on."""
        tokenizer = self._tokenizer(params)
        return tuple(tokenizer.preview(example) for example in examples[:n])

    def _tokenizer(self, params: Params) -> "Tokenizer":
        from raysweep.engine.tokens import Tokenizer

        return Tokenizer(self._place().encoding(parse_params(params, self.task).prompt))

    def _place(self) -> "Place":
        from raysweep.engine.place import resolve

        return resolve(self.settings, self.task, bundled_model, self.cache)


def _cut(
    lengths: Sequence[int], longest: int, *, what: str = "training rows", setting: str = "trainer.max_length"
) -> tuple[str, ...]:
    """Whether rows lose a part of themselves, in words."""
    n_cut = sum(length > longest for length in lengths)
    if not n_cut:
        return ()
    of_all = f"{n_cut:,} of {len(lengths):,} {what} ({n_cut / len(lengths):.0%})"
    most = sorted(lengths)[math.ceil(0.95 * len(lengths)) - 1]
    sizes = f"95 % of the rows have at most {most:,}, the longest {max(lengths):,}"
    return (f"{of_all} are longer than {setting}, {longest} tokens, and are cut; {sizes}",)
