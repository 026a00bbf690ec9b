"""What a local fine-tune runs on: which model, on which device, in which precision, with which caches."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from raysweep.config import LoraTrainer
from raysweep.engine.family import Family, family_of
from raysweep.engine.model import Placement
from raysweep.engine.tokens import Encoding
from raysweep.errors import ConfigError
from raysweep.task import Prompt, Task


@dataclass(frozen=True)
class Place:
    """The settings, resolved on this machine."""

    settings: LoraTrainer
    task: Task
    model: str
    """A folder, or a name on a model hub."""
    family: Family
    placement: Placement
    cache: Path
    """The node's own folder for tokens and activations."""

    def encoding(self, prompt: Prompt) -> Encoding:
        """How examples become tokens under this prompt."""
        return Encoding(
            model=self.model,
            family=self.family,
            task=self.task,
            prompt=prompt,
            max_length=self.settings.max_length,
            chat_template=self.settings.chat_template,
        )


def resolve(settings: LoraTrainer, task: Task, asset: Callable[[str], Path | None], cache: Path) -> Place:
    """The place for these settings. Raises ConfigError for a model or a device that is not there.

    `asset` finds a bundled model's folder by name, or answers None for a name that is none.
    """
    placement = place_on(settings.device, settings.dtype)
    bundled = None if Path(settings.model).is_dir() else asset(settings.model)
    model = str(Path(settings.model).resolve()) if Path(settings.model).is_dir() else str(bundled or settings.model)
    is_hub_name = bundled is None and not Path(model).is_dir()
    if is_hub_name and model.count("/") != 1:
        raise ConfigError(
            f"trainer.model: {settings.model!r} is neither a bundled model, nor a folder, nor a hub's owner/name"
        )
    family = family_of(model) if settings.family == "auto" else Family(settings.family)
    if task.writing is not None and family is Family.ENCODER:
        raise ConfigError(
            f"task.kind: {settings.model} is an encoder, which writes no text; set trainer.model to a causal model, "
            "such as smollm2-135m"
        )
    return Place(settings, task, model, family, placement, cache)


def place_on(device: str, dtype: str) -> Placement:
    """The device and precision that the settings mean here; raises ConfigError for a GPU that is not there."""
    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise ConfigError(
            f"trainer.device: cuda was demanded, but torch {torch.__version__} sees no GPU here;"
            " set trainer.device to auto or cpu, or install a CUDA build of torch and its driver"
        )
    chosen = "cuda" if has_gpu and device != "cpu" else "cpu"
    if dtype == "auto":
        dtype = "bfloat16" if chosen == "cuda" else "float32"
    if dtype == "bfloat16" and chosen == "cpu" and not _has_bfloat16():
        raise ConfigError(
            "trainer.dtype: this CPU has no bfloat16 instructions, where it is twenty times slower than float32;"
            " set trainer.dtype to auto or float32"
        )
    return Placement(torch.device(chosen), torch.bfloat16 if dtype == "bfloat16" else torch.float32)


def _has_bfloat16() -> bool:
    found = torch.cpu.get_capabilities()
    return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
