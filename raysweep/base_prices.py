"""What base models cost that nobody has tuned: by the same dated table, and what the settings know better."""

from collections.abc import Mapping

from raysweep.cost import Prices, table

SETTINGS = "trainer.prices.base_input_usd_per_million and base_output_usd_per_million"
"""What gives them."""


def base_prices_of(host: str, model: str, *, given: Mapping[str, float | None], is_paid: bool = True) -> Prices | None:
    """`input` and `output`, each as it was given, else as the first row that fits has it; nothing else costs anything.

    At a host that is not paid nothing costs anything unless it was given. None: nobody knows.
    """
    told = {name: value for name, value in given.items() if value is not None}
    rows = [row.base for row in table() if row.base and row.fits(host, model, "")]
    known: Mapping[str, float] = rows[0] if rows else {}
    if not is_paid:
        known = {"input": 0.0, "output": 0.0}
    found = {**known, **told}
    if not found.keys() >= {"input", "output"}:
        return None
    return Prices(0.0, found["input"], found["output"], 0.0)
