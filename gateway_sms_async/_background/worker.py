"""Runs single shards for a queue, and stops a whole campaign for what concerns its account."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress

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
)
from .shelf import CampaignShelf
from .status import ShardEnd

__all__ = ["ShardWorker"]


_ENDS: dict[type[Exception], ShardEnd] = {
    IndexError: "unknown",
    JournalLockedError: "taken",
    JournalHeldError: "stopped",
    JournalLostError: "lost",
}


class ShardWorker:
    """Runs shards of the campaigns of a shelf."""

    def __init__(self, gateway: GatewayClient, shelf: CampaignShelf) -> None:
        self._gateway = gateway
        self._shelf = shelf

    async def run(self, name: str, shard: int, stops: Collection[asyncio.Event | None]) -> ShardEnd:
        """Run a shard to its end, or until one of the events is set; see `Campaigns.run_shard`."""
        if not await self._shelf.exists(name):
            return "unknown"
        self._shelf.check_owner(name)
        stop = asyncio.Event()
        watching = [asyncio.create_task(_forward(one, stop)) for one in stops if one is not None]
        try:
            receipt = await bulk_of(self._gateway).run_shard(self._shelf.place(name), shard, stop)
        except tuple(_ENDS) as error:
            return _ENDS[type(error)]
        except BulkSendError as error:
            await self.hold_for(name, error)
            return _end_of(error)
        finally:
            for task in watching:
                task.cancel()
            await drain(watching)
        return _finished(receipt)

    async def hold_for(self, name: str, error: BulkSendError) -> None:
        """Stop a campaign in all processes for what concerns its account, not one of its shards."""
        cause = error.__cause__
        if self._shelf.holds_faults and isinstance(
            cause, InsufficientCreditError | AuthenticationError
        ):
            with suppress(JournalError):
                await self._shelf.hold(name, error.reason)


async def _forward(event: asyncio.Event, stop: asyncio.Event) -> None:
    await event.wait()
    stop.set()


def _end_of(error: BulkSendError) -> ShardEnd:
    if isinstance(error.__cause__, JournalLostError):
        return "lost"
    return "stopped" if error.resumable else "finished"


def _finished(receipt: Receipt) -> ShardEnd:
    return "complete" if receipt.complete else "finished"
