"""A model's answers, several at once, within the account's tokens a minute."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from raysweep.clock import Clock
from raysweep.config import WireTrainer
from raysweep.trainers.dialects import Limits
from raysweep.trainers.gate_calls import Calls
from raysweep.trainers.gate_client import WireClient
from raysweep.trainers.gate_pace import Pace
from raysweep.trainers.host_errors import HostError, No
from raysweep.trainers.hosted import Answer, Question

LOADING_S = 600.0
"""How long a model may be unknown after its job has succeeded: some minutes, says OpenAI's guide (2026)."""
TOKENS_A_CHARACTER = 0.25
"""About what English text takes."""


class Answers:
    """Puts questions to models."""

    def __init__(self, settings: WireTrainer, client: WireClient, calls: Calls, limits: Limits, clock: Clock) -> None:
        self._settings = settings
        self._client = client
        self._calls = calls
        self._clock = clock
        self._tokens = Pace(limits.tokens_per_minute, clock)

    def ask(self, model: str, questions: Sequence[Question]) -> Sequence[Answer]:
        """The answers, in order; waits for a model that is still being loaded."""
        if not questions:
            return ()
        first = self._ask(model, questions[0], self._clock.monotonic_s() + LOADING_S)
        with ThreadPoolExecutor(self._settings.scoring_concurrency, thread_name_prefix="ask") as pool:
            until_s = self._clock.monotonic_s() + LOADING_S
            return [first, *pool.map(lambda question: self._ask(model, question, until_s), questions[1:])]

    def _ask(self, model: str, question: Question, until_s: float) -> Answer:
        length = sum(len(message.content) for message in question.messages)
        top_logprobs = self._settings.top_logprobs if question.wants_odds else 0
        wait_s = 0.5
        while True:
            self._tokens.take(length * TOKENS_A_CHARACTER + question.max_tokens)
            try:
                return self._calls.again(lambda: self._client.ask(model, question, top_logprobs=top_logprobs))
            except HostError as error:
                is_loading = error.no in (No.MODEL, No.NOT_FOUND) and question.is_model_new
                if not is_loading or self._clock.monotonic_s() > until_s:
                    raise
            self._clock.sleep_s(wait_s)
            wait_s = min(2 * wait_s, 15.0)
