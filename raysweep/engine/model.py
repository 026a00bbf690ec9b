"""A pretrained transformer from a folder, frozen, with LoRA adapters in some of its layers."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import AutoModel, AutoModelForCausalLM, PreTrainedModel

from raysweep.engine.batches import Batch
from raysweep.engine.family import Family
from raysweep.engine.params import LoraParams
from raysweep.engine.quiet import quietly
from raysweep.errors import ConfigError, Fault, JobFailed

_SUFFIXES = {
    "q": ("query", "q_proj", "q_lin", "q"),
    "k": ("key", "k_proj", "k_lin", "k"),
    "v": ("value", "v_proj", "v_lin", "v"),
    "o": ("attention.output.dense", "o_proj", "out_lin", "out_proj", "attention.dense", "self_attn.dense"),
    "ffn": ("intermediate.dense", "gate_proj", "up_proj", "down_proj", "lin1", "lin2", "fc1", "fc2", "wi", "wo"),
}
"""What the makers of models call the parts, the usual ones first."""


@dataclass(frozen=True)
class Placement:
    """Where a model lives and in what precision its frozen weights are held."""

    device: torch.device
    dtype: torch.dtype


@dataclass(frozen=True)
class Backbone:
    """A loaded model and the places in it that matter here."""

    model: PreTrainedModel
    """With its language-model head where the family is causal; adapters are put into it in place."""
    family: Family
    placement: Placement
    layers: nn.ModuleList
    """The transformer layers, bottom first."""

    @property
    def n_layers(self) -> int:
        """How many layers it has."""
        return len(self.layers)

    @property
    def width(self) -> int:
        """The size of its hidden state."""
        return int(self.model.config.get_text_config().hidden_size)

    def vocabulary(self) -> torch.Tensor:
        """(n_tokens, width): the matrix that makes logits of a causal model's hidden state."""
        weight: torch.Tensor = self.model.get_output_embeddings().weight.detach()  # type: ignore[no-untyped-call]  # transformers' own
        return weight

    def hidden(self, batch: Batch, mask: torch.Tensor | None, positions: torch.Tensor | None = None) -> torch.Tensor:
        """(batch, length, width) float32: the last hidden state of the batch's tokens."""
        inner = self.model.base_model if self.family is Family.CAUSAL else self.model
        extra: dict[str, object] = {"use_cache": False} if self.family is Family.CAUSAL else {}
        if positions is not None:
            extra["position_ids"] = positions
        if batch.state is not None:
            self._bottom().state = batch.state
        state: torch.Tensor = inner(input_ids=batch.ids, attention_mask=mask, **extra).last_hidden_state
        return state.float()

    def start_from(self, depth: int) -> None:
        """From now on every batch brings the state below layer `depth`; the layers under it are let go."""
        self.layers[0] = Given()
        for number in range(1, depth):
            self.layers[number] = Skipped()

    def _bottom(self) -> "Given":
        bottom = self.layers[0]
        if not isinstance(bottom, Given):
            raise TypeError("a batch with a state, but the model starts from its tokens")
        return bottom


class Given(nn.Module):
    """Stands where a layer stood and answers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.state: torch.Tensor | None = None

    def forward(self, hidden: torch.Tensor, *_args: object, **_kwargs: object) -> torch.Tensor:
        """The state, in the place of the layer's own."""
        if self.state is None:
            raise ValueError("no state was given")
        return self.state


