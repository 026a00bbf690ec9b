"""What one pass over a trial's rows is: counted, priced, and where the rows came from."""

from dataclasses import dataclass

from raysweep.cost import Usage
from raysweep.trainers.wire_bill import Bill
from raysweep.trainers.wire_data import Places

_NOWHERE = Places()


@dataclass(frozen=True)
class Size:
    """What one pass over the training rows is."""

    n_train: int
    tokens: int
    batch_size: int | None
    bill: Bill | None = None
    """What it costs; None: nothing."""
    places: Places = _NOWHERE
    """Where its rows stand in the user's files."""

    def stopped_usd(self, so_far_usd: float | None, trained_tokens: int | None) -> float | None:
        """Of a job that has ended badly, by its steps or by its host's own count, whichever is more; None: nothing."""
        if self.bill is None or so_far_usd is None:
            return so_far_usd
        return max(so_far_usd, self.bill.prices.usd(Usage(trained_tokens or 0)))
