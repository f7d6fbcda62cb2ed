"""What a campaign may spend, checked before each close, because only a close sends.

Plain arithmetic: the closer reserves, the campaign reports what a message really cost.
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

    The cost of deleted messages counts as spent, and so does that of opened messages whose answer
    was lost: the gateway may charge when recipients are added, and refunds nothing.
    """

    def __init__(self, *, max_recipients: int | None, max_cost: Decimal | None) -> None:
        self._max_recipients = max_recipients
        self._max_cost = max_cost
        self._recipients: dict[int, int] = {}
        self._costs: dict[int, Decimal] = {}
        self._each = Decimal()
        self._reached: LimitReachedError | None = None
        self.spent_before: Decimal = Decimal()

    def reserve(
        self, message: int, recipients: int, price: Decimal | None, last: int, orphans: int
    ) -> None:
        """Reserve for a message about to be closed, or raise LimitReachedError.

        The message holds `recipients` at `price` in all. The close adds `last` more at the same
        price each, and the campaign's `orphans` may have cost the same each.
        """
        self.learn(price, recipients)
        if self._reached is not None:
            raise LimitReachedError(str(self._reached))
        try:
            self._reserve(message, recipients, price, last, orphans)
        except LimitReachedError as error:
            # A smaller message might still fit, but a campaign that has reached its limit stops.
            self._reached = error
            raise

    def _reserve(
        self, message: int, recipients: int, price: Decimal | None, last: int, orphans: int
    ) -> None:
        taken = recipients + last + _others(self._recipients, message)
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
        self._recipients[message] = recipients + last

    def learn(self, price: Decimal | None, recipients: int) -> None:
        """Learn the price of one recipient from a message that holds `recipients` at `price`."""
        if price is not None and recipients:
            self._each = max(self._each, price / recipients)

    def cost(self, message: int) -> Decimal | None:
        """Return what was reserved for a message, None if there is no limit on the cost."""
        return self._costs.get(message)

    def ended(self, message: int, recipients: int, price: Decimal | None) -> None:
        """Replace what was reserved by what the message really cost."""
        self._recipients[message] = recipients
        self._costs[message] = Decimal() if price is None else price

    def wasted(self, orphans: int) -> Decimal:
        """Return what may have been paid for messages that never went out, if a price is known."""
        return self.spent_before + orphans * self._each


def _others(all_: Mapping[int, T], message: int) -> T | int:
    return sum(value for number, value in all_.items() if number != message)
