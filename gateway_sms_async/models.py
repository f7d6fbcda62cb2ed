"""The gateway's responses, as types.

Decoding is lenient where nothing depends on it: unknown fields are ignored, unknown states are
kept, and extras of an unexpected shape are decoded only on access. It is strict where a wrong value
could text a recipient twice or not at all: the id, `transaction` and the counts of recipients are
required, and none of them may have an impossible value.

The vendor's documentation of the fields: its "Gateway SMS" OpenAPI page, schemas Message_Object,
Recipient_Object, Report and Options.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

__all__ = [
    "DeliveryError",
    "DeliveryPrice",
    "DeliveryReport",
    "DeliveryStatus",
    "Envelope",
    "InvalidCount",
    "Message",
    "MessageOptions",
    "MessageSummary",
    "RecipientCounts",
    "RecipientReport",
    "Refusal",
    "Statistics",
    "ValidCount",
]


def __dir__() -> list[str]:
    # Only public names, so that completion offers nothing else.
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


T = TypeVar("T")


S = TypeVar("S", bound=Struct)


_NOTHING = Raw(b"null")


_EMPTY = {b"[]", b"null"}


_MOST_MONEY = 10**12


_prefix: msgspec.json.Decoder[str | int | None] = msgspec.json.Decoder(str | int | None)


_LARGEST_PART = 1024 * 1024
"""Bytes: decoding a part of a response to any JSON values may take 50 times as many."""


_MOST_INVALID = 100_000
"""Twice the most recipients of a message. The list of the invalid ones is not decoded beyond."""


# What none of these can be is not a response of the gateway.
MessageId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]


Count = Annotated[int, Meta(ge=0, le=10**9)]


class _WireDate(Struct, frozen=True):
    """A time as MongoDB writes it."""

    date: _Moment | UnsetType = msgspec.field(default=UNSET, name="$date")
    number: _Moment = msgspec.field(default=None, name="$numberLong")


_Moment = str | int | float | _WireDate | None


_moment: msgspec.json.Decoder[_Moment] = msgspec.json.Decoder(_Moment)


def parse_time(wire: Raw) -> datetime | None:
    """Return a time in any of the gateway's forms, in UTC; None if absent or unreadable.

    The forms are milliseconds as text or number, `{"$date": {"$numberLong": "…"}}`, and ISO 8601.
    """
    value = _decode(wire, _moment)
    while isinstance(value, _WireDate):
        value = value.number if value.date is UNSET else value.date
    try:
        if isinstance(value, str) and not value.lstrip("-").isdecimal():
            moment = datetime.fromisoformat(value)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        if isinstance(value, str | int | float):
            return datetime.fromtimestamp(int(value) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def parse_money(wire: Raw) -> Decimal | None:
    """Return an amount that is a number or text; None if absent or unreadable."""
    try:
        amount = Decimal(bytes(wire).decode().strip('" '))
    except (InvalidOperation, UnicodeDecodeError):
        return None
    # A larger number is not an amount, and sums of such numbers would overflow.
    return amount if amount.is_finite() and -_MOST_MONEY < amount < _MOST_MONEY else None


def _whole(wire: Raw) -> int | None:
    amount = parse_money(wire)
    return int(amount) if amount is not None and amount == amount.to_integral_value() else None


def _decode(wire: Raw, decoder: msgspec.json.Decoder[T]) -> T | None:
    """Return an extra part; None if absent or of another shape (the gateway sends `[]` if empty)."""
    try:
        return decoder.decode(wire)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _convert(wire: Raw, kind: type[T]) -> T | None:
    """Do the same for a part of this type."""
    try:
        return msgspec.json.decode(wire, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _is_too_large(wire: Raw) -> bool:
    """Return whether a part that may hold any JSON values would take too much memory."""
    return len(memoryview(wire)) > _LARGEST_PART


def _convert_parts(wire: Raw, kind: type[S]) -> S:
    """Return an extra part whose fields are all optional. A bad field does not hide the others."""
    if _is_too_large(wire):
        return kind()
    whole = _convert(wire, kind)
    if whole is not None:
        return whole
    parts = _convert(wire, dict[str, Raw]) or {}
    known = {one.encode_name: one for one in msgspec.structs.fields(kind)}
    read: dict[str, Any] = {}
    for name in known.keys() & parts.keys():
        try:
            read[known[name].name] = msgspec.json.decode(parts[name], type=known[name].type)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
    return kind(**read)


class Envelope(Struct, Generic[T], frozen=True):
    """The envelope of every success."""

    data: T
    success: bool
    message: str | None = None
    credit: Raw = _NOTHING


class Refusal(Struct, frozen=True):
    """The body of every refusal."""

    success: bool
    error: int
    message: Raw = _NOTHING

    @property
    def text(self) -> str | None:
        """What the gateway says in words; None if it is no text."""
        return _convert(self.message, str)


class MessageSummary(Struct, frozen=True, kw_only=True):
    """One message in the list of messages."""

    id: str
    sender: str | None = None
    wire_timestamp: Raw = msgspec.field(default=_NOTHING, name="timestamp")

    @property
    def timestamp(self) -> datetime | None:
        """When the message was created, in UTC."""
        return parse_time(self.wire_timestamp)

    def __repr__(self) -> str:
        return f"MessageSummary(id={self.id!r}, timestamp={self.timestamp})"


class ValidCount(Struct, frozen=True):
    """Recipients that the gateway counts as valid."""

    count: Count


class InvalidCount(Struct, frozen=True):
    """Recipients that the gateway does not send to. `list` may be shorter than `total`.

    Raises ValueError if it is longer.
    """

    total: Count
    wire_list: Raw = msgspec.field(default=_NOTHING, name="list")

    def __post_init__(self) -> None:
        # Decoding an empty list would cost more than the rest of a response.
        wire = bytes(self.wire_list)
        if wire in _EMPTY:
            return
        # Each entry but one needs a comma, also those that are no numbers.
        if wire.count(b",") > _MOST_INVALID:
            raise ValueError("more invalid recipients are listed than a message can hold")
        if self.total < len(self.list):
            raise ValueError("more invalid recipients are listed than counted")

    @property
    def list(self) -> tuple[str, ...]:
        """The numbers that the gateway lists, in its own form."""
        try:
            return msgspec.json.decode(self.wire_list, type=tuple[str, ...])
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
        try:
            # What is no number stays undecoded: it could be anything.
            named = msgspec.json.decode(self.wire_list, type=tuple[Raw, ...])
            return tuple(
                msgspec.json.decode(one, type=str) for one in named if bytes(one)[:1] == b'"'
            )
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ()

    def __repr__(self) -> str:
        return f"InvalidCount(total={self.total})"


class RecipientCounts(Struct, frozen=True):
    """Counts of the whole message, never of one batch."""

    valid: ValidCount
    invalid: InvalidCount


class Statistics(Struct, frozen=True, kw_only=True):
    """How many recipients of a message were sent to or delivered; `sms_total` counts SMS parts."""

    error: int | None = None
    sent: int | None = None
    delivered: int | None = None
    total: int | None = None
    sms_total: int | None = None


class MessageOptions(Struct, frozen=True, kw_only=True):
    """The options of a message as the gateway returns them. `custom` is UNSET if absent."""

    flash: bool | None = None
    realtime: bool | None = None
    bulk: object = UNSET
    custom: object = UNSET
    callback_url: str | None = None
    callback_field: str | None = None
    wire_timestamp_send: Raw = msgspec.field(default=_NOTHING, name="timestamp_send")

    @property
    def timestamp_send(self) -> datetime | None:
        """When the message is or was due, in UTC."""
        return parse_time(self.wire_timestamp_send)

    def __repr__(self) -> str:
        return f"MessageOptions(flash={self.flash}, realtime={self.realtime})"


class Message(Struct, frozen=True, kw_only=True):
    """A message as the gateway returns it.

    - `transaction`: True if the message is open: recipients can be added, and nothing is sent.
    - `state`: 0 if queued; 2 was observed once all recipients were final, failures included. Other
      values are the gateway's own.
    - `wire_…`: the fields exactly as received. The property of the same name decodes each of them.
    """

    id: MessageId
    transaction: bool
    recipients: RecipientCounts
    test: bool | None = None
    sender: str | None = None
    body: str | None = None
    state: int | str | None = None
    wire_priority: Raw = msgspec.field(default=_NOTHING, name="priority")
    wire_options: Raw = msgspec.field(default=_NOTHING, name="options")
    wire_statistics: Raw = msgspec.field(default=_NOTHING, name="statistics")
    wire_base_price: Raw = msgspec.field(default=_NOTHING, name="base_price")
    wire_price: Raw = msgspec.field(default=_NOTHING, name="price")
    wire_timestamp: Raw = msgspec.field(default=_NOTHING, name="timestamp")
    wire_last_update: Raw = msgspec.field(default=_NOTHING, name="last_update")

    @property
    def valid(self) -> int:
        """How many recipients the gateway sends to."""
        return self.recipients.valid.count

    @property
    def invalid(self) -> int:
        """How many recipients the gateway does not send to."""
        return self.recipients.invalid.total

    @property
    def all_accepted(self) -> bool:
        """Whether the gateway sends to all recipients: at least one is valid and none is invalid."""
        return self.valid > 0 and not self.invalid

    @property
    def refused(self) -> tuple[str, ...]:
        """The numbers that the gateway does not send to, as it writes them.

        There are `invalid` of them; the gateway may name fewer.
        """
        return self.recipients.invalid.list

    @property
    def priority(self) -> Decimal | None:
        """The priority; 1.00 is the ordinary queue."""
        return parse_money(self.wire_priority)

    @property
    def options(self) -> MessageOptions:
        """The options, with defaults for those that the gateway leaves out."""
        return _convert_parts(self.wire_options, MessageOptions)

    @property
    def statistics(self) -> Statistics:
        """Counts of sent, delivered and failed recipients."""
        return _convert_parts(self.wire_statistics, Statistics)

    @property
    def base_price(self) -> Decimal | None:
        """The price at priority 1.00, in euro."""
        return parse_money(self.wire_base_price)

    @property
    def price(self) -> Decimal | None:
        """The price of the message, in euro."""
        return parse_money(self.wire_price)

    @property
    def timestamp(self) -> datetime | None:
        """When the message was created, in UTC."""
        return parse_time(self.wire_timestamp)

    @property
    def last_update(self) -> datetime | None:
        """When the message last changed, in UTC."""
        return parse_time(self.wire_last_update)

    def __repr__(self) -> str:
        return (
            f"Message(id={self.id!r}, transaction={self.transaction}, state={self.state!r}, "
            f"valid={self.valid}, invalid={self.invalid})"
        )


class DeliveryPrice(Struct, frozen=True, kw_only=True, rename="camel"):
    """The carrier's price of one SMS part."""

    currency: str | None = None
    wire_price_per_message: Raw = msgspec.field(default=_NOTHING, name="pricePerMessage")

    @property
    def price_per_message(self) -> Decimal | None:
        """The price of one part, in `currency`."""
        return parse_money(self.wire_price_per_message)


class DeliveryStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """The carrier's status. Groups: 1 pending, 2 undeliverable, 3 delivered, 4 expired, 5 rejected."""

    id: int | None = None
    group_id: int | None = None
    group_name: str | None = None
    name: str | None = None
    description: str | None = None


class DeliveryError(Struct, frozen=True, kw_only=True, rename="camel"):
    """The carrier's error. Groups: 0 none, 1 handset, 2 user, 3 operator.

    `permanent` is True if a retry cannot help.
    """

    id: int | None = None
    name: str | None = None
    description: str | None = None
    group_id: int | None = None
    group_name: str | None = None
    permanent: bool | None = None


class DeliveryReport(Struct, frozen=True, kw_only=True, rename="camel"):
    """The carrier's report on one recipient."""

    price: DeliveryPrice | None = None
    status: DeliveryStatus | None = None
    error: DeliveryError | None = None
    message_id: str | None = None
    sms_count: int | None = None
    to: str | None = None
    wire_sent_at: Raw = msgspec.field(default=_NOTHING, name="sentAt")
    wire_done_at: Raw = msgspec.field(default=_NOTHING, name="doneAt")

    @property
    def sent_at(self) -> datetime | None:
        """When the carrier accepted the text, in UTC."""
        return parse_time(self.wire_sent_at)

    @property
    def done_at(self) -> datetime | None:
        """When the status became final, in UTC."""
        return parse_time(self.wire_done_at)

    def __repr__(self) -> str:
        return f"DeliveryReport(status={self.status!r}, error={self.error!r})"


