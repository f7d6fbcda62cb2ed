"""The calls of the vendor's OAuth service: create, refresh, look up and delete tokens.

Each call opens its own connection: there is about one a day. It is retried as the retry policy
allows, because a token that is made twice is harmless. Some paths contain the token, so no path
is ever shown or logged.
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

from .._http.credentials import check_token
from .._http.responses import decode, refused
from .._http.retry import AttemptFailed, AttemptResult, backoff_delay, repeating
from .._http.secret import Secret
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


_SHORTEST_ATTEMPT = 1.0


# See the session: full jitter could yield a wait of zero after a 429.
_FIXED_SHARE_OF_HOLD = 0.5


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

    def __repr__(self) -> str:
        return "_Detail(...)"


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


class _Anything(Struct, frozen=True):
    """Any object. Nothing of it is kept, however large it is."""


_flat = msgspec.json.Decoder(_Detail)


_in_data = msgspec.json.Decoder(_InData)


_read_scopes = partial(decode, msgspec.json.Decoder(_Scopes))


_read_wallet = partial(decode, msgspec.json.Decoder(_InWallet))


_read_anything = partial(decode, msgspec.json.Decoder(_Anything))


@dataclass(slots=True)
class _OAuthCall:
    """One call while it lasts. `deadline` is on the loop's clock."""

    method: str
    path: str = field(repr=False)
    payload: bytes | None = field(repr=False)
    scheme: str
    credentials: str = field(repr=False)
    deadline: float
    tries: int = 0


class OAuth:
    """The calls that an account can make."""

    def __init__(self, account: Account, settings: ConnectionSettings) -> None:
        self.account = account
        self._settings = settings

    async def create(self, *, name: str, ttl: int) -> Token:
        """Create a token for the four scopes that lives `ttl` seconds, or less if so decided.

        Raises AuthenticationError if the account is not accepted, the API is not enabled for it,
        or a scope is missing. (`POST /tokens`)
        """
        content = {"scopes": self.account.scopes, "name": name, "ttl": ttl}
        now = time.time()
        try:
            detail = await self._call("POST", "/tokens", _read_token, content)
        except InvalidRequestError as refusal:
            error = refusal
        else:
            return self._checked(detail, now)
        raise await self._explain(error) if error.code in _NOT_ENABLED else error

    async def refresh(self, token: Token, *, ttl: int) -> Token:
        """Exchange a token for a new one by its refresh token; the old one is deleted.

        (`PATCH /tokens/{token}`)
        """
        now = time.time()
        content = {"ttl": ttl}
        path = _token_path(token.value)
        detail = await self._call("PATCH", path, _read_token, content, refresh=token.refresh)
        return self._checked(detail, now)

    async def look_up(self, value: str) -> Token:
        """Return the service's data about a token.

        (`GET /tokens/{token}`)
        """
        now = time.time()
        detail = await self._call("GET", _token_path(value), _read_token)
        return _to_token(detail, now)

    async def delete(self, value: str) -> None:
        """Revoke a token.

        (`DELETE /tokens/{token}`)
        """
        await self._call("DELETE", _token_path(value), _read_anything)

    async def credit(self) -> Decimal | None:
        """Return the credit of the account's wallet, in euro.

        (`GET /wallet`)
        """
        wallet = await self._call("GET", "/wallet", _read_wallet)
        return parse_money(wallet.data.credit)

    async def enabled_scopes(self) -> set[str]:
        """Return those of the four scopes that are enabled for the account.

        (`GET /scopes`)
        """
        scopes = await self._call("GET", "/scopes", _read_scopes)
        return {one.scope for one in scopes.data if one.enabled} & set(self.account.scopes)

    def _checked(self, detail: _Detail, now: float) -> Token:
        token = _to_token(detail, now)
        missing = missing_scopes(self.account, token)
        if missing:
            raise AuthenticationError(_lacking(missing), status=200)
        return token

    async def _explain(self, refusal: APIError) -> AuthenticationError:
        """Return an error that names the missing scope, which the refusal itself does not."""
        account = self.account
        try:
            enabled = await self.enabled_scopes()
        except GatewayError:
            subject = f"the API Gateway SMS, or one of its scopes ({', '.join(account.scopes)}), is"
        else:
            missing = [scope for scope in account.scopes if scope not in enabled]
            if missing and enabled:
                subject = f"{_names(missing)} {'are' if len(missing) > 1 else 'is'}"
            else:
                subject = f"the API Gateway SMS ({account.domain}) is"
        return AuthenticationError(
            f"OAuth service: {subject} not enabled for this account; enable it at {CONSOLE}",
            status=refusal.status,
            code=refusal.code,
        )

    async def _call(
        self,
        method: str,
        path: str,
        read: Callable[[bytes], T | None],
        content: dict[str, Any] | None = None,
        *,
        refresh: str | None = None,
    ) -> T:
        """Make one call, with retries; raises the GatewayError of the last attempt."""
        if refresh is not None:
            scheme, credentials = "Bearer", refresh
        else:
            scheme, credentials = "Basic", _basic(self.account)
        deadline = asyncio.get_running_loop().time() + self._settings.policy.max_elapsed
        payload = None if content is None else msgspec.json.encode(content)
        call = _OAuthCall(method, path, payload, scheme, credentials, deadline)
        error: GatewayError
        try:
            return cast("T", await _repeat(self, call, read))
        except AttemptFailed as failed:
            error = failed.error
        # Raised outside of the except block, so that it has no __context__, which could hold
        # secrets.
        raise error

    async def attempt(self, call: _OAuthCall, read: Callable[[bytes], Any]) -> Any:
        """Make one attempt; raises AttemptFailed, with a `wait` if another attempt may follow."""
        policy = self._settings.policy
        call.tries += 1
        request = f"OAuth service, {call.method}"
        try:
            reply = await self._send(call)
            if reply.status not in {200, 201}:
                raise refused(reply, request, _HINTS)
            if (decoded := read(reply.body)) is not None:
                return decoded
            unexpected = UnexpectedResponseError(
                f"{request}: HTTP {reply.status} with a body in another form than documented",
                status=reply.status,
            )
            raise AttemptFailed(AttemptResult.AMBIGUOUS, unexpected)
        except TransportFault as fault:
            fault.error.args = (f"OAuth service, {fault.error}",)
            failed = AttemptFailed(AttemptResult.AMBIGUOUS, fault.error)
            failed.permanent = fault.permanent
        except AttemptFailed as error:
            failed = error
        if (
            failed.outcome in {AttemptResult.AMBIGUOUS, AttemptResult.REJECTED_429}
            and not failed.permanent
            and call.tries < policy.max_attempts
        ):
            is_hold = failed.outcome is AttemptResult.REJECTED_429
            wait = backoff_delay(
                policy,
                call.tries,
                floor=failed.retry_after,
                fixed_share=_FIXED_SHARE_OF_HOLD if is_hold else 0.0,
            )
            if _time_left(call) - wait > min(_SHORTEST_ATTEMPT, policy.max_elapsed / 2):
                failed.wait = wait
        raise failed

    async def _send(self, call: _OAuthCall) -> Reply:
        settings = self._settings
        transport = await Transport.open(
            self.account.oauth_url,
            concurrency=1,
            connector=settings.connector,
            proxy=settings.proxy,
        )
        try:
            return await transport.attempt(
                call.method,
                call.path,
                call.payload,
                token=call.credentials,
                timeout=min(settings.timeout, _time_left(call)),
                cap=_CAP,
                depart=_at_once,
                scheme=call.scheme,
            )
        finally:
            await transport.close()


