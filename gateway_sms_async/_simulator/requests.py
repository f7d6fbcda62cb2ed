"""The operation of a request, and the record of it that tests read.

The server writes records; fault plans and tests read them. Tokens are never recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import msgspec

from .responses import is_object

_decode = msgspec.json.Decoder().decode

METHODS: Final = frozenset({"GET", "POST", "PUT", "DELETE", "PATCH"})
"""The methods that the documentation names."""

OPERATIONS: Final = frozenset(
    {"list", "get", "recipients", "recipient", "send", "open", "append", "close", "delete"},
)

OAUTH_PREFIX: Final = "/oauth"

OAUTH_OPERATIONS: Final = frozenset(
    {
        "create_token",
        "get_token",
        "list_tokens",
        "refresh_token",
        "update_token",
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
      for the OAuth service create_token, get_token, list_tokens, refresh_token, update_token,
      delete_token, list_scopes or get_wallet. A HEAD has the operation of the GET.
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


class OAuthTarget(NamedTuple):
    """The operation of a request to the OAuth service; `token` is empty if its path has none."""

    version: Literal[1, 2]
    operation: str
    token: str


class OAuthRequest(NamedTuple):
    """One request to the OAuth service; a HEAD has the method GET."""

    target: OAuthTarget
    method: str
    query: Mapping[str, str]
    authorization: str
    body: object


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


# Method, first name of the path, and whether a token follows it. `/token` and `/credit` are of
# version 1, which also has a method for each change of several tokens: it always refuses that.
_OAUTH_CALLS: Final[dict[tuple[str, str, bool], tuple[Literal[1, 2], str]]] = {
    ("POST", "tokens", False): (2, "create_token"),
    ("GET", "tokens", False): (2, "list_tokens"),
    ("GET", "tokens", True): (2, "get_token"),
    ("PATCH", "tokens", False): (2, "refresh_token"),
    ("PATCH", "tokens", True): (2, "refresh_token"),
    ("DELETE", "tokens", False): (2, "delete_token"),
    ("DELETE", "tokens", True): (2, "delete_token"),
    ("GET", "scopes", False): (2, "list_scopes"),
    ("GET", "wallet", False): (2, "get_wallet"),
    ("POST", "token", False): (1, "create_token"),
    ("GET", "token", False): (1, "list_tokens"),
    ("GET", "token", True): (1, "get_token"),
    ("PUT", "token", False): (1, "update_token"),
    ("PUT", "token", True): (1, "update_token"),
    ("PATCH", "token", False): (1, "update_token"),
    ("PATCH", "token", True): (1, "update_token"),
    ("DELETE", "token", False): (1, "delete_token"),
    ("DELETE", "token", True): (1, "delete_token"),
    ("GET", "credit", False): (1, "get_wallet"),
}


def read_oauth_target(method: str, path: str) -> OAuthTarget:
    """Return the target of a path under the OAuth service's prefix.

    Its operation is "unknown" if no operation has this form.
    """
    name, *rest = path.removeprefix(OAUTH_PREFIX).strip("/").split("/")
    call = _OAUTH_CALLS.get((method, name, bool(rest))) if len(rest) <= 1 else None
    return OAuthTarget(*(call or (2, "unknown")), rest[0] if rest else "")


def read_body(raw: bytes) -> Any:
    """Return the parsed JSON of a body, None if it is empty or no JSON."""
    try:
        return _decode(raw) if raw else None
    except msgspec.DecodeError:
        return None
