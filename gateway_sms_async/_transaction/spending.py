"""What a campaign may spend: checked before each close, for nothing is spent without one.

The fence asks, the campaign tells what became of it. Plain arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar

from ..errors import LimitReachedError

__all__ = ["SpendingLimit"]

T = TypeVar("T", int, Decimal)


class SpendingLimit:
    """Limits on recipients and euro; None for no limit.

    What deleted messages cost, and opened ones whose answer was lost, counts as spent: the gateway
    may take the money when recipients are added, and gives none back.
    """

    def __init__(self, *, max_recipients: int | None, max_cost: Decimal | None) -> None:
        self._max_recipients = max_recipients
        self._max_cost = max_cost
        self._people: dict[int, int] = {}
        self._costs: dict[int, Decimal] = {}
        self._each = Decimal()
        self._reached: LimitReachedError | None = None
        self.spent_before: Decimal = Decimal()

    def reserve(
        self, message: int, people: int, price: Decimal | None, last: int, orphans: int
    ) -> None:
        """Reserve for a message about to be closed, or raise LimitReachedError.

        `people` are on it and cost `price`; `last` more come with the close, at the same price
        each, which the campaign's `orphans` may have cost too.
        """
        if price is not None and people:
            self._each = max(self._each, price / people)
        if self._reached is not None:
            raise LimitReachedError(str(self._reached))
        try:
            self._reserve(message, people, price, last, orphans)
        except LimitReachedError as error:
            # Smaller messages might still do, but a campaign that stops should stop.
            self._reached = error
            raise

    def _reserve(
        self, message: int, people: int, price: Decimal | None, last: int, orphans: int
    ) -> None:
        taken = people + last + _others(self._people, message)
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
            total = self.wasted(orphans) + _others(self._costs, message) + cost
            if total > self._max_cost:
                raise LimitReachedError(
                    f"closing one more message would cost {total:.2f} EUR in all, max_cost is "
                    f"{self._max_cost}; it was not closed"
                )
            self._costs[message] = cost
        self._people[message] = people + last

    def cost(self, message: int) -> Decimal | None:
        """Return what was reserved for a message, None when costs do not matter."""
        return self._costs.get(message)

    def ended(self, message: int, people: int, price: Decimal | None) -> None:
        """Put what a message really came to in the place of what was reserved."""
        self._people[message] = people
        self._costs[message] = Decimal() if price is None else price

    def wasted(self, orphans: int) -> Decimal:
        """Return what may have been paid for lost messages, as far as a price is known."""
        return self.spent_before + orphans * self._each


def _others(all_: Mapping[int, T], message: int) -> T | int:
    return sum(value for number, value in all_.items() if number != message)
