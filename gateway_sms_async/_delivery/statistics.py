"""What became of the recipients of messages, added up: how many arrived, how fast, what it cost.

Whoever reports on deliveries enters, users too. Nothing but counting: reports of recipients go in
one by one and are not kept.

Words and numbers: the vendor's "Gateway SMS" page, schemas Recipient_Object and Report.
"""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from .._recipients.numbers import calling_code, normalize
from ..errors import InvalidNumberError
from ..models import DeliveryReport, Message, RecipientReport
from .state import DeliveryState, is_permanent, state_of

__all__ = [
    "UNKNOWN_COUNTRY",
    "DeliveryStatistics",
    "DeliverySums",
    "Failure",
    "failure_of",
    "seconds_to_deliver",
    "times_of",
]

UNKNOWN_COUNTRY = "unknown"
"""Stands for the calling code of what is no number."""


_NO_ERROR = "NO_ERROR"


_LIKE_A_NUMBER = re.compile(r"\+?\d(?:[\s()./-]{0,2}\d){5,}")


_LONGEST_WORDS = 80


class Failure(NamedTuple):
    """Why a text did not arrive: `undelivered`, `expired` or `rejected`, and the carrier's words.

    `permanent`: trying again cannot help. The words hold nobody's number.
    """

    state: DeliveryState
    name: str | None
    description: str | None
    permanent: bool

    @property
    def reason(self) -> str:
        """What a person reads."""
        return self.description or self.name or self.state.value


def failure_of(recipient: RecipientReport) -> Failure | None:
    """Return why the text did not arrive; None when it did, or still may."""
    state = state_of(recipient)
    if not state.is_final or state is DeliveryState.DELIVERED:
        return None
    name, description = next((words for words in _words(recipient) if any(words)), (None, None))
    return Failure(state, name, description, is_permanent(recipient))


def _words(recipient: RecipientReport) -> Iterable[tuple[str | None, str | None]]:
    """Go through the names and descriptions of what went wrong, the most telling first."""
    report = recipient.report
    if report is not None:
        error, status = report.error, report.status
        if error is not None and error.name != _NO_ERROR and error.id != 0:
            yield _clean(error.name), _clean(error.description)
        if status is not None:
            yield _clean(status.name), _clean(status.description)
    yield _clean(recipient.state_description or recipient.state), _clean(recipient.state_detail)


def _clean(words: str | int | None) -> str | None:
    """Return words as they may be shown: on one line, not endless, nobody's number in them."""
    if words is None:
        return None
    printable = "".join(one if one.isprintable() else " " for one in str(words))
    short = " ".join(_LIKE_A_NUMBER.sub("…", printable).split())
    return short if len(short) <= _LONGEST_WORDS else short[: _LONGEST_WORDS - 1] + "…"


def seconds_to_deliver(recipient: RecipientReport) -> float | None:
    """Return the seconds from sending to the phone; None when it is not there, or not known."""
    if state_of(recipient) is not DeliveryState.DELIVERED:
        return None
    report = recipient.report or DeliveryReport()
    ours = recipient.timestamp_sent, recipient.timestamp_delivery
    theirs = report.sent_at, report.done_at
    # Both ends by one clock where that can be had.
    for sent, delivered in (ours, theirs, (ours[0], theirs[1]), (theirs[0], ours[1])):
        if sent is not None and delivered is not None and delivered >= sent:
            return (delivered - sent).total_seconds()
    return None


def times_of(recipient: RecipientReport) -> tuple[datetime | None, datetime | None]:
    """Return when the text was sent and when it was delivered, UTC, as far as that is known."""
    report = recipient.report or DeliveryReport()
    delivered = None
    if state_of(recipient) is DeliveryState.DELIVERED:
        delivered = recipient.timestamp_delivery or report.done_at
    return recipient.timestamp_sent or report.sent_at, delivered


