"""Where tokens come from, and how a rejected one is renewed once for all tasks.

The client and the session enter; users implement `TokenSource`, or bring an `ApiKey`.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import time
from dataclasses import replace
from os import PathLike
from pathlib import Path
from urllib.parse import urlunsplit

import anyio

from .._arguments import check_count
from .._http.address import PRODUCTION, SANDBOX, check_address
from ..errors import AuthenticationError, GatewayError, InvalidRequestError, NotFoundError
from .account import OAUTH, OAUTH_SANDBOX, Account, ConnectionSettings, Token
from .oauth import OAuth
from .token_file import KeptToken, keep_token, read_token

__all__ = ["DEFAULT_NAME", "ApiKey", "RenewedToken"]

_OAUTH_VARIABLE = "OPENAPI_OAUTH_URL"


DEFAULT_NAME = "gateway-sms-async"


_DAY = 24 * 60 * 60


_LONGEST_TTL = 365 * _DAY


_SHORTEST_TTL = 60


# Between two tries to renew a token that still works.
_PAUSE = 60.0


_logger = logging.getLogger("gateway_sms_async")


class RenewedToken:
    """A token of an account, kept in memory and maybe in a file, and renewed before it expires.

    By its refresh token if it has one that is accepted, else by the account's API key, if there
    is one. May serve several clients, one event loop after the other.
    """

    def __init__(self, account: Account, *, ttl: int, name: str, file: Path | None) -> None:
        self.account = account
        self._ttl = ttl
        self._name = name
        self._file = file
        self._way = ConnectionSettings()
        self._is_address_given = True
        self._held: Token | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asking = asyncio.Lock()
        self._failures = 0
        self._failure: GatewayError | None = None
        self._not_before = 0.0

    def use(self, way: ConnectionSettings) -> None:
        """Send requests from now on as the client sends its own."""
        self._way = way

    @property
    def cached(self) -> str | None:
        """The token to use now, if nobody has to be asked for it."""
        token = self._held
        if token is None:
            return None
        now = time.time()
        if now >= token.renew_at and not (
            # One task renews it in its last days, and all others go on with it.
            token.lives(now) and (self._asking.locked() or now < self._not_before)
        ):
            return None
        return token.value

    async def token(self) -> str:
        """Return the token, a new one if it has expired or is about to.

        Raises AuthenticationError when there is none to be had, another GatewayError when the
        OAuth service cannot be reached for so long as the client's retry policy allows.
        """
        return self.cached or (await self._ask(None)).value

    async def renew(self, rejected: str) -> str:
        """Return another token than `rejected`, as `token` does."""
        return (await self._ask(rejected)).value

    async def details(self) -> Token:
        """Return the token with all that is known of it."""
        await self.token()
        assert self._held is not None
        return self._held

    async def _ask(self, rejected: str | None) -> Token:
        """Have a token that is not `rejected`; of those who wait here one asks for all."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._asking = loop, asyncio.Lock()
        failures = self._failures
        async with self._asking:
            held, now = self._held, time.time()
            if held is not None and _is_good(held, rejected, now):
                return held
            if failures != self._failures and self._failure is not None:
                # Who waited through an outage does not wait through another of its own.
                raise copy.copy(self._failure)
            early = False
            try:
                kept = await self._read()
                if kept is not None and (held is None or kept.made_at >= held.made_at):
                    self._held = held = kept
                    if _is_good(kept, rejected, now):
                        return kept
                early = rejected is None and held is not None and held.lives(now)
                self._held = token = await self._obtain(held, early=early)
                await self._keep(token)
            except GatewayError as error:
                if early and held is not None:
                    self._not_before = now + min(_PAUSE, ((held.expires_at or now) - now) / 2)
                    _logger.warning("the token could not be renewed before its end: %s", error)
                    return held
                self._failures += 1
                self._failure = error
                raise
            return token

    async def _obtain(self, old: Token | None, *, early: bool) -> Token:
        """Get a new token: by the refresh token of the old one, or by the API key."""
        way = self._way
        if early:
            # There is no haste, and somebody is waiting for it.
            way = replace(way, policy=replace(way.policy, max_attempts=1))
        oauth = OAuth(self.account, way)
        token = await self._refreshed(oauth, old)
        if token is None:
            if self.account.api_key is None:
                raise AuthenticationError(
                    "the login that is kept has expired or was revoked, and cannot be renewed: "
                    "log in again (gateway-sms login)",
                    status=401,
                )
            token = await oauth.create(name=self._name, ttl=self._ttl)
        return token

    async def _refreshed(self, oauth: OAuth, old: Token | None) -> Token | None:
        if old is None or old.refresh is None:
            return None
        try:
            return await oauth.refresh(old, ttl=self._ttl)
        except (AuthenticationError, NotFoundError, InvalidRequestError):
            return None

    async def _read(self) -> Token | None:
        if self._file is None:
            return None
        kept = await anyio.to_thread.run_sync(read_token, self._file)
        if kept is None:
            return None
        if not kept.is_of(self.account):
            raise GatewayError(
                f"{self._file}: the token in it is of another account or environment; give each a "
                "file of its own"
            )
        return kept.token

    async def _keep(self, token: Token) -> None:
        if self._file is None:
            return
        account = self.account
        kept = KeptToken(
            oauth_url=account.oauth_url, email=account.email, sandbox=account.sandbox, token=token
        )
        try:
            await anyio.to_thread.run_sync(keep_token, self._file, kept)
        except GatewayError as error:
            # It works all the same, and only the next process has to make its own.
            _logger.warning("%s", error)

    def check_opens(self, base_url: str) -> None:
        """Refuse an address that tokens of this environment do not open, or must not be shown to."""
        account = self.account
        environments = {PRODUCTION: False, SANDBOX: True}
        if (sandbox := environments.get(base_url)) is not None:
            if sandbox is not account.sandbox:
                names = ("production", "the sandbox")
                raise ValueError(
                    f"the client is of {names[sandbox]}, its ApiKey of {names[account.sandbox]}: "
                    "the token of one does not open the other; give both the same sandbox="
                )
        elif not self._is_address_given:
            raise ValueError(
                f"tokens of the vendor are not for {base_url}: say where its tokens are made, by "
                f"ApiKey(oauth_url=...) or {_OAUTH_VARIABLE}"
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(oauth_url={self.account.oauth_url!r})"


def _is_good(token: Token, rejected: str | None, now: float) -> bool:
    if rejected is None:
        return now < token.renew_at
    return token.value != rejected and token.lives(now)


class ApiKey(RenewedToken):
    """Makes tokens from an account's e-mail and API key, and renews them: a `TokenSource`.

    - `email`, `api_key`: as the vendor's console shows them; the key is sent to the OAuth service
      alone, and never shown.
    - `sandbox`: tokens for the vendor's sandbox. `oauth_url` names another OAuth service, https
      unless it is this machine's own; else `OPENAPI_OAUTH_URL` is used, except with `sandbox`.
      A client of any other address than the vendor's two needs one of them.
    - `file`: keeps the token there for other processes, readable by its owner only, and not the
      key. One for each account and environment.
    - `ttl`: seconds that a token is to live, from a minute to a year; the service may allow less.
      It is renewed in the last tenth of its life, at most a day before its end.
    - `name`: what it is called in the vendor's console.

    Tokens have the four scopes that the seven calls need. Connector, proxy, timeout and retry
    policy are those of the client that it was last given to. Raises AuthenticationError, from
    whatever call needs the token, when the key is not accepted, the API is not enabled for the
    account, or a scope is missing. (the vendor's "OAuth" page: `POST /tokens`)
    """

    def __init__(
        self,
        email: str,
        api_key: str,
        *,
        sandbox: bool = False,
        oauth_url: str | None = None,
        file: str | PathLike[str] | None = None,
        ttl: int = _DAY,
        name: str = DEFAULT_NAME,
    ) -> None:
        address = _oauth_address(oauth_url, sandbox=sandbox)
        if not _SHORTEST_TTL <= check_count("ttl", ttl) <= _LONGEST_TTL:
            raise ValueError(f"ttl is from {_SHORTEST_TTL} to {_LONGEST_TTL} seconds")
        account = Account(
            email=_check_credential("email", email),
            api_key=_check_credential("api_key", api_key),
            oauth_url=address or (OAUTH_SANDBOX if sandbox else OAUTH),
            sandbox=sandbox,
        )
        super().__init__(account, ttl=ttl, name=name, file=None if file is None else Path(file))
        self._is_address_given = address is not None


def _oauth_address(oauth_url: str | None, *, sandbox: bool) -> str | None:
    """Return the address of another OAuth service than the vendor's; None when none is named."""
    name = "oauth_url"
    if oauth_url is None:
        name = _OAUTH_VARIABLE
        oauth_url = None if sandbox else os.environ.get(name)
    if not oauth_url:
        return None
    parts = check_address(name, oauth_url)
    address = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    if address == (OAUTH if sandbox else OAUTH_SANDBOX):
        raise ValueError(f"{name} is the vendor's for the other environment: see sandbox=")
    return address


def _check_credential(name: str, value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str")
    if not value or not value.isprintable() or " " in value or (name == "email" and ":" in value):
        raise ValueError(f"{name} is empty, or holds a blank or a character that none has")
    return value
