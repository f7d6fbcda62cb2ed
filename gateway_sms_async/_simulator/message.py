"""One stored message: its recipients, its state, and its JSON in the vendor's form.

Only the gateway creates and changes messages. Recipients are kept as plain strings; their JSON
objects, about 1 kB each, are built for each request.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from itertools import chain
from typing import Final

from .deliveries import NEVER, DeliveryCounts, Timeline
from .dialect import Dialect
from .recipients import ReceivedBatch, fill, without_hyphen
from .responses import JSON
from .segments import count_parts
from .statuses import AT_HANDSET, AT_OPERATOR, CarrierReport

ITALY: Final = timezone(timedelta(hours=1))  # as in the vendor's examples; no summer time
_QUEUED: Final = ("QUEUED", "QUEUED", "Message queued")
_SENT: Final = ("SENT", "PENDING_ENROUTE", "Message sent to next instance")
_INVALID: Final = ("INVALID", "INVALID_NUMBER", "Number not valid")
_TICK: Final = 1e-6
_SURCHARGE: Final = Decimal("1.2")
_ID_SPACE: Final = 1 << 24  # the last six digits of an id are for the recipients


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms that a gateway applies to every message; price in EUR per SMS part."""

    price: Decimal
    timeline: Timeline
    dialect: Dialect


