"""`raysweep probe`: two tiny jobs at a host, what they taught, and no more left there than the host keeps."""

import secrets
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from raysweep.clock import Clock, RealClock
from raysweep.config import SweepConfig, WireTrainer
from raysweep.cost import Prices, Usage, cents, prices_of
from raysweep.errors import ConfigError
from raysweep.preflight import Ready, make_ready
from raysweep.task import Example, Prompt, Task
from raysweep.trainers import facts
from raysweep.trainers.dialects import dialect_of
from raysweep.trainers.facts import Measured
from raysweep.trainers.host_errors import HostError, as_input_error
from raysweep.trainers.probe import Probe
from raysweep.trainers.probe_host import Order, ProbeHost
from raysweep.trainers.probe_open import open_host
from raysweep.trainers.prompting import prompt_of
from raysweep.trainers.wire_bill import most_training_tokens
from raysweep.trainers.wire_data import MIN_EXAMPLES, chat_file, check_rows
from raysweep.tuning.signals import signals

N_JOBS, N_EPOCHS = 2, 3
"""Three epochs tell a host that charges for each from one that charges once."""
N_VALIDATION = 3 * MIN_EXAMPLES
"""Many more than training rows, so that it shows whether they are charged too."""
_LETTERS = string.ascii_lowercase + string.digits


@dataclass(frozen=True)
class Tiny:
    """What both jobs are made of."""

    settings: WireTrainer
    order: Order
    training_tokens: int
    """Of one pass over the file, at most."""
    validation_tokens: int
    prices: Prices | None
    """None where nothing costs anything."""

    @property
    def at_most_usd(self) -> float | None:
        """For all jobs, run to their ends, with the validation rows charged too, as some host may."""
        tokens = N_JOBS * N_EPOCHS * (self.training_tokens + self.validation_tokens)
        return None if self.prices is None else self.prices.usd(Usage(tokens))


def probe(
    config: SweepConfig, max_usd: float | None, *, say: Callable[[str], None], clock: Clock | None = None
) -> Measured:
    """Measure the config's host, write the facts down, and take back what the host lets go of.

    Raises InputError before anything is spent, RaysweepError for a host that did not play along; then nothing is
    written. On a signal too, jobs are cancelled and what was made is deleted; then KeyboardInterrupt is raised.
    """
    clock = clock or RealClock()
    unscored = config.final.model_copy(update={"test": False})  # a probe needs nowhere for models to answer
    tiny = tiny_of(make_ready(config.model_copy(update={"final": unscored})))
    _refuse_dear(tiny, max_usd)
    say(_beginning(tiny))
    host = open_host(tiny.settings, tiny.order, clock)
    try:
        host.calls.again(lambda: host.client.model(tiny.order.model))
    except HostError as error:
        raise as_input_error(error) from error
    measured = _measured(host, tiny, say)
    path = facts.save(tiny.settings, measured, at=clock.now(), version=version("raysweep"))
    for line in report(measured):
        say(line)
    found = facts.find(tiny.settings)
    say(f"written to {path}; sweeps use: {facts.words(tiny.settings, found, clock.now())}" if found else f"{path}")
    return measured


def tiny_of(ready: Ready) -> Tiny:
    """The jobs of a probe. Raises ConfigError for a trainer without a host, and for a price that nobody knows."""
    settings = ready.config.trainer
    if not isinstance(settings, WireTrainer):
        raise ConfigError(f"trainer.kind: {settings.kind} asks no host; there is nothing to probe")
    if settings.rehearsal is not None:
        raise ConfigError("trainer.rehearsal: a rehearsal asks no host; leave it out to probe the host itself")
    params = ready.complete(ready.space.default())
    prompt, model = prompt_of(params), str(params["model"])
    splits = ready.loaded.splits
    train = _shortest(splits.train, MIN_EXAMPLES, prompt, ready.task)
    validation = _shortest(splits.validation, N_VALIDATION, prompt, ready.task)
    check_rows(train, validation)
    dialect = dialect_of(settings)
    prices = prices_of(
        dialect.name,
        model,
        given=settings.prices.given,
        is_paid=dialect.is_paid,
        needed=("training",),
    )
    probe_id = "".join(secrets.choice(_LETTERS) for _ in range(8))
    files = (chat_file(rows, prompt, ready.task).content for rows in (train, validation))
    return Tiny(
        settings.model_copy(update={"model": model}),
        Order(probe_id, model, {"n_epochs": N_EPOCHS}, *files),
        most_training_tokens(train, prompt, ready.task),
        most_training_tokens(validation, prompt, ready.task),
        None if prices is None or prices.is_free else prices,
    )


