"""The text and options of a message, checked and encoded as bodies of requests.

Wrong values are refused here, before any request. Recipients are checked elsewhere.

The vendor's documentation of the fields: its "Gateway SMS" OpenAPI page, schemas PostBodyMessage,
PutBodyMessage, Options.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Struct, UnsetType

from .._arguments import check_flag
from .._recipients.wire import WireRecipients
from .._template import PLACEHOLDER, canonical, is_visible, placeholders, unfilled
from .._text import is_encodable, not_gsm

__all__ = [
    "Draft",
    "MessageUpdate",
    "Options",
    "OptionsPatch",
    "check_day",
    "check_reference",
    "encode",
    "wire_date",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of a message to send.

    ```python
    from datetime import date

    options = Options(timestamp_send=date(2099, 12, 24), custom="order-4711")
    await gateway.messages.send(
        sender="ACME", body="Buon Natale", recipients=recipients, options=options
    )
    ```

    - `flash`: show it as a pop-up on the phone.
    - `realtime`: an OTP, sent before all queued messages. The gateway accepts one per minute.
    - `timestamp_send`: the day to send on; None sends now. The gateway knows days, not hours. A day
      that has passed is refused when a message is sent with these options.
    - `custom`: any JSON value, for your own use. `messages.send` keeps its reference there if this
      is None.
    - `callback_url`: an http(s) address that receives a summary of the message each time its state
      changes.
    - `callback_field`: the form field that holds the summary; None sends it as a JSON body.

    Raises ValueError or TypeError for a value that the gateway would not accept.
    """

    flash: bool = False
    realtime: bool = False
    timestamp_send: date | None = None
    custom: object = None
    callback_url: str | None = None
    callback_field: str | None = None

    def __repr__(self) -> str:
        # Without `custom` and the address, which may hold personal data of the caller.
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
                raise ValueError("callback_url must be an http:// or https:// address")
        elif self.callback_field is not None:
            raise ValueError("callback_field needs callback_url")

    @classmethod
    def from_wire(cls, wire: Mapping[str, object]) -> Self:
        """Return the options that `to_wire` wrote."""
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
    """Return a day in the gateway's form, `2018-05-20`; raises TypeError for a datetime."""
    # Static types do not exclude a datetime, because it is a subclass of date.
    if isinstance(day, datetime):
        raise TypeError(
            "timestamp_send must be a date: the gateway would drop the hour of a datetime"
        )
    if not isinstance(day, date):
        raise TypeError("timestamp_send must be a date")
    return day.isoformat()


def check_day(day: date) -> str:
    """Return a day to send on in the gateway's form; raises ValueError if it has passed.

    The gateway would send at once. One day is allowed for time zones.
    """
    written = wire_date(day)
    if day < datetime.now(UTC).date() - timedelta(days=1):
        raise ValueError(
            f"timestamp_send: the day {written} has passed, so the gateway would send at once; give "
            "a day to come, or none to send now"
        )
    return written


class OptionsPatch(Struct, frozen=True):
    """The only option that can change after the first request."""

    timestamp_send: str


