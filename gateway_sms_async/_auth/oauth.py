"""The vendor's OAuth service: tokens are made, renewed, looked at and deleted there.

Token sources and the commands on the account enter. A call opens a connection of its own, for
there is hardly one in a day, and is repeated as the retry policy allows: a token that was made
twice harms nobody. The token stands in the path of some calls, so no path is ever shown.
(the vendor's "OAuth" page, version 2: `/tokens`, `/scopes`, `/wallet`)
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar, cast
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from .._http.responses import decode, refused
from .._http.retry import AttemptFailed, AttemptResult, backoff_delay, repeating
from .._http.tokens import check_token
from .._http.transport import Reply, Transport, TransportFault
from ..errors import (
    APIError,
    AuthenticationError,
    GatewayError,
    InvalidRequestError,
    UnexpectedResponseError,
)
from ..models import parse_money, parse_time
from .account import CONSOLE, Account, ConnectionSettings, Token, missing_scopes

__all__ = ["OAuth"]

T = TypeVar("T")


_NOTHING = Raw(b"null")


_DAY = 24 * 60 * 60.0


_LEAST_TIME = 1.0


_LEAST_HOLD = 0.5


_CAP = 4 * 1024 * 1024


_NOT_ENABLED = {90, 110}
"""The error codes of "Invalid scopes specified or API not enabled"."""


class _Detail(Struct, frozen=True, rename="camel"):
    token: str
    refresh_token: str | None = None
    scopes: tuple[str, ...] | None = None
    created_at: Raw = _NOTHING
    updated_at: Raw = _NOTHING
    expire_at: Raw = _NOTHING


class _Scope(Struct, frozen=True):
    scope: str
    enabled: bool = True


class _Wallet(Struct, frozen=True):
    credit: Raw = _NOTHING


class _InData(Struct, frozen=True):
    data: _Detail | list[_Detail]


class _Scopes(Struct, frozen=True):
    data: list[_Scope]


class _InWallet(Struct, frozen=True):
    data: _Wallet


_flat = msgspec.json.Decoder(_Detail)


_in_data = msgspec.json.Decoder(_InData)


_read_scopes = partial(decode, msgspec.json.Decoder(_Scopes))


_read_wallet = partial(decode, msgspec.json.Decoder(_InWallet))


_read_anything = partial(decode, msgspec.json.Decoder(dict[str, Any]))


@dataclass(slots=True)
class _Request:
    """One call while it lasts. `deadline` is on the loop's clock."""

    method: str
    path: str
    payload: bytes | None
    scheme: str
    credentials: str = field(repr=False)
    deadline: float
    tries: int = 0


