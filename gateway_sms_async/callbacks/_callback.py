"""Parses the body of a callback. No I/O.

Nothing in a callback is signed: it may be forged until the gateway confirms it
(`GatewayClient.confirm`).

The vendor's "Gateway SMS" page, schema Options, only promises "a message summary as JSON each time
the message changes state", in the form field `callback_field` if there is one. So a message, a
recipient's report, and either of them in the usual envelope are accepted.
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
"""The most bytes of a callback, the same limit as for a response about one message. A summary is
about 1 kB, but may name every invalid number of its message, up to 25 bytes each."""

Key = tuple[str, str | None, int | str | None]
_NOTHING = Raw(b"null")
_MULTIPART = "multipart/form-data"
_MOST_FIELDS = 100

# An envelope, a list of one, and both of them encoded twice.
_MOST_WRAPPINGS = 5
_PUNCTUATION = re.compile(r"[\s+().-]+")
_WHOLE = re.compile(r"[0-9]{1,9}", re.ASCII)

# White space, and byte order marks: a program in PHP sends one for each of its files that has one.
_AROUND = b"\xef\xbb\xbf \t\r\n"

# The encodings of forms besides UTF-8. Others are read as far as they are ASCII.
_CODECS = {
    "iso-8859-1": "latin-1",
    "latin1": "latin-1",
    "iso-8859-15": "iso8859-15",
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
}

_CHARSET = re.compile(r"""[;\s]charset="?([\w.:-]{1,40})""", re.ASCII | re.IGNORECASE)

# Both patterns are unambiguous, so matching takes linear time.
_BOUNDARY = re.compile(
    r"""[;\s]boundary=(?:"([\w'()+,./:=? -]{1,70})"|([^\s;"]{1,70}))""", re.ASCII | re.IGNORECASE
)

_PART_NAME = re.compile(rb"""[; \t]name="([^"\r\n]*)\"""", re.IGNORECASE)

# Limits what is kept of a callback, whatever was sent.
_Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Word = Annotated[str, Meta(min_length=1, max_length=64)]


class Callback(Struct, frozen=True, kw_only=True):
    """A change of state that the gateway reports, of a message or of one recipient.

    - `message_id`: the message.
    - `number`: the recipient, as the gateway writes it; None if it is about the whole message.
    - `state`: the gateway's own word or number; for a message as in `Message.state`.
    - `delivery`: the delivery state of the recipient, None for a message.
    - `statistics`: those of the message, None if the callback has none.
    - `last_update`: when the state changed, UTC; None if the callback does not say.
    - `reference`: the reference in the signed URL, None if the URL was not signed.
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
        """The message, the recipient's digits, and the state: equal for repeated callbacks.

        The state is `delivery.value` for a recipient and `state` for a message. The key contains
        a phone number.
        """
        if self.delivery is None:
            return self.message_id, self.recipient, self.state
        return self.message_id, self.recipient, self.delivery.value

    @property
    def recipient(self) -> str | None:
        """The digits of `number`, which the gateway writes in several ways; None for a message."""
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
    """Parse the body of a callback.

    - `content_type`: the Content-Type header, None if there is none.
    - `field`: the `callback_field` that the message was sent with, None if it had none.

    Bare JSON is accepted even if a field was requested, or the content type is that of a form. The
    charset of the content type counts; text in an encoding that it does not name is no reason to
    refuse a callback, because its id is ASCII. Raises CallbackError if the body is not a callback.
    """
    if not isinstance(body, bytes):
        raise TypeError("body must be bytes")
    if len(body) > MAX_BODY:
        raise CallbackError(f"the body is larger than {MAX_BODY} bytes")
    content_type = content_type or ""
    try:
        return _callback(_document(body, content_type, field))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    # Raised outside the handler: the original errors quote the body.
    hint = ": it is a form, so pass the field" if field is None and _is_form(content_type) else ""
    raise CallbackError(f"the body is not a callback of the gateway{hint}")


def _is_form(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind in {_MULTIPART, "application/x-www-form-urlencoded"}


def _document(body: bytes, content_type: str, field: str | None) -> bytes:
    """Return the JSON of the callback, from the form field if there is one."""
    codec = _codec(content_type)
    bare = body.strip(_AROUND)
    if field is None or bare[:1] in {b"{", b"[", b'"'}:
        return _to_utf8(bare, codec)
    if content_type.lower().startswith(_MULTIPART):
        values = _in_parts(body, content_type, field)
    else:
        values = _in_pairs(bare, codec, field)
    [value] = values
    return value.strip(_AROUND)


def _codec(content_type: str) -> str | None:
    """Return Python's name of the charset in a content type; None if it is UTF-8 or not known."""
    charset = _CHARSET.search(content_type)
    return None if charset is None else _CODECS.get(charset[1].lower())


