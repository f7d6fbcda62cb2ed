"""What a response means: a yes, a no in the gateway's words, or nothing to rely on. No I/O."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

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

__all__ = ["Decoder", "decode", "judge", "refused"]

T = TypeVar("T")


T_co = TypeVar("T_co", covariant=True)


class Decoder(Protocol[T_co]):
    """Decodes a body; raises msgspec.DecodeError if it has another shape."""

    def decode(self, body: bytes, /) -> T_co: ...


_CODE_CLOSED = 212


# White space and byte order marks, which some servers put before the JSON.
_AROUND = b"\xef\xbb\xbf \t\r\n"


_refusal = msgspec.json.Decoder(Refusal)


def judge(
    reply: Reply,
    method: str,
    decoder: Decoder[Envelope[T]],
    accepts: Callable[[T], bool] | None,
) -> Envelope[T]:
    """Return the envelope of a yes; raises AttemptFailed for a no and for everything else.

    A response whose data `accepts` rejects belongs to another request and proves nothing.
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
                f"{method}: HTTP {reply.status} with a body in another form than documented, or "
                "about another message",
                status=reply.status,
            ),
        )
    return envelope


def decode(decoder: Decoder[T], body: bytes) -> T | None:
    """Decode a body, also after byte order marks or if encoded twice.

    Returns None if it has another shape.
    """
    try:
        return decoder.decode(body)
    # msgspec lets the last two through: bad UTF-8, and deep nesting, even in ignored fields.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    bare = body.strip(_AROUND)
    try:
        if bare[:1] == b'"':
            bare = msgspec.json.decode(bare, type=str).encode().strip(_AROUND)
        return None if bare is body else decoder.decode(bare)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
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


# A complete response with one of these is a no even from a proxy: it forwarded nothing.
_REFUSED_BY_STATUS = {401, 413, 429}


def refused(
    reply: Reply, request: str, hints: Mapping[tuple[int, int | None], str]
) -> AttemptFailed:
    """Return what a response other than 200 and 201 means.

    `request` names the request in the error's text. `hints` holds what the text adds for an HTTP
    status and an error code (None: any code).
    """
    status = reply.status
    refusal = decode(_refusal, reply.body)
    if refusal is not None and refusal.success:
        refusal = None
    code = None if refusal is None else refusal.error
    retry_after = parse_retry_after(reply.retry_after, now=time.time())
    kind = _REFUSALS.get(status)
    text = f"{request}: HTTP {status}" + ("" if code is None else f", error {code}")
    detail = None if refusal is None else refusal.text
    hint = hints.get((status, code), hints.get((status, None), "")).replace("{request}", request)
    if kind is not None and (refusal is not None or status in _REFUSED_BY_STATUS):
        if (status, code) == (422, _CODE_CLOSED):
            kind = TransactionClosedError
        outcome = {401: AttemptResult.REJECTED_401, 429: AttemptResult.REJECTED_429}.get(
            status, AttemptResult.REJECTED
        )
        error: GatewayError = kind(
            text + hint, status=status, code=code, retry_after=retry_after, detail=detail
        )
    else:
        outcome = AttemptResult.AMBIGUOUS
        error = (
            ServerError(text, status=status, code=code, retry_after=retry_after)
            if 500 <= status < 600  # noqa: PLR2004
            else UnexpectedResponseError(f"{text}, not in the gateway's words", status=status)
        )
    return AttemptFailed(outcome, error, retry_after=retry_after)


_HINTS: dict[tuple[int, int | None], str] = {
    (401, None): ": the token is not accepted here (expired, or made for the other environment)",
    (402, None): ": the credit is not enough",
    (
        403,
        None,
    ): ": the token lacks the scope {request}:.../messages; make a token with all four "
    "scopes, after enabling them at https://console.openapi.com if necessary",
    (404, None): ": there is no such message, or no such recipient on it",
    (406, None): ": the gateway knows no such id",
    (413, None): ": the request is too large",
    (
        422,
        _CODE_CLOSED,
    ): ": the message is closed: no recipients can be added and its date cannot change",
    (422, 221): ": too late, the message is sent or about to be sent",
    (429, None): ": too many requests",
}