def report(measured: Measured) -> Sequence[str]:
    """What was measured, what was not and why, for a person, a line each."""
    rows = {
        "listing lag": _seconds(measured.listing_lag_s),
        "metadata filter": measured.metadata_filter,
        "events": measured.events_order,
        "losses in events": _yes(measured.metric_events),
        "losses in checkpoints": _yes(measured.checkpoints),
        "lists say has_more": _yes(measured.has_more),
        "result file": measured.result_encoding,
        "cancel takes": _cancel_words(measured),
        "trained tokens": _token_words(measured),
    }
    lines = [f"  {name:<22}{value}" for name, value in rows.items() if value is not None]
    return [*lines, *(f"  not measured: {name}: {why}" for name, why in measured.unmeasured.items())]


def _measured(host: ProbeHost, tiny: Tiny, say: Callable[[str], None]) -> Measured:
    """What is measured until the end, an error or a signal; whatever was made is taken back in each case."""
    breaker = _Breaker()
    with signals(breaker.on_signal):
        try:
            try:
                return Probe(
                    host,
                    training=tiny.training_tokens,
                    validation=tiny.validation_tokens,
                    n_epochs=N_EPOCHS,
                    say=say,
                ).measure()
            finally:  # a signal that comes right here still leads to the outer one
                breaker.is_cleaning = True
        finally:
            _take_back(host, say)


class _Breaker:
    """Breaks the measuring off at a signal, but not the taking back."""

    def __init__(self) -> None:
        self.is_cleaning = False

    def on_signal(self, signal: str) -> None:
        """Raises KeyboardInterrupt while something is measured."""
        if not self.is_cleaning:
            raise KeyboardInterrupt(signal)


def _take_back(host: ProbeHost, say: Callable[[str], None]) -> None:
    say("taking back what was made")
    try:
        for words in host.clean():
            say(f"LEFT AT THE HOST: {words}")
    except KeyboardInterrupt:
        say(f"LEFT AT THE HOST: perhaps jobs and files with {host.order.probe_id} in their names; look there")
        raise


def _shortest(rows: Sequence[Example], n: int, prompt: Prompt, task: Task) -> tuple[Example, ...]:
    return tuple(sorted(rows, key=lambda row: most_training_tokens([row], prompt, task))[:n])


def _refuse_dear(tiny: Tiny, max_usd: float | None) -> None:
    usd = tiny.at_most_usd
    if usd is None:
        return
    words = f"{N_JOBS} tiny jobs cost up to {cents(usd)} USD"
    if max_usd is None:
        raise ConfigError(f"--max-usd: missing, and {words}; say how much may be spent")
    if max_usd < usd:
        raise ConfigError(f"--max-usd: {max_usd:g} USD is too little: {words}; give more, or use shorter rows")


def _beginning(tiny: Tiny) -> str:
    usd = tiny.at_most_usd
    cost = "they cost nothing" if usd is None else f"they cost up to {cents(usd)} USD"
    return (
        f"probe {tiny.order.probe_id} of {dialect_of(tiny.settings).name}: {N_JOBS} tiny jobs of {tiny.order.model}, "
        f"one to be cancelled and one to run to its end, since no job can do both; {cost}"
    )


def _cancel_words(measured: Measured) -> str | None:
    if measured.cancel_s is None:
        return None
    tokens = "no tokens told" if measured.cancelled_tokens is None else f"{measured.cancelled_tokens:,} tokens trained"
    return f"{measured.cancel_s:g} s, while {measured.cancelled_while}; {tokens}"


def _token_words(measured: Measured) -> str | None:
    if not measured.trained_tokens or not measured.tokens_at_most:
        return None
    words = f"{measured.trained_tokens:,} for {measured.tokens_at_most:,} reckoned at most: {measured.tokens_counted}"
    is_dear = measured.tokens_counted == "unclear" and measured.trained_tokens > measured.tokens_at_most
    return words + ("; more than a sweep reserves, so keep its budget small" if is_dear else "")


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:g} s"


def _yes(value: bool | None) -> str | None:
    return None if value is None else "yes" if value else "no"
