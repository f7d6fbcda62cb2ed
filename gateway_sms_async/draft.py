"""What goes to the gateway: a message's text and options, and recipients in the gateway's form.

`Messages` and the transaction builder enter; users meet `Options`. What a caller got wrong is
refused here, before any request.

Field meanings: the vendor's "Gateway SMS" OpenAPI page, schemas PostBodyMessage, PutBodyMessage,
Options.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Struct, UnsetType

from .recipients import (
    Fields,
    Recipient,
    RecipientLike,
    check_source,
    coerce,
    digits_key,
    normalize,
)
from .text import is_encodable, missing_field, not_gsm, placeholders

__all__ = [
    "Draft",
    "MessageUpdate",
    "Options",
    "OptionsPatch",
    "WireRecipients",
    "check_flag",
    "check_reference",
    "encode",
    "pack",
    "wire_date",
    "wire_recipients",
]


class Addressee(Struct, frozen=True, gc=False):
    """A recipient with fields, as the gateway wants it."""

    number: str
    fields: dict[str, str]


WireRecipients = str | Addressee | Sequence[str] | Sequence[Addressee]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of a message to send.

    - `flash`: show it as a pop-up. `realtime`: an OTP, past all queues; one a minute.
    - `timestamp_send`: the day to send on; now when absent. The gateway knows days, not hours.
    - `custom`: anything that JSON can hold, for the caller's own use.
    - `callback_url`: receives a summary of the message each time its state changes, as a JSON
      body, or in the form field `callback_field`.
    """

    flash: bool = False
    realtime: bool = False
    timestamp_send: date | None = None
    custom: object = None
    callback_url: str | None = None
    callback_field: str | None = None

    def __repr__(self) -> str:
        # Without `custom` and the address: they are the caller's own.
        return (
            f"Options(flash={self.flash}, realtime={self.realtime}, "
            f"timestamp_send={self.timestamp_send})"
        )

    def __post_init__(self) -> None:
        check_flag("flash", self.flash)
        check_flag("realtime", self.realtime)
        if self.timestamp_send is not None:
            wire_date(self.timestamp_send)
        if self.callback_url is not None:
            if not isinstance(self.callback_url, str):
                raise TypeError("callback_url must be a str")
            parts = urlsplit(self.callback_url)
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError("callback_url must be an http(s) address")
        elif self.callback_field is not None:
            raise ValueError("callback_field needs callback_url beside it")

    @classmethod
    def from_wire(cls, wire: Mapping[str, object]) -> Self:
        """Read what `to_wire` wrote."""
        options: dict[str, Any] = dict(wire)
        if "timestamp_send" in options:
            options["timestamp_send"] = date.fromisoformat(options["timestamp_send"])
        return cls(**options)

    def to_wire(self) -> dict[str, object]:
        """Return the fields that differ from the gateway's defaults."""
        wire: dict[str, object] = {}
        if self.flash:
            wire["flash"] = True
        if self.realtime:
            wire["realtime"] = True
        if self.timestamp_send is not None:
            wire["timestamp_send"] = wire_date(self.timestamp_send)
        for name in ("custom", "callback_url", "callback_field"):
            value = getattr(self, name)
            if value is not None:
                wire[name] = value
        return wire


def wire_date(day: date) -> str:
    """Write a day as the gateway reads it, `2018-05-20`."""
    # A static type cannot keep a datetime out: it is a subclass of date.
    if isinstance(day, datetime):
        raise TypeError(
            "timestamp_send takes a date: the gateway would drop the hour of a datetime"
        )
    if not isinstance(day, date):
        raise TypeError("timestamp_send takes a date")
    return day.isoformat()


class OptionsPatch(Struct, frozen=True):
    """The one option that can change after the first request."""

    timestamp_send: str


