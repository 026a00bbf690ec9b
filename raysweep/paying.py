"""Whether a sweep may spend what it will cost: refused before anything is spent, or given a budget."""

import math
from dataclasses import replace

from raysweep.config.sections import BudgetSection
from raysweep.cost import cents
from raysweep.entries import BUDGET_USED
from raysweep.errors import ConfigError
from raysweep.forecast import Forecast, Forecaster
from raysweep.preflight import Ready
from raysweep.state import SweepState


def with_budget(ready: Ready, *, is_confirmed: bool = False) -> Ready:
    """The same sweep, fit to spend. A plan that was confirmed is its own budget: what it costs at worst.

    Raises ConfigError where something costs money and nobody said how much may be spent, where the budget is below
    one job, or where a paid host's price is known to nobody. A rehearsal needs no budget: nothing is paid.
    """
    if not ready.capabilities.is_paid:
        return ready
    forecast = Forecaster(ready, ready.config.trials).forecast()
    if not forecast.is_paid:
        return ready
    max_usd = ready.config.budget.max_usd
    if max_usd is None:
        if not is_confirmed:
            if ready.config.rehearsal_words:
                return ready
            raise ConfigError(_unbounded(forecast))
        budget = BudgetSection(max_usd=math.ceil(forecast.worst.usd * 100) / 100)
        return replace(ready, config=ready.config.model_copy(update={"budget": budget}))
    if max_usd < forecast.least_usd:
        raise ConfigError(
            f"budget.max_usd: {max_usd:g} USD is below one job, which takes up to {cents(forecast.cheapest.usd)} USD"
            + (f", and {cents(forecast.final_usd)} to score the best" if forecast.final_usd else "")
            + (f", and {cents(forecast.replicas_usd)} for replicas of the best" if forecast.replicas_usd else "")
            + "; give more, train fewer epochs or fewer rows"
        )
    return ready


def refuse_poor(ready: Ready, state: SweepState, n_trials: int) -> None:
    """Raises ConfigError where a sweep cannot go on with its budget."""
    if not ready.capabilities.is_paid:
        return
    forecast = Forecaster(ready, n_trials).forecast()
    if not forecast.is_paid:
        return
    spending, max_usd = state.spending, ready.config.budget.max_usd
    if max_usd is None:
        if ready.config.rehearsal_words:
            return
        raise ConfigError(_unbounded(forecast))
    words = f"{spending.spent:.2f} USD are spent and {spending.reserved:.2f} reserved"
    if not spending.fits(0.0, max_usd):
        raise ConfigError(f"budget.max_usd: {max_usd:g} USD is less than what is gone: {words}; give more")
    was_used_up = state.ended is not None and state.ended.reason.startswith(BUDGET_USED)
    if was_used_up and not spending.reserved and not spending.fits(forecast.least_usd, max_usd):
        n_left = n_trials - sum(not trial.can_go_on for trial in state.searched.values())
        after_usd = forecast.final_usd + forecast.replicas_usd
        enough = math.ceil(spending.committed + max(1, n_left) * (forecast.dearest.usd or 0.0) + after_usd)
        raise ConfigError(
            f"budget.max_usd: of {max_usd:g} USD, {words}, and a job takes {cents(forecast.cheapest.usd)} at least; "
            f"give more, for example budget.max_usd={enough}"
        )


def _unbounded(forecast: Forecast) -> str:
    each, worst = cents(forecast.dearest.usd), cents(forecast.worst.usd)
    return (
        f"budget.max_usd: missing, and a job costs up to {each} USD, {forecast.n_trials} of them up to {worst}; say "
        "how much may be spent, or look at `raysweep plan` and confirm it: raysweep tune … --yes"
    )
