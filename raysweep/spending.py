"""Money as a ledger has it: what is reserved for an attempt, what attempts have cost, and the sums."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

SLACK_USD = 1e-9
"""Below this, sums of floating-point numbers differ by themselves."""


@dataclass(frozen=True)
class Account:
    """One trial's money, or that of the final scores, over all attempts. Where nothing was ever reserved: nothing."""

    attempt: int = 0
    """The one that money is reserved for, or was last."""
    open_usd: float | None = None
    """Reserved for that attempt; None once it is settled."""
    settled_usd: float | None = None
    """What all settled attempts have cost; None before the first."""
    last_usd: float | None = field(default=None, compare=False)
    """What the latest of them has cost; None where the latest attempt is not settled."""

    def reserve(self, attempt: int, usd: float | None) -> "Account":
        """Money is set aside for an attempt; one that went before and was never settled has used all it had.

        For the attempt that is open already, it takes the place of what was reserved for it.
        """
        before = self if attempt == self.attempt else self.settle(None)
        return replace(before, attempt=attempt, open_usd=usd, last_usd=None)

    def settle(self, usd: float | None) -> "Account":
        """The attempt is over and has used so much; None: nobody knows, so all that was reserved for it."""
        used = self.open_usd if usd is None else usd
        if used is None:
            return self
        return replace(self, open_usd=None, settled_usd=(self.settled_usd or 0.0) + used, last_usd=used)


@dataclass(frozen=True)
class Spending:
    """A sweep's money, in USD."""

    spent: float
    """By all attempts that are over, and by what was scored after the search."""
    reserved: float
    """For those that are not, as far as anybody knows."""

    @property
    def is_any(self) -> bool:
        """Whether anything costs money."""
        return self.committed > 0

    @property
    def committed(self) -> float:
        """What must never exceed the budget."""
        return self.spent + self.reserved

    def fits(self, usd: float, max_usd: float | None) -> bool:
        """Whether so much more may be reserved; None: there is no budget."""
        return max_usd is None or self.committed + usd <= max_usd + SLACK_USD


def total(accounts: Iterable[Account]) -> Spending:
    """The sums over all of them."""
    listed = tuple(accounts)
    spent = sum(account.settled_usd or 0.0 for account in listed)
    return Spending(spent, sum(account.open_usd or 0.0 for account in listed))
