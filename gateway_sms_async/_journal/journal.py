"""The campaign journal: the records that a resume needs, each written before its request is sent.

The store writes the file, on a thread of its own. This module is for the event loop: an intent is
durable when awaited, many share one commit, and a note is written with the next commit. After one
failed write nothing more is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec

from .._cancellation import wait_shielded
from .._receipt import InvalidRecipient, RecipientOutcome
from .._recipients.batches import Batch, Batcher
from ..errors import JournalCorruptError, JournalError
from .records import Ranges, Record, decode, encode, ranges
from .replay import replay
from .schema import (
    Saved,
    Settings,
    StoredRow,
    StoredSource,
    decode_row,
    decode_settings,
    decode_source,
    encode_value,
)
from .store import Store, check_new

__all__ = ["Journal", "NullJournal"]

T = TypeVar("T")


class Journal:
    """One open journal at `path`; `published` if it holds a whole source."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.published = False
        self.recipients_written: int = 0
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="gateway-sms-journal")
        self._loop = asyncio.get_running_loop()
        self._store: Store | None = None
        self._error: JournalError | None = None
        self._pending: list[bytes] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._writing: asyncio.Future[None] | None = None
        self._row: tuple[int, Batch] | None = None

    @classmethod
    async def create(cls, path: str | PathLike[str]) -> Self:
        """Create a journal; raises JournalError if that fails."""
        self = cls(_absolute(path))
        await self._start(lambda: Store.create(self.path))
        return self

    @staticmethod
    def check_new(path: str | PathLike[str]) -> None:
        """Raise JournalExistsError if a new journal cannot have this name. Creates nothing."""
        check_new(_absolute(path))

    @classmethod
    async def open(cls, path: str | PathLike[str]) -> tuple[Self, Saved]:
        """Open a journal and read its content; raises JournalError if that fails."""
        self = cls(_absolute(path))
        await self._start(lambda: Store.open(self.path))
        try:
            saved = await self._run(self._read)
        except BaseException:
            await self.close()
            raise
        self.published = True
        self.recipients_written = saved.recipients
        return self, saved

    # The source

    async def add_recipients(self, batch: Batch) -> None:
        """Store a batch of the source."""
        first = self.recipients_written
        value = encode_value(
            StoredRow(
                batch.numbers,
                {}
                if batch.written == batch.numbers
                else {
                    i: written
                    for i, written in enumerate(batch.written)
                    if written != batch.numbers[i]
                },
                ranges(batch.positions),
                batch.fields,
            )
        )
        await self._run(self._opened.add_recipients, first, value)
        self.recipients_written += len(batch)

    async def publish(self, settings: Settings, batcher: Batcher) -> None:
        """Make the source durable: from now on a resume needs only this file."""
        taken = StoredSource(
            batcher.total,
            batcher.duplicates,
            self.recipients_written,
            # A number as written may hold characters that cannot be encoded.
            [
                (one.number.encode(errors="backslashreplace").decode(), one.reason, one.position)
                for one in batcher.invalid
            ],
            ranges(list(batcher.marks.where(RecipientOutcome.EXCLUDED)))
            if batcher.excluded
            else [],
        )
        meta = {"settings": encode_value(settings), "taken": encode_value(taken)}

        def publish() -> None:
            self._opened.publish(meta)
            # Set on this thread: the caller may be cancelled meanwhile.
            self.published = True

        await self._run(publish)

    async def batches(self, recipients: Ranges) -> AsyncIterator[Batch]:
        """Yield the recipients with these ordinals, in batches as they are stored."""
        for first, end in recipients:
            at = first
            while at < end:
                start, row = await self._row_of(at)
                stop = min(end, start + len(row))
                if stop <= at:
                    raise JournalCorruptError(
                        f"{self.path}: the journal is damaged: recipients are missing"
                    )
                # A copy: the row is cached for the next call.
                yield row.cut(at - start, stop - start)
                at = stop

    async def recipients(self, recipients: Ranges) -> Batch:
        """Return the recipients with these ordinals."""
        found = Batch()
        async for part in self.batches(recipients):
            found = found.joined(part) if found else part
        return found

    # The log

    def note(self, record: Record) -> None:
        """Write a record with the next commit; losing it is safe."""
        if self._error is None:
            self._pending.append(encode(record))

    async def intend(self, record: Record) -> None:
        """Write a record and all records before it; they are durable when this returns."""
        self._check()
        self._pending.append(encode(record))
        await self._committed()

    async def flush(self) -> None:
        """Make all noted records durable."""
        self._check()
        if self._pending or self._writing:
            await self._committed()

    async def remove(self) -> None:
        """Delete the file."""
        await self._run(self._opened.remove)

    async def close(self) -> None:
        """Write the noted records if that is still possible, and release the file and the thread."""
        if self._pending and self.published and self._error is None:
            self._write()
        store, self._store = self._store, None
        if store is None:
            self._executor.shutdown(wait=False)
            return
        closing = self._loop.run_in_executor(self._executor, store.close)
        try:
            await wait_shielded(closing)
        finally:
            # Do not wait for a thread blocked by the disk.
            self._executor.shutdown(wait=closing.done())

    @property
    def _opened(self) -> Store:
        assert self._store is not None, "the journal is closed"
        return self._store

    def _check(self) -> None:
        if self._error is not None:
            raise JournalError(str(self._error)) from self._error

    async def _committed(self) -> None:
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(waiter)
        if self._writing is None:
            self._write()
        await waiter

    def _write(self) -> None:
        """Commit all pending records, for all tasks that are waiting now."""
        values, self._pending = self._pending, []
        waiting, self._waiting = self._waiting, []
        self._writing = self._loop.run_in_executor(self._executor, self._opened.commit, values)
        self._writing.add_done_callback(lambda done: self._written(done, waiting))

    def _written(self, done: asyncio.Future[None], waiting: list[asyncio.Future[None]]) -> None:
        self._writing = None
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or error is not None:
            self._poison(error)
            waiting += self._waiting
            self._waiting = []
        for waiter in waiting:
            if waiter.done():
                continue
            if self._error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(JournalError(str(self._error)))
        if self._waiting and self._store is not None:
            self._write()

    def _poison(self, error: BaseException | None) -> None:
        """Write nothing more: after a failed write the content of the file is unknown."""
        self._pending = []
        self._error = error if isinstance(error, JournalError) else self._unusable(error)

    async def _start(self, make: Callable[[], Store]) -> None:
        starting = self._loop.run_in_executor(self._executor, make)
        try:
            self._store = await wait_shielded(starting)
        except BaseException:
            if starting.done() and not starting.cancelled() and starting.exception() is None:
                self._store = starting.result()
            await self.close()
            raise

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        try:
            return await wait_shielded(self._loop.run_in_executor(self._executor, function, *args))
        except JournalError:
            raise
        except Exception as error:
            raise self._unusable(error) from error

    def _unusable(self, error: BaseException | None) -> JournalError:
        return JournalError(f"{self.path}: the journal cannot be used: {type(error).__name__}")

    def _read(self) -> Saved:
        """Read settings, source and log; on the journal's thread."""
        store = self._opened
        try:
            meta = store.meta()
            settings = decode_settings(meta["settings"])
            taken = decode_source(meta["taken"])
            position = replay(map(decode, store.log()), taken.people)
        except (msgspec.MsgspecError, KeyError, AssertionError, IndexError) as error:
            raise JournalCorruptError(
                f"{self.path}: the journal is damaged: its content is not consistent"
            ) from error
        return Saved(
            settings,
            taken.total,
            taken.duplicates,
            taken.excluded,
            taken.people,
            [InvalidRecipient(*one) for one in taken.invalid],
            position,
        )

    async def _row_of(self, ordinal: int) -> tuple[int, Batch]:
        """Return the stored batch that has this ordinal, and its first ordinal; the last one is cached."""
        if self._row is None or not 0 <= ordinal - self._row[0] < len(self._row[1]):
            first, value = await self._run(self._opened.recipients, ordinal)
            row = decode_row(value)
            batch = Batch()
            batch.numbers = row.numbers
            batch.written = row.numbers
            if row.written:
                batch.written = [row.written.get(i, one) for i, one in enumerate(row.numbers)]
            batch.positions = (
                range(*row.positions[0])
                if len(row.positions) == 1
                else list(chain.from_iterable(range(*run) for run in row.positions))
            )
            batch.fields = row.fields
            batch.ordinals = range(first, first + len(row.numbers))
            self._row = first, batch
        return self._row


class NullJournal:
    """Used when a campaign has no journal; drops all records."""

    __slots__ = ()

    published = False

    def note(self, record: Record) -> None:
        """Drop a record."""

    async def intend(self, record: Record) -> None:
        """Drop a record."""

    async def flush(self) -> None:
        """Do nothing: there is nothing to write."""

    async def close(self) -> None:
        """Do nothing: there is no file."""


def _absolute(path: str | PathLike[str]) -> Path:
    """Return the path as it is now: the working directory may change during the campaign."""
    text = fspath(path)
    if not isinstance(text, str) or not text or "\0" in text:
        raise ValueError("journal is the path of a file, as text")
    return Path(text).absolute()
