"""When each recipient of a message becomes final, and how: all alike, or varied for a test.

Users create `Deliveries`; messages ask a `Timeline`. Nothing is stored per recipient: the outcome
follows from the position on the message and repeats after a thousand positions.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, NamedTuple

from .statuses import FAILURES, CarrierReport

NEVER: Final = math.inf

# Each step is coprime to 1000, so stepping through the positions visits each of them once. The
# first step reaches every tenth once in ten positions, so the share is right on short messages
# too. The others leave no large gap on short messages either, and the three are unrelated: whether
# a recipient fails says nothing about when it becomes final.
_PLACES: Final = 1000
_OUTCOME_STEP: Final = 301
_TIME_STEP: Final = 189
_OPERATOR_STEP: Final = 843


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """How deliveries differ between recipients; with the defaults all are alike.

    The first recipient of a message is the first to fail and the earliest to become final. The
    same position on a message has the same outcome in every run.
    """

    spread: float = 0.0
    """Seconds: recipients become final between `delivered_after` and `spread` seconds later."""
    undelivered: float = 0.0
    """Share of recipients, 0 to 1, that end undeliverable, expired or rejected."""
    pending: float = 0.0
    """Share of recipients, 0 to 1, that never become final."""
    operator: float = 0.0
    """Share of recipients, 0 to 1, that are DELIVERED_TO_OPERATOR halfway from sent to final."""

    def __post_init__(self) -> None:
        if not 0 <= self.spread < math.inf:
            raise ValueError("spread must be a finite number of seconds, at least 0")
        for name in ("undelivered", "pending", "operator"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be a share between 0 and 1")
        if self.undelivered + self.pending > 1:
            raise ValueError("undelivered and pending together must be at most 1")


class RecipientDelivery(NamedTuple):
    """The delivery of one recipient, in seconds after queueing; infinite means never.

    `failure` is None if the recipient is delivered.
    """

    at_operator: float
    final: float
    failure: CarrierReport | None


class DeliveryCounts(NamedTuple):
    """How many recipients of a message have been sent, delivered and failed so far."""

    sent: int
    delivered: int
    error: int


class Timeline:
    """The deliveries of messages after queueing; `age` is in seconds since then."""

    def __init__(
        self, *, sent_after: float, delivered_after: float, deliveries: Deliveries
    ) -> None:
        self.sent_after = sent_after
        self._delivered_after = delivered_after
        self._settings = deliveries
        places = 1 if deliveries == Deliveries() else _PLACES
        self._by_place = [self._make(place) for place in range(places)]
        self._last_final = list(accumulate((delivery.final for delivery in self._by_place), max))
        self._delivered = sorted(one.final for one in self._by_place if one.failure is None)
        self._failed = sorted(one.final for one in self._by_place if one.failure is not None)

    def delivery(self, i: int) -> RecipientDelivery:
        """Return the delivery of the recipient at position `i`."""
        return self._by_place[i % len(self._by_place)]

    def final_after(self, count: int) -> float:
        """Return the age at which all of `count` recipients are final."""
        if not count:
            return self._delivered_after
        return self._last_final[min(count, len(self._by_place)) - 1]

    def counts(self, count: int, age: float) -> DeliveryCounts:
        """Return the counts of `count` recipients at `age`."""
        rounds, rest = divmod(count, len(self._by_place))
        delivered = rounds * bisect_right(self._delivered, age)
        error = rounds * bisect_right(self._failed, age)
        for delivery in self._by_place[:rest]:
            if delivery.final <= age:
                delivered += delivery.failure is None
                error += delivery.failure is not None
        return DeliveryCounts(count if age >= self.sent_after else 0, delivered, error)

    def last_change(self, count: int, age: float) -> float:
        """Return the age at which a sent message of `count` recipients last changed."""
        last = self.sent_after
        if not count and age >= self._delivered_after:
            return self._delivered_after
        for delivery in self._by_place[:count]:
            for moment in (delivery.at_operator, delivery.final):
                if last < moment <= age:
                    last = moment
        return last

    def _make(self, place: int) -> RecipientDelivery:
        settings = self._settings
        delay = settings.spread * (place * _TIME_STEP % _PLACES) / (_PLACES - 1)
        final = self._delivered_after + delay
        rank = place * _OUTCOME_STEP % _PLACES
        reaches_operator = place * _OPERATOR_STEP % _PLACES < settings.operator * _PLACES
        at_operator = (self.sent_after + final) / 2 if reaches_operator else NEVER
        if rank < settings.undelivered * _PLACES:
            failure = FAILURES[(place + place // 10) % len(FAILURES)]
            return RecipientDelivery(at_operator, final, failure)
        if rank < (settings.undelivered + settings.pending) * _PLACES:
            return RecipientDelivery(at_operator, NEVER, None)
        return RecipientDelivery(at_operator, final, None)