@dataclass(slots=True, kw_only=True)
class StoredMessage:
    """A message of the account. Times are wall seconds; `parts` counts SMS of all recipients.

    `closed_at` is None while the transaction is open. The close sets `released_at` to the same
    time, and a rescheduling moves it. The message is queued at the later of `released_at` and
    `send_at`.
    """

    id: str
    sender: str
    text: str
    test: bool
    priority: Decimal
    options: JSON
    created_at: float
    updated_at: float
    send_at: float
    terms: Terms
    closed_at: float | None = None
    released_at: float | None = None
    numbers: list[str] = field(default_factory=list[str])
    fields: dict[int, JSON] = field(default_factory=dict[int, JSON])
    invalid: list[str] = field(default_factory=list[str])
    parts: int = 0

    @property
    def is_open(self) -> bool:
        """Whether the transaction still accepts recipients."""
        return self.closed_at is None

    def is_waiting(self, now: float) -> bool:
        """Whether the message is closed and its date is in the future."""
        return self.released_at is not None and now < self.send_at

    def state(self, now: float) -> int:
        """Return 0 if open or queued, 1 if sent, 2 if all recipients are final."""
        timeline, age = self.terms.timeline, self._age(now)
        if age >= timeline.final_after(len(self.numbers)):
            return 2
        return 1 if age >= timeline.sent_after else 0

    @property
    def state_changes(self) -> tuple[float, float]:
        """When the state becomes 1 and 2, in wall seconds; infinite means never."""
        timeline, queued_at = self.terms.timeline, self._queued_at
        return queued_at + timeline.sent_after, queued_at + timeline.final_after(len(self.numbers))

    @property
    def _queued_at(self) -> float:
        return NEVER if self.released_at is None else max(self.released_at, self.send_at)

    def _age(self, now: float) -> float:
        # One microsecond more, or rounding would hide an event at the moment it happens.
        return now - self._queued_at + _TICK

    def cost(self, parts: int) -> Decimal:
        """Return the price of `parts` SMS of this message in EUR, simulated or not."""
        price = self.terms.price * parts * self.priority
        return price * _SURCHARGE if self._has_surcharge else price

    @property
    def _has_surcharge(self) -> bool:
        on = self.terms.dialect.surcharge_on
        if on == "both":
            return bool(self.options.get("flash") and self.options.get("realtime"))
        return on is not None and bool(self.options.get(on))

    def add(self, batch: ReceivedBatch, parts: int) -> None:
        """Append the recipients of one request, `parts` SMS in total."""
        start = len(self.numbers)
        self.numbers.extend(batch.numbers)
        self.invalid.extend(batch.invalid)
        self.parts += parts
        for i, fields in batch.fields.items():
            self.fields[start + i] = fields

    def close(self, now: float) -> None:
        """Close the transaction and release the message for sending."""
        self.closed_at = self.released_at = now

    def copy(self) -> StoredMessage:
        """Return an independent copy."""
        return replace(
            self,
            options=dict(self.options),
            numbers=self.numbers.copy(),
            fields=self.fields.copy(),
            invalid=self.invalid.copy(),
        )

    def summary(self) -> JSON:
        """Return the entry in the list of messages."""
        return {"sender": self.sender, "timestamp": _millis(self.created_at), "id": self.id}

    def document(self, now: float) -> JSON:
        """Return the message as the gateway shows it at `now`; counts cover all batches."""
        state = self.state(now)
        count = len(self.numbers)
        updated_at = self.updated_at
        counts = DeliveryCounts(0, 0, 0)
        if state:
            timeline, age = self.terms.timeline, self._age(now)
            counts = timeline.counts(count, age)
            updated_at = self._queued_at + timeline.last_change(count, age)
        return {
            "test": self.test,
            "sender": self.sender,
            "body": self.text,
            "recipients": {
                "valid": {"count": count},
                "invalid": {"total": len(self.invalid), "list": self._named_invalid()},
            },
            "priority": float(self.priority),
            "options": self._shown_options(),
            "transaction": self.is_open,
            "statistics": {
                "error": counts.error,
                "sent": counts.sent,
                "delivered": counts.delivered,
                "total": count,
                "sms_total": self.parts,
            },
            "base_price": float(self.terms.price * self.parts),
            "timestamp": _millis(self.created_at),
            "last_update": _millis(updated_at),
            "price": float(self.cost(self.parts)),
            "state": state,
            "id": self.id,
        }

    def _named_invalid(self) -> list[str]:
        dialect = self.terms.dialect
        named = self.invalid[: dialect.invalid_named]
        return [without_hyphen(one) for one in named] if dialect.rewrite_numbers else named

    def _shown_options(self) -> JSON:
        shown = {"flash": False, "realtime": False, "bulk": len(self.numbers) > 1, **self.options}
        shown["timestamp_send"] = _millis(self.send_at)
        if not self.terms.dialect.custom_returned:
            shown.pop("custom", None)
        return shown

    def listed(self, now: float) -> list[int] | range:
        """Return the indexes of the recipients listed at `now`, from 0: the valid ones first."""
        whole, pages = self._listable(now), self.terms.dialect.list_pages
        return whole if pages is None else [place - place // pages for place in whole]

    def _listable(self, now: float) -> range:
        dialect = self.terms.dialect
        count = len(self.numbers)
        if dialect.list_invalid:
            count += len(self.invalid)
        if self.closed_at is not None and now < self.closed_at + dialect.list_grows:
            count = int(count * (now - self.closed_at) / dialect.list_grows)
        return range(count)

    def find(self, number: str, now: float) -> list[int]:
        """Return the indexes of the listed recipients with this number, as written or as shown."""
        wanted = [number]
        if self.terms.dialect.rewrite_numbers:
            wanted += {known for known in self._recipients() if without_hyphen(known) == number}
        listed = zip(self._listable(now), self._recipients(), strict=False)
        return [i for i, known in listed if known in wanted]

    def _recipients(self) -> chain[str]:
        return chain(self.numbers, self.invalid)

    def recipient_document(self, i: int, now: float) -> JSON:
        """Return recipient `i`, from 0, as the gateway shows it at `now`."""
        if i >= len(self.numbers):
            return self._invalid_document(i)
        fields = self.fields.get(i)
        text = fill(self.text, fields)
        parts, remaining = count_parts(text)
        price = float(self.terms.price * parts)
        timeline, queued_at = self.terms.timeline, self._queued_at
        age = self._age(now)
        report, after = self._carrier_report(i, age)
        if report is not None:
            words = report.state, report.status["name"], report.status["description"]
        else:
            words = _SENT if age >= timeline.sent_after else _QUEUED
        document = self._describe(i, self.numbers[i], words)
        document.update(body=text, sms=parts, remaining_chr=remaining, price=price)
        document["fields"] = fields or []
        if age >= timeline.sent_after or report is not None:
            document["timestamp_sent"] = _mongo_date(queued_at + timeline.sent_after)
            document["real_cost"] = price
        if report is not None:
            if report is AT_HANDSET:
                document["timestamp_delivery"] = _mongo_date(queued_at + after)
            document["report"] = self._report_document(document, report, queued_at + after)
        return document

    def _carrier_report(self, i: int, age: float) -> tuple[CarrierReport | None, float]:
        """Return the carrier's report on a recipient, None if there is none yet, and its age."""
        delivery = self.terms.timeline.delivery(i)
        if age >= delivery.final:
            return delivery.failure or AT_HANDSET, delivery.final
        if age >= delivery.at_operator:
            return AT_OPERATOR, delivery.at_operator
        return None, age

    def _invalid_document(self, i: int) -> JSON:
        # Ids of invalid recipients count down from the end: more valid ones may still be added.
        place = i - len(self.numbers)
        document = self._describe(i, self.invalid[place], _INVALID)
        document["id"] = f"{int(self.id, 16) + _ID_SPACE - 1 - place:024x}"
        return document

    def _describe(self, i: int, number: str, state: tuple[str, str, str]) -> JSON:
        """Return the fields that every recipient has, without the personal text and price."""
        name, description, detail = state
        rewritten = self.terms.dialect.rewrite_numbers
        return {
            "number": without_hyphen(number) if rewritten else number,
            "prefix": number.partition("-")[0],
            "send_id": f"{self.id}_{i}",
            "body": self.text,
            "sms": 0,
            "remaining_chr": 0,
            "state": name,
            "state_description": description,
            "price": 0.0,
            "fields": list[object](),
            "message_id": self.id,
            "i": i,
            "state_detail": detail,
            "id": f"{int(self.id, 16) + 1 + i:024x}",
        }

    def _report_document(self, recipient: JSON, report: CarrierReport, done_at: float) -> JSON:
        return {
            "price": {"pricePerMessage": recipient["price"], "currency": "EUR"},
            "status": report.status,
            "error": report.error,
            "messageId": recipient["id"],
            "doneAt": _iso(done_at),
            "smsCount": recipient["sms"],
            "sentAt": _iso(self._queued_at + self.terms.timeline.sent_after),
            "to": recipient["number"][1:].replace("-", ""),
        }


def _millis(seconds: float) -> str:
    return str(round(seconds * 1000))


def _mongo_date(seconds: float) -> JSON:
    return {"$date": {"$numberLong": _millis(seconds)}}


def _iso(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, ITALY)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0100"
