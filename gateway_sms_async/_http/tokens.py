"""Sources of tokens, and one token shared by all tasks of a session."""

from __future__ import annotations

import asyncio
from typing import Protocol, runtime_checkable

from .credentials import check_token
from .secret import Secret

__all__ = ["StaticToken", "TokenKeeper", "TokenSource"]


@runtime_checkable
class TokenSource(Protocol):
    """Provides bearer tokens. Implement it to fetch tokens from a place of your own.

    Both methods may be called from several tasks at once, and may raise a GatewayError, which the
    call that needs the token then raises. They run within the `max_elapsed` of that call.
    """

    async def token(self) -> str:
        """Return a token that should work now."""
        ...

    async def renew(self, rejected: str) -> str:
        """Return a new token after the gateway rejected this one (HTTP 401).

        If there is no other, return `rejected` itself, and the call raises AuthenticationError, or
        raise a GatewayError.
        """
        ...


@runtime_checkable
class CachedTokenSource(TokenSource, Protocol):
    """A source that often has a token without waiting."""

    @property
    def cached(self) -> str | None:
        """The token to use now; None if `token` has to be awaited."""
        ...


class StaticToken:
    """A token that cannot be renewed."""

    def __init__(self, token: str) -> None:
        self.fixed: Secret = check_token(token)

    async def token(self) -> str:
        """Return the token."""
        return self.fixed

    async def renew(self, rejected: str) -> str:
        """Return the same token: there is no other."""
        return rejected

    def __repr__(self) -> str:
        return "StaticToken(...)"


class TokenKeeper:
    """Shares one token among all tasks of a session."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        # The usual sources seldom have to be awaited.
        self._fixed = source.fixed if isinstance(source, StaticToken) else None
        self._cached = source if isinstance(source, CachedTokenSource) else None
        self._renewing = asyncio.Lock()
        self._renewed: dict[str, str] = {}
        self._answers = 0

    @property
    def cached(self) -> str | None:
        """The token to use now; None if the source has to be awaited."""
        if self._cached is not None:
            cached = self._cached.cached
            return cached if cached is None or isinstance(cached, Secret) else Secret(cached)
        return self._fixed

    async def current(self) -> str:
        """Return the token to use now."""
        return self.newest(check_token(await self._source.token()))

    def newest(self, token: str) -> str:
        """Return the token that has replaced `token` meanwhile, or `token` itself."""
        return self._renewed.get(token, token)

    async def renew(self, rejected: str) -> str:
        """Return another token after `rejected` was refused; the same one if there is no other.

        The source is asked once, however many tasks had the refusal.
        """
        answers = self._answers
        async with self._renewing:
            known = self._renewed.get(rejected)
            # A source that had no other token may have one now, so a later refusal asks it again.
            # A task that was queued during a renewal takes the answer of that renewal.
            answered = known is not None and (known != rejected or answers != self._answers)
            if not answered:
                # Only the newest pair is kept: with a source that changes its tokens by itself,
                # this would grow otherwise.
                self._renewed = {rejected: check_token(await self._source.renew(rejected))}
                self._answers += 1
            return self._renewed[rejected]
