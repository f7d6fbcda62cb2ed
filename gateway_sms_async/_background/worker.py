"""Runs single shards for a queue, and stops a whole campaign for what concerns its account."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress

from .._bulk import NoSuchShardError
from .._cancellation import drain
from .._client import GatewayClient, bulk_of
from .._receipt import Receipt
from ..errors import (
    AuthenticationError,
    BulkSendError,
    InsufficientCreditError,
    JournalError,
    JournalHeldError,
    JournalLockedError,
    JournalLostError,
    LimitReachedError,
)
from .shelf import CampaignShelf
from .status import ShardEnd

__all__ = ["ShardWorker"]


_ENDS: dict[type[Exception], ShardEnd] = {
    NoSuchShardError: "unknown",
    JournalLockedError: "taken",
    JournalHeldError: "stopped",
    JournalLostError: "lost",
}


_LOOK_EVERY = 1.0
"""Seconds between two looks whether a campaign in a folder was stopped."""


class ShardWorker:
    """Runs shards of the campaigns of a shelf."""

    def __init__(self, gateway: GatewayClient, shelf: CampaignShelf) -> None:
        self._gateway = gateway
        self._shelf = shelf
        self._running: dict[str, set[asyncio.Event]] = {}

    async def run(self, name: str, shard: int, stops: Collection[asyncio.Event | None]) -> ShardEnd:
        """Run a shard to its end, or until one of the events is set; see `Campaigns.run_shard`."""
        if not await self._shelf.exists(name):
            return "unknown"
        self._shelf.check_owner(name)
        stop = asyncio.Event()
        watching = [asyncio.create_task(_forward(one, stop)) for one in stops if one is not None]
        watching.append(asyncio.create_task(self._watch(name, stop)))
        self._running.setdefault(name, set()).add(stop)
        try:
            if await self._shelf.why_held(name) is not None:
                return "stopped"
            receipt = await bulk_of(self._gateway).run_shard(self._shelf.place(name), shard, stop)
        except tuple(_ENDS) as error:
            return _ENDS[type(error)]
        except BulkSendError as error:
            await self.hold_for(name, error)
            return _end_of(error)
        finally:
            self._running[name].discard(stop)
            if not self._running[name]:
                del self._running[name]
            for task in watching:
                task.cancel()
            await drain(watching)
        return _finished(receipt)

    def stop(self, name: str) -> None:
        """Stop all shards of a campaign that run here."""
        for stop in self._running.get(name, ()):
            stop.set()

    async def _watch(self, name: str, stop: asyncio.Event) -> None:
        """Stop a shard as soon as its campaign is held."""
        while await self._shelf.why_held(name) is None:  # noqa: ASYNC110 - it is in a file
            await asyncio.sleep(_LOOK_EVERY)
        stop.set()

    async def hold_for(self, name: str, error: BulkSendError) -> None:
        """Stop a campaign in all processes for what concerns all of its shards, such as no credit."""
        cause = error.__cause__
        at_limit = isinstance(cause, LimitReachedError)
        concerns_all = isinstance(cause, InsufficientCreditError | AuthenticationError)
        if self._shelf.holds_faults and (at_limit or concerns_all):
            with suppress(JournalError):
                await self._shelf.hold(name, error.reason, at_limit=at_limit)


async def _forward(event: asyncio.Event, stop: asyncio.Event) -> None:
    await event.wait()
    stop.set()


def _end_of(error: BulkSendError) -> ShardEnd:
    if isinstance(error.__cause__, JournalLostError):
        return "lost"
    return "stopped" if error.resumable else "finished"


def _finished(receipt: Receipt) -> ShardEnd:
    return "complete" if receipt.complete else "finished"
