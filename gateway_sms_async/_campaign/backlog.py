"""The recipients of a campaign that are on no message.

They were left over by a message, or are kept in the journal and not loaded yet, or are still in the
source when the campaign ends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable

from .._journal.journal import Journal
from .._journal.records import Ranges
from .._recipients.batches import Batch, Batcher
from .._recipients.source import Source

__all__ = ["Backlog", "read_rest"]

# Recipients written to the journal at once. Each trip to the journal's thread and back costs as much
# as some hundred recipients.
_TOGETHER = 5_000


_TURN = 0.01
"""Seconds: reads from a source that take longer are made smaller, so that other tasks get turns."""


class Backlog:
    """Batches in memory first, then recipients in the journal, named by their ordinals.

    `pending` are recipients in the journal that earlier runs have not sent to.
    """

    def __init__(self, journal: Journal | None, pending: Ranges | None = None) -> None:
        self._journal = journal
        self._pending: deque[tuple[int, int]] = deque(pending or ())
        self._batches: deque[Batch] = deque()
        self._reading = Batch()

    def __len__(self) -> int:
        waiting = sum(map(len, self._batches))
        return waiting + sum(end - first for first, end in self._pending)

    def put(self, batches: Iterable[Batch]) -> None:
        """Add batches that a message left over."""
        self._batches.extend(filter(len, batches))

    def clear(self) -> None:
        """Drop all recipients: the caller has counted them."""
        self._batches.clear()
        self._pending.clear()

    async def keep(self, source: Source, batcher: Batcher, report: Callable[[], None]) -> None:
        """Write a whole source to the journal.

        If it is interrupted, the recipients read so far are in the backlog all the same.
        """
        try:
            while not source.exhausted:
                items = await source.ready()
                at_end = False
                try:
                    while not at_end:
                        at_end = batcher.fill(items, self._reading, _TOGETHER)
                        if len(self._reading) == _TOGETHER:
                            await self._keep_read()
                        report()
                        await asyncio.sleep(0)
                finally:
                    if at_end:
                        source.drained()
                    elif source.one_at_a_time:
                        batcher.fill(items, self._reading, len(self._reading) + 1)
            if self._reading:
                await self._keep_read()
        finally:
            self.stop_keeping()

    def stop_keeping(self) -> None:
        """Take what `keep` has read so far, even if `keep` itself never ends."""
        self.put([self._reading])
        self._reading = Batch()
        if self._journal is not None and (written := self._journal.recipients_written):
            self._pending = deque([(0, written)])

    @property
    def _kept_in(self) -> Journal:
        assert self._journal is not None, "without a journal, no recipients are kept"
        return self._journal

    async def _keep_read(self) -> None:
        batch, self._reading = self._reading, Batch()
        try:
            await self._kept_in.add_recipients(batch)
        except BaseException:
            self.put([batch])
            raise

    async def take(self, size: int) -> Batch | None:
        """Return the next recipients, at most `size`; None if none are left."""
        if not self._batches:
            return await self._load(size)
        batch = self._batches.popleft()
        while self._batches and len(batch) < size:
            batch = batch.joined(self._batches.popleft())
        batch, rest = batch.split(min(size, len(batch)))
        if rest:
            self._batches.appendleft(rest)
        return batch

    async def _load(self, size: int) -> Batch | None:
        if not self._pending:
            return None
        first, end = self._pending[0]
        stop = min(end, first + size)
        # Removed only after the read, so that an interrupted read loses no recipient.
        batch = await self._kept_in.recipients([(first, stop)])
        self._pending.popleft()
        if stop < end:
            self._pending.appendleft((stop, end))
        return batch


async def read_rest(source: Source, batcher: Batcher, deadline: float) -> AsyncIterator[Batch]:
    """Read what is left in a source, without waiting for it, and yield the valid recipients.

    A source that has a length is read to its end. Another one may be endless or slow, so it is read
    until `deadline`, on the loop's clock. An async source is not read, because it may have to be
    waited for. If the source raises, it is not read further.
    """
    clock = asyncio.get_running_loop().time
    items = source.rest()
    size = 1
    while (
        items is not None
        and not source.exhausted
        and (source.size is not None or clock() < deadline)
    ):
        started = clock()
        batch = Batch()
        try:
            if batcher.fill(items, batch, size):
                source.drained()
        except Exception:  # noqa: BLE001 - the campaign has ended already, for another reason
            items = None
        yield batch
        size = min(2 * size, _TOGETHER) if clock() - started < _TURN else max(1, size // 2)
        await asyncio.sleep(0)
