"""The gateway api, one request a method: bytes out, types in."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from .._http.endpoint import LIST_CAP, Endpoint
from .._http.retry import Operation
from ..models import Envelope, Message, MessageSummary, RecipientReport

# One message comes as an object or in a list of exactly one, depending on the call.
_ONE = msgspec.json.Decoder(Envelope[tuple[Message] | Message])


_REPORTS = msgspec.json.Decoder(Envelope[list[RecipientReport]])


_LIST = Endpoint(
    "GET", Operation.READ, msgspec.json.Decoder(Envelope[list[MessageSummary]]), LIST_CAP
)


_GET = Endpoint("GET", Operation.READ, _ONE)


_SEND = Endpoint("POST", Operation.SEND, _ONE)


_OPEN = Endpoint("POST", Operation.OPEN, _ONE)


_PUT = {
    True: Endpoint("PUT", Operation.APPEND, _ONE),
    False: Endpoint("PUT", Operation.CLOSE, _ONE),
    None: Endpoint("PUT", Operation.UPDATE, _ONE),
}


_DELETE = Endpoint("DELETE", Operation.DELETE, msgspec.json.Decoder(Envelope[Any]))


_RECIPIENTS = Endpoint("GET", Operation.READ, _REPORTS, LIST_CAP)


_RECIPIENT = Endpoint("GET", Operation.READ, _REPORTS)


_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def _one(data: tuple[Message] | Message) -> Message:
    return data if isinstance(data, Message) else data[0]


def _about(message_id: str) -> Callable[[tuple[Message] | Message], bool]:
    """Tell answers about this message from answers that a confused proxy mixed up."""
    return lambda data: _one(data).id == message_id


def message_path(message_id: str) -> str:
    """Return the path of a message; ValueError for what is not an id."""
    if not isinstance(message_id, str) or not _ID.fullmatch(message_id):
        raise ValueError("a message id is 1 to 64 letters, digits, '-' or '_'")
    return f"/messages/{message_id}"