class NewMessage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a POST. `recipients` is a string, strings, one object or objects."""

    sender: str
    body: str
    recipients: WireRecipients
    test: bool = False
    transaction: bool = False
    priority: float | UnsetType = UNSET
    options: dict[str, Any] | UnsetType = UNSET


class MessageUpdate(Struct, frozen=True, kw_only=True):
    """The body of a PUT. What is UNSET stays away, which is not the same as false."""

    recipients: WireRecipients
    transaction: bool | UnsetType = UNSET
    options: OptionsPatch | UnsetType = UNSET


_encoder = msgspec.json.Encoder()


def encode(body: NewMessage | MessageUpdate) -> bytes:
    """Write the body of a request."""
    try:
        return _encoder.encode(body)
    except UnicodeEncodeError:
        pass
    # Raised out here: that error holds the text.
    raise ValueError("a text holds half of a surrogate pair")


class Draft:
    """What a message says, checked once; its recipients come later."""

    def __init__(
        self,
        *,
        sender: str,
        body: str,
        priority: float | Decimal | None = None,
        options: Options | None = None,
        test: bool = False,
    ) -> None:
        self.sender: str = check_sender(sender)
        self.body: str = check_body(body)
        self.priority = UNSET if priority is None else check_priority(priority)
        if options is not None and not isinstance(options, Options):
            raise TypeError("options must be an Options")
        self.options = (options.to_wire() if options is not None else {}) or UNSET
        self.has_custom: bool = options is not None and options.custom is not None
        self.test: bool = check_flag("test", test)
        self.is_realtime: bool = options is not None and options.realtime and not test
        self.placeholders: tuple[str, ...] = placeholders(body)

    def payload(
        self, recipients: WireRecipients, *, transaction: bool, reference: str | None = None
    ) -> bytes:
        """Return the body of the POST."""
        options = self.options
        if reference is not None:
            options = {**(options or {}), "custom": reference}
        return encode(
            NewMessage(
                sender=self.sender,
                body=self.body,
                recipients=recipients,
                test=self.test,
                transaction=transaction,
                priority=self.priority,
                options=options,
            )
        )


def check_flag(name: str, value: object) -> bool:
    """Refuse what is no bool: 0 and None would mean something on the wire."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False")
    return value


def check_reference(reference: str) -> str:
    """Refuse a reference that would not come back as it went."""
    if not isinstance(reference, str) or not reference or len(reference) > 200:  # noqa: PLR2004
        raise ValueError("a reference is 1 to 200 characters of text")
    if not reference.isprintable():
        raise ValueError("a reference holds no control characters")
    return reference


def check_sender(sender: str) -> str:
    """Refuse a sender that the gateway does not take."""
    if not isinstance(sender, str):
        raise TypeError("sender must be a str")
    return _checked_sender(sender)


@lru_cache(maxsize=64)
def _checked_sender(sender: str) -> str:
    if not sender.isprintable():
        raise ValueError("sender holds a control character")
    if foreign := not_gsm(sender):
        raise ValueError(
            f"sender holds {' '.join(foreign[:3])}, which no SMS sender can; write it without"
        )
    digits = sender.removeprefix("+")
    longest = 14 if digits.isascii() and digits.isdecimal() else 11
    if not 3 <= len(sender) <= longest:  # noqa: PLR2004 - the vendor's documentation
        raise ValueError(
            f"sender has {len(sender)} characters: 3 to 11 if it has letters, 3 to 14 if only digits"
        )
    return sender


def check_body(body: str) -> str:
    """Refuse a text that is none."""
    if not isinstance(body, str):
        raise TypeError("body must be a str")
    if not body:
        raise ValueError("body is empty")
    if not is_encodable(body):
        raise ValueError("body holds half of a surrogate pair")
    return body


def check_priority(priority: float | Decimal) -> float:
    """Refuse a priority below 1.00."""
    if isinstance(priority, bool) or not isinstance(priority, int | float | Decimal):
        raise TypeError("priority must be a number")
    try:
        value = float(priority)
    except (OverflowError, ValueError):
        value = math.nan
    if not math.isfinite(value) or value < 1.0:
        raise ValueError("priority is a number of at least 1.00")
    return value


def wire_recipients(
    recipients: str | Recipient | Iterable[RecipientLike],
    placeholders: Sequence[str] = (),
) -> WireRecipients:
    """Write recipients in the gateway's form, each number once, or say which one is wrong.

    Raises InvalidNumberError for a number, ValueError for a field that the text needs.
    """
    if type(recipients) is str and not placeholders:
        return normalize(recipients)
    if isinstance(recipients, str | Recipient):
        number, fields = coerce(recipients)
        _check_fields(placeholders, fields, 0)
        number = normalize(number)
        return number if fields is None else Addressee(number, fields)
    check_source(recipients)
    seen: set[int] = set()
    numbers: list[str] = []
    all_fields: list[dict[str, str]] = []
    plain = True
    for position, item in enumerate(recipients):
        number, fields = coerce(item)
        _check_fields(placeholders, fields, position)
        number = normalize(number)
        if (key := digits_key(number)) not in seen:
            seen.add(key)
            numbers.append(number)
            all_fields.append(fields or {})
            plain = plain and fields is None
    return numbers if plain else pack(numbers, all_fields)


def pack(numbers: Sequence[str], fields: Sequence[dict[str, str]]) -> WireRecipients:
    """Write recipients of whom at least one has fields: all of them become objects."""
    objects = list(map(Addressee, numbers, fields))
    # One object alone is the form that the vendor documents; a list of them is not.
    return objects[0] if len(objects) == 1 else objects


def _check_fields(placeholders: Sequence[str], fields: Fields | None, position: int) -> None:
    missing = missing_field(placeholders, fields or {}) if placeholders else None
    if missing is not None:
        raise ValueError(
            f"recipient {position} has no field {missing!r}, which the text uses as a placeholder"
        )
