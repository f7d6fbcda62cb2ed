"""What the gateway POSTs to `options.callback_url`, as values, and whether it is news.

Whoever receives callbacks enters, users too. No I/O. Nothing in a callback is signed: until the
gateway itself was asked (`GatewayClient.confirm`), it is what somebody says.

The vendor's "Gateway SMS" page, schema Options, promises "a message summary as JSON each time the
message changes state", in the form field `callback_field` if there is one; no more. So a message,
a recipient's report, and either of them in the usual envelope are understood.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta, Raw, Struct

from .._delivery.state import DeliveryState, state_of
from .._messages.api import message_path
from ..errors import CallbackError
from ..models import RecipientReport, Statistics, parse_time

__all__ = ["MAX_BODY", "Callback", "parse_callback"]

MAX_BODY = 1024 * 1024
"""The most bytes of a callback: as much as the client reads of an answer about one message. A
summary has about 1 kB, but may name every invalid number of its message, up to 25 bytes each."""


Key = tuple[str, str | None, int | str | None]


_NOTHING = Raw(b"null")


_MULTIPART = "multipart/form-data"


_MOST_FIELDS = 100


# An envelope, a list of one, and both of them encoded twice.
_MOST_WRAPPINGS = 5


_PUNCTUATION = re.compile(r"[\s+().-]+")


_WHOLE = re.compile(r"[0-9]{1,9}", re.ASCII)


# Nothing in these two can be read in two ways: neither takes longer than its text is long.
_BOUNDARY = re.compile(
    r"""[;\s]boundary=(?:"([\w'()+,./:=? -]{1,70})"|([^\s;"]{1,70}))""", re.ASCII | re.IGNORECASE
)


_PART_NAME = re.compile(rb"""[; \t]name="([^"\r\n]*)\"""", re.IGNORECASE)


# What is kept of each callback is small, whatever was sent.
_Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


_Word = Annotated[str, Meta(min_length=1, max_length=64)]


class Callback(Struct, frozen=True, kw_only=True):
    """One change of state that the gateway told of, of a message or of one of its recipients.

    - `number`: the recipient, as the gateway writes it; None when it is about the whole message.
    - `state`: the gateway's own word or number, for a message as in `Message.state`; `delivery`
      is what it comes to for a recipient, None for a message.
    - `last_update`: when it changed, UTC, None when that was not said; `statistics` likewise.
    - `reference`: what the address that it came to was made with, None when it was not signed.
    """

    message_id: str
    number: str | None = None
    state: int | str | None = None
    delivery: DeliveryState | None = None
    statistics: Statistics | None = None
    last_update: datetime | None = None
    reference: str | None = None

    @property
    def key(self) -> Key:
        """Message, recipient's digits, state: the same for repeats, whatever else differs.

        For a recipient the state is `delivery.value`, for a message `state`. It holds a number.
        """
        if self.delivery is None:
            return self.message_id, self.recipient, self.state
        return self.message_id, self.recipient, self.delivery.value

    @property
    def recipient(self) -> str | None:
        """The digits of `number`, which the gateway may write in several ways."""
        if self.number is None:
            return None
        return _PUNCTUATION.sub("", self.number) or self.number

    def __repr__(self) -> str:
        about = "message" if self.number is None else "recipient"
        return (
            f"Callback(message_id={self.message_id!r}, about={about!r}, state={self.state!r}, "
            f"delivery={self.delivery})"
        )


def parse_callback(body: bytes, content_type: str | None, field: str | None = None) -> Callback:
    """Read the body of a callback.

    `content_type` is the header of that name, None when there was none; `field` is the
    `callback_field` that the message was sent with, None when it had none. JSON that comes bare
    although a field was asked for, or under the content type of a form, is understood too. Raises
    CallbackError for everything that is no callback, and nothing else.
    """
    if not isinstance(body, bytes):
        raise TypeError("body must be bytes")
    if len(body) > MAX_BODY:
        raise CallbackError(f"a callback of more than {MAX_BODY} bytes")
    content_type = content_type or ""
    try:
        return _callback(_document(body, content_type, field))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    # Raised out here: those errors quote what was sent.
    hint = ": it is a form, so name the field" if field is None and _is_form(content_type) else ""
    raise CallbackError(f"the body is no callback of the gateway{hint}")


def _is_form(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind in {_MULTIPART, "application/x-www-form-urlencoded"}


def _document(body: bytes, content_type: str, field: str | None) -> bytes:
    """Return the JSON of the callback, wherever it is."""
    bare = body.removeprefix(b"\xef\xbb\xbf").strip()
    if field is None or bare[:1] in {b"{", b"[", b'"'}:
        return bare
    if content_type.lower().startswith(_MULTIPART):
        return _only(_in_parts(body, content_type, field))
    pairs = parse_qsl(
        bare.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
    )
    return _only([value.encode() for name, value in pairs if name == field])


def _in_parts(body: bytes, content_type: str, field: str) -> list[bytes]:
    """Return what has this name in a multipart form (RFC 7578)."""
    if (boundary := _BOUNDARY.search(content_type)) is None:
        return []
    between = f"\r\n--{boundary[1] or boundary[2]}".encode()
    found: list[bytes] = []
    for part in (b"\r\n" + body).split(between, _MOST_FIELDS)[1:]:
        if part.startswith(b"--"):
            break
        head, _, content = part.partition(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-disposition:"):
                name = _PART_NAME.search(line)
                if name is not None and name[1] == field.encode():
                    found.append(content)
    return found


def _only(values: list[bytes]) -> bytes:
    [value] = values
    return value.strip()


class _Document(Struct, frozen=True):
    """What tells a message from a recipient and from the envelope; the rest when it is known."""

    id: str | None = None
    message_id: str | None = None
    number: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    state: _Whole | _Word | None = None
    statistics: Raw = _NOTHING
    last_update: Raw = _NOTHING
    data: Raw = _NOTHING


_read_document = msgspec.json.Decoder(_Document).decode


_read_text = msgspec.json.Decoder(str).decode


_read_list = msgspec.json.Decoder(tuple[Raw]).decode


_read_report = msgspec.json.Decoder(RecipientReport).decode


def _callback(json: bytes) -> Callback:
    """Take off what it is wrapped in, and read it; ValueError and others when it is none."""
    for _ in range(_MOST_WRAPPINGS):
        if json.startswith(b'"'):
            json = _read_text(json).encode().strip()
        elif json.startswith(b"["):
            json = bytes(_read_list(json)[0])
        else:
            document = _read_document(json)
            if document.id is not None or document.message_id is not None:
                if document.number is None:
                    return _of_message(document)
                return _of_recipient(document, json)
            json = bytes(document.data)
    raise ValueError("wrapped too often")


def _of_message(document: _Document) -> Callback:
    return Callback(
        message_id=_checked_id(document.message_id or document.id),
        state=_state(document.state),
        statistics=_statistics(document.statistics),
        last_update=parse_time(document.last_update),
    )


def _of_recipient(document: _Document, json: bytes) -> Callback:
    report = _read_report(json)
    return Callback(
        # Without it nobody knows which message: the `id` of a recipient is its own.
        message_id=_checked_id(document.message_id),
        number=document.number,
        state=_state(document.state),
        delivery=state_of(report),
        last_update=report.timestamp_delivery
        or report.timestamp_sent
        or parse_time(document.last_update),
    )


def _checked_id(message_id: str | None) -> str:
    if message_id is None:
        raise ValueError("a recipient of no message")
    message_path(message_id)
    return message_id


def _state(state: int | str | None) -> int | str | None:
    """Numbers come as text too, and those of a message are compared."""
    return int(state) if isinstance(state, str) and _WHOLE.fullmatch(state) else state


def _statistics(wire: Raw) -> Statistics | None:
    try:
        return msgspec.json.decode(wire, type=Statistics | None)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
