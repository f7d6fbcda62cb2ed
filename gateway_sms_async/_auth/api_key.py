"""Tokens that are made with an API key, kept in memory and in a file, and renewed in time.

`ApiKey` is for users. `RenewedToken` is also the stored login of the command line.
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
from .._http.credentials import check_credential
from .._http.secret import Secret
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


# Seconds between two attempts to renew a token that still works.
_PAUSE = 60.0


# Seconds for which the file is looked at after a refused refresh token. It works once, so another
# process may have used it, and be about to write its new token.
_PATIENCE = 5.0


_LOOK_EVERY = 0.1


_logger = logging.getLogger("gateway_sms_async")


class RenewedToken:
    """A token of an account, kept in memory and maybe in a file, and renewed before it expires.

    It is renewed by its refresh token if that is accepted, otherwise by the account's API key if
    there is one. May serve several clients, and several event loops one after the other.
    """

    def __init__(self, account: Account, *, ttl: int, name: str, file: Path | None) -> None:
        self.account = account
        self._ttl = ttl
        self._name = name
        self._file = file
        self._settings = ConnectionSettings()
        self._has_own_address = True
        self._held: Token | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._renewing = asyncio.Lock()
        self._failures = 0
        self._failure: GatewayError | None = None
        self._not_before = 0.0

    def use(self, settings: ConnectionSettings) -> None:
        """Use the client's connection settings from now on."""
        self._settings = settings

    @property
    def cached(self) -> str | None:
        """The token to use now; None if it has to be read, made or renewed."""
        token = self._held
        if token is None:
            return None
        now = time.time()
        if now >= token.renew_at and not (
            # In its last tenth, one task renews it while all others continue to use it.
            token.lives(now) and (self._renewing.locked() or now < self._not_before)
        ):
            return None
        return token.value

    async def token(self) -> str:
        """Return the token; a new one if it has expired or is about to expire.

        Raises AuthenticationError if the account cannot get a token, another GatewayError if the
        OAuth service cannot be reached within the client's retry policy.
        """
        return str(self.cached or (await self._newest(None)).value)

    async def renew(self, rejected: str) -> str:
        """Return a token other than `rejected`. Raises the same errors as `token`."""
        return str((await self._newest(rejected)).value)

    async def details(self) -> Token:
        """Return the token with its scopes and times."""
        await self.token()
        assert self._held is not None
        return self._held

    async def _newest(self, rejected: str | None) -> Token:
        """Return a token that is not `rejected`. One task renews it for all that wait here."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._renewing = loop, asyncio.Lock()
        failures = self._failures
        async with self._renewing:
            held, now = self._held, time.time()
            if held is not None and _is_good(held, rejected, now):
                return held
            if failures != self._failures and self._failure is not None:
                # Tasks that queued behind a failed renewal share its error instead of each
                # retrying in turn.
                raise copy.copy(self._failure)
            early = False
            try:
                kept = await self._read()
                if kept is not None and (held is None or kept.made_at >= held.made_at):
                    self._held = held = kept
                    if _is_good(kept, rejected, now):
                        return kept
                early = rejected is None and held is not None and held.lives(now)
                self._held = token = await self._obtain(held, rejected, early=early)
            except GatewayError as error:
                if early and held is not None:
                    self._not_before = now + min(_PAUSE, ((held.expires_at or now) - now) / 2)
                    _logger.warning("the token could not be renewed before it expires: %s", error)
                    return held
                self._failures += 1
                self._failure = error
                raise
            return token

    async def _obtain(self, old: Token | None, rejected: str | None, *, early: bool) -> Token:
        """Get a new token: by the refresh token, from another process, or by the API key."""
        settings = self._settings
        if early:
            # The old token still works and a caller is waiting, so one attempt is enough.
            settings = replace(settings, policy=replace(settings.policy, max_attempts=1))
        oauth = OAuth(self.account, settings)
        token = await self._refresh(oauth, old)
        if token is None:
            if (theirs := await self._renewed_by_others(old, rejected)) is not None:
                return theirs
            if self.account.api_key is None:
                raise AuthenticationError(
                    "the stored login has expired or was revoked and cannot be renewed: "
                    "log in again (gateway-sms login)",
                    status=401,
                )
            token = await oauth.create(name=self._name, ttl=self._ttl)
        self._held = token  # now, because the old one is gone and the write may be cancelled
        await self._keep(token)
        return token

    async def _renewed_by_others(self, old: Token | None, rejected: str | None) -> Token | None:
        """Return a newer token from the file; waits for one if there is no other way to get one."""
        if old is None or old.refresh is None:
            return None
        loop = asyncio.get_running_loop()
        # The caller has not more than `max_elapsed` for everything.
        patience = min(_PATIENCE, self._settings.policy.max_elapsed / 4)
        give_up = loop.time() + (patience if self.account.api_key is None else 0.0)
        while True:
            kept = await self._read()
            if kept is not None and kept.value not in {old.value, rejected}:
                return kept if kept.lives(time.time()) else None
            if kept is None or loop.time() >= give_up:
                return None
            await asyncio.sleep(_LOOK_EVERY)

    async def _refresh(self, oauth: OAuth, old: Token | None) -> Token | None:
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
                f"{self._file}: this token belongs to another account or environment; use a "
                "separate file for each"
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
            # The token works all the same. Only the next process has to make its own.
            _logger.warning("%s", error)

    def check_opens(self, base_url: str) -> None:
        """Raise ValueError if this token is for another gateway than the one at `base_url`.

        A token of the vendor must not be shown to any other server.
        """
        account = self.account
        environments = {PRODUCTION: False, SANDBOX: True}
        if (sandbox := environments.get(base_url)) is not None:
            if sandbox is not account.sandbox:
                names = ("production", "the sandbox")
                raise ValueError(
                    f"the client is for {names[sandbox]}, its ApiKey for {names[account.sandbox]}: "
                    "tokens of one are not valid for the other; give both the same sandbox="
                )
        elif not self._has_own_address:
            raise ValueError(
                f"tokens of the vendor are not for {base_url}: name the OAuth service that makes its "
                f"tokens, by ApiKey(oauth_url=...) or {_OAUTH_VARIABLE}"
            )

    def __repr__(self) -> str:
        # Also shown by the report of an error in the constructor, when there is no account yet.
        address = self.account.oauth_url if hasattr(self, "account") else None
        return f"{type(self).__name__}(oauth_url={address!r})"


def _is_good(token: Token, rejected: str | None, now: float) -> bool:
    if rejected is None:
        return now < token.renew_at
    return token.value != rejected and token.lives(now)


class ApiKey(RenewedToken):
    """A `TokenSource` that makes tokens with an account's e-mail and API key, and renews them.

    - `email`, `api_key`: as shown in the vendor's console. The key is sent to the OAuth service
      only, and never shown.
    - `sandbox`: make tokens for the vendor's sandbox.
    - `oauth_url`: another OAuth service, https unless it is on this machine. If absent,
      `OPENAPI_OAUTH_URL` is used, except with `sandbox`. A client whose base URL is neither of
      the vendor's two needs one of them.
    - `file`: keep the token in this file for other processes. Only its owner can read it, and the
      key is not in it. Use a separate file for each account and environment.
    - `ttl`: seconds that a token is to live, from a minute to a year. The service may allow less.
      A token is renewed in the last tenth of its life, at most a day before its end.
    - `name`: the name of the token in the vendor's console.

    Tokens have the four scopes that the seven calls need. Connector, proxy, timeout and retry
    policy are those of the client that received the source last.

    Raises ValueError or TypeError for a wrong argument. A call that needs the token raises
    AuthenticationError if the key is not accepted, the API is not enabled for the account, or a
    scope is missing. (the vendor's "OAuth" page: `POST /tokens`)
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
        api_key = Secret(api_key) if isinstance(api_key, str) else api_key
        address = _oauth_address(oauth_url, sandbox=sandbox)
        if not _SHORTEST_TTL <= check_count("ttl", ttl) <= _LONGEST_TTL:
            raise ValueError(f"ttl must be from {_SHORTEST_TTL} to {_LONGEST_TTL} seconds")
        account = Account(
            email=check_credential("email", email),
            api_key=check_credential("api_key", api_key),
            oauth_url=address or (OAUTH_SANDBOX if sandbox else OAUTH),
            sandbox=sandbox,
        )
        super().__init__(account, ttl=ttl, name=name, file=None if file is None else Path(file))
        self._has_own_address = address is not None


def _oauth_address(oauth_url: str | None, *, sandbox: bool) -> str | None:
    """Return the address of another OAuth service than the vendor's; None if none is set."""
    name = "oauth_url"
    if oauth_url is None:
        name = _OAUTH_VARIABLE
        oauth_url = None if sandbox else os.environ.get(name)
    if not oauth_url:
        return None
    parts = check_address(name, oauth_url)
    address = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    if address == (OAUTH if sandbox else OAUTH_SANDBOX):
        raise ValueError(f"{name} is the vendor's address for the other environment: see sandbox=")
    return address