class NewMessage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a POST. `recipients` is one string or object, or a list of them."""

    sender: str
    body: str
    recipients: WireRecipients
    test: bool = False
    transaction: bool = False
    priority: float | UnsetType = UNSET
    options: dict[str, Any] | UnsetType = UNSET


class MessageUpdate(Struct, frozen=True, kw_only=True):
    """The body of a PUT. An UNSET field is left out, which does not mean the same as false."""

    recipients: WireRecipients
    transaction: bool | UnsetType = UNSET
    options: OptionsPatch | UnsetType = UNSET


_encoder = msgspec.json.Encoder()


def encode(body: NewMessage | MessageUpdate) -> bytes:
    """Encode the body of a request; raises ValueError for text that is not valid Unicode."""
    try:
        return _encoder.encode(body)
    except UnicodeEncodeError:
        pass
    # Raised outside of the except block: the UnicodeEncodeError contains the text, so it must not
    # be the __context__ of this error.
    raise ValueError("a text contains half of a surrogate pair")


class Draft:
    """The content of a message, checked once. Recipients are added for each request.

    `resumed`: it is that of a campaign that has begun, which was checked by the rules of that day.
    """

    def __init__(
        self,
        *,
        sender: str,
        body: str,
        priority: float | Decimal | None = None,
        options: Options | None = None,
        test: bool = False,
        resumed: bool = False,
    ) -> None:
        self.sender: str = sender if resumed else check_sender(sender)
        self.body: str = body if resumed else canonical(check_body(body))
        self.priority = UNSET if priority is None else check_priority(priority)
        if options is not None and not isinstance(options, Options):
            raise TypeError("options must be an Options")
        if options is not None and options.timestamp_send is not None and not resumed:
            check_day(options.timestamp_send)
        self.options = (options.to_wire() if options is not None else {}) or UNSET
        self.custom: object = None if options is None else options.custom
        self.has_custom: bool = self.custom is not None
        self.test: bool = check_flag("test", test)
        self.is_realtime: bool = options is not None and options.realtime and not test
        self.placeholders: tuple[str, ...] = placeholders(self.body)

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


def check_reference(reference: str) -> str:
    """Return the reference; raises ValueError if the gateway might not return it unchanged."""
    if not isinstance(reference, str) or not reference or len(reference) > 200:  # noqa: PLR2004
        raise ValueError("reference must be 1 to 200 characters of text")
    if not reference.isprintable():
        raise ValueError("reference contains a control character")
    return reference


def check_sender(sender: str) -> str:
    """Return the sender; raises ValueError if the gateway does not accept it."""
    if not isinstance(sender, str):
        raise TypeError("sender must be a str")
    return _checked_sender(sender)


@lru_cache(maxsize=64)
def _checked_sender(sender: str) -> str:
    if not sender.isprintable():
        raise ValueError("sender contains a control character")
    if foreign := not_gsm(sender):
        raise ValueError(
            f"sender contains {' '.join(foreign[:3])}, which an SMS sender cannot; leave it out"
        )
    if sender != sender.strip():
        raise ValueError("sender has a blank at its beginning or end: remove it")
    if not any(map(str.isalnum, sender)):
        raise ValueError("sender has no letter and no digit: give a name or a number")
    if PLACEHOLDER.search(sender) or unfilled(sender):
        raise ValueError("sender has a placeholder, which no gateway fills: write the name itself")
    digits = sender.removeprefix("+")
    longest = 14 if digits.isascii() and digits.isdecimal() else 11
    if not 3 <= len(sender) <= longest:  # noqa: PLR2004 - the vendor's documentation
        raise ValueError(
            f"sender has {len(sender)} characters: use 3 to 11 with letters, or 3 to 14 digits"
        )
    return sender


def check_body(body: str) -> str:
    """Return the text; raises ValueError if it cannot be sent, or if nobody would send it."""
    if not isinstance(body, str):
        raise TypeError("body must be a str")
    if not body:
        raise ValueError("body is empty")
    if not is_encodable(body):
        raise ValueError("body contains half of a surrogate pair")
    if not is_visible(body):
        raise ValueError("body has nothing that a phone can show: give a text")
    if left := unfilled(body):
        raise ValueError(
            f"body has {left}, which would go out as written: write a placeholder as {{{{name}}}}, or "
            "put what is meant as written in a field"
        )
    return body


def check_priority(priority: float | Decimal) -> float:
    """Return the priority as a float; raises ValueError if it is below 1.00."""
    if isinstance(priority, bool) or not isinstance(priority, int | float | Decimal):
        raise TypeError("priority must be a number")
    try:
        value = float(priority)
    except (OverflowError, ValueError):
        value = math.nan
    if not math.isfinite(value) or value < 1.0:
        raise ValueError("priority must be at least 1.00")
    return value