class Skipped(nn.Module):
    """Stands where a layer stood and hands on what it gets, which it also keeps to be looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: torch.Tensor | None = None

    def forward(self, hidden: torch.Tensor, *_args: object, **_kwargs: object) -> torch.Tensor:
        """The same state."""
        self.seen = hidden
        return hidden


def load_backbone(folder: str | Path, family: Family, placement: Placement) -> Backbone:
    """The pretrained model, frozen and in evaluation mode: nothing in it drops out.

    Raises ConfigError when transformers cannot load it.
    """
    loader = AutoModelForCausalLM if family is Family.CAUSAL else AutoModel
    copies = Path(folder) / str(placement.dtype).removeprefix("torch.")
    source = copies if copies.is_dir() else folder  # weights of another dtype could not be shared between processes
    try:
        with quietly():
            model = loader.from_pretrained(str(source), dtype=placement.dtype)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"trainer.model: transformers cannot load {folder}: {error}") from error
    nn.Module.to(model, placement.device)
    return Backbone(model.eval().requires_grad_(False), family, placement, _layer_list(model))


def add_adapters(backbone: Backbone, params: LoraParams) -> PeftModel:
    """Put LoRA adapters into the model, in place; the caller has seeded torch.

    Raises JobFailed (params at fault) where the layers or modules named are not the model's.
    """
    numbers = adapted_layers(params, backbone.n_layers)
    config = LoraConfig(
        r=params.rank,
        lora_alpha=params.rank * params.alpha_ratio,  # type: ignore[arg-type]  # a fraction is as good to peft
        lora_dropout=params.dropout,
        use_rslora=params.use_rslora,
        target_modules=list(target_names(backbone, params.target_modules)),
        layers_to_transform=list(numbers),
    )
    try:
        with quietly():
            peft_model = get_peft_model(backbone.model, config, autocast_adapter_dtype=True)
    except ValueError as error:
        reason = f"target_modules {params.target_modules!r} in layers {numbers}: peft refuses them: {error}"
        raise JobFailed(reason, Fault.PARAMS) from error
    if not isinstance(peft_model, PeftModel):
        raise TypeError(f"peft made a {type(peft_model).__name__}")
    peft_model.eval()
    return peft_model


def adapted_layers(params: LoraParams, n_layers: int) -> tuple[int, ...]:
    """The numbers of the layers that get adapters, ascending; raises JobFailed for one that does not exist."""
    match params.layers:
        case None:
            return tuple(range(n_layers))
        case int() as n_top:
            numbers = tuple(range(n_layers - n_top, n_layers))
        case tuple() as named:
            numbers = named
    if numbers[0] < 0 or numbers[-1] >= n_layers:
        raise JobFailed(f"layers: {params.layers!r} is more than the model has: {n_layers}, from 0", Fault.PARAMS)
    return numbers


def target_names(backbone: Backbone, targets: str | tuple[str, ...]) -> tuple[str, ...]:
    """The names of linear modules within a layer that the targets mean in this model."""
    known = linear_names(backbone)
    if isinstance(targets, tuple):
        strange = [name for name in targets if not any(_ends(one, name) for one in known)]
        if strange:
            reason = f"target_modules: no linear module of a layer ends in {strange[0]!r}; known: {', '.join(known)}"
            raise JobFailed(reason, Fault.PARAMS)
        return targets
    if targets == "all-linear":
        return known
    attention = targets.removesuffix("+ffn")
    parts = [*attention, "ffn"] if targets.endswith("+ffn") else [*attention]
    return tuple(name for part in parts for name in _named(part, known, targets))


def linear_names(backbone: Backbone) -> tuple[str, ...]:
    """The names, within a layer, of its linear modules."""
    names = {
        name.replace(".base_layer", "")
        for layer in backbone.layers
        for name, module in layer.named_modules()
        if isinstance(module, nn.Linear) and "lora_" not in name
    }
    return tuple(sorted(names))


def adapter_dropouts(model: nn.Module) -> Iterator[nn.Dropout]:
    """The adapters' own dropout modules: the only part of the model that trains in training mode."""
    for name, module in model.named_modules():
        if ".lora_dropout." in name and isinstance(module, nn.Dropout):
            yield module


def _named(part: str, known: tuple[str, ...], targets: str) -> tuple[str, ...]:
    suffixes = _SUFFIXES[part]
    found = [name for name in known if any(_ends(name, suffix) for suffix in suffixes)]
    if part == "ffn":  # BERT's second feed-forward matrix has the bare name of others' parts
        found += [name for name in known if name == "output.dense"]
    if not found:
        reason = (
            f"target_modules: {targets!r} means nothing in this model, it has no {part};"
            f" list module names instead: {', '.join(known)}"
        )
        raise JobFailed(reason, Fault.PARAMS)
    return tuple(found)


def _ends(name: str, suffix: str) -> bool:
    return name == suffix or name.endswith(f".{suffix}")


def _layer_list(model: PreTrainedModel) -> nn.ModuleList:
    n_layers = model.config.get_text_config().num_hidden_layers
    lists = [one for one in model.modules() if isinstance(one, nn.ModuleList) and len(one) == n_layers]
    if len(lists) != 1:
        raise ConfigError(
            f"trainer.model: {type(model).__name__} has {len(lists)} lists of {n_layers} layers, not one;"
            " only plain encoders and causal models are supported"
        )
    return lists[0]