class OAuth:
    """The calls that an account can make."""

    def __init__(self, account: Account, way: ConnectionSettings) -> None:
        self.account = account
        self._way = way

    async def create(self, *, name: str, ttl: int) -> Token:
        """Make a token for the four scopes that lives `ttl` seconds, or less if so decided.

        Raises AuthenticationError when the account is not accepted, the API is not enabled for
        it, or a scope is missing. (`POST /tokens`)
        """
        asked = {"scopes": self.account.scopes, "name": name, "ttl": ttl}
        now = time.time()
        try:
            detail = await self._call("POST", "/tokens", _token_in, asked)
        except InvalidRequestError as refusal:
            error = refusal
        else:
            return self._checked(detail, now)
        raise await self._explained(error) if error.code in _NOT_ENABLED else error

    async def refresh(self, token: Token, *, ttl: int) -> Token:
        """Exchange a token for a new one by its refresh token; the old one is deleted.

        (`PATCH /tokens/{token}`)
        """
        now = time.time()
        path = f"/tokens/{quote(token.value, safe='')}"
        detail = await self._call("PATCH", path, _token_in, {"ttl": ttl}, refresh=token.refresh)
        return self._checked(detail, now)

    async def look_up(self, value: str) -> Token:
        """Return what is known of a token.

        (`GET /tokens/{token}`)
        """
        now = time.time()
        detail = await self._call("GET", f"/tokens/{quote(value, safe='')}", _token_in)
        return _held(detail, now)

    async def delete(self, value: str) -> None:
        """Take a token out of use.

        (`DELETE /tokens/{token}`)
        """
        await self._call("DELETE", f"/tokens/{quote(value, safe='')}", _read_anything)

    async def credit(self) -> Decimal | None:
        """Return the credit of the account's wallet, in euro.

        (`GET /wallet`)
        """
        wallet = await self._call("GET", "/wallet", _read_wallet)
        return parse_money(wallet.data.credit)

    async def enabled_scopes(self) -> set[str]:
        """Return those of the four scopes that the account may ask for.

        (`GET /scopes`)
        """
        scopes = await self._call("GET", "/scopes", _read_scopes)
        return {one.scope for one in scopes.data if one.enabled} & set(self.account.scopes)

    def _checked(self, detail: _Detail, now: float) -> Token:
        token = _held(detail, now)
        missing = missing_scopes(self.account, token)
        if missing:
            raise AuthenticationError(_lacking(missing), status=200)
        return token

    async def _explained(self, refusal: APIError) -> AuthenticationError:
        """Say which scope is missing. The refusal itself does not."""
        account = self.account
        try:
            enabled = await self.enabled_scopes()
        except GatewayError:
            said = f"the API Gateway SMS, or one of its scopes ({', '.join(account.scopes)}), is"
        else:
            missing = [scope for scope in account.scopes if scope not in enabled]
            if missing and enabled:
                said = f"{_names(missing)} {'are' if len(missing) > 1 else 'is'}"
            else:
                said = f"the API Gateway SMS ({account.domain}) is"
        return AuthenticationError(
            f"OAuth service: {said} not enabled for this account; enable it at {CONSOLE}",
            status=refusal.status,
            code=refusal.code,
        )

    async def _call(
        self,
        method: str,
        path: str,
        read: Callable[[bytes], T | None],
        asked: dict[str, Any] | None = None,
        *,
        refresh: str | None = None,
    ) -> T:
        """Make one call, again after a wait if it failed for a passing reason; GatewayError."""
        if refresh is not None:
            scheme, credentials = "Bearer", refresh
        else:
            pair = f"{self.account.email}:{self.account.api_key}"
            scheme, credentials = "Basic", b64encode(pair.encode()).decode()
        deadline = asyncio.get_running_loop().time() + self._way.policy.max_elapsed
        payload = None if asked is None else msgspec.json.encode(asked)
        request = _Request(method, path, payload, scheme, credentials, deadline)
        error: GatewayError
        try:
            return cast("T", await _attempt_repeatedly(self, request, read))
        except AttemptFailed as failed:
            error = failed.error
        # Raised out here: it has no context, which could hold what must not be seen.
        raise error

    async def attempt(self, request: _Request, read: Callable[[bytes], Any]) -> Any:
        """Make one attempt; raise AttemptFailed, with a `wait` if there may be another."""
        policy = self._way.policy
        request.tries += 1
        asked = f"OAuth service, {request.method}"
        try:
            reply = await self._send(request)
            if reply.status not in {200, 201}:
                raise refused(reply, asked, _HINTS)
            if (answer := read(reply.body)) is not None:
                return answer
            odd = UnexpectedResponseError(
                f"{asked}: HTTP {reply.status} with a body that is not the documented one",
                status=reply.status,
            )
            raise AttemptFailed(AttemptResult.AMBIGUOUS, odd)
        except TransportFault as fault:
            fault.error.args = (f"OAuth service, {fault.error}",)
            failed = AttemptFailed(AttemptResult.AMBIGUOUS, fault.error)
            failed.permanent = fault.permanent
        except AttemptFailed as error:
            failed = error
        if (
            failed.outcome in {AttemptResult.AMBIGUOUS, AttemptResult.REJECTED_429}
            and not failed.permanent
            and request.tries < policy.max_attempts
        ):
            least = _LEAST_HOLD if failed.outcome is AttemptResult.REJECTED_429 else 0.0
            wait = backoff_delay(policy, request.tries, floor=failed.retry_after, least=least)
            if _left(request) - wait > min(_LEAST_TIME, policy.max_elapsed / 2):
                failed.wait = wait
        raise failed

    async def _send(self, request: _Request) -> Reply:
        way = self._way
        transport = await Transport.open(
            self.account.oauth_url, concurrency=1, connector=way.connector, proxy=way.proxy
        )
        try:
            return await transport.attempt(
                request.method,
                request.path,
                request.payload,
                token=request.credentials,
                timeout=min(way.timeout, _left(request)),
                cap=_CAP,
                depart=_at_once,
                scheme=request.scheme,
            )
        finally:
            await transport.close()


_attempt_repeatedly = repeating(OAuth.attempt)


async def _at_once() -> None:
    """Leave: the gateway's rate is not the OAuth service's."""


def _left(request: _Request) -> float:
    return request.deadline - asyncio.get_running_loop().time()


def _names(scopes: list[str]) -> str:
    return f"the scope{'s' if len(scopes) > 1 else ''} {', '.join(scopes)}"


def _lacking(scopes: list[str]) -> str:
    return (
        f"OAuth service: the token was made without {_names(scopes)}; enable "
        f"{'them' if len(scopes) > 1 else 'it'} for this account at {CONSOLE}"
    )


def _token_in(body: bytes) -> _Detail | None:
    """Read a token, which the documentation shows both bare and in an envelope."""
    wrapped = decode(_in_data, body)
    if wrapped is None:
        detail = decode(_flat, body)
    elif isinstance(wrapped.data, list):
        detail = wrapped.data[0] if wrapped.data else None
    else:
        detail = wrapped.data
    try:
        for secret in () if detail is None else (detail.token, detail.refresh_token):
            if secret is not None:
                check_token(secret)
    except ValueError:
        return None
    return detail


def _held(detail: _Detail, now: float) -> Token:
    """Return a token with its end by this machine's clock, which may differ from theirs."""
    times = (parse_time(detail.created_at), parse_time(detail.updated_at))
    theirs = max((one.timestamp() for one in times if one is not None), default=now)
    ends = _timestamp(parse_time(detail.expire_at))
    # An end that has passed already is a clock that cannot be relied on: the first 401 will tell.
    expires_at = None if ends is None or ends <= theirs else now + ends - theirs
    return Token(
        value=detail.token,
        refresh=detail.refresh_token or None,
        scopes=detail.scopes or (),
        made_at=now,
        expires_at=expires_at,
    )


def _timestamp(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


_HINTS: dict[tuple[int, int | None], str] = {
    (401, None): f": the e-mail and API key are not accepted; look them up at {CONSOLE}",
    (403, None): f": this account may not do that; look at it at {CONSOLE}",
    (404, None): ": there is no such token, or it is another account's",
    (422, 60): ": this is no token",
    (429, None): ": too many requests",
}
