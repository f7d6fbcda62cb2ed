"""One stored message: what it holds, how far it has come, and its JSON as the vendor shows it.

Only the rules create or change one. Recipients are kept as plain strings; their objects, about
1 kB each, exist only while somebody looks.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from itertools import chain
from typing import Final

from .deliveries import NEVER, Counts, Course
from .dialect import Dialect
from .recipients import Batch, fill, without_hyphen
from .responses import JSON
from .segments import count_parts
from .statuses import AT_HANDSET, AT_OPERATOR, Verdict

ITALY: Final = timezone(timedelta(hours=1))  # as in the vendor's examples; no summer time


_QUEUED: Final = ("QUEUED", "QUEUED", "Message queued")


_SENT: Final = ("SENT", "PENDING_ENROUTE", "Message sent to next instance")


_INVALID: Final = ("INVALID", "INVALID_NUMBER", "Number not valid")


_TICK: Final = 1e-6


_ID_SPACE: Final = 1 << 24  # the last six digits of an id are for the recipients


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a gateway applies to every message; price in EUR per part."""

    price: Decimal
    course: Course
    dialect: Dialect


@dataclass(slots=True, kw_only=True)
class Message:
    """A message of the account; times are wall seconds, `parts` counts SMS of all recipients.

    `closed_at` is None while the transaction is open. `released_at` is then the same, until a
    rescheduling moves it. The message queues at the later of `released_at` and `send_at`.
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
        """Whether the transaction still takes recipients."""
        return self.closed_at is None

    def is_waiting(self, now: float) -> bool:
        """Whether the message is closed and its date is still to come."""
        return self.released_at is not None and now < self.send_at

    def state(self, now: float) -> int:
        """Return 0 when open or queued, 1 when sent, 2 when everybody is final."""
        course, age = self.terms.course, self._age(now)
        if age >= course.final_after(len(self.numbers)):
            return 2
        return 1 if age >= course.sent_after else 0

    @property
    def turns(self) -> tuple[float, float]:
        """When its state becomes 1 and 2, in wall seconds; infinite for never."""
        course, queued_at = self.terms.course, self._queued_at
        return queued_at + course.sent_after, queued_at + course.final_after(len(self.numbers))

    @property
    def _queued_at(self) -> float:
        return NEVER if self.released_at is None else max(self.released_at, self.send_at)

    def _age(self, now: float) -> float:
        # A microsecond more, or what happens at a moment is not seen at it, for rounding.
        return now - self._queued_at + _TICK

    def cost(self, parts: int) -> Decimal:
        """Return what `parts` SMS of this message cost in EUR, simulated or not."""
        return self.terms.price * parts * self.priority

    def add(self, batch: Batch, parts: int) -> None:
        """Put the recipients of one request, `parts` SMS in all, at the end."""
        start = len(self.numbers)
        self.numbers.extend(batch.numbers)
        self.invalid.extend(batch.invalid)
        self.parts += parts
        for i, fields in batch.fields.items():
            self.fields[start + i] = fields

    def close(self, now: float) -> None:
        """End the transaction: from now on the message is for sending."""
        self.closed_at = self.released_at = now

    def copy(self) -> Message:
        """Return a message that no later change of this one reaches."""
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
        """Return the message as the gateway shows it at `now`; counts are of all batches."""
        state = self.state(now)
        count = len(self.numbers)
        updated_at = self.updated_at
        counts = Counts(0, 0, 0)
        if state:
            course, age = self.terms.course, self._age(now)
            counts = course.counts(count, age)
            updated_at = self._queued_at + course.last_change(count, age)
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

    def listed(self, now: float) -> range:
        """Return which recipients are listed at `now`: first the valid ones, from 0."""
        dialect = self.terms.dialect
        count = len(self.numbers)
        if dialect.list_invalid:
            count += len(self.invalid)
        if self.closed_at is not None and now < self.closed_at + dialect.list_grows:
            count = int(count * (now - self.closed_at) / dialect.list_grows)
        return range(count)

    def find(self, number: str, now: float) -> list[int]:
        """Return which of the listed recipients have this number, as written or as shown."""
        wanted = [number]
        if self.terms.dialect.rewrite_numbers:
            wanted += {known for known in self._recipients() if without_hyphen(known) == number}
        listed = zip(self.listed(now), self._recipients(), strict=False)
        return [i for i, known in listed if known in wanted]

    def _recipients(self) -> chain[str]:
        return chain(self.numbers, self.invalid)

    def recipient_document(self, i: int, now: float) -> JSON:
        """Return recipient `i` (from 0) as the gateway shows it at `now`."""
        if i >= len(self.numbers):
            return self._invalid_document(i)
        fields = self.fields.get(i)
        text = fill(self.text, fields)
        parts, remaining = count_parts(text)
        price = float(self.terms.price * parts)
        course, queued_at = self.terms.course, self._queued_at
        age = self._age(now)
        verdict, after = self._judge(i, age)
        if verdict is not None:
            words = verdict.state, verdict.status["name"], verdict.status["description"]
        else:
            words = _SENT if age >= course.sent_after else _QUEUED
        document = self._describe(i, self.numbers[i], words)
        document.update(body=text, sms=parts, remaining_chr=remaining, price=price)
        document["fields"] = fields or []
        if age >= course.sent_after or verdict is not None:
            document["timestamp_sent"] = _mongo_date(queued_at + course.sent_after)
            document["real_cost"] = price
        if verdict is not None:
            if verdict is AT_HANDSET:
                document["timestamp_delivery"] = _mongo_date(queued_at + after)
            document["report"] = self._report(document, verdict, queued_at + after)
        return document

    def _judge(self, i: int, age: float) -> tuple[Verdict | None, float]:
        """Return what the carrier says of a recipient and since which age, None while nothing."""
        fate = self.terms.course.fate(i)
        if age >= fate.final:
            return fate.failure or AT_HANDSET, fate.final
        if age >= fate.at_operator:
            return AT_OPERATOR, fate.at_operator
        return None, age

    def _invalid_document(self, i: int) -> JSON:
        # Their ids are counted from the other end: more valid ones may still come.
        place = i - len(self.numbers)
        document = self._describe(i, self.invalid[place], _INVALID)
        document["id"] = f"{int(self.id, 16) + _ID_SPACE - 1 - place:024x}"
        return document

    def _describe(self, i: int, number: str, state: tuple[str, str, str]) -> JSON:
        """Return what every recipient has; text and price are those of nobody."""
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

    def _report(self, recipient: JSON, verdict: Verdict, done_at: float) -> JSON:
        return {
            "price": {"pricePerMessage": recipient["price"], "currency": "EUR"},
            "status": verdict.status,
            "error": verdict.error,
            "messageId": recipient["id"],
            "doneAt": _iso(done_at),
            "smsCount": recipient["sms"],
            "sentAt": _iso(self._queued_at + self.terms.course.sent_after),
            "to": recipient["number"][1:].replace("-", ""),
        }


def _millis(seconds: float) -> str:
    return str(round(seconds * 1000))


def _mongo_date(seconds: float) -> JSON:
    return {"$date": {"$numberLong": _millis(seconds)}}


def _iso(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, ITALY)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0100"