@dataclass(slots=True)
class DeliverySums:
    """What is added up over some recipients.

    `states` counts them by how far the text came; `parts` are SMS; `price` is what they were
    reckoned at and `real_cost` what was really charged, for `charged` of them so far, in euro,
    None while no recipient names any; `waits` are the seconds to deliver of those delivered.
    """

    states: Counter[DeliveryState] = field(default_factory=Counter[DeliveryState])
    parts: int = 0
    price: Decimal | None = None
    real_cost: Decimal | None = None
    charged: int = 0
    waits: array[float] = field(default_factory=lambda: array("d"))

    @property
    def recipients(self) -> int:
        """How many there are."""
        return self.states.total()

    @property
    def delivered(self) -> int:
        """How many have it on the phone."""
        return self.states[DeliveryState.DELIVERED]

    @property
    def undecided(self) -> int:
        """How many may still come to an end: pending, or at the operator."""
        return sum(count for state, count in self.states.items() if not state.is_final)

    @property
    def failed(self) -> int:
        """How many will not get it: undelivered, expired or rejected."""
        return self.recipients - self.delivered - self.undecided

    def seconds(self, *shares: float) -> list[float | None]:
        """Return the seconds within which each of these shares of the delivered had it.

        Seconds that were really taken, the nearest rank: `seconds(0.5, 0.9)`. None without any.
        """
        ordered = sorted(self.waits)
        if not ordered:
            return [None for _ in shares]
        return [ordered[max(0, math.ceil(share * len(ordered)) - 1)] for share in shares]

    def add(self, recipient: RecipientReport) -> None:
        """Count one more."""
        self.states[state_of(recipient)] += 1
        self.parts += recipient.sms or 0
        self.price = _plus(self.price, recipient.price)
        real_cost = recipient.real_cost
        self.real_cost = _plus(self.real_cost, real_cost)
        self.charged += real_cost is not None
        if (seconds := seconds_to_deliver(recipient)) is not None:
            self.waits.append(seconds)

    def merge(self, other: DeliverySums) -> None:
        """Count also those of another."""
        self.states.update(other.states)
        self.parts += other.parts
        self.price = _plus(self.price, other.price)
        self.real_cost = _plus(self.real_cost, other.real_cost)
        self.charged += other.charged
        self.waits.extend(other.waits)

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON has it: counts by state, amounts as text, seconds."""
        half, most = self.seconds(0.5, 0.9)
        return {
            "recipients": self.recipients,
            **{state.name.lower(): self.states[state] for state in DeliveryState},
            "parts": self.parts,
            "price": _as_text(self.price),
            "real_cost": _as_text(self.real_cost),
            "charged": self.charged,
            "seconds_to_deliver": {"p50": half, "p90": most},
        }


class DeliveryStatistics:
    """What became of all recipients of some messages.

    Feed it with `add`, and with `add_message` if the message itself was read. About 8 bytes a
    delivered recipient are kept, for the time to deliver.

    - `countries`: the sums by calling code, `"+39"`, in no order; `total`: those of everybody.
    - `failures`: how often each Failure was met.
    - `unlisted`: recipients of whom the gateway counts more than it lists: nothing is known of
      them. `invalid`: recipients that it would not send to and does not list.
    """

    def __init__(self) -> None:
        self.countries: dict[str, DeliverySums] = {}
        self.failures: Counter[Failure] = Counter()
        self.unlisted: int = 0
        self.invalid: int = 0

    def add(self, recipient: RecipientReport) -> None:
        """Count one recipient of a message; whatever shape it has is no error."""
        country = _country(recipient.number)
        if (sums := self.countries.get(country)) is None:
            sums = self.countries[country] = DeliverySums()
        sums.add(recipient)
        if (failure := failure_of(recipient)) is not None:
            self.failures[failure] += 1

    def add_message(self, message: Message, listed: int) -> None:
        """Hold the counts of a message against the `listed` recipients of it, which went to `add`."""
        self.unlisted += max(0, message.valid - listed)
        # Some lists hold the invalid ones too.
        self.invalid += max(0, message.invalid - max(0, listed - message.valid))

    @property
    def total(self) -> DeliverySums:
        """The sums of everybody; added up anew with each look."""
        total = DeliverySums()
        for sums in self.countries.values():
            total.merge(sums)
        return total

    @property
    def permanent(self) -> int:
        """How many of those without it cannot be helped by trying again."""
        return sum(count for failure, count in self.failures.items() if failure.permanent)

    @property
    def can_be_tried_again(self) -> int:
        """How many of those without it may get it when it is sent again."""
        return self.failures.total() - self.permanent

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON has it. Nobody's number, and no text, is in it."""
        return {
            **self.total.to_dict(),
            "unlisted": self.unlisted,
            "invalid": self.invalid,
            "permanent": self.permanent,
            "can_be_tried_again": self.can_be_tried_again,
            "failures": [
                {
                    "state": failure.state.name.lower(),
                    "name": failure.name,
                    "description": failure.description,
                    "permanent": failure.permanent,
                    "recipients": count,
                }
                for failure, count in self.failures.most_common()
            ],
            "countries": {code: sums.to_dict() for code, sums in self.by_size()},
        }

    def by_size(self) -> list[tuple[str, DeliverySums]]:
        """Return the countries, the one with the most recipients first."""
        return sorted(self.countries.items(), key=lambda item: (-item[1].recipients, item[0]))


def _country(number: str) -> str:
    try:
        return calling_code(normalize(number))
    except InvalidNumberError:
        return UNKNOWN_COUNTRY


def _plus(amount: Decimal | None, more: Decimal | None) -> Decimal | None:
    if amount is None or more is None:
        return more if amount is None else amount
    return amount + more


def _as_text(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)
