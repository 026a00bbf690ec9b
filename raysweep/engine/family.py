"""The two ways in which a model answers."""

from enum import StrEnum

from transformers import AutoConfig

from raysweep.errors import ConfigError


class Family(StrEnum):
    """How a model answers."""

    ENCODER = "encoder"
    """Mean pooling over the tokens, then a linear head."""
    CAUSAL = "causal"
    """The likelihood of each label's word after the prompt."""


def family_of(model: str) -> Family:
    """What the model's own config says it is; raises ConfigError where it says nothing or cannot be read."""
    try:
        config = AutoConfig.from_pretrained(model)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"trainer.model: {model} cannot be read as a transformers model: {error}") from error
    names = config.architectures or []
    if not names:
        raise ConfigError(f"trainer.family: the config of {model} names no architecture; write encoder or causal")
    is_causal = any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in names)
    return Family.CAUSAL if is_causal else Family.ENCODER
