"""How the recipients of a message fare, and when: all alike, or as varied as a test asks for.

Users make `Deliveries`; the messages ask a `Course`. Nothing is stored for a recipient: what
becomes of one follows from its place on the message, and repeats after a thousand places.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, NamedTuple

from .statuses import FAILURES, Verdict

NEVER: Final = math.inf


# Steps through a thousand places that visit each once. The first hits every tenth once in ten, so
# that few are struck in their share too; the others leave no gap in the hour for few either, and
# none of them goes together with another: who fails says nothing about when.
_PLACES: Final = 1000


_FATE_STEP: Final = 301


_TIME_STEP: Final = 189


_OPERATOR_STEP: Final = 843


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """How deliveries differ from one recipient to the next; the defaults let all be alike.

    The first recipient of a message is always the first to be struck and the earliest; the same
    place on a message has the same fate in every run.
    """

    spread: float = 0.0
    """Recipients become final between `delivered_after` and so many seconds later."""
    undelivered: float = 0.0
    """The share, 0 to 1, that ends undeliverable, expired or rejected, each in several ways."""
    pending: float = 0.0
    """The share that never becomes final."""
    operator: float = 0.0
    """The share that is DELIVERED_TO_OPERATOR half-way between sent and final."""

    def __post_init__(self) -> None:
        if not 0 <= self.spread < math.inf:
            raise ValueError("spread is a number of seconds")
        for name in ("undelivered", "pending", "operator"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share between 0 and 1")
        if self.undelivered + self.pending > 1:
            raise ValueError("undelivered and pending together are at most 1")


class Fate(NamedTuple):
    """What becomes of one recipient; seconds after queueing, infinite for never.

    `failure` is None for who is delivered.
    """

    at_operator: float
    final: float
    failure: Verdict | None


class Counts(NamedTuple):
    """How many recipients of a message were sent, delivered, and failed so far."""

    sent: int
    delivered: int
    error: int


class Course:
    """What becomes of messages after they are queued: `age` is in seconds since then."""

    def __init__(
        self, *, sent_after: float, delivered_after: float, deliveries: Deliveries
    ) -> None:
        self.sent_after = sent_after
        self._delivered_after = delivered_after
        self._deliveries = deliveries
        places = 1 if deliveries == Deliveries() else _PLACES
        self._fates = [self._make(place) for place in range(places)]
        self._last_final = list(accumulate((fate.final for fate in self._fates), max))
        self._delivered = sorted(fate.final for fate in self._fates if fate.failure is None)
        self._failed = sorted(fate.final for fate in self._fates if fate.failure is not None)

    def fate(self, i: int) -> Fate:
        """Return what becomes of the recipient in place `i`."""
        return self._fates[i % len(self._fates)]

    def final_after(self, count: int) -> float:
        """Return at which age everybody of `count` recipients is final."""
        if not count:
            return self._delivered_after
        return self._last_final[min(count, len(self._fates)) - 1]

    def counts(self, count: int, age: float) -> Counts:
        """Return how far `count` recipients are."""
        rounds, rest = divmod(count, len(self._fates))
        delivered = rounds * bisect_right(self._delivered, age)
        error = rounds * bisect_right(self._failed, age)
        for fate in self._fates[:rest]:
            if fate.final <= age:
                delivered += fate.failure is None
                error += fate.failure is not None
        return Counts(count if age >= self.sent_after else 0, delivered, error)

    def last_change(self, count: int, age: float) -> float:
        """Return at which age a message of `count` recipients that was sent last changed."""
        last = self.sent_after
        if not count and age >= self._delivered_after:
            return self._delivered_after
        for fate in self._fates[:count]:
            for moment in (fate.at_operator, fate.final):
                if last < moment <= age:
                    last = moment
        return last

    def _make(self, place: int) -> Fate:
        asked = self._deliveries
        late = asked.spread * (place * _TIME_STEP % _PLACES) / (_PLACES - 1)
        final = self._delivered_after + late
        struck = place * _FATE_STEP % _PLACES
        passes = place * _OPERATOR_STEP % _PLACES < asked.operator * _PLACES
        at_operator = (self.sent_after + final) / 2 if passes else NEVER
        if struck < asked.undelivered * _PLACES:
            return Fate(at_operator, final, FAILURES[(place + place // 10) % len(FAILURES)])
        if struck < (asked.undelivered + asked.pending) * _PLACES:
            return Fate(at_operator, NEVER, None)
        return Fate(at_operator, final, None)