_repeat = repeating(OAuth.attempt)


async def _at_once() -> None:
    """Depart without a wait: the gateway's rate does not apply to the OAuth service."""


def _token_path(token: str) -> Secret:
    return Secret(f"/tokens/{quote(token, safe='')}")


def _basic(account: Account) -> Secret:
    return Secret(b64encode(f"{account.email}:{account.api_key}".encode()).decode())


def _time_left(call: _OAuthCall) -> float:
    return call.deadline - asyncio.get_running_loop().time()


def _names(scopes: list[str]) -> str:
    return f"the scope{'s' if len(scopes) > 1 else ''} {', '.join(scopes)}"


def _lacking(scopes: list[str]) -> str:
    return (
        f"OAuth service: the token was made without {_names(scopes)}; enable "
        f"{'them' if len(scopes) > 1 else 'it'} for this account at {CONSOLE}"
    )


def _read_token(body: bytes) -> _Detail | None:
    """Decode a token, which the documentation shows both bare and in an envelope."""
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


def _to_token(detail: _Detail, now: float) -> Token:
    """Return a token that expires by this machine's clock, which may differ from the service's."""
    times = (parse_time(detail.created_at), parse_time(detail.updated_at))
    their_now = max((one.timestamp() for one in times if one is not None), default=now)
    ends = _timestamp(parse_time(detail.expire_at))
    # If it ended before it was made, the clock is wrong. The first 401 then shows the expiry.
    expires_at = None if ends is None or ends <= their_now else now + ends - their_now
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
    (403, None): f": this account may not do that; see {CONSOLE}",
    (404, None): ": there is no such token, or it belongs to another account",
    (422, 60): ": this is not a token",
    (429, None): ": too many requests",
}
