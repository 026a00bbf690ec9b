"""What the jobs of one wire trainer cost and how long they take, before they begin; asks no host."""

import math
from collections.abc import Sequence

from raysweep.base_prices import base_prices_of
from raysweep.config import WireTrainer as Settings
from raysweep.cost import NAMES, Prices, Usage, prices_of, rehearsed_prices_of
from raysweep.dataset import Splits
from raysweep.jobs import Estimate, JobSpec
from raysweep.task import Example, Prompt, Task
from raysweep.trainers.dialects import DIALECTS, Dialect
from raysweep.trainers.prompting import prompt_of
from raysweep.trainers.wire_bill import Bill, most_scoring, most_training_tokens
from raysweep.trainers.wire_grading import grader_of, most_grading_usd
from raysweep.trainers.wire_scores import asked_rows

AUTO_BATCH = 0.002
"""Of the examples: what OpenAI and Azure choose for themselves (2026)."""
FREE_TIER = "developertier"
"""Where nothing says how models are deployed."""


class Costs:
    """Counts the rows of each split once a prompt."""

    def __init__(self, settings: Settings, dialect: Dialect, task: Task, *, is_scored: bool) -> None:
        """`is_scored`: each finished job's model answers the validation split."""
        self._settings = settings
        self._dialect = dialect
        self._task = task
        self._is_scored = is_scored
        self._trained: dict[tuple[str, Prompt], int] = {}
        self._answers: dict[tuple[str, str, Prompt], Usage] = {}

    def estimate(self, spec: JobSpec, splits: Splits) -> Estimate:
        """Tokens and money at most, by the rows' length and the host's prices.

        Raises ConfigError where a paid host's price is known to nobody.
        """
        prompt = prompt_of(spec.params)
        tokens = round(self._tokens(splits, prompt) * spec.evaluate_at[-1])
        duration_s = self._duration_s(spec, len(splits.train))
        bill = self.bill(spec, splits)
        if bill is None:
            prices = self._prices(str(spec.params["model"]))
            return Estimate(tokens, None, duration_s=duration_s, prices=prices.words if prices else ())
        final_usd = 0.0
        if self._can_answer:
            final_usd = bill.prices.usd(self._scoring(splits, "test", prompt)) + self.grading_usd(splits.test)
        return Estimate(tokens, bill.at_most_usd, bill.answers_usd, final_usd, duration_s, bill.prices.words)

    def base_prices(self, model: str) -> Prices | None:
        """Of the base model as it comes; None: nobody knows. A rehearsal takes what nobody knows for nothing."""
        name, given = self._dialect.name, self._settings.prices.given_base
        found = base_prices_of(name, model, given=given, is_paid=self.is_paid)
        return (
            base_prices_of(name, model, given=given, is_paid=False) if found is None and self._is_rehearsed else found
        )

    def bill(self, spec: JobSpec, splits: Splits) -> Bill | None:
        """A job's; None where nothing costs anything. Raises as `estimate` does."""
        prices = self._prices(str(spec.params["model"]))
        grading_usd = self.grading_usd(asked_rows(splits.validation, self._task))
        if (prices is None or prices.is_free) and not grading_usd:
            return None
        prices = prices or Prices(0.0, 0.0, 0.0, 0.0)
        prompt = prompt_of(spec.params)
        scoring = self._scoring(splits, "validation", prompt) if self._is_scored else Usage()
        tokens = self._tokens(splits, prompt)
        if not self._is_scored:
            grading_usd = 0.0
        return Bill(prices, tokens, spec.evaluate_at[-1], scoring, self._dialect.waiting_states, grading_usd)

    @property
    def is_paid(self) -> bool:
        """Whether jobs may cost money, or are rehearsed as if they did."""
        grader = grader_of(self._task)
        has_price = any(self._settings.prices.given.values()) or bool(grader and grader.has_price)
        return self._dialect.is_paid or self._is_rehearsed or has_price

    @property
    def _is_rehearsed(self) -> bool:
        """Whether a paid host is: its prices count, though nothing is paid."""
        return self._settings.rehearsal is not None and DIALECTS[self._settings.host].is_paid

    @property
    def _can_answer(self) -> bool:
        """Whether a tuned model can be asked: where it must be deployed, somebody has to say where."""
        return not self._dialect.needs_deployment or self._settings.azure is not None

    def _prices(self, model: str) -> Prices | None:
        host, given = self._dialect.name, self._settings.prices.given
        tier = self._settings.azure.sku if self._settings.azure else FREE_TIER
        needed = NAMES if self._can_answer else ("training",)
        if self._is_rehearsed:
            return rehearsed_prices_of(host, model, tier=tier, given=given, needed=needed)
        return prices_of(host, model, tier=tier, given=given, is_paid=self._dialect.is_paid, needed=needed)

    def _tokens(self, splits: Splits, prompt: Prompt) -> int:
        key = (splits.fingerprint, prompt)
        if key not in self._trained:
            charged = (*splits.train, *(splits.validation if self._dialect.counts_validation else ()))
            self._trained[key] = most_training_tokens(charged, prompt, self._task)
        return self._trained[key]

    def _scoring(self, splits: Splits, name: str, prompt: Prompt) -> Usage:
        key = (splits.fingerprint, name, prompt)
        if key not in self._answers:
            self._answers[key] = most_scoring(
                splits.test if name == "test" else asked_rows(splits.validation, self._task),
                prompt,
                self._task,
                tokens_per_minute=self._dialect.limits.tokens_per_minute,
                is_deployed=self._dialect.needs_deployment,
            )
        return self._answers[key]

    def grading_usd(self, rows: Sequence[Example]) -> float:
        """Of a model that grades what is written for these rows, at most; 0 for none. Raises as `estimate` does."""
        return most_grading_usd(self._task, rows, is_paid=self._dialect.is_paid)

    def _duration_s(self, spec: JobSpec, n_train: int) -> float | None:
        if self._dialect.overhead_s is None or self._dialect.step_s is None:
            return None
        given = spec.params.get("batch_size")
        by_host = max(1, round(n_train * AUTO_BATCH))
        batch_size = given if isinstance(given, int | float) and given >= 1 else by_host
        steps = math.ceil(n_train / batch_size) * spec.evaluate_at[-1]
        return self._dialect.overhead_s + steps * self._dialect.step_s
