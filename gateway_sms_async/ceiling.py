"""What a campaign may spend: checked before each close, for nothing is spent without one.

The fence asks, the campaign tells what became of it. Plain arithmetic.
"""

from __future__ import annotations

from decimal import Decimal

from .errors import LimitReachedError

__all__ = ["Ceiling"]


class Ceiling:
    """Limits on recipients and euro; None for no limit.

    What deleted messages cost, and opened ones whose answer was lost, counts as spent: the gateway
    may take the money when recipients are added, and gives none back.
    """

    def __init__(self, *, max_recipients: int | None, max_cost: Decimal | None) -> None:
        self._max_recipients = max_recipients
        self._max_cost = max_cost
        self._people: dict[int, int] = {}
        self._costs: dict[int, Decimal] = {}
        self._orphans = 0
        self._each = Decimal()
        self.spent_before = Decimal()

    def reserve(self, message: int, people: int, price: Decimal | None, last: int) -> None:
        """Reserve for a message about to be closed, or raise LimitReachedError.

        `people` are on it and cost `price`; `last` more come with the close, at the same price
        each.
        """
        if price is not None and people:
            self._each = max(self._each, price / people)
        taken = sum(self._people.values()) + people + last
        if self._max_recipients is not None and taken > self._max_recipients:
            raise LimitReachedError(
                f"closing one more message would make it {taken} recipients, max_recipients is "
                f"{self._max_recipients}; it was not closed"
            )
        if self._max_cost is not None:
            if price is None:
                raise LimitReachedError(
                    "the gateway names no price, so max_cost cannot be kept; nothing was closed"
                )
            cost = price + self._each * last
            total = self.wasted + sum(self._costs.values()) + cost
            if total > self._max_cost:
                raise LimitReachedError(
                    f"closing one more message would cost {total:.2f} EUR in all, max_cost is "
                    f"{self._max_cost}; it was not closed"
                )
            self._costs[message] = cost
        self._people[message] = people + last

    def ended(self, message: int, people: int, price: Decimal | None) -> None:
        """Put what a message really came to in the place of what was reserved."""
        self._people[message] = people
        self._costs[message] = Decimal() if price is None else price

    def orphaned(self, people: int) -> None:
        """Count recipients of an opened message whose answer was lost."""
        self._orphans += people

    @property
    def wasted(self) -> Decimal:
        """What may have been paid for messages that are lost, as far as a price is known."""
        return self.spent_before + self._orphans * self._each
