"""The gateway's responses: an envelope with a status, or a refusal that becomes one.

Codes marked "own" are not in the vendor's documentation; the simulator needs some number there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeGuard

JSON = dict[str, Any]
NO_CREDIT: Final = 201
INVALID_ID: Final = 202
NOT_FOUND: Final = 203
PUT_INVALID_ID: Final = 210
PUT_NOT_FOUND: Final = 211
ALREADY_CLOSED: Final = 212
DELETE_NO_ID: Final = 217
DELETE_INVALID_ID: Final = 218
DELETE_NOT_FOUND: Final = 219
ALREADY_SCHEDULED: Final = 221
NOT_JSON: Final = 300  # own
MISSING_SENDER: Final = 301  # own
MISSING_BODY: Final = 302
MISSING_RECIPIENTS: Final = 303  # own
INVALID_PARAMETER: Final = 304  # own
TOO_MANY_REALTIME: Final = 305  # own
MISSING_FIELD: Final = 306  # own
EMPTY_CLOSE: Final = 307  # own
TOO_MANY_RECIPIENTS: Final = 308  # own
UNAUTHORIZED: Final = 401  # own
FORBIDDEN: Final = 403  # own
UNKNOWN_PATH: Final = 404  # own
WRONG_METHOD: Final = 405  # own


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP status and the envelope `{data, success, message, credit, error}` as a dict."""

    status: int
    body: JSON


class RefusedError(Exception):
    """The gateway refuses the request and has changed nothing."""

    def __init__(self, status: int, error: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.message = message

    def response(self) -> Response:
        """Return the failure envelope; like the vendor's, it has no `credit`."""
        return failure(self.status, self.error, self.message)


def is_object(value: object) -> TypeGuard[JSON]:
    """Whether a decoded JSON value is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether a decoded JSON value is a list."""
    return isinstance(value, list)


def failure(status: int, error: int, message: str) -> Response:
    """Return a refusal with the gateway's own `error` code."""
    envelope = {"success": False, "message": message, "error": error, "data": None}
    return Response(status, envelope)


def invalid(message: str) -> RefusedError:
    """Return the refusal of a parameter with an unusable value."""
    return RefusedError(422, INVALID_PARAMETER, message)
