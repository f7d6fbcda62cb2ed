"""Runs the shards of a campaign: two at a time, or one where a limit or a slow close demands it.

Each shard is a campaign of its own, resumed from its journal. What concerns the account, such as
missing credit, stops all of them; what concerns one shard does not stop the others.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from .._campaign.progress import ProgressReporter
from .._campaign.start import CampaignSettings
from .._cancellation import GRACE_PERIOD, drain, in_thread
from .._http.session import Session
from .._receipt import Progress, Receipt
from .._recipients.source import Source
from .._transaction.message import RestartMessageError
from .._transaction.results import describe, shortfall
from ..errors import (
    BulkSendError,
    GatewayError,
    JournalError,
    JournalHeldError,
    JournalLockedError,
    JournalLostError,
)
from .account import ShardAccount, read_account, unreadable
from .disk import on_disk
from .preparing import prepare
from .receipt import progress_of, receipt_of, sum_of
from .runner import NO_LIMITS, ShardLimits, ShardRunner
from .splitting import SourceFailedError
from .store import ShardStore

__all__ = ["NewSource", "ShardedCampaign"]

_LOCKED_AGAIN = 0.2
"""Seconds before another attempt to open the journal of a shard that another process uses."""


_LEAVING = 2 * GRACE_PERIOD
"""Seconds that the shards have to end after a cancellation: the grace period, and their journals."""


@dataclass(frozen=True, slots=True)
class NewSource:
    """A source that is not split yet, and what to send to it."""

    recipients: Source
    settings: CampaignSettings
    shards: int


class ShardedCampaign:
    """Runs once. `halt` may be called from outside at any time."""

    def __init__(
        self,
        store: ShardStore,
        new_session: Callable[[], Session],
        *,
        base_url: str,
        concurrency: int,
        source: NewSource | None = None,
        limits: ShardLimits = NO_LIMITS,
        on_progress: Callable[[Progress], object] | None,
        total: int | None = None,
    ) -> None:
        self._store = store
        self._base_url = base_url
        self._source = source
        self._runner = ShardRunner(
            store,
            new_session,
            base_url=base_url,
            concurrency=concurrency,
            limits=limits,
            report=self._report,
        )
        self._reporter = ProgressReporter(on_progress, self._failed)
        self._total = total
        self._started = time.monotonic()
        self._progress: list[Progress] = []
        self._read = 0
        self._done_before = 0
        self._waiting: deque[int] = deque()
        self._locked: set[int] = set()
        self._running: dict[asyncio.Task[None], int] = {}
        self._is_over = False
        self._reason: str | None = None
        self._cause: BaseException | None = None
        # Why the first of the shards ended that could not send to all of its recipients.
        self._shard_reason: str | None = None
        self._shard_cause: BaseException | None = None
        self._failure: BaseException | None = None
        self._halting = asyncio.Event()
        self.done: asyncio.Event = asyncio.Event()

    def halt(self, reason: str, cause: BaseException | None = None) -> None:
        """Send nothing new; requests in flight complete, and `run` ends."""
        if self._reason is None:
            self._reason, self._cause = reason, cause
        self._halting.set()
        self._runner.halt(reason, cause)

    async def run(self, stop: asyncio.Event | None) -> Receipt:
        """Send to all recipients; raise BulkSendError, with the receipt, if it ends before that.

        Returns the receipt of a campaign that is finished already.
        """
        watcher = None if stop is None else asyncio.create_task(self._watch(stop))
        try:
            receipt = await self._run()
        finally:
            try:
                self._reporter.report(self._sum())
                tasks = list(self._reporter.tasks)
                if watcher is not None:
                    watcher.cancel()
                    tasks.append(watcher)
                await drain(tasks)
            finally:
                self._reporter.close()
                await in_thread(self._store.close)
                self.done.set()
        if self._failure is not None:
            raise self._failure
        if receipt.complete or self._is_over:
            return receipt
        resumable = self._store.is_published and not all(one.finished for one in self._accounts)
        raise self._error(receipt, resumable=resumable)

    async def _run(self) -> Receipt:
        if self._source is not None and (receipt := await self._prepare(self._source)):
            return receipt
        await self._runner.read()
        self._progress = [progress_of(one) for one in self._accounts]
        if all(one.finished for one in self._accounts):
            self._is_over = self._source is None
            return await self._receipt()
        await self._runner.begin()
        await self._run_all()
        return await self._receipt()

    @property
    def _accounts(self) -> list[ShardAccount]:
        return self._runner.accounts

    async def _watch(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.halt("stopped on request")

    def _failed(self, error: BaseException) -> None:
        """Stop as on request; `run` raises the error at its end."""
        if self._failure is None:
            self._failure = error
        self.halt(f"{type(error).__name__} was raised")

    # The journals

    async def _prepare(self, source: NewSource) -> Receipt | None:
        """Write the journals; return a receipt if that was stopped: then nothing was sent."""
        preparing = asyncio.create_task(
            prepare(
                self._store,
                source.recipients,
                source.settings,
                base_url=self._base_url,
                shards=source.shards,
                report=self._report_read,
            )
        )
        halting = asyncio.create_task(self._halting.wait())
        try:
            await asyncio.wait({preparing, halting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            halting.cancel()
            if not preparing.done():
                preparing.cancel()
                await drain([preparing])
        ended = preparing.done() and not preparing.cancelled()
        error = preparing.exception() if ended else None
        if self._store.is_published:
            # Something failed right after that: the journals are there, and can be resumed.
            if error is not None:
                self.halt(describe(error), error)
            return None
        if error is not None:
            self._stop_preparing(error)
        else:
            self.halt("the source of recipients was cancelled")
        return Receipt(source_exhausted=False)

    def _stop_preparing(self, error: BaseException) -> None:
        """Stop for an error of the source; raise any other one, as before anything is sent."""
        if not isinstance(error, SourceFailedError):
            raise error
        cause = error.__cause__
        self.halt(f"the source of recipients raised {type(cause).__name__}", cause)

    def _report_read(self, read: int) -> None:
        self._read = read
        self._reporter.offer(self._sum)

    # The shards

    async def _run_all(self) -> None:
        self._done_before = sum(map(_settled, self._progress))
        shards = [shard for shard, one in enumerate(self._accounts) if not one.finished]
        self._waiting.extend(shards)
        if self._store.is_shared:
            # So that several processes do not all try the same one first.
            self._waiting.rotate(random.randrange(len(shards)))  # noqa: S311 - no secret
        try:
            while (self._waiting and not self._halting.is_set()) or self._running:
                while self._waiting and len(self._running) < self._runner.at_once:
                    if self._halting.is_set():
                        break
                    shard = self._waiting.popleft()
                    self._running[asyncio.create_task(self._run_shard(shard))] = shard
                ended, _ = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    self._shard_ended(task, self._running.pop(task))
        except BaseException:
            self.halt("cancelled")
            for task in self._running:
                task.cancel()
            await drain(self._running, asyncio.get_running_loop().time() + _LEAVING)
            raise
        finally:
            if (error := await self._runner.end()) is not None:
                self.halt(str(error), error)

    async def _run_shard(self, shard: int) -> None:
        try:
            await self._runner.run(shard)
        except JournalLockedError:
            await self._wait_for_others(shard)

    async def _wait_for_others(self, shard: int) -> None:
        """Try a shard that another process has again, when all others were tried."""
        self._waiting.append(shard)
        self._locked.add(shard)
        if self._locked.issuperset(self._waiting):
            self._locked.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOCKED_AGAIN):
                    await self._halting.wait()

    def _report(self, shard: int, progress: Progress) -> None:
        self._progress[shard] = progress
        self._reporter.offer(self._sum)

    def _shard_ended(self, task: asyncio.Task[None], shard: int) -> None:
        """Stop all shards, unless what ended this one concerns its own recipients only."""
        if task.cancelled():
            self.halt("cancelled")
            return
        error = task.exception()
        if isinstance(error, BulkSendError):
            cause = error.__cause__
            concerns_one = cause is None or isinstance(cause, RestartMessageError)
            if isinstance(cause, JournalLostError):
                # Another process continues it: this one waits for its end.
                self._waiting.append(shard)
                return
            if self._shard_reason is None:
                self._shard_reason, self._shard_cause = error.reason, cause
            if error.receipt.unsent and not concerns_one:
                self.halt(error.reason, cause)
        elif isinstance(error, JournalHeldError):
            # This shard was given up; the others are sent.
            if self._shard_reason is None:
                self._shard_reason, self._shard_cause = error.reason, error
        elif isinstance(error, GatewayError):
            self.halt(str(error), error)
        elif error is not None:
            self._failed(error)

    # The end

    async def _receipt(self) -> Receipt:
        """Return the receipt, from the journals as they are now."""
        accounts = self._accounts
        for shard, account in enumerate(accounts):
            if not account.finished:
                try:
                    accounts[shard] = await read_account(self._store, shard)
                except JournalError as error:
                    # Some of its recipients may have been texted since it was read.
                    accounts[shard] = unreadable(account)
                    self.halt(str(error), error)
        self._progress = [progress_of(one) for one in accounts]
        return await on_disk(self._store, receipt_of, self._store, accounts)

    def _error(self, receipt: Receipt, *, resumable: bool) -> BulkSendError:
        reason = self._reason or self._shard_reason or shortfall(receipt)
        error = BulkSendError(
            f"the campaign ended before all recipients were accepted: {reason}",
            receipt=receipt,
            reason=reason,
            resumable=resumable,
            journal=self._store.handle if resumable else None,
        )
        error.__cause__ = self._cause or self._shard_cause
        return error

    def _sum(self) -> Progress:
        """Return the progress of all shards together."""
        elapsed = time.monotonic() - self._started
        if not self._progress:
            return Progress(total=self._total, read=self._read, elapsed=elapsed)
        settled = sum(map(_settled, self._progress))
        rate = (settled - self._done_before) / elapsed if elapsed > 0 else 0.0
        progress = sum_of(self._progress)
        left = (progress.total or 0) - settled
        return replace(
            progress,
            # A shard that has not begun has not left out anybody yet.
            unsent=progress.unsent if self._reason or self._shard_reason else 0,
            elapsed=elapsed,
            rate=rate,
            eta=left / rate if rate > 0 else None,
        )


def _settled(progress: Progress) -> int:
    """Return how many recipients of a shard need nothing more."""
    return progress.accepted + progress.invalid + progress.duplicates + progress.unknown
