"""The operation of a request, and the record of it that tests read.

The server writes records; fault plans and tests read them. Tokens are never recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from .responses import is_object

METHODS: Final = frozenset({"GET", "POST", "PUT", "DELETE", "PATCH"})

OPERATIONS: Final = frozenset(
    {"list", "get", "recipients", "recipient", "send", "open", "append", "close", "delete"},
)

OAUTH_PREFIX: Final = "/oauth"

OAUTH_OPERATIONS: Final = frozenset(
    {
        "create_token",
        "get_token",
        "refresh_token",
        "delete_token",
        "list_scopes",
        "get_wallet",
    }
)

_READS: Final = ("list", "get", "recipients", "recipient")
_SLASH_AT_THE_END: Final = (True, False, True, False)


@dataclass(slots=True, kw_only=True)
class RecordedRequest:
    """One request as it arrived, and its result.

    - `method`: the HTTP method.
    - `path`: decoded; in a path of the OAuth service, "..." replaces the token.
    - `operation`: list, get, recipients, recipient, send, open, append, close, delete or unknown;
      for the OAuth service create_token, get_token, refresh_token, delete_token, list_scopes or
      get_wallet.
    - `body`: the parsed JSON, None if there is none.
    - `headers`: with lower-case names and without `authorization`.
    - `at`: the event loop's time, in seconds, at the last byte of the body.
    - `connection`: the number of the connection, from 1.
    - `applied`: whether the gateway has applied the request.
    - `status`: the HTTP status of the response, None if there was none.
    """

    method: str
    path: str
    operation: str
    body: Any
    headers: dict[str, str]
    at: float
    connection: int
    applied: bool = False
    status: int | None = None


class Target(NamedTuple):
    """The operation of a request; `message_id` and `number` are empty if it has none."""

    operation: str
    message_id: str
    number: str


UNKNOWN: Final = Target("unknown", "", "")


def read_target(method: str, path: str, body: Any, *, strict_slashes: bool) -> Target:
    """Return the target of a request, `UNKNOWN` if no operation has this form."""
    pieces = path.strip("/").split("/")
    depth = len(pieces) - 1
    if (
        pieces[0] != "messages"
        or depth >= len(_READS)
        or (depth > 1 and pieces[2] != "recipients")
        or (strict_slashes and path.endswith("/") is not _SLASH_AT_THE_END[depth])
    ):
        return UNKNOWN
    message_id = pieces[1] if depth else ""
    if method == "GET":
        return Target(_READS[depth], message_id, pieces[3] if depth == len(_READS) - 1 else "")
    transaction = body.get("transaction") if is_object(body) else None
    match method, depth:
        case "POST", 0:
            return Target("open" if transaction is True else "send", "", "")
        case "PUT", 0 | 1:
            return Target("close" if transaction is False else "append", message_id, "")
        case "DELETE", 0 | 1:
            return Target("delete", message_id, "")
        case _:
            return UNKNOWN
