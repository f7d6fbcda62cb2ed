"""Tokensource, and one token shared by all tasks."""

from __future__ import annotations

import asyncio
from typing import Protocol, runtime_checkable

__all__ = ["StaticToken", "TokenKeeper", "TokenSource", "check_token"]


def check_token(token: str) -> str:
    """Refuse a token that could not stand in a header, without showing it."""
    if not isinstance(token, str):
        raise TypeError("token must be a str or a token source")
    if not token:
        raise ValueError("the token is empty")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("the token holds a blank or a character that no token has")
    return token


@runtime_checkable
class TokenSource(Protocol):
    """Something that hands out bearer tokens."""

    async def token(self) -> str:
        """Return a token that should work now."""
        ...

    async def renew(self, rejected: str) -> str:
        """Return a token other than `rejected`, or raise if there is none."""
        ...


@runtime_checkable
class CachedTokenSource(TokenSource, Protocol):
    """A source that can often hand its token out without waiting."""

    @property
    def cached(self) -> str | None:
        """The token to use now, None when `token` has to be awaited."""
        ...


class StaticToken:
    """A token that cannot be renewed."""

    def __init__(self, token: str) -> None:
        self.fixed: str = check_token(token)

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
        # The most usual sources have nothing to wait for, most of the time.
        self._fixed = source.fixed if isinstance(source, StaticToken) else None
        self._cached = source if isinstance(source, CachedTokenSource) else None
        self._renewing = asyncio.Lock()
        self._renewed: dict[str, str] = {}
        self._answers = 0

    @property
    def cached(self) -> str | None:
        """The token to use now, if nobody has to be asked for it."""
        if self._cached is not None:
            return self._cached.cached
        return self._fixed

    async def current(self) -> str:
        """Return the token to use now."""
        return self.newest(check_token(await self._source.token()))

    def newest(self, token: str) -> str:
        """Return what `token` was renewed to meanwhile, or itself."""
        return self._renewed.get(token, token)

    async def renew(self, rejected: str) -> str:
        """Return another token after `rejected` was refused; the same one if there is none.

        However many tasks met the refusal, the source is asked once.
        """
        answers = self._answers
        async with self._renewing:
            known = self._renewed.get(rejected)
            # A source that had no other token may have one now; who waited for it takes its answer.
            answered = known is not None and (known != rejected or answers != self._answers)
            if not answered:
                # Only the newest pair matters; a source that hands out new tokens by itself
                # must not make this grow.
                self._renewed = {rejected: check_token(await self._source.renew(rejected))}
                self._answers += 1
            return self._renewed[rejected]
