"""An engine by formula: curves from the hyperparameters, by the clock; answers as good as the job's curve.

A job's future is a function of its record, so that a server that was killed finds its jobs where they would be.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from raysweep.server.chatfile import MAX_LABELS, ChatFile, n_tokens, words_of
from raysweep.server.engine import Answer, Ask, Data, Token
from raysweep.server.happenings import Finished, Held, Report, Snapshot, Stepped, Timed
from raysweep.server.plans import plan_of
from raysweep.server.records import Job, Number, Order, Plan, Status

BEST_MULTIPLIER = 1.8
BASE_LEARNING_RATE = 1e-4
"""What a multiplier of 1 means here."""
UNTUNED = 0.25
"""How often a base model is right."""
VALID_EVERY = 10
_UNLIKELY = (" the", " I", "\n", "The", " a", ".", "It", " It", "Sure", "!", " This", "This", "?", ",", " not", "-")


@dataclass(frozen=True)
class Pace:
    """How long things take, in seconds."""

    epoch_s: float = 2.0
    after_s: float = 0.0
    """From the last step to the end: safety checks and the like."""


@dataclass(frozen=True)
class SyntheticEngine:
    """Keeps nothing but the right answers; see `note`."""

    pace: Pace = field(default_factory=Pace)
    noise: float = 0.02
    known: dict[str, str] = field(default_factory=dict)
    """The right answer by the last user turn, of every file that was uploaded."""

    @property
    def name(self) -> str:
        """`synthetic`."""
        return "synthetic"

    def note(self, file: ChatFile) -> None:
        """Remember the right answers."""
        self.known.update({chat.asked: chat.answer for chat in file.chats})

    def plan(self, order: Order, data: Data) -> Plan:
        """`auto`: 3 epochs, batches of .2 % of the examples, multiplier 1.8."""
        batch_size = min(256, max(1, round(len(data.train.chats) * 0.002)))
        autos = {"n_epochs": 3, "batch_size": batch_size, "learning_rate_multiplier": BEST_MULTIPLIER}
        return plan_of(order, data, autos)

    def begin(self, job: Job, data: Data) -> None:
        """Nothing: the clock does the rest."""

    def halt(self, job: Job) -> None:
        """Nothing: a job that no longer runs reports nothing."""

    def close(self) -> None:
        """Nothing to stop."""

    def reports(self, job: Job, until_s: float) -> Sequence[Timed]:
        """Every step that the clock has passed."""
        plan, started_at_s = job.plan, job.started_at_s
        if plan is None or started_at_s is None:
            return ()
        if job.status is Status.PAUSING:
            return (Timed(until_s, Held(_snapshot(job, plan, job.step))),)
        step_s, ends_at_s = self._step_s(plan), self.ends_at_s(job)
        is_over = ends_at_s is not None and until_s >= ends_at_s  # then no rounding may lose the last step
        n_steps = plan.n_steps if is_over else job.started_step + math.floor((until_s - started_at_s) / step_s)
        found = [
            Timed(started_at_s + (step - job.started_step) * step_s, self._step(job, plan, step))
            for step in range(job.step + 1, min(plan.n_steps, n_steps) + 1)
        ]
        if ends_at_s is not None and is_over:
            steps = range(plan.steps_per_epoch, plan.n_steps + 1, plan.steps_per_epoch)
            found.append(Timed(ends_at_s, Finished(tuple(_snapshot(job, plan, step) for step in steps))))
        return found

    def ends_at_s(self, job: Job) -> float | None:
        """By the pace."""
        if job.plan is None or job.started_at_s is None:
            return None
        n_left = job.plan.n_steps - job.started_step
        return job.started_at_s + n_left * self._step_s(job.plan) + self.pace.after_s

    def answer(self, ask: Ask) -> Answer:
        """One of the labels or texts, right as often as the model is good; the same rows are hard for every model."""
        labels = ask.tuned.labels if ask.tuned else ()
        if len(labels) < 2:
            labels = tuple(sorted(set(self.known.values())))[:MAX_LABELS] or ("yes", "no")
        quality = float(json.loads(ask.tuned.where)["quality"]) if ask.tuned else UNTUNED
        asked = next((content for role, content in reversed(ask.messages) if role == "user"), "")
        right = self.known.get(asked)
        if right is not None and len(labels) >= MAX_LABELS and right not in labels:
            labels = (*labels, right)  # free text: a file keeps only some of it as labels
        chances = _chances(labels, asked, right, quality)
        return _spoken(chances, ask)

    def _step_s(self, plan: Plan) -> float:
        return self.pace.epoch_s / plan.steps_per_epoch

    def _step(self, job: Job, plan: Plan, step: int) -> Report:
        values = self._values("train", job, plan, step)
        if plan.has_validation:
            if step % VALID_EVERY == 0 or step == plan.n_steps:
                values |= self._values("valid", job, plan, step)
            if step % plan.steps_per_epoch == 0:
                values |= self._values("full_valid", job, plan, step)
        return Stepped(step, values)

    def _values(self, what: str, job: Job, plan: Plan, step: int) -> dict[str, float]:
        spread = self.noise * {"train": 1.5, "valid": 1.0, "full_valid": 0.25}[what]
        dice = np.random.default_rng([job.order.seed, step, len(what)])
        quality = curve(plan.hyperparameters, step / plan.steps_per_epoch) + float(dice.normal(0, spread))
        quality = min(max(quality, 0.02), 0.995)
        loss = -math.log(quality) * (0.9 if what == "train" else 1.0)
        return {f"{what}_loss": round(loss, 6), f"{what}_mean_token_accuracy": round(quality, 6)}


def ceiling(hyperparameters: Mapping[str, Number]) -> float:
    """How good a model these would make after very many epochs."""
    rate = hyperparameters.get("learning_rate")
    multiplier = rate / BASE_LEARNING_RATE if rate is not None else hyperparameters["learning_rate_multiplier"]
    decades = math.log10(multiplier / BEST_MULTIPLIER)
    batches = math.log2(hyperparameters["batch_size"] / 8)
    rank_bonus = 0.02 * min(math.log2(hyperparameters.get("lora_r", 8)), 5) / 5
    return max(0.1, 0.9 - 0.2 * decades**2 - 0.005 * batches**2 + rank_bonus)


def curve(hyperparameters: Mapping[str, Number], epoch: float) -> float:
    """How good the model is after so many epochs, without noise."""
    return UNTUNED + (ceiling(hyperparameters) - UNTUNED) * (1 - math.exp(-1.2 * epoch))


def _snapshot(job: Job, plan: Plan, step: int) -> Snapshot:
    quality = curve(plan.hyperparameters, step / plan.steps_per_epoch)
    return Snapshot(step, json.dumps({"quality": min(max(quality, 0.02), 0.995), "seed": job.order.seed}))


def _chances(labels: tuple[str, ...], asked: str, right: str | None, quality: float) -> dict[str, float]:
    """A probability for each label; the right one of an unknown chat is a matter of its hash."""
    draw = int.from_bytes(hashlib.sha256(asked.encode()).digest()[:8], "big")
    place = labels.index(right) if right in labels else draw % len(labels)
    hardness = (draw >> 8) % 10_000 / 10_000
    shift = 0 if hardness < quality else 1 + draw % max(1, len(labels) - 1)
    likely = (place + shift) % len(labels)
    top = 0.5 + 0.45 * quality
    rest = (1 - top) / max(1, len(labels) - 1)
    return {label: top if number == likely else rest for number, label in enumerate(labels)}


def _spoken(chances: Mapping[str, float], ask: Ask) -> Answer:
    """The answer word by word, each with the odds of all words that could stand there."""
    dice = np.random.default_rng(ask.seed)
    label = max(chances, key=lambda one: chances[one])
    if ask.temperature > 0:
        label = list(chances)[int(dice.choice(len(chances), p=list(chances.values())))]
    cut = {one: words_of(one) for one in chances}
    tokens: list[Token] = []
    for place, word in enumerate(cut[label][: ask.max_tokens]):
        prefix = cut[label][:place]
        odds: dict[str, float] = {}
        for one, words in cut.items():
            if words[:place] == prefix and len(words) > place:
                odds[words[place]] = odds.get(words[place], 0.0) + chances[one]
        total = sum(odds.values())
        sure = 0.98  # the rest goes to words that are no label's, as with any real model
        logprobs = {one: math.log(sure * chance / total) for one, chance in odds.items()}
        for number, other in enumerate(_UNLIKELY):
            logprobs.setdefault(other, math.log((1 - sure) / 2 ** (number + 1)))
        top = sorted(logprobs.items(), key=lambda one: -one[1])[: ask.n_top]
        tokens.append(Token(word, logprobs[word], tuple(top)))
    return Answer(tuple(tokens), len(cut[label]) > ask.max_tokens, n_tokens(ask.messages) + 3)