def _to_utf8(text: bytes, codec: str | None) -> bytes:
    if text.isascii():
        return text
    try:
        return text.decode(codec or "utf-8").encode()
    except UnicodeDecodeError:
        # Every byte is a character of this encoding, and what counts is ASCII.
        return text.decode("latin-1").encode()


def _in_pairs(body: bytes, codec: str | None, field: str) -> list[bytes]:
    """Return the values of a field in an urlencoded form."""
    # In latin-1 each character is one byte, so this only takes the form apart.
    pairs = parse_qsl(
        body.decode("latin-1"),
        keep_blank_values=True,
        encoding="latin-1",
        max_num_fields=_MOST_FIELDS,
    )
    wanted = field.encode()
    return [
        _to_utf8(value.encode("latin-1"), codec)
        for name, value in pairs
        if _to_utf8(name.encode("latin-1"), codec) == wanted
    ]


def _in_parts(body: bytes, content_type: str, field: str) -> list[bytes]:
    """Return the values of a field in a multipart form (RFC 7578)."""
    if (boundary := _BOUNDARY.search(content_type)) is None:
        return []
    between = f"\r\n--{boundary[1] or boundary[2]}".encode()
    found: list[bytes] = []
    for part in (b"\r\n" + body).split(between, _MOST_FIELDS)[1:]:
        if part.startswith(b"--"):
            break
        head, _, content = part.partition(b"\r\n\r\n")
        name, codec = b"", _codec(content_type)
        for line in head.split(b"\r\n"):
            key, _, value = line.partition(b":")
            if key.lower() == b"content-disposition" and (named := _PART_NAME.search(line)):
                name = named[1]
            elif key.lower() == b"content-type":
                codec = _codec(value.decode("latin-1")) or codec
        if name and _to_utf8(name, codec) == field.encode():
            found.append(_to_utf8(content, codec))
    return found


class _Document(Struct, frozen=True):
    """The keys that distinguish a message, a recipient and an envelope; the rest is decoded later."""

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
    """Unwrap and decode a callback; raises ValueError or a msgspec error if it is not one."""
    for _ in range(_MOST_WRAPPINGS):
        if json.startswith(b'"'):
            json = _read_text(json).encode().strip(_AROUND)
        elif json.startswith(b"["):
            json = bytes(_read_list(json)[0])
        else:
            document = _read_document(json)
            if document.id is not None or document.message_id is not None:
                if document.number is None:
                    return _of_message(document)
                return _of_recipient(document, json)
            json = bytes(document.data)
    raise ValueError("wrapped too many times")


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
        # Required: the `id` of a recipient does not identify its message.
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
        raise ValueError("a recipient without its message")
    message_path(message_id)
    return message_id


def _state(state: int | str | None) -> int | str | None:
    """Return a number that was sent as text as an int: states of messages are compared."""
    return int(state) if isinstance(state, str) and _WHOLE.fullmatch(state) else state


def _statistics(wire: Raw) -> Statistics | None:
    try:
        return msgspec.json.decode(wire, type=Statistics | None)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
