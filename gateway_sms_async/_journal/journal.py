"""The campaign journal: the records that a resume needs, each written before its request is sent.

The store writes the file, on a thread of its own. This module is for the event loop: an intent is
durable when awaited, many share one commit, and a note is written with the next commit. What is
written is always the beginning of what was recorded: after a record that could not be taken, and
after a failed write, nothing more is written.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, Self, TypeVar

import msgspec

from .._cancellation import wait_shielded
from .._journal_place import JournalPlace, JournalReader, JournalWriter
from .._receipt import InvalidRecipient, RecipientOutcome
from .._recipients.batches import Batch, Batcher
from ..errors import JournalCorruptError, JournalError
from .checks import check_record, check_row, check_settings, check_source
from .place import JournalLike, place_of
from .records import Finished, Ranges, Record, decode, encode, ranges
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

__all__ = ["Journal", "NullJournal"]

T = TypeVar("T")


_INCONSISTENT = (
    msgspec.MsgspecError,
    LookupError,
    ValueError,
    TypeError,
    ArithmeticError,
    AssertionError,
    RecursionError,
)
"""What is raised where the content of a journal is read that no campaign can have written."""


class Journal:
    """One open journal at `place`.

    - `published`: it holds a whole source.
    - `running`: another process has locked it, and it was read all the same.
    - `on_held`: called with the reason when nothing more is to be sent.
    """

    def __init__(self, place: JournalPlace) -> None:
        self.place = place
        self.published = False
        self.running = False
        self.recipients_written: int = 0
        self.on_held: Callable[[str], object] | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="gateway-sms-journal")
        self._loop = asyncio.get_running_loop()
        self._store: JournalReader | None = None
        self._writer: JournalWriter | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._closed = False
        self._closing: asyncio.Future[None] | None = None
        self._error: JournalError | None = None
        self._pending: list[bytes] = []
        self._is_finished = False
        # Those who wait for the next write, and for the one under way.
        self._waiting: list[asyncio.Future[None]] = []
        self._served: list[asyncio.Future[None]] = []
        self._writing: asyncio.Future[None] | None = None
        self._row: tuple[int, Batch] | None = None
        # The positions in its rows are below this.
        self._total = sys.maxsize

    @classmethod
    async def create(cls, journal: JournalLike) -> Self:
        """Create a journal; raises JournalError if that fails."""
        self = cls(place_of(journal))
        await self._start(self._create)
        self._begin_renewing()
        return self

    @staticmethod
    def check_new(journal: JournalLike) -> None:
        """Raise JournalExistsError if a new journal cannot have this name. Creates nothing."""
        place_of(journal).check_new()

    @classmethod
    async def open(cls, journal: JournalLike) -> tuple[Self, Saved]:
        """Open a journal and read its content; raises JournalError if that fails."""
        self = cls(place_of(journal))
        return self, await self._load(self._open)

    @classmethod
    async def read(cls, journal: JournalLike) -> tuple[Self, Saved]:
        """Open a journal only to read it, also while another process writes it."""
        self = cls(place_of(journal))
        return self, await self._load(self._open_to_read)

    @classmethod
    async def snapshot(cls, journal: JournalLike) -> tuple[Self, Saved]:
        """Read a journal without locking it, as it is while another process writes it."""
        self = cls(place_of(journal))
        self.running = True
        return self, await self._load(self._open_snapshot)

    @contextmanager
    def checked(self) -> Generator[None]:
        """Raise what its content raises, where it is used, as a JournalCorruptError."""
        try:
            yield
        except _INCONSISTENT as error:
            raise self._inconsistent() from error

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
                # After the first one, a row begins where the one before it ends.
                if stop <= at or (at > first and start != at):
                    raise JournalCorruptError(
                        f"{self.place}: the journal is damaged: recipients are missing, or there twice"
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
        """Write a record with the next commit; losing it is safe, with all that follow it."""
        self._take(record)

    async def intend(self, record: Record) -> None:
        """Write a record and all records before it; they are durable when this returns."""
        self._take(record)
        self._check()
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
        """Write the noted records if that is still possible, and release the file and the thread.

        May be repeated.
        """
        try:
            if self._pending and self.published and self._error is None and not self._closed:
                self._write()
        finally:
            await self._release()

    def _create(self) -> None:
        self._store = self._writer = self.place.create()

    def _open(self) -> None:
        self._store = self._writer = self.place.open()

    def _open_to_read(self) -> None:
        self._store, self.running = self.place.read()

    def _open_snapshot(self) -> None:
        self._store = self.place.snapshot()

    @property
    def _opened(self) -> JournalWriter:
        assert self._writer is not None, "the journal is closed, or not to be written"
        return self._writer

    @property
    def _file(self) -> JournalReader:
        assert self._store is not None, "the journal is closed"
        return self._store

    def _check(self) -> None:
        if self._error is not None:
            raise self._copy() from self._error

    def _take(self, record: Record) -> None:
        """Put a record at the end of those to write, unless nothing more is written."""
        try:
            if self._error is None:
                self._pending.append(encode(record))
                self._is_finished = isinstance(record, Finished)
        except BaseException as error:
            # Without this record, those after it would mean something else.
            self._poison(error)
            raise

    async def _committed(self) -> None:
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(waiter)
        if self._writing is None:
            self._write()
        await waiter

    def _write(self) -> None:
        """Commit all pending records, for all tasks that are waiting now."""
        assert not self._closed, "the journal is closed"
        try:
            self._served, self._waiting = self._waiting, []
            values, self._pending = self._pending, []
            commit = partial(self._opened.commit, values, finished=self._is_finished)
            self._writing = self._loop.run_in_executor(self._executor, commit)
            self._writing.add_done_callback(self._written)
        except BaseException as error:
            self._poison(error)
            raise

    def _written(self, done: asyncio.Future[None]) -> None:
        try:
            self._writing = None
            error = asyncio.CancelledError() if done.cancelled() else done.exception()
            if error is not None:
                self._poison(error)
                return
            for waiter in self._served:
                if not waiter.done():
                    waiter.set_result(None)
            self._served = []
            if self._waiting and not self._closed:
                self._write()
        except BaseException as error:
            self._poison(error)
            raise

    def _poison(self, error: BaseException) -> None:
        """Write nothing more: it is not known any longer what the file holds, or what it lacks."""
        if self._error is None:
            self._error = error if isinstance(error, JournalError) else self._unusable(error)
        self._pending = []
        waiting = self._served + self._waiting
        self._served, self._waiting = [], []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_exception(self._copy())
                waiter.exception()  # its task may be gone, and nothing is logged for that

    def _copy(self) -> JournalError:
        """Return the error after which nothing is written, for one more task to raise."""
        assert self._error is not None
        return type(self._error)(str(self._error))

    def _begin_renewing(self) -> None:
        if self._writer is not None and (every := self._writer.renew_every) is not None:
            self._renewing = asyncio.create_task(self._renew(every))

    async def _renew(self, every: float) -> None:
        """Keep other processes out for as long as the journal is open."""
        while True:
            await asyncio.sleep(every)
            try:
                held = await self._loop.run_in_executor(self._executor, self._opened.renew)
                if held is not None and self.on_held is not None:
                    self.on_held(held)
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # noqa: BLE001 - nothing is written after any of them
                self._poison(error)
                return

    async def _load(self, make: Callable[[], None]) -> Saved:
        """Open the file and return its content."""
        await self._start(make)
        try:
            saved = await self._run(self._read)
            self.published = True
            if self._writer is not None and self._writer.careful:
                saved = replace(saved, careful=True)
            self.recipients_written = saved.recipients
            self._total = saved.total
            self._begin_renewing()
            return saved
        except BaseException:
            await self.close()
            raise

    async def _start(self, make: Callable[[], None]) -> None:
        starting = self._loop.run_in_executor(self._executor, make)
        try:
            await wait_shielded(starting)
        except BaseException as error:
            await self._release(wait=starting.done())
            if isinstance(error, Exception) and not isinstance(error, JournalError):
                raise self._unusable(error) from error
            raise

    async def _release(self, *, wait: bool = True) -> None:
        """Close the store on its thread, when that has done all that it was given, and the thread."""
        self._closed = True
        if self._renewing is not None:
            self._renewing.cancel()
        try:
            if self._closing is None:
                self._closing = self._loop.run_in_executor(self._executor, self._close_store)
            if wait:
                await wait_shielded(self._closing)
        finally:
            if self._closing is None:
                # Interrupted: perhaps the thread was not told.
                self._closing = asyncio.wrap_future(self._executor.submit(self._close_store))
            # Do not wait for a thread blocked by the disk.
            self._executor.shutdown(wait=self._closing.done())

    def _close_store(self) -> None:
        """Close the store if there is one, on the thread."""
        store, self._store, self._writer = self._store, None, None
        if store is not None:
            store.close()

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        try:
            return await wait_shielded(self._loop.run_in_executor(self._executor, function, *args))
        except JournalError:
            raise
        except Exception as error:
            raise self._unusable(error) from error

    def _unusable(self, error: BaseException | None) -> JournalError:
        return JournalError(f"{self.place}: the journal cannot be used: {type(error).__name__}")

    def _read(self) -> Saved:
        """Read settings, source and log; on the journal's thread."""
        file = self._file
        with self.checked():
            meta = file.meta()
            settings = decode_settings(meta["settings"])
            check_settings(settings)
            taken = decode_source(meta["taken"])
            check_source(taken, file.size())
            if taken.people:
                # Memory is taken for as many, so they must be there.
                first, row = file.recipients(taken.people - 1)
                if first + len(decode_row(row).numbers) != taken.people:
                    raise IndexError("recipients are missing")
            with closing(self._records(taken.people)) as records:
                position = replay(records, taken.people)
        return Saved(
            settings,
            taken.total,
            taken.duplicates,
            taken.excluded,
            taken.people,
            [InvalidRecipient(*one) for one in taken.invalid],
            position,
        )

    def _records(self, recipients: int) -> Generator[Record]:
        """Yield the records of the log; raises ValueError for one that no campaign writes."""
        with closing(self._file.log()) as log:
            for record in map(decode, log):
                check_record(record, recipients)
                yield record

    def _inconsistent(self) -> JournalCorruptError:
        return JournalCorruptError(
            f"{self.place}: the journal is damaged: its content is not consistent"
        )

    async def _row_of(self, ordinal: int) -> tuple[int, Batch]:
        """Return the stored batch that has this ordinal, and its first ordinal; the last one is cached."""
        if self._row is None or not 0 <= ordinal - self._row[0] < len(self._row[1]):
            first, value = await self._run(self._file.recipients, ordinal)
            with self.checked():
                row = decode_row(value)
                check_row(row, self._total)
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
