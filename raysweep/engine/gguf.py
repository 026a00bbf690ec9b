"""From a GGUF file, where a small model's weights are quantised, to a folder that transformers loads and shares."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from raysweep.engine.quiet import quietly
from raysweep.errors import AssetError

HALF = "bfloat16"
"""The sub-folder of the same weights in half the bytes: pages are shared only in the dtype that is on disk."""


def convert(gguf: Path, out: Path) -> None:
    """Write float32 weights, config and tokenizer into `out`, and bfloat16 weights into `out`/bfloat16.

    Takes about half a minute and 1.6 GB of memory. Raises AssetError where transformers cannot read the file.
    """
    with quietly():
        tokenizer, quantised = _load(gguf)
        plain = _plain(quantised)
        out.mkdir(parents=True, exist_ok=True)
        plain.save_pretrained(str(out))
        tokenizer.save_pretrained(str(out))
        plain.bfloat16().save_pretrained(str(out / HALF))
    for path in out.rglob("*.safetensors"):
        path.chmod(0o644)  # written as 0600, but workers may run as another user


def _load(gguf: Path) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    folder, name = str(gguf.parent), gguf.name
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
        return tokenizer, AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    except (OSError, ValueError, ImportError) as error:
        raise AssetError(f"{gguf}: transformers cannot read it: {error}; is the package `gguf` installed?") from error


def _plain(quantised: PreTrainedModel) -> PreTrainedModel:
    """The same model without the mark of its quantisation, with which transformers refuses to save it."""
    settings = quantised.config.to_dict()
    for key in ("quantization_config", "_model_name_or_path"):
        settings.pop(key, None)
    plain = type(quantised)(type(quantised.config)(**settings))
    plain.load_state_dict(quantised.state_dict())
    return plain
