"""Runs one shard of a campaign for a queue, beside those that other workers run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .._cancellation import in_thread
from .._http.session import Session
from .._receipt import Progress, Receipt
from .runner import NO_LIMITS, ShardRunner
from .store import ShardStore

__all__ = ["OneShard"]


class OneShard:
    """Runs once. `halt` may be called from outside at any time."""

    def __init__(
        self,
        store: ShardStore,
        new_session: Callable[[], Session],
        shard: int,
        *,
        base_url: str,
        concurrency: int,
    ) -> None:
        self._store = store
        self._shard = shard
        self._runner = ShardRunner(
            store,
            new_session,
            base_url=base_url,
            concurrency=concurrency,
            limits=NO_LIMITS,
            report=_report,
        )
        self.done: asyncio.Event = asyncio.Event()

    def halt(self, reason: str, cause: BaseException | None = None) -> None:
        """Send nothing new; requests in flight complete, and `run` ends."""
        self._runner.halt(reason, cause)

    async def run(self, stop: asyncio.Event | None) -> Receipt:
        """Send to all recipients of the shard, and return its receipt.

        Raises BulkSendError if it ends before that, JournalLockedError while another process has it.
        """
        watcher = None if stop is None else asyncio.create_task(self._watch(stop))
        try:
            await self._runner.read()
            await self._runner.begin()
            return await self._run()
        finally:
            if watcher is not None:
                watcher.cancel()
            await in_thread(self._store.close)
            self.done.set()

    async def _run(self) -> Receipt:
        """Run the shard, and then note what it has learned for the others."""
        try:
            receipt = await self._runner.run(self._shard)
        except Exception as failure:
            if (error := await self._runner.end()) is not None:
                raise error from failure
            raise
        except BaseException:
            # A cancellation stays one, whatever could not be noted.
            await self._runner.end()
            raise
        if (error := await self._runner.end()) is not None:
            raise error
        return receipt

    async def _watch(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.halt("stopped on request")


def _report(shard: int, progress: Progress) -> None:
    """Report nothing: the database shows the progress to all workers."""
