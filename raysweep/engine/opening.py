"""From a spec to a training that can take its first step."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from peft import PeftModel

from raysweep.engine.answer import Answerer
from raysweep.engine.batches import Collator
from raysweep.engine.loop import Plan, Training
from raysweep.engine.model import Backbone, adapted_layers, add_adapters, load_backbone
from raysweep.engine.place import Place
from raysweep.engine.prefix import Prefix, weights_stamp
from raysweep.engine.saved import SavedModel
from raysweep.engine.tokens import Rows, Tokenizer, cached_rows
from raysweep.engine.writer import AnyAnswerer, Writer
from raysweep.jobs import DataRefs


@dataclass(frozen=True)
class Opened:
    """What exists once a job has begun."""

    training: Training
    adapted: PeftModel
    saved: SavedModel


def open_training(place: Place, plan: Plan, data: DataRefs, check: Callable[[], None]) -> Opened:
    """Tokens, model, adapters and head, at their start; the same for the same arguments.

    `check` is called now and then, and may raise to interrupt. Raises JobFailed for params that do not fit the model.
    """
    train, validation = (_rows(place, plan, data, split) for split in ("train", "validation"))
    check()
    with torch.random.fork_rng():
        torch.manual_seed(plan.seed)
        backbone = load_backbone(place.model, place.family, place.placement)
        adapted = add_adapters(backbone, plan.params)
        answerer = _answerer(place, plan, backbone, train)
    feeds = _feeds(place, plan, answerer, [Collator(train), Collator(validation)], check)
    encoding = place.encoding(plan.params.prompt)
    saved = SavedModel(encoding, place.settings.model, plan.params.loss, train.words)
    return Opened(Training(answerer, plan, *feeds), adapted, saved)


def _answerer(place: Place, plan: Plan, backbone: Backbone, train: Rows) -> AnyAnswerer:
    if place.task.writing is not None:
        return Writer(backbone, place.task, Tokenizer(place.encoding(plan.params.prompt)))
    return Answerer(backbone, place.task, plan.params.loss, train.words)


def _rows(place: Place, plan: Plan, data: DataRefs, split: str) -> Rows:
    return cached_rows(
        place.encoding(plan.params.prompt),
        data.splits.train if split == "train" else data.splits.validation,
        fingerprint=f"{data.fingerprint} {split}",
        folder=place.cache / "tokens",
    )


def _feeds(
    place: Place, plan: Plan, answerer: AnyAnswerer, collators: list[Collator], check: Callable[[], None]
) -> list[Collator]:
    prefix = Prefix(
        answerer,
        adapted_layers(plan.params, answerer.backbone.n_layers)[0],
        stamp=weights_stamp(place.model),
        folder=place.cache / "prefix",
        cap_bytes=int(place.settings.prefix_cache_gb * 1e9),
    )
    return prefix.collators(collators, check) if prefix.fits(collators) else collators
