"""The builder of one message: takes recipients, streams them in concurrent requests, finishes.

Transactions and campaigns enter. Requests under way are tasks of their own, so that neither a
failing neighbour nor a cancelled caller takes them down: they land, and are counted by what they
came to.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager

from .._cancellation import drain, wait_for
from .._http.endpoint import WireStatus
from .._http.session import Session
from .._journal.journal import Journal
from .._messages.api import MessagesAPI
from .._messages.draft import Draft
from .._recipients.batches import Batch
from .._recipients.source import Items, Source
from ..errors import (
    GatewayConnectionError,
    GatewayError,
    GatewayTimeoutError,
    OutcomeUnknownError,
    RateLimitError,
    ServerError,
)
from .closing import MessageCloser
from .message import (
    AssignedBatch,
    BatchState,
    OutgoingMessage,
    RestartMessageError,
    batch_event,
    close_event,
)
from .results import Results
from .spending import SpendingLimit
from .tuning import Tuning, shrinking

__all__ = ["MessageBuilder"]

_NO_ANSWER = (
    GatewayConnectionError,
    GatewayTimeoutError,
    OutcomeUnknownError,
    RateLimitError,
    ServerError,
)


class MessageBuilder:
    """Fills one message and closes it; whoever was taken is on it, or in `left_over` at the end.

    Those of a campaign (`replaceable`) may go to another message when this one comes to nothing.
    """

    def __init__(
        self,
        session: Session,
        draft: Draft,
        results: Results,
        tuning: Tuning,
        *,
        permits: asyncio.Semaphore,
        replaceable: bool = False,
        on_change: Callable[[], None] | None = None,
        journal: Journal | None = None,
        number: int = 0,
        spending: SpendingLimit | None = None,
    ) -> None:
        self._replaceable = replaceable
        self._session = session
        self._message = OutgoingMessage(
            MessagesAPI(session), draft, session.policy, tuning, journal=journal, number=number
        )
        self._closer = MessageCloser(
            self._message, replaceable=self._replaceable, spending=spending
        )
        self._results = results
        self._tuning = tuning
        self._permits = permits
        self._on_change = on_change
        # Always keeps somebody for the close: a full buffer leaves only when somebody follows.
        self._buffer = Batch()
        self._ready: deque[Batch] = deque()
        self._set_aside: list[Batch] = []
        self._taken = 0
        self._flights: dict[asyncio.Task[None], WireStatus] = {}
        self._sender: asyncio.Task[None] | None = None
        self._opened = asyncio.Event()
        self._procedure: Callable[[OutgoingMessage, MessageCloser], Awaitable[None]] | None = None
        self._finishing: asyncio.Task[None] | None = None
        self._in_close = False
        self._fault: Exception | None = None
        self._halted = False
        self._counted = False
        self.left_over: list[Batch] = []

    @property
    def message(self) -> OutgoingMessage:
        """The message itself."""
        return self._message

    @property
    def waiting(self) -> int:
        """How many recipients were taken that the gateway has not acknowledged."""
        return self._taken - self._message.acknowledged

    @property
    def counted(self) -> bool:
        """Whether the transaction has ended and everyone on it is in the tally, or left over."""
        return self._counted

    @property
    def fault(self) -> Exception | None:
        """What went wrong first."""
        return self._fault

    @property
    def stopped(self) -> bool:
        """Whether nothing more is sent, because of a fault or because it was told to."""
        return self._halted or self._fault is not None

    @property
    def room(self) -> int:
        """How many recipients may still be given; 0 also when a failure or a doubt forbids it."""
        if self.stopped or self._procedure is not None:
            return 0
        room = self._tuning.limit - self._taken
        if self._closes_next:
            room = min(room, self._size - len(self._buffer))
        return max(0, room)

    @property
    def wanted(self) -> int:
        """How many recipients the next batch offered should have; 0 when there is no room."""
        batches = len(self._message.assigned) + len(self._ready) + bool(self._buffer)
        return min(self.room, self._size_after(batches))

    @property
    def brings_objects(self) -> bool:
        """Whether anybody on it travels in a list of objects."""
        return self._buffer.is_object_list or any(
            one.batch.is_object_list for one in self._message.assigned
        )

    async def feed(self, source: Source) -> None:
        """Take recipients until the source ends, there is no more room, or a batch has failed."""
        limited = self._replaceable
        while not source.exhausted and not self.stopped and not (limited and not self.room):
            items = await source.ready()
            at_end = False
            try:
                while not at_end and not self.stopped and not (limited and not self.room):
                    at_end = await self._take_some(items)
            finally:
                if at_end:
                    source.drained()
                elif source.one_at_a_time:
                    # It has left the source, so it must be counted, whatever interrupts us.
                    self._take_late(items)

    def offer(self, batch: Batch) -> None:
        """Take a batch that was checked before; it is counted here from now on."""
        self._taken += len(batch)
        if self._closes_next:
            self._buffer = self._buffer.joined(batch)
        else:
            self._push(batch)

    def restore(self, message_id: str, assigned: Sequence[tuple[int, Batch, int | None]]) -> None:
        """Go on with a message of an earlier run: (number, batch, count in its answer) each."""
        self._message.restore(message_id, assigned)
        self._taken = sum(len(batch) for _, batch, _ in assigned)
        self._opened.set()

    def finish_with(
        self, procedure: Callable[[OutgoingMessage, MessageCloser], Awaitable[None]]
    ) -> None:
        """Finish a restored message in another way than by closing it."""
        self._procedure = procedure

    def finish(self, on_sent: Callable[[], None] | None = None) -> asyncio.Task[None]:
        """Start to close in a task of its own; what goes wrong is in `fault`.

        `on_sent` is called when only those who are kept for the close are still to be sent.
        """
        if self._finishing is None:
            self._finishing = asyncio.create_task(self._finish(on_sent))
            # Not in the task itself: cancelled early enough, it would not run a line.
            self._finishing.add_done_callback(lambda _: self.count())
        return self._finishing

    def tasks(self) -> list[asyncio.Task[None]]:
        """Return what is under way, its end included."""
        self.finish()
        return self.under_way()

    def count(self) -> None:
        """Count everyone, once; what was under way must have ended."""
        if self._counted:
            return
        self._counted = True
        self._message.leave()
        self.left_over = [*self._results.add(self._message), *filter(len, self.unplaced())]
        if self._session.emit is not None and self._message.message_id is not None:
            self._session.emit(close_event(self._message))
        if not self._replaceable:
            self._results.add_unsent(self.left_over)
        self._changed()

    def skip(self) -> None:
        """Open no message for those who were taken, if none is open yet."""
        if not self._message.assigned:
            self._halted = True

    def halt(self) -> None:
        """Let nothing new leave. What is on the wire lands, and so does a close once begun."""
        self._halted = self._session.halted = True
        if self._sender is not None:
            self._sender.cancel()
        for task, wire_status in self._flights.items():
            if not wire_status.on_wire:
                task.cancel()
        message = self._message
        # What has closed another message may have closed this one: it must be looked at.
        at_stake = message.close_begun or self._tuning.closed_elsewhere
        if self._finishing and self._in_close and not at_stake:
            self._finishing.cancel()

    def unplaced(self) -> list[Batch]:
        """Return those who were taken and are not on the message, nor about to be."""
        assigned = any(one.batch is self._buffer for one in self._message.assigned)
        return [*self._set_aside, *self._ready, *([] if assigned else [self._buffer])]

    def under_way(self) -> list[asyncio.Task[None]]:
        """Return what is under way, without starting to finish."""
        return [
            *self._flights,
            *([self._sender] if self._sender else []),
            *([self._finishing] if self._finishing else []),
        ]

    async def drained(self) -> None:
        """Wait until no batch is under way, or about to be."""
        await self._sent()
        await wait_for(self._flights)

    async def stop(self) -> None:
        """Let nothing new leave, give what is on the wire its time, and count everyone."""
        self.halt()
        try:
            await drain(self.under_way())
        finally:
            self.count()

    # Inside

    @property
    def _sealed(self) -> bool:
        """Whether nothing may be added to the message but what its close brings."""
        careful = self._tuning.careful and bool(self._message.assigned)
        return self._replaceable and (careful or self._message.in_doubt)

    @property
    def _closes_next(self) -> bool:
        """Whether only the close can still bring somebody who is taken now."""
        careful = self._replaceable and self._tuning.careful and bool(self._ready)
        return careful or self._sealed

    @property
    def _size(self) -> int:
        """How many recipients the buffer may hold."""
        return self._size_after(len(self._message.assigned) + len(self._ready))

    def _size_after(self, batches: int) -> int:
        """How many recipients the next batch may hold after so many of the message."""
        return shrinking(self._tuning.size(objects=bool(self._buffer.fields)), batches)

    async def _take_some(self, items: Items) -> bool:
        """Fill the buffer, or send it when it is full and somebody follows; True at the end."""
        held = len(self._buffer)
        size = self._size
        if held < size:
            left = min(size, held + self.room) if self._replaceable else size
            at_end = self._take(items, self._buffer, left)
            await asyncio.sleep(0)
            return at_end
        if not self._replaceable:
            await self._may_send()
        at_end = False
        following = Batch()
        try:
            # It may have been sealed while it waited.
            if not self.stopped and not self._closes_next and len(self._buffer) >= size:
                at_end = self._take(items, following, 1)
        finally:
            if following:
                self._push(following)
        await asyncio.sleep(0)
        return at_end

    def _push(self, following: Batch) -> None:
        """Let the buffer leave: somebody follows."""
        if self._buffer:
            self._ready.extend(self._pieces(self._buffer))
            if self._sender is None or self._sender.done():
                self._sender = asyncio.create_task(self._send_ready())
        self._buffer = following

    def _take_late(self, items: Items) -> None:
        late = Batch()
        self._take(items, late if self._counted else self._buffer, len(self._buffer) + 1)
        self._results.add_unsent([late])

    def _take(self, items: Items, batch: Batch, size: int) -> bool:
        held = len(batch)
        at_end = self._results.batcher.fill(items, batch, size)
        self._taken += len(batch) - held
        self._changed()
        return at_end

    def _pieces(self, batch: Batch) -> list[Batch]:
        """Cut a batch into what one request may hold."""
        size = self._tuning.size(objects=bool(batch.fields))
        pieces: list[Batch] = []
        while len(batch) > size:
            piece, batch = batch.split(size)
            pieces.append(piece)
        return [*pieces, batch]

    async def _send_ready(self) -> None:
        """Send what is ready as permits come free, or set it aside when nothing may be added."""
        while self._ready and not self.stopped and not self._sealed:
            if self._message.assigned:
                # Without a permit: others can use it while this message is being opened.
                await self._opened.wait()
            await self._permits.acquire()
            if self._ready and not self.stopped and not self._sealed:
                task = self._launch(self._ready.popleft())
                task.add_done_callback(lambda _: self._permits.release())
            else:
                self._permits.release()
        self._set_ready_aside()

    async def _sent(self) -> None:
        """Wait until nothing that is ready is about to be sent."""
        if self._sender is not None:
            await wait_for([self._sender])

    async def _may_send(self) -> None:
        """Wait until what is ready has left, and more could."""
        await self._sent()
        async with self._permits:
            pass

    def _set_ready_aside(self) -> None:
        if self._sealed:
            self._set_aside.extend(self._ready)
            self._ready.clear()

    def _launch(self, batch: Batch) -> asyncio.Task[None]:
        """Send a batch in a task of its own."""
        wire_status = WireStatus()
        first = not self._message.assigned
        assigned = self._message.assign(batch)
        task = asyncio.create_task(self._fly(assigned, wire_status, first=first))
        self._flights[task] = wire_status
        task.add_done_callback(lambda task: self._landed(task, assigned))
        return task

    async def _fly(self, assigned: AssignedBatch, wire_status: WireStatus, *, first: bool) -> None:
        with self._filing_faults():
            if first:
                await self._message.open(assigned, wire_status)
                self._opened.set()
            elif not self.stopped and not self._sealed:
                await self._message.append(assigned, wire_status)

    def _landed(self, task: asyncio.Task[None], assigned: AssignedBatch) -> None:
        self._flights.pop(task)
        if self._session.emit is not None:
            self._session.emit(batch_event(self._message, assigned))
        if assigned.state is BatchState.PENDING:
            self._set_aside.append(self._message.release(assigned))
        self._changed()

    async def _finish(self, on_sent: Callable[[], None] | None) -> None:
        with self._filing_faults():
            try:
                await self._sent()
            finally:
                if on_sent is not None:
                    on_sent()
            await wait_for(self._flights)
            # Those kept for the close are under way with it, like any other batch.
            async with self._permits:
                if not self.stopped:
                    await self._close()
        with self._filing_faults():
            if isinstance(self._fault, RestartMessageError) and not self._halted:
                await self._give_up()
        with self._filing_faults():
            if self._message.closed_elsewhere:
                await self._closer.settle_closed_elsewhere()
            elif self._tuning.closed_elsewhere and self._message.state == "open":
                await self._closer.settle_if_closed_elsewhere()

    async def _close(self) -> None:
        if self._procedure is not None:
            self._in_close = True
            await self._procedure(self._message, self._closer)
            return
        await self._send_rest()
        await wait_for(self._flights)
        if self._message.batches and not self.stopped:
            self._in_close = True
            await self._closer.close(self._buffer or None)

    async def _send_rest(self) -> None:
        """Send all but those who are kept for the close: at least one if there are two."""
        await self._send_one_by_one()
        objects = self._buffer.is_object_list
        keep = min(len(self._buffer), self._size)
        if not self._message.assigned or (objects and not self._tuning.objects_understood):
            # Nobody is called invalid for a close whose list of objects was not understood.
            keep = min(keep, 1)
        if not self._message.assigned:
            keep = min(keep, len(self._buffer) - 1)
        if self._tuning.close_empty:
            keep = 0
        head, self._buffer = self._buffer.split(len(self._buffer) - max(keep, 0))
        if head:
            self._ready.extend(self._pieces(head))
        await self._send_one_by_one()

    async def _send_one_by_one(self) -> None:
        """Send what is ready under the one permit that whoever finishes has."""
        while self._ready and not self.stopped and not self._sealed:
            await wait_for([self._launch(self._ready.popleft())])
        self._set_ready_aside()

    async def _give_up(self) -> None:
        """Delete a message whose people go to another one; left open, it would not send either."""
        if self._message.state == "open" and not self._message.closed_elsewhere:
            try:
                await self._message.delete()
            except _NO_ANSWER:
                return

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

    def _fail(self, error: Exception) -> None:
        # What makes a message start anew matters less than what then keeps it from it.
        if self._fault is None or isinstance(self._fault, RestartMessageError):
            self._fault = error
        self._opened.set()
        self._changed()

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change()
