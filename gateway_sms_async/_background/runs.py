"""One run of a campaign in the background: sent here or only followed, until its status says how it ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from .._client import GatewayClient
from .._receipt import Receipt
from .._shards.reading import read_journal
from .._transaction.results import shortfall
from ..errors import (
    BulkSendError,
    GatewayError,
    JournalError,
    JournalHeldError,
    JournalLockedError,
)
from .shelf import CampaignShelf
from .statuses import Statuses
from .worker import ShardWorker

__all__ = ["LOOK_AGAIN", "CampaignRuns", "is_set_within"]

LOOK_AGAIN = 1.0
"""Seconds between attempts to open a journal that another process has locked, and between looks for
campaigns that other processes have started."""


_REST = 10
"""How much longer a process rests between two looks at another one's journal than a look takes."""


_logger = logging.getLogger("gateway_sms_async")


class CampaignRuns:
    """Runs campaigns of a shelf. `followed` are those that workers send, and this process only shows."""

    def __init__(
        self,
        gateway: GatewayClient,
        shelf: CampaignShelf,
        statuses: Statuses,
        worker: ShardWorker,
    ) -> None:
        self._gateway = gateway
        self._shelf = shelf
        self._statuses = statuses
        self._worker = worker
        self.followed: set[str] = set()

    async def run(self, name: str, sending: Coroutine[Any, Any, Receipt]) -> BaseException | None:
        """Run a campaign to its end, which its status shows; return the error that it failed with."""
        try:
            receipt = await sending
        except BulkSendError as error:
            self._statuses.end(name, "stopped", error.reason, error.receipt)
            await self._worker.hold_for(name, error)
            return error
        except JournalHeldError as error:
            self._statuses.end(name, "stopped", error.reason)
            return error
        except Exception as error:
            if not isinstance(error, GatewayError | ValueError | TypeError):
                _logger.exception("campaign %s", name)
            self._statuses.end(name, "stopped", str(error))
            return error
        except asyncio.CancelledError:
            self._statuses.end(name, "stopped", "cancelled")
            raise
        except BaseException as error:
            _logger.exception("campaign %s", name)
            self._statuses.end(name, "stopped", f"{type(error).__name__} was raised")
            raise
        else:
            if receipt.complete:
                self._statuses.end(name, "complete", None, receipt)
            else:
                # It ended in an earlier process, and another resume would change nothing.
                self._statuses.end(name, "stopped", shortfall(receipt), receipt)
            return None
        finally:
            await self._forget_unpublished(name)

    async def resume(self, name: str, stop: asyncio.Event) -> Receipt:
        """Resume a campaign as soon as no other process has locked its journal."""
        self._shelf.check_owner(name)
        while True:
            if (held := await self._shelf.why_held(name)) is not None:
                raise JournalHeldError(held, reason=held)
            try:
                return await self._gateway.resume_bulk(
                    self._shelf.place(name),
                    on_progress=partial(self._statuses.report, name),
                    stop=stop,
                )
            except JournalLockedError as error:
                locked = error
            clock = asyncio.get_running_loop().time
            started = clock()
            await self._statuses.show_elsewhere(name, str(locked))
            # To read a thousand shards takes seconds: it is done all the more rarely.
            if await is_set_within(max(LOOK_AGAIN, _REST * (clock() - started)), stop):
                raise locked

    async def follow(
        self, name: str, stop: asyncio.Event, why_stopped: Callable[[], str]
    ) -> Receipt:
        """Show the progress of a campaign that workers send, until it has ended."""
        self._shelf.check_owner(name)
        clock = asyncio.get_running_loop().time
        given_up: str | None = None
        self.followed.add(name)
        try:
            while True:
                started = clock()
                shown = given_up or "workers send it"
                unfinished = await self._statuses.show_elsewhere(
                    name, shown, state="stopped" if given_up else "running"
                )
                if unfinished == 0:
                    return await read_journal(self._shelf.place(name))
                if unfinished is None and not await self._shelf.exists(name):
                    raise JournalError("it was deleted")
                given_up = None
                if unfinished is not None and unfinished == await self._statuses.set_aside(name):
                    # Still followed: any process may let it go on.
                    given_up = f"{unfinished} shards were given up, because processes died at them"
                    self._statuses.hold(name, given_up)
                if await is_set_within(max(LOOK_AGAIN, _REST * (clock() - started)), stop):
                    reason = why_stopped()
                    raise JournalHeldError(reason, reason=reason)
        finally:
            self.followed.discard(name)

    async def _forget_unpublished(self, name: str) -> None:
        """Free the name of a campaign that cannot be resumed, because it has no journal."""
        with suppress(JournalError):
            if not await self._shelf.exists(name):
                self._statuses.forget(name)


async def is_set_within(seconds: float, event: asyncio.Event) -> bool:
    """Return whether an event is set, or becomes so within that time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
