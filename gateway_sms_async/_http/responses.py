"""What an answer means: a yes, a no in the gateway's words, or nothing to rely on.

The session enters, and `oauth` for what is no yes. No I/O.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from ..errors import (
    APIError,
    AuthenticationError,
    GatewayError,
    InsufficientCreditError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
    ServerError,
    TransactionClosedError,
    UnexpectedResponseError,
)
from ..models import Envelope, Refusal
from .retry import AttemptFailed, AttemptResult, parse_retry_after
from .transport import Reply

__all__ = ["decode", "judge", "refused"]

T = TypeVar("T")


_CODE_CLOSED = 212


_refusal = msgspec.json.Decoder(Refusal)


def judge(
    reply: Reply,
    method: str,
    decoder: msgspec.json.Decoder[Envelope[T]],
    accepts: Callable[[T], bool] | None,
) -> Envelope[T]:
    """Return the envelope of a yes; raise AttemptFailed for a no and for everything else.

    An answer whose data `accepts` turns down is none: it belongs to something else.
    """
    if reply.status not in {200, 201}:
        raise refused(reply, method, _HINTS)
    envelope = decode(decoder, reply.body)
    if (
        envelope is None
        or not envelope.success
        or (accepts is not None and not accepts(envelope.data))
    ):
        raise AttemptFailed(
            AttemptResult.AMBIGUOUS,
            UnexpectedResponseError(
                f"{method}: HTTP {reply.status} with a body that is not the documented one",
                status=reply.status,
            ),
        )
    return envelope


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T | None:
    """Read a body, also when it was encoded twice; None when it is not what was expected."""
    try:
        if body[:1] == b'"':
            return decoder.decode(msgspec.json.decode(body, type=str))
        return decoder.decode(body)
    # The last two escape msgspec's own errors: bad UTF-8, and nesting, even in ignored fields.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


_REFUSALS: dict[int, type[APIError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    402: InsufficientCreditError,
    403: AuthenticationError,
    404: NotFoundError,
    406: InvalidRequestError,
    413: InvalidRequestError,
    422: InvalidRequestError,
    429: RateLimitError,
}


# A complete answer with one of these is a no even from a proxy, which then passed nothing on.
_REFUSED_BY_STATUS = {401, 413, 429}


def refused(reply: Reply, asked: str, hints: Mapping[tuple[int, int | None], str]) -> AttemptFailed:
    """Say what an answer other than 200 and 201 means.

    `asked` names the request; `hints` are words for an HTTP status and an error code (None: any).
    """
    status = reply.status
    refusal = decode(_refusal, reply.body)
    if refusal is not None and refusal.success:
        refusal = None
    code = None if refusal is None else refusal.error
    retry_after = parse_retry_after(reply.retry_after, now=time.time())
    kind = _REFUSALS.get(status)
    said = f"{asked}: HTTP {status}" + ("" if code is None else f", error {code}")
    detail = refusal.message if refusal is not None and isinstance(refusal.message, str) else None
    hint = hints.get((status, code), hints.get((status, None), "")).replace("{asked}", asked)
    if kind is not None and (refusal is not None or status in _REFUSED_BY_STATUS):
        if (status, code) == (422, _CODE_CLOSED):
            kind = TransactionClosedError
        outcome = {401: AttemptResult.REJECTED_401, 429: AttemptResult.REJECTED_429}.get(
            status, AttemptResult.REJECTED
        )
        error: GatewayError = kind(
            said + hint, status=status, code=code, retry_after=retry_after, detail=detail
        )
    else:
        outcome = AttemptResult.AMBIGUOUS
        error = (
            ServerError(said, status=status, code=code, retry_after=retry_after)
            if 500 <= status < 600  # noqa: PLR2004
            else UnexpectedResponseError(f"{said}, not in the gateway's words", status=status)
        )
    return AttemptFailed(outcome, error, retry_after=retry_after)


_HINTS: dict[tuple[int, int | None], str] = {
    (401, None): ": the token is not accepted here (expired, or made for the other environment)",
    (402, None): ": the credit is not enough",
    (
        403,
        None,
    ): ": the token lacks the scope {asked}:.../messages; make one that has all four, and "
    "enable it at https://console.openapi.com if need be",
    (404, None): ": there is no such message, or no such recipient on it",
    (406, None): ": the gateway knows no such id",
    (413, None): ": the request is too large",
    (422, _CODE_CLOSED): ": the message is closed: it takes no more recipients, and its day stands",
    (422, 221): ": the message is sent or about to be, it is too late",
    (429, None): ": too many requests",
}
