"""What a campaign may spend, checked before each close, because only a close sends.

Plain arithmetic. The campaign asks for how many more recipients there is room before it fills a
message, the closer reserves, and the campaign reports what the message really cost.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple, TypeVar

from ..errors import LimitReachedError

__all__ = ["SpendingLimit", "Spent", "sum_spent"]

T = TypeVar("T", int, Decimal)


class Spent(NamedTuple):
    """What was sent, or may still be: recipients, euro, and the highest price of one recipient.

    `unpriced` recipients are not in `cost`, because no price was known: each costs the highest one.
    """

    recipients: int = 0
    cost: Decimal = Decimal()
    each: Decimal = Decimal()
    unpriced: int = 0


def sum_spent(several: Iterable[Spent]) -> Spent:
    """Return all of these together."""
    total = Spent()
    for one in several:
        each = max(total.each, one.each)
        total = Spent(
            total.recipients + one.recipients,
            total.cost + one.cost,
            each,
            total.unpriced + one.unpriced,
        )
    return total


_HIGHER = "To send to the rest, resume the journal with a higher"


_WITHOUT = (
    "so max_cost cannot be kept; the message was not closed. Send without max_cost, or resume the "
    "journal with max_cost=inf"
)


_NOTHING = Spent()


class SpendingLimit:
    """Limits on recipients and euro; None for no limit.

    The cost of deleted messages counts as spent, and so does that of opened messages whose answer
    was lost: the gateway may charge when recipients are added, and refunds nothing. `elsewhere` is
    what other shards of the campaign have spent.
    """

    def __init__(
        self,
        *,
        max_recipients: int | None,
        max_cost: Decimal | None,
        elsewhere: Spent = _NOTHING,
    ) -> None:
        self._elsewhere = elsewhere
        self._max_recipients = max_recipients
        self._max_cost = max_cost
        self._recipients: dict[int, int] = {}
        self._costs: dict[int, Decimal] = {}
        # How many recipients are on messages without a price, which may be known later.
        self._unpriced: dict[int, int] = {}
        self._each = elsewhere.each
        self._reached: LimitReachedError | None = None
        self.spent_before: Decimal = Decimal()

    def room(self, held: Mapping[int, int], orphans: int) -> int:
        """Return how many more recipients fit, each at the highest price so far.

        `held` maps each message that has not ended to the recipients that it holds: they may be
        paid for, so they count even before they are reserved. While no price is known, `max_cost`
        does not count.
        """
        room = sys.maxsize
        if self._max_recipients is not None:
            taken = self._elsewhere.recipients + _total(self._recipients, held)
            room = self._max_recipients - taken
        if self._max_cost is not None and self._each:
            costs = {message: self._each * count for message, count in held.items()}
            spent = self._wasted_anywhere(orphans) + _total(self._message_costs(), costs)
            room = min(room, int((self._max_cost - spent) / self._each))
        return max(0, room)

    @property
    def price_missing(self) -> bool:
        """Whether `max_cost` is set and no message has shown a price yet."""
        return self._max_cost is not None and not self._each

    def is_near(self, size: int, held: Mapping[int, int], orphans: int) -> bool:
        """Whether `size` more recipients might not fit."""
        return size > 0 and (self.price_missing or self.room(held, orphans) < size)

    def no_room(self, orphans: int) -> LimitReachedError:
        """Return the error for a message that is not opened, because nothing more fits."""
        sent = self._elsewhere.recipients + sum(self._recipients.values())
        if self._max_recipients is not None and sent >= self._max_recipients:
            reached = f"{sent} recipients are sent to, max_recipients is {self._max_recipients}"
            higher = "max_recipients"
        else:
            total = (
                self._wasted_anywhere(orphans) + sum(self._message_costs().values()) + self._each
            )
            reached = (
                f"one more recipient would make it {total:.2f} EUR, max_cost is {self._max_cost}"
            )
            higher = "max_cost"
        return LimitReachedError(f"{reached}; no further message was opened. {_HIGHER} {higher}")

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
        taken = self._elsewhere.recipients
        taken += sum((self._recipients | {message: recipients + last}).values())
        if self._max_recipients is not None and taken > self._max_recipients:
            raise LimitReachedError(
                f"closing one more message would make it {taken} recipients, max_recipients is "
                f"{self._max_recipients}; it was not closed. {_HIGHER} max_recipients"
            )
        if self._max_cost is not None:
            if price is None:
                raise LimitReachedError(f"the gateway names no price, {_WITHOUT}")
            if (recipients and not _usable(price)) or (last and not self._each):
                raise LimitReachedError(
                    f"the gateway names a price that is not above 0, {_WITHOUT}"
                )
            cost = max(Decimal(), price) + self._each * last
            total = self._wasted_anywhere(orphans)
            total += sum((self._message_costs() | {message: cost}).values())
            if total > self._max_cost:
                raise LimitReachedError(
                    f"closing one more message would cost {total:.2f} EUR in all, max_cost is "
                    f"{self._max_cost}; it was not closed. {_HIGHER} max_cost"
                )
            self._set_cost(message, cost)
        self._recipients[message] = recipients + last

    def learn(self, price: Decimal | None, recipients: int) -> None:
        """Learn the price of one recipient from a message that holds `recipients` at `price`."""
        if price is not None and recipients:
            self._each = max(self._each, price / recipients)

    def cost(self, message: int) -> Decimal | None:
        """Return what was reserved for a message, None if there is no limit on the cost."""
        return self._costs.get(message)

    def ended(self, message: int, recipients: int, price: Decimal | None) -> None:
        """Replace what was reserved by what the message really cost.

        If recipients were sent to and the gateway names no usable price, what was reserved for them
        still counts. If nothing was, each counts at the highest price so far.
        """
        self.learn(price, recipients)
        self._recipients[message] = recipients
        if not recipients or _usable(price):
            self._set_cost(message, max(Decimal(), price or Decimal()))
        elif message not in self._costs:
            self._unpriced[message] = recipients

    def wasted(self, orphans: int) -> Decimal:
        """Return what may have been paid for messages that never went out, if a price is known."""
        return self.spent_before + orphans * self._each

    def spent(self, orphans: int) -> Spent:
        """Return what this campaign has spent, or may still spend, without what others have."""
        return Spent(
            sum(self._recipients.values()),
            self.spent_before + sum(self._costs.values()),
            self._each,
            orphans + sum(self._unpriced.values()),
        )

    def _wasted_anywhere(self, orphans: int) -> Decimal:
        elsewhere = self._elsewhere.cost + self._elsewhere.unpriced * self._each
        return elsewhere + self.wasted(orphans)

    def _message_costs(self) -> dict[int, Decimal]:
        """Return what each message has cost or may have cost, as far as a price is known."""
        return self._costs | {one: self._each * count for one, count in self._unpriced.items()}

    def _set_cost(self, message: int, cost: Decimal) -> None:
        self._unpriced.pop(message, None)
        self._costs[message] = cost


def _usable(price: Decimal | None) -> bool:
    return price is not None and price > 0


def _total(counted: Mapping[int, T], held: Mapping[int, T]) -> T | int:
    """Return the sum over all messages; one that is in both counts once, with the larger value."""
    larger = {message: max(value, counted.get(message, value)) for message, value in held.items()}
    return sum({**counted, **larger}.values())
