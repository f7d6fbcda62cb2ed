"""Those of a campaign who are taken and on no message: come back from one, or kept in the journal.

The campaign enters.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from .._journal.journal import Journal
from .._journal.records import Ranges
from .._recipients.batches import Batch, Batcher
from .._recipients.source import Source

__all__ = ["Backlog"]

# People written, and read again, at once: each way to the journal's thread and back costs as much
# as some hundred people.
_TOGETHER = 5_000


class Backlog:
    """Batches in memory first, then people in the journal, named by their ordinals."""

    def __init__(self, journal: Journal | None) -> None:
        self._journal = journal
        self._pending: deque[tuple[int, int]] = deque()
        self._batches: deque[Batch] = deque()

    def __len__(self) -> int:
        waiting = sum(map(len, self._batches))
        return waiting + sum(end - first for first, end in self._pending)

    def put(self, batches: Iterable[Batch]) -> None:
        """Take people back."""
        self._batches.extend(filter(len, batches))

    def clear(self) -> None:
        """Forget everybody: they are counted elsewhere."""
        self._batches.clear()
        self._pending.clear()

    def expect(self, people: Ranges) -> None:
        """Take note of people who are kept in the journal."""
        self._pending.extend(people)

    async def keep(self, source: Source, batcher: Batcher, tell: Callable[[], None]) -> None:
        """Write a whole source to the journal; cut off, whoever was taken is here all the same."""
        assert self._journal is not None
        batch = Batch()
        try:
            while not source.exhausted:
                items = await source.ready()
                at_end = False
                try:
                    while not at_end:
                        at_end = batcher.fill(items, batch, _TOGETHER)
                        if len(batch) == _TOGETHER:
                            full, batch = batch, Batch()
                            await self._keep(full)
                        tell()
                        await asyncio.sleep(0)
                finally:
                    if at_end:
                        source.drained()
                    elif source.one_at_a_time:
                        batcher.fill(items, batch, len(batch) + 1)
            if batch:
                full, batch = batch, Batch()
                await self._keep(full)
        finally:
            self.put([batch])
            if self._journal.recipients_written:
                self.expect([(0, self._journal.recipients_written)])

    async def _keep(self, batch: Batch) -> None:
        assert self._journal is not None
        try:
            await self._journal.add_recipients(batch)
        except BaseException:
            self.put([batch])
            raise

    async def take(self, size: int) -> Batch | None:
        """Return the next people, at most `size`, None when there are none left."""
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
        assert self._journal is not None
        first, end = self._pending[0]
        stop = min(end, first + size)
        # Only then taken: whatever interrupts the reading, nobody is lost by it.
        batch = await self._journal.recipients([(first, stop)])
        self._pending.popleft()
        if stop < end:
            self._pending.appendleft((stop, end))
        return batch
