"""Delivery figures of messages: how many recipients, how fast, at what cost.

Pure counting: reports of recipients are added one by one and not kept.

The words and numbers are those of the vendor's "Gateway SMS" page, schemas Recipient_Object and
Report.
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
"""The calling code of an entry that is not a phone number."""

_NO_ERROR = "NO_ERROR"
_NUMBER_LIKE = re.compile(r"\+?\d(?:[\s()./-]{0,2}\d){5,}")
_MAX_LENGTH = 80


class Failure(NamedTuple):
    """Why a text was not delivered.

    - `state`: UNDELIVERED, EXPIRED or REJECTED.
    - `name`, `description`: the carrier's words, without any phone number; None if there are none.
    - `permanent`: another attempt cannot succeed.
    """

    state: DeliveryState
    name: str | None
    description: str | None
    permanent: bool

    @property
    def reason(self) -> str:
        """The failure in words, for display."""
        return self.description or self.name or self.state.value


def failure_of(recipient: RecipientReport) -> Failure | None:
    """Return why the text was not delivered; None if it was, or still may be."""
    state = state_of(recipient)
    if not state.is_final or state is DeliveryState.DELIVERED:
        return None
    name, description = next((words for words in _words(recipient) if any(words)), (None, None))
    return Failure(state, name, description, is_permanent(recipient))


def _words(recipient: RecipientReport) -> Iterable[tuple[str | None, str | None]]:
    """Yield the names and descriptions of the failure, the most specific first."""
    report = recipient.report
    if report is not None:
        error, status = report.error, report.status
        if error is not None and error.name != _NO_ERROR and error.id != 0:
            yield _clean(error.name), _clean(error.description)
        if status is not None:
            yield _clean(status.name), _clean(status.description)
    yield _clean(recipient.state_description or recipient.state), _clean(recipient.state_detail)


def _clean(words: str | int | None) -> str | None:
    """Return words fit for display: printable, on one line, short, without phone numbers."""
    if words is None:
        return None
    printable = "".join(one if one.isprintable() else " " for one in str(words))
    short = " ".join(_NUMBER_LIKE.sub("…", printable).split())
    return short if len(short) <= _MAX_LENGTH else short[: _MAX_LENGTH - 1] + "…"


def seconds_to_deliver(recipient: RecipientReport) -> float | None:
    """Return the seconds from sending to delivery; None if not delivered or not known."""
    if state_of(recipient) is not DeliveryState.DELIVERED:
        return None
    report = recipient.report or DeliveryReport()
    sent_at, delivered_at = recipient.timestamp_sent, recipient.timestamp_delivery
    # Prefer two times of one clock, the gateway's or the carrier's.
    for sent, delivered in (
        (sent_at, delivered_at),
        (report.sent_at, report.done_at),
        (sent_at, report.done_at),
        (report.sent_at, delivered_at),
    ):
        if sent is not None and delivered is not None and delivered >= sent:
            return (delivered - sent).total_seconds()
    return None


def times_of(recipient: RecipientReport) -> tuple[datetime | None, datetime | None]:
    """Return when the text was sent and when it was delivered, UTC; None if not known."""
    report = recipient.report or DeliveryReport()
    delivered = None
    if state_of(recipient) is DeliveryState.DELIVERED:
        delivered = recipient.timestamp_delivery or report.done_at
    return recipient.timestamp_sent or report.sent_at, delivered


@dataclass(slots=True)
class DeliverySums:
    """Sums over some recipients.

    - `states`: recipients by delivery state.
    - `parts`: SMS parts.
    - `price`: the estimated price in euro, None while no recipient has one.
    - `real_cost`: the charged amount in euro, None while no recipient has one; `charged` counts
      the recipients that have one.
    - `waits`: seconds to deliver, one for each delivered recipient.
    """

    states: Counter[DeliveryState] = field(default_factory=Counter[DeliveryState])
    parts: int = 0
    price: Decimal | None = None
    real_cost: Decimal | None = None
    charged: int = 0
    waits: array[float] = field(default_factory=lambda: array("d"))

    @property
    def recipients(self) -> int:
        """How many recipients were added."""
        return self.states.total()

    @property
    def delivered(self) -> int:
        """How many recipients were delivered to."""
        return self.states[DeliveryState.DELIVERED]

    @property
    def undecided(self) -> int:
        """How many recipients are not final yet: pending or at the operator."""
        return sum(count for state, count in self.states.items() if not state.is_final)

    @property
    def failed(self) -> int:
        """How many recipients failed: undelivered, expired or rejected."""
        return self.recipients - self.delivered - self.undecided

    def seconds(self, *shares: float) -> list[float | None]:
        """Return the delivery-time quantiles in seconds: `seconds(0.5, 0.9)`.

        Each is an observed time (nearest rank), None if no recipient was delivered.
        """
        ordered = sorted(self.waits)
        if not ordered:
            return [None for _ in shares]
        return [ordered[max(0, math.ceil(share * len(ordered)) - 1)] for share in shares]

    def add(self, recipient: RecipientReport) -> None:
        """Count one recipient."""
        self.states[state_of(recipient)] += 1
        self.parts += recipient.sms or 0
        self.price = _add(self.price, recipient.price)
        real_cost = recipient.real_cost
        self.real_cost = _add(self.real_cost, real_cost)
        self.charged += real_cost is not None
        if (seconds := seconds_to_deliver(recipient)) is not None:
            self.waits.append(seconds)

    def merge(self, other: DeliverySums) -> None:
        """Add the sums of another."""
        self.states.update(other.states)
        self.parts += other.parts
        self.price = _add(self.price, other.price)
        self.real_cost = _add(self.real_cost, other.real_cost)
        self.charged += other.charged
        self.waits.extend(other.waits)

    def to_dict(self) -> dict[str, object]:
        """Return plain types for JSON: counts by state, amounts as text, seconds."""
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
    """Delivery figures of all recipients of some messages.

    Pass each recipient to `add`, and each message that was read to `add_message`. About 8 bytes
    per delivered recipient are kept, for the delivery times.

    - `countries`: sums by calling code, such as `"+39"`, unordered.
    - `total`: the sums of all countries.
    - `failures`: how often each Failure occurred.
    - `unlisted`: recipients that the gateway counts but does not list; their state is unknown.
    - `invalid`: recipients that the gateway refused and does not list.
    """

    def __init__(self) -> None:
        self.countries: dict[str, DeliverySums] = {}
        self.failures: Counter[Failure] = Counter()
        self.unlisted: int = 0
        self.invalid: int = 0

    def add(self, recipient: RecipientReport) -> None:
        """Count one recipient of a message; accepts any content."""
        country = _country(recipient.number)
        if (sums := self.countries.get(country)) is None:
            sums = self.countries[country] = DeliverySums()
        sums.add(recipient)
        if (failure := failure_of(recipient)) is not None:
            self.failures[failure] += 1

    def add_message(self, message: Message, listed: int) -> None:
        """Compare a message's counts with its `listed` recipients, which were passed to `add`."""
        self.unlisted += max(0, message.valid - listed)
        # Some lists include the invalid recipients.
        self.invalid += max(0, message.invalid - max(0, listed - message.valid))

    @property
    def total(self) -> DeliverySums:
        """The sums of all countries, computed on each access."""
        total = DeliverySums()
        for sums in self.countries.values():
            total.merge(sums)
        return total

    @property
    def permanent(self) -> int:
        """How many failed recipients another attempt cannot reach."""
        return sum(count for failure, count in self.failures.items() if failure.permanent)

    @property
    def can_be_tried_again(self) -> int:
        """How many failed recipients another attempt may reach."""
        return self.failures.total() - self.permanent

    def to_dict(self) -> dict[str, object]:
        """Return plain types for JSON, without phone numbers and texts."""
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
        """Return the countries and their sums, most recipients first."""
        return sorted(self.countries.items(), key=lambda item: (-item[1].recipients, item[0]))


def _country(number: str) -> str:
    try:
        return calling_code(normalize(number))
    except InvalidNumberError:
        return UNKNOWN_COUNTRY


def _add(amount: Decimal | None, more: Decimal | None) -> Decimal | None:
    if amount is None or more is None:
        return more if amount is None else amount
    return amount + more


def _as_text(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)
