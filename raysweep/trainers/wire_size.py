"""What one pass over a trial's rows is: counted, priced, and where the rows came from."""

from dataclasses import dataclass

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
