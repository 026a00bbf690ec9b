"""From the body of a create to an order: every field checked, both forms of hyperparameters understood."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from raysweep.server.fields import Fields
from raysweep.server.records import Order, Setting
from raysweep.server.refusal import Refusal, bad, missing_parameter

AUTO: Final = "auto"
BASIC = ("n_epochs", "batch_size", "learning_rate_multiplier")
LORA: Mapping[str, tuple[float, float]] = {
    "lora_r": (1, 1024),
    "lora_alpha": (1e-3, 1e6),
    "lora_dropout": (0.0, 0.95),
    "learning_rate": (1e-8, 10.0),
    "warmup_ratio": (0.0, 1.0),
    "weight_decay": (0.0, 10.0),
    "max_grad_norm": (0.0, 1e6),
}
"""Taken besides where the server is not strict, within these ranges; no closed host takes them."""
TRAINING_TYPES = ("standard", "globalstandard", "developer", "developertier")
"""Azure's, in lower case."""
NAMES = (
    "model",
    "training_file",
    "validation_file",
    "suffix",
    "seed",
    "metadata",
    "integrations",
    "method",
    "hyperparameters",
)


@dataclass(frozen=True)
class Rules:
    """What this host takes."""

    is_strict: bool = True
    """Whether LoRA's own hyperparameters are refused, as OpenAI and Azure refuse them."""
    is_azure: bool = False


def parse_order(fields: Fields, rules: Rules, seed: int) -> Order:
    """The order; `seed` is taken where the client names none. Raises Refusal for any field that does not fit."""
    fields.only((*NAMES, "trainingType") if rules.is_azure else NAMES)
    model, training_file = fields.needed_text("model"), fields.needed_text("training_file")
    chosen = fields.whole("seed", low=0, high=2**31 - 1)
    return Order(
        model=model,
        training_file=training_file,
        validation_file=fields.text("validation_file"),
        suffix=_suffix(fields, rules),
        seed=seed if chosen is None else chosen,
        metadata=fields.pairs("metadata"),
        integrations=_integrations(fields),
        hyperparameters=_hyperparameters(fields, rules),
        training_type=_training_type(fields, model) if rules.is_azure else None,
    )


def _suffix(fields: Fields, rules: Rules) -> str | None:
    suffix = fields.text("suffix", longest=40 if rules.is_azure else 64)
    if suffix == "":
        raise bad("Invalid 'suffix': string too short.", param="suffix", code="string_below_min_length")
    if suffix and rules.is_azure and "." in suffix:
        raise bad("Invalid 'suffix': it must not contain a dot.", param="suffix")
    return suffix


def _training_type(fields: Fields, model: str) -> str:
    chosen = fields.text("trainingType")
    if chosen is None:  # the words that Azure has for it (a LiteLLM pull request, 2026)
        raise bad(
            f"The specified base model does not support fine-tuning: {model}", param="model", code="invalidPayload"
        )
    if chosen.lower() not in TRAINING_TYPES:
        raise bad(f"Invalid 'trainingType': {chosen!r}.", param="trainingType")
    return chosen


def _integrations(fields: Fields) -> tuple[Mapping[str, object], ...]:
    given = fields.raw("integrations")
    if given is None:
        return ()
    if not isinstance(given, list) or len(given) > 5 or not all(isinstance(one, dict) for one in given):
        raise bad("Invalid 'integrations': expected an array of at most 5 objects.", param="integrations")
    if any(one.get("type") != "wandb" for one in given):
        raise bad("Invalid 'integrations[].type': only 'wandb' is supported.", param="integrations")
    return tuple(given)


def _hyperparameters(fields: Fields, rules: Rules) -> dict[str, Setting]:
    """Those of `method`, which wins over the old form; both at once must agree."""
    old = _settings(fields.section("hyperparameters"), rules)
    new = _settings(_method(fields), rules)
    if old and new and old != new:
        raise bad("'hyperparameters' and 'method' contradict each other.", param="hyperparameters")
    return dict.fromkeys(BASIC, AUTO) | (new or old)


def _method(fields: Fields) -> Fields | None:
    method = fields.section("method")
    if method is None:
        return None
    method.only(("type", "supervised", "dpo", "reinforcement"))
    kind = method.text("type")
    if kind is None:
        raise missing_parameter("method.type")
    if kind != "supervised":
        raise bad(f"Invalid value: '{kind}'. This server trains 'supervised' only.", param="method.type")
    body = method.section("supervised")
    if body is None:
        return None
    body.only(("hyperparameters",))
    return body.section("hyperparameters")


def _settings(fields: Fields | None, rules: Rules) -> dict[str, Setting]:
    if fields is None:
        return {}
    fields.only(BASIC if rules.is_strict else (*BASIC, *LORA))
    given: dict[str, Setting] = {}
    for name in (*BASIC, *LORA):
        value = _setting(fields, name, rules)
        if value is not None:
            given[name] = value
    return given


def _setting(fields: Fields, name: str, rules: Rules) -> Setting | None:
    value = fields.raw(name)
    if value == AUTO or (rules.is_azure and value == -1):
        return AUTO
    if name == "n_epochs":
        return fields.whole(name, low=1, high=50)
    if name == "batch_size":
        return fields.whole(name, low=1, high=256)
    if name == "learning_rate_multiplier":
        number = fields.number(name, low=0.0)
        if number == 0:
            raise _not_positive(name)
        return number
    low, high = LORA[name]
    return fields.whole(name, low=1, high=int(high)) if name == "lora_r" else fields.number(name, low=low, high=high)


def _not_positive(name: str) -> Refusal:
    message = f"Invalid '{name}': decimal below minimum value. Expected a value > 0, but got 0 instead."
    return bad(message, param=name, code="decimal_below_min_value")
