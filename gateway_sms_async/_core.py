"""What a client and its views share: the open session, and the campaigns that run on it.

Checks the settings of a session, opens and closes it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass
from typing import Protocol

import anyio

from ._arguments import check_count, check_number, check_timeout
from ._auth.account import ConnectionSettings
from ._auth.api_key import RenewedToken
from ._cancellation import GRACE_PERIOD
from ._events import Emit, Stats
from ._http.address import check_proxy
from ._http.limiter import RateLimiter
from ._http.retry import RetryPolicy, check_retry
from ._http.session import Session
from ._http.shared_limiter import SharedRateLimiter
from ._http.tokens import TokenKeeper, TokenSource
from ._http.transport import BaseConnector, ConnectorLike, Transport
from ._rate.shared import SharedRate
from ._receipt import Receipt
from .errors import SharedRateError

__all__ = ["ClientCore", "SessionSettings"]

_logger = logging.getLogger("gateway_sms_async")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)  # a repr would show secrets
class SessionSettings:
    """What a session is opened with; see `GatewayClient`.

    Checked on creation: raises ValueError for a value out of range, TypeError for one of the wrong
    type.
    """

    base_url: str
    source: TokenSource
    rate: float | SharedRate | None
    burst: int | None
    concurrency: int
    timeout: float
    policy: RetryPolicy
    connector: ConnectorLike | None
    proxy: str | None
    emit: Emit | None

    def __post_init__(self) -> None:
        if isinstance(self.rate, SharedRate):
            if self.burst is not None:
                raise ValueError("burst belongs to the SharedRate: SharedRate(..., burst=...)")
        elif self.rate is not None and not 0 < check_number("rate", self.rate) < math.inf:
            raise ValueError("rate is a positive number of requests a second, or None for no limit")
        check_count("concurrency", self.concurrency)
        if self.burst is not None:
            check_count("burst", self.burst)
        check_timeout(self.timeout)
        check_retry(self.policy)
        if self.connector is not None and not (
            isinstance(self.connector, BaseConnector) or callable(self.connector)
        ):
            raise TypeError("connector must be an aiohttp connector, or a function that makes one")
        if self.proxy is not None:
            check_proxy(self.proxy)


class Campaign(Protocol):
    """What runs on a client until it is done, or halted."""

    done: asyncio.Event

    async def run(self, stop: asyncio.Event | None) -> Receipt:
        """Run, and return the receipt."""
        ...

    def halt(self, reason: str) -> None:
        """Send nothing new."""
        ...


class ClientCore:
    """Opened once, closed once. `campaigns` are those that run now."""

    def __init__(self, settings: SessionSettings) -> None:
        self._settings = settings
        self.session: Session | None = None
        self.closed = False
        self.campaigns: set[Campaign] = set()

    @property
    def stats(self) -> Stats:
        """The client's figures at this moment."""
        return Stats() if self.session is None else self.session.stats(len(self.campaigns))

    def view(self, *, bulk: bool, timeout: float, policy: RetryPolicy) -> Session:
        """Return the open session with this timeout and policy; raise RuntimeError if not open."""
        if self.session is None or self.closed:
            state = "closed; make a new one" if self.closed else "not open: `async with` it"
            raise RuntimeError(f"this GatewayClient is {state}")
        return self.session.view(bulk=bulk, timeout=timeout, policy=policy)

    async def open(self) -> None:
        """Open the session unless it is open; raise RuntimeError if it was closed."""
        if self.closed:
            raise RuntimeError("this GatewayClient is closed; make a new one")
        if self.session is None:
            self.session = await _open_session(self._settings)

    async def close(self) -> None:
        """Stop the campaigns that run, as their `stop` does, and close the session."""
        if self.closed or self.session is None:
            self.closed = True
            return
        self.closed = True
        with anyio.CancelScope(shield=True):
            for campaign in list(self.campaigns):
                campaign.halt("the client was closed")
            try:
                with anyio.move_on_after(GRACE_PERIOD):
                    for campaign in list(self.campaigns):
                        await campaign.done.wait()
            finally:
                await self.session.close()

    async def run(self, campaign: Campaign, stop: asyncio.Event | None) -> Receipt:
        """Run a campaign; closing the session stops it."""
        if self.closed:
            campaign.halt("the client was closed")
        self.campaigns.add(campaign)
        try:
            receipt = await campaign.run(stop)
        finally:
            self.campaigns.discard(campaign)
        if receipt.invalid and not receipt.accepted:
            _logger.warning(
                "no recipient was accepted; %d are invalid, the first at position %d: %s",
                len(receipt.invalid),
                receipt.invalid[0].position,
                receipt.invalid[0].reason,
            )
        return receipt


async def _open_session(settings: SessionSettings) -> Session:
    transport = await Transport.open(
        settings.base_url,
        concurrency=settings.concurrency,
        connector=settings.connector,
        proxy=settings.proxy,
    )
    if isinstance(settings.source, RenewedToken):
        settings.source.use(
            ConnectionSettings(
                connector=settings.connector,
                proxy=settings.proxy,
                timeout=settings.timeout,
                policy=settings.policy,
            )
        )
    try:
        limiter = await _open_limiter(settings)
    except BaseException:
        await transport.close()
        raise
    return Session(
        transport,
        limiter,
        TokenKeeper(settings.source),
        timeout=settings.timeout,
        policy=settings.policy,
        emit=settings.emit,
    )


async def _open_limiter(settings: SessionSettings) -> RateLimiter:
    rate, concurrency = settings.rate, settings.concurrency
    if not isinstance(rate, SharedRate):
        return RateLimiter(rate=rate, burst=settings.burst or 1, concurrency=concurrency)
    store = rate.store()
    lost: SharedRateError | None = None
    try:
        await store.open()
    except BaseException as error:
        if rate.alone is None or not isinstance(error, SharedRateError):
            await store.close()
            raise
        lost = error
    limiter = SharedRateLimiter(store, pace=rate.pace, alone=rate.alone, concurrency=concurrency)
    if lost is not None:
        limiter.lose_store(lost)
    return limiter