class RecipientReport(Struct, frozen=True, kw_only=True, gc=False):
    """One recipient of a message, with its delivery state."""

    number: str
    id: str | None = None
    message_id: str | None = None
    send_id: str | None = None
    body: str | None = None
    state: str | int | None = None
    state_description: str | None = None
    state_detail: str | None = None
    wire_i: Raw = msgspec.field(default=_NOTHING, name="i")
    wire_prefix: Raw = msgspec.field(default=_NOTHING, name="prefix")
    wire_sms: Raw = msgspec.field(default=_NOTHING, name="sms")
    wire_remaining_chr: Raw = msgspec.field(default=_NOTHING, name="remaining_chr")
    wire_fields: Raw = msgspec.field(default=_NOTHING, name="fields")
    wire_price: Raw = msgspec.field(default=_NOTHING, name="price")
    wire_real_cost: Raw = msgspec.field(default=_NOTHING, name="real_cost")
    wire_report: Raw = msgspec.field(default=_NOTHING, name="report")
    wire_timestamp_sent: Raw = msgspec.field(default=_NOTHING, name="timestamp_sent")
    wire_timestamp_delivery: Raw = msgspec.field(default=_NOTHING, name="timestamp_delivery")

    @property
    def i(self) -> int | None:
        """The position on the message, from 0."""
        return _whole(self.wire_i)

    @property
    def prefix(self) -> str | None:
        """The international prefix, such as `+39`."""
        prefix = _decode(self.wire_prefix, _prefix)
        return None if prefix is None else str(prefix)

    @property
    def sms(self) -> int | None:
        """How many SMS parts the text has."""
        return _whole(self.wire_sms)

    @property
    def remaining_chr(self) -> int | None:
        """How many characters are free in the last part."""
        return _whole(self.wire_remaining_chr)

    @property
    def fields(self) -> dict[str, object]:
        """The values of the placeholders for this recipient."""
        wire = self.wire_fields
        return (None if _is_too_large(wire) else _convert(wire, dict[str, object])) or {}

    @property
    def price(self) -> Decimal | None:
        """The price of this recipient, in euro."""
        return parse_money(self.wire_price)

    @property
    def real_cost(self) -> Decimal | None:
        """The amount that was charged, in euro."""
        return parse_money(self.wire_real_cost)

    @property
    def report(self) -> DeliveryReport | None:
        """The carrier's report; None if there is none yet."""
        return _convert(self.wire_report, DeliveryReport)

    @property
    def timestamp_sent(self) -> datetime | None:
        """When the text was passed to the carrier, in UTC."""
        return parse_time(self.wire_timestamp_sent)

    @property
    def timestamp_delivery(self) -> datetime | None:
        """When the text was delivered, in UTC."""
        return parse_time(self.wire_timestamp_delivery)

    def __repr__(self) -> str:
        return f"RecipientReport(id={self.id!r}, state={self.state!r}, sms={self.sms!r})"
