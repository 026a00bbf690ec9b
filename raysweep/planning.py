"""What `raysweep plan` says: tokens, money and time of a sweep that has not begun, against its budget; asks no host."""

from collections.abc import Iterator

from rich.markup import escape

from raysweep.clock import RealClock
from raysweep.config import SweepConfig
from raysweep.config.sections import NoEarlyStopping
from raysweep.forecast import SIMULATIONS, Forecast, Forecaster, Total
from raysweep.preflight import make_ready
from raysweep.views.words import about, money, tokens

UNKNOWN = "not known"


def plan(config: SweepConfig) -> Iterator[str]:
    """Lines with rich's markup; nothing is run, asked or written. Raises InputError for what would be refused."""
    ready = make_ready(config)
    forecast = Forecaster(ready, config.trials).forecast()
    yield f"[bold]{escape(config.name)}[/bold]: {forecast.n_trials} trials, {forecast.concurrency} at once"
    yield from _table(forecast)
    yield from _how(config, forecast)
    yield from ready.facts_words(RealClock().now())
    if config.rehearsal_words:
        yield f"[bold yellow]{escape(config.rehearsal_words)}[/bold yellow]"
    if not forecast.is_paid:
        if forecast.n_replicas:
            yield f"{_replicas(forecast)}, part of both sums"
        yield from (f"[bold]prices[/bold] {escape(line)}" for line in forecast.dearest.prices)
        yield "it costs nothing but the machine's time"
        return
    yield from _after(forecast, min(config.final.top, forecast.n_trials))
    yield from (f"[bold]prices[/bold] {escape(line)}" for line in forecast.dearest.prices)
    if config.rehearsal_words and config.budget.max_usd is None:
        yield "no budget: the rehearsal starts all the same; at the host itself, budget.max_usd=… or --yes is wanted"
        return
    yield _verdict(config.budget.max_usd, forecast)


def _after(forecast: Forecast, top: int) -> Iterator[str]:
    """What comes after the search, where it costs anything."""
    if forecast.final_usd > forecast.base_usd:
        best = "the best" if top == 1 else f"the best {top}"
        default = " and the default configuration" if forecast.n_finalists > top else ""
        usd = forecast.final_usd - forecast.base_usd
        yield f"scoring {best}{default} on the test split: up to {money(usd)} USD, part of both sums"
    if forecast.base_usd:
        yield f"asking the base model as a baseline: up to {money(forecast.base_usd)} USD, part of both sums"
    if forecast.n_replicas:
        yield f"{_replicas(forecast)}: up to {money(forecast.replicas_usd)} USD, part of both sums"


def _replicas(forecast: Forecast) -> str:
    return f"{forecast.n_replicas} {'replica' if forecast.n_replicas == 1 else 'replicas'} of the best with fresh seeds"


def _table(forecast: Forecast) -> Iterator[str]:
    one = forecast.dearest
    each = Total(one.trained_tokens, one.usd or 0.0, one.duration_s)
    yield f"[dim]{'':<22}{'tokens':>8}{'USD':>12}  time[/dim]"
    yield _row("a trial, at most", each, forecast)
    yield _row("all of them, at most", forecast.worst, forecast)
    if forecast.expected:
        yield _row("expected", forecast.expected, forecast)
        if forecast.is_paid and forecast.usually_usd[1] - forecast.usually_usd[0] >= 0.01:
            low, high = forecast.usually_usd
            yield f"[dim]{'':<22}{'':>8}  eight in ten: {low:.2f} to {high:.2f}[/dim]"


def _row(name: str, total: Total, forecast: Forecast) -> str:
    usd = f"{total.usd:.2f}" if forecast.is_paid else "0"
    time = UNKNOWN if total.duration_s is None else about(total.duration_s)
    return f"{name:<22}{tokens(total.trained_tokens):>8}{usd:>12}  {time}"


def _how(config: SweepConfig, forecast: Forecast) -> Iterator[str]:
    if forecast.expected is None:
        yield "expected: not known; early_stopping stops by values, and nobody knows them before"
    elif isinstance(config.early_stopping, NoEarlyStopping):
        yield "[dim]expected: no trial is stopped early; params are drawn from the space[/dim]"
    else:
        yield (
            f"[dim]expected: mean of {SIMULATIONS} simulated sweeps with this early stopping; params are drawn from "
            "the space, and how good a trial is by chance[/dim]"
        )
    yield "[dim]tokens are counted too high rather than too low; what a job has really taken, its host says[/dim]"


def _verdict(max_usd: float | None, forecast: Forecast) -> str:
    if max_usd is None:
        return (
            "[yellow]no budget[/yellow]: set budget.max_usd=…, or confirm this plan: "
            f"raysweep tune … --yes (then at most {forecast.worst.usd:.2f} USD are spent)"
        )
    if max_usd < forecast.least_usd:
        return f"[red]budget[/red] {max_usd:g} USD: below one job; the sweep would be refused"
    if max_usd >= forecast.worst.usd:
        return f"[green]budget[/green] {max_usd:g} USD: enough for every trial to run to its end"
    if forecast.expected and max_usd >= forecast.expected.usd:
        return f"[yellow]budget[/yellow] {max_usd:g} USD: covers what is expected, but not the worst case"
    return f"[yellow]budget[/yellow] {max_usd:g} USD: the sweep will likely end by it before all trials were made"
