"""The transaction builder: collects recipients, streams them in concurrent requests, closes.

Users enter by `gateway.transaction(...)`, campaigns by the methods under their heading. Requests
under way are tasks of their own, so that neither a failing neighbour nor a cancelled caller
takes them down: they land, and are counted by what they came to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import anyio

from .draft import Draft
from .errors import BulkSendError, GatewayError
from .intake import Batch, Source, as_source
from .messages import Messages
from .protocol import MessageOnWire, State
from .receipt import Receipt
from .recipients import RecipientLike, Recipients
from .session import Flight, Session
from .tally import Tally, completed

__all__ = ["LANDING_TIME", "Transaction", "describe", "land"]

LANDING_TIME = 5.0
"""Seconds that requests under way are given to land when their caller is cancelled."""


class Transaction:
    """One message, filled with as many recipients as come and sent when it is closed.

    An async context manager: leaving it closes the message, leaving it by an exception leaves
    the message open, which then never sends. Or `await close()` / `await abandon()`. Several
    tasks may `add`. Whoever is given twice is added once.
    """

    def __init__(
        self,
        session: Session,
        draft: Draft,
        tally: Tally,
        *,
        batch_size: int,
        permits: asyncio.Semaphore,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self._session = session
        self._message = MessageOnWire(Messages(session), draft, session.policy)
        self._tally = tally
        self._batch_size = batch_size
        self._permits = permits
        self._on_change = on_change
        # Always keeps somebody for the close: a full buffer leaves only when somebody follows.
        self._buffer = Batch()
        self._taken = 0
        self._flights: dict[asyncio.Task[None], Flight] = {}
        self._opened = asyncio.Event()
        self._adding = 0
        self._no_adds = asyncio.Event()
        self._no_adds.set()
        self._finishing: asyncio.Task[None] | None = None
        self._in_close = False
        self._fault: Exception | None = None
        self._halted = False
        self._ended = False
        self._counted = False

    @property
    def state(self) -> State:
        """Where the message stands."""
        return self._message.state

    @property
    def message_id(self) -> str | None:
        """The message's id, None until the gateway has answered the first batch."""
        return self._message.message_id

    @property
    def receipt(self) -> Receipt:
        """What became of everyone so far."""
        if not self._counted:
            return self._tally.receipt(self._people())
        receipt = self._tally.receipt()
        return receipt if self._fault is not None else completed(receipt)

    async def add(self, recipients: RecipientLike | Recipients) -> None:
        """Add one recipient, or a sync or async iterable of them.

        Takes them as fast as batches leave: at most `batch_size * (concurrency + 1)` are held.
        Refused ones are named in the receipt. Raises BulkSendError when a batch has failed,
        RuntimeError when the transaction has ended.
        """
        if self._ended:
            raise RuntimeError(f"this transaction has ended ({self.state}); nothing can be added")
        source = as_source(recipients)
        self._adding += 1
        self._no_adds.clear()
        try:
            await self.feed(source)
        finally:
            self._adding -= 1
            if not self._adding:
                self._no_adds.set()
        if self._fault is not None:
            self.halt()
            await _ended(self._flights)
            raise self._error()
        if self._halted:
            raise RuntimeError(f"this transaction has ended ({self.state}); not all were added")

    async def close(self) -> Receipt:
        """Close the message, which then goes out, and return what became of everyone.

        Refuses further recipients first, and waits for those being added. Raises BulkSendError,
        with the receipt, when the message was not closed, or not provably.
        """
        if self.state == "abandoned":
            raise RuntimeError("this transaction was abandoned; there is nothing to close")
        self._ended = True
        try:
            await self._no_adds.wait()
            await _ended([self.finish()])
        except asyncio.CancelledError:
            await self._stop()
            raise
        receipt = self.receipt
        if self._fault is not None or receipt.unsent or receipt.unknown:
            raise self._error()
        return receipt

    async def abandon(self) -> None:
        """Delete the message, which then never goes out; everyone taken is unsent.

        Raises InvalidRequestError when it is closed already, OutcomeUnknownError when it could
        not be told whether it is gone.
        """
        self._ended = True
        self.halt()
        await _ended(self._under_way())
        if self._counted:
            raise RuntimeError(f"this transaction has ended ({self.state})")
        try:
            await self._message.abandon()
        finally:
            self._count()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._ended = True
            await self._stop()
        elif not self._counted:
            await self.close()

    # For campaigns

    @property
    def waiting(self) -> int:
        """How many recipients were taken that the gateway has not acknowledged."""
        return self._taken - self._message.acknowledged

    @property
    def counted(self) -> bool:
        """Whether the transaction has ended and everyone on it is in the tally."""
        return self._counted

    @property
    def fault(self) -> Exception | None:
        """What went wrong first."""
        return self._fault

    async def feed(self, source: Source, limit: int | None = None) -> None:
        """Take recipients until the source ends, `limit` are taken, or a batch has failed."""
        while not source.exhausted and not self._stopped and self._taken != limit:
            items = await source.ready()
            at_end = False
            try:
                while not at_end and not self._stopped and self._taken != limit:
                    at_end = await self._take_some(items, limit)
            finally:
                if at_end:
                    source.drained()
                elif source.one_at_a_time:
                    # It has left the source, so it must be counted, whatever interrupts us.
                    self._take_late(items)

    def finish(self) -> asyncio.Task[None]:
        """Start to close in a task of its own; what goes wrong is in `fault`."""
        if self._finishing is None:
            self._finishing = asyncio.create_task(self._finish())
            # Not in the task itself: cancelled early enough, it would not run a line.
            self._finishing.add_done_callback(lambda _: self._count())
        return self._finishing

    def tasks(self) -> list[asyncio.Task[None]]:
        """Return what is under way, its end included."""
        self.finish()
        return self._under_way()

    def halt(self) -> None:
        """Let nothing new leave. What is on the wire lands, and so does a close once begun."""
        self._halted = self._session.halted = True
        for task, flight in self._flights.items():
            if not flight.on_wire:
                task.cancel()
        if self._finishing and self._in_close and not self._message.close_begun:
            self._finishing.cancel()

    # Inside

    @property
    def _stopped(self) -> bool:
        return self._halted or self._fault is not None

    def _under_way(self) -> list[asyncio.Task[None]]:
        return [*self._flights, *([self._finishing] if self._finishing else [])]

    def _people(self) -> tuple[MessageOnWire, list[Batch]]:
        """Return the message, and those who wait to be given to it."""
        return self._message, [] if self._buffer in self._message.batches else [self._buffer]

    async def _take_some(self, items: Iterator[RecipientLike], limit: int | None) -> bool:
        """Fill the buffer, or send it when it is full and somebody follows; True at the end."""
        held = len(self._buffer)
        if held < self._batch_size:
            left = self._batch_size if limit is None else held + limit - self._taken
            at_end = self._take(items, self._buffer, min(self._batch_size, left))
            await asyncio.sleep(0)
            return at_end
        await self._permits.acquire()
        at_end = False
        following = Batch()
        try:
            if not self._stopped and len(self._buffer) >= self._batch_size:
                at_end = self._take(items, following, 1)
        finally:
            if following:
                full, self._buffer = self._buffer, following
                self._launch(full).add_done_callback(lambda _: self._permits.release())
            else:
                self._permits.release()
        await asyncio.sleep(0)
        return at_end

    def _take_late(self, items: Iterator[RecipientLike]) -> None:
        late = Batch()
        self._take(items, late if self._counted else self._buffer, len(self._buffer) + 1)
        self._tally.add_unsent(late)

    def _take(self, items: Iterator[RecipientLike], batch: Batch, size: int) -> bool:
        held = len(batch)
        at_end = self._tally.intake.fill(items, batch, size)
        self._taken += len(batch) - held
        self._changed()
        return at_end

    def _launch(self, batch: Batch) -> asyncio.Task[None]:
        """Send a batch in a task of its own."""
        flight = Flight()
        first = not self._message.batches
        self._message.give(batch)
        task = asyncio.create_task(self._fly(batch, flight, first=first))
        self._flights[task] = flight
        task.add_done_callback(self._landed)
        return task

    async def _fly(self, batch: Batch, flight: Flight, *, first: bool) -> None:
        with self._filing_faults():
            if first:
                await self._message.open(batch, flight)
                self._opened.set()
                return
            await self._opened.wait()
            if not self._stopped:
                await self._message.append(batch, flight)

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._flights.pop(task)
        self._changed()

    async def _finish(self) -> None:
        with self._filing_faults():
            await _ended(self._flights)
            if self._stopped:
                return
            if self._buffer and not self._message.batches:
                # Everyone fits in one request: the last of them is kept for the close.
                head, self._buffer = self._buffer.split(max(1, len(self._buffer) - 1))
                await _ended([self._launch(head)])
            if self._message.batches and not self._stopped:
                self._in_close = True
                await self._message.close(self._buffer or None)

    @contextmanager
    def _filing_faults(self) -> Generator[None]:
        """File what goes wrong, so that it takes no neighbour down and everyone is counted."""
        try:
            yield
        except asyncio.CancelledError:
            if not self._halted:
                # Not by us: something that the request waited for was cancelled.
                self._fail(GatewayError("a request was cancelled from outside"))
            raise
        except Exception as error:  # noqa: BLE001
            self._fail(error)

    async def _stop(self) -> None:
        """Let nothing new leave, give what is on the wire its time, and count everyone."""
        self.halt()
        try:
            await land(self._under_way())
        finally:
            self._count()

    def _fail(self, error: Exception) -> None:
        if self._fault is None:
            self._fault = error
        self._opened.set()
        self._changed()

    def _count(self) -> None:
        if self._counted:
            return
        self._counted = True
        self._message.leave()
        self._tally.add(*self._people())
        self._changed()

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change()

    def _error(self) -> BulkSendError:
        reason = "stopped before it was closed" if self._fault is None else describe(self._fault)
        error = BulkSendError(
            f"the message did not go out to everyone: {reason}",
            receipt=self.receipt,
            reason=reason,
        )
        error.__cause__ = self._fault
        return error


def describe(fault: Exception) -> str:
    """Say what went wrong; what is not ours is only named, for its text may hold anything."""
    return str(fault) if isinstance(fault, GatewayError) else f"{type(fault).__name__} was raised"


async def _ended(tasks: Collection[asyncio.Task[None]]) -> None:
    if tasks:
        await asyncio.wait(list(tasks))


async def land(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Give tasks their time to end, whatever cancels the caller; then cancel what is left.

    A cancellation that arrives meanwhile is raised at the end.
    """
    # The scope keeps anyio's cancellation out, the loop a plain `task.cancel()`.
    cancelled: asyncio.CancelledError | None = None
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LANDING_TIME
    pending = set(tasks)
    with anyio.CancelScope(shield=True):
        while pending:
            left = deadline - loop.time()
            if left <= 0:
                for task in pending:
                    task.cancel()
            try:
                _, pending = await asyncio.wait(pending, timeout=left if left > 0 else None)
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        raise cancelled
