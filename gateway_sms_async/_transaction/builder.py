"""Builds one message: takes recipients, has their batches sent, closes the message, and counts all.

It may be cancelled or fail at any moment: what is on the wire still runs to its end, and each
recipient that was taken is counted.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence

from .._cancellation import drain
from .._http.session import Session
from .._journal.journal import Journal, NullJournal
from .._messages.api import MessagesAPI
from .._messages.draft import Draft
from .._recipients.batches import Batch
from .._recipients.source import Items, Source
from .accumulator import Accumulator
from .closing import MessageCloser
from .faults import FaultRecord
from .message import (
    AssignedBatch,
    OutgoingMessage,
    RestartMessageError,
    close_event,
)
from .requests import MessageRequests
from .results import Results
from .sender import BatchSender
from .spending import SpendingLimit
from .tuning import Tuning

__all__ = ["MessageBuilder"]


class MessageBuilder:
    """Fills one message and closes it.

    At the end each recipient that was taken is on the message, or in `left_over`. Those of a
    campaign (`replaceable`) may be assigned to another message if this one fails. It takes at most
    `most` recipients.
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
        journal: Journal | NullJournal | None = None,
        number: int = 0,
        spending: SpendingLimit | None = None,
    ) -> None:
        self._replaceable = replaceable
        self._session = session
        self._requests = MessageRequests(
            MessagesAPI(session), draft, session.policy, tuning, journal=journal, number=number
        )
        self._message = self._requests.message
        self._accumulator = Accumulator(
            self._message, results.batcher, tuning, replaceable=replaceable
        )
        self._closer = MessageCloser(self._requests, replaceable=replaceable, spending=spending)
        self._results = results
        self._tuning = tuning
        self._permits = permits
        self._on_change = on_change
        self._faults = FaultRecord(self._failed)
        self._sender = BatchSender(
            session,
            self._requests,
            self._accumulator,
            self._faults,
            permits=permits,
            on_change=self._changed,
        )
        self._procedure: Callable[[MessageRequests, MessageCloser], Awaitable[None]] | None = None
        self._finishing: asyncio.Task[None] | None = None
        self._in_close = False
        self._counted = False
        self.most: int = sys.maxsize
        self._left_on_message: list[Batch] = []
        self.left_over: list[Batch] = []

    @property
    def message(self) -> OutgoingMessage:
        """The message itself."""
        return self._message

    @property
    def requests(self) -> MessageRequests:
        """The requests of the message."""
        return self._requests

    @property
    def taken(self) -> int:
        """How many recipients were taken for the message."""
        return self._accumulator.taken

    @property
    def waiting(self) -> int:
        """How many of the recipients taken are not acknowledged yet."""
        return self._accumulator.taken - self._message.acknowledged

    @property
    def counted(self) -> bool:
        """Whether the message has ended and its recipients are in the results, or left over."""
        return self._counted

    @property
    def fault(self) -> BaseException | None:
        """The first error of this message, None if there is none."""
        return self._faults.fault

    @property
    def stopped(self) -> bool:
        """Whether no more batches are sent, because of a fault or a halt."""
        return self._faults.stopped

    @property
    def room(self) -> int:
        """How many recipients can still be added.

        0 after a fault or a halt, and for a restored message that `finish_with` finishes. If only
        the close can add recipients (in a campaign, after a lost response), what still fits into
        the close.
        """
        if self._faults.stopped or self._procedure is not None:
            return 0
        return max(0, min(self._accumulator.room, self.most - self.taken))

    @property
    def wanted(self) -> int:
        """How many recipients the next batch offered should have; 0 if none can be added."""
        return min(self.room, self._accumulator.next_size)

    @property
    def brings_objects(self) -> bool:
        """Whether any recipient of the message is sent in a list of objects."""
        return self._accumulator.brings_objects

    async def feed(self, source: Source) -> None:
        """Take recipients until the source ends, no more can be added, or a batch has failed."""
        limited = self._replaceable
        while not source.exhausted and not self._faults.stopped and not (limited and not self.room):
            items = await source.ready()
            at_end = False
            try:
                while not at_end and not self._faults.stopped and not (limited and not self.room):
                    at_end = await self._take_some(items)
            finally:
                if at_end:
                    source.drained()
                elif source.one_at_a_time:
                    # It has left the source, so it must be counted whatever interrupts this task.
                    self._take_late(items)

    def offer(self, batch: Batch) -> None:
        """Take a batch whose recipients were validated before; from now on it is counted here."""
        self._accumulator.offer(batch)
        self._sender.start()

    def restore(self, message_id: str, assigned: Sequence[tuple[int, Batch, int | None]]) -> None:
        """Continue a message of an earlier run: each batch with its number and its count.

        The count is the one in the gateway's response to this batch; None if it was lost.
        """
        self._message.restore(message_id, assigned)
        self._accumulator.taken = sum(len(batch) for _, batch, _ in assigned)
        self._sender.opened.set()

    def restore_close(self, last: Batch | None) -> AssignedBatch | None:
        """Take over that an earlier run may have sent a close, with the last batch if there is one."""
        self._accumulator.taken += 0 if last is None else len(last)
        return self._message.restore_close(last)

    def finish_with(
        self, procedure: Callable[[MessageRequests, MessageCloser], Awaitable[None]]
    ) -> None:
        """Finish a restored message by a procedure other than its close."""
        self._procedure = procedure

    def finish(self, on_sent: Callable[[], None] | None = None) -> asyncio.Task[None]:
        """Start to close the message in a task of its own; an error is then in `fault`.

        `on_sent` is called when only the recipients kept for the close are still to be sent.
        """
        if self._finishing is None:
            self._finishing = asyncio.create_task(self._finish(on_sent))
            # Not inside the task: a task cancelled before it starts runs no code.
            self._finishing.add_done_callback(lambda _: self.count())
        return self._finishing

    def tasks(self) -> list[asyncio.Task[None]]:
        """Start to finish, and return the running tasks."""
        self.finish()
        return self.running()

    def running(self) -> list[asyncio.Task[None]]:
        """Return the running tasks, without starting to finish."""
        return [
            *self._sender.running(),
            *([self._finishing] if self._finishing else []),
        ]

    def count(self) -> None:
        """Count all recipients, once; the running tasks must have ended.

        A transaction counts those of its only message whenever it makes a receipt.
        """
        if self._counted:
            return
        self._counted = True
        self._requests.end(replaced=isinstance(self.fault, RestartMessageError))
        if self._replaceable:
            self._left_on_message = self._results.add(self._message)
            self.left_over = [*self._left_on_message, *filter(len, self.unplaced())]
        try:
            if self._session.emit is not None and self._message.message_id is not None:
                self._session.emit(close_event(self._message))
        finally:
            self._changed()

    def doubt(self) -> list[Batch]:
        """Return the recipients of an ended message that are unsent no more, but unknown.

        After it had ended, it was found closed elsewhere, or another message was.
        """
        if not self._message.closed_elsewhere:
            if not self._requests.outside_close.may_be_unseen():
                return []
            self._requests.outside_close.doubt()
        return self._left_on_message

    def skip(self) -> None:
        """Do not open the message if it is not open yet."""
        if not self._message.assigned:
            self._faults.halted = True

    def halt(self) -> None:
        """Send nothing new. Requests on the wire end by themselves, and so does a close once begun."""
        self._faults.halted = self._session.halted = True
        self._sender.halt()
        message = self._message
        # If another message was closed elsewhere, this one may have been too: it must be looked at.
        at_stake = message.close_begun or self._tuning.closed_elsewhere
        if self._finishing and self._in_close and not at_stake:
            self._finishing.cancel()

    def unplaced(self) -> list[Batch]:
        """Return the batches that were taken and are not assigned to the message."""
        return self._accumulator.unplaced()

    async def drained(self) -> None:
        """Wait until no batch is in flight or about to be sent."""
        await self._sender.all_launched()
        await self._sender.all_ended()

    async def stop(self) -> None:
        """Send nothing new, wait for what is on the wire, and count all recipients."""
        self.halt()
        try:
            await drain(self.running())
        finally:
            self.count()

    # Taking

    async def _take_some(self, items: Items) -> bool:
        """Take recipients until the buffer is full. If it is full already, take one more.

        The one more makes the full buffer a ready batch, and starts the next buffer. Returns True
        at the end of the items.
        """
        accumulator = self._accumulator
        held = len(accumulator.buffer)
        size = accumulator.size
        if held < size:
            left = min(size, held + self.room) if self._replaceable else size
            at_end = self._take(items, accumulator.buffer, left)
            await asyncio.sleep(0)
            return at_end
        if not self._replaceable:
            await self._sender.may_send()
        at_end = False
        try:
            # The message may have been sealed during the wait.
            full = len(accumulator.buffer) >= size
            if full and not self._faults.stopped and not accumulator.closes_next:
                at_end = accumulator.follow(items)
                self._changed()
        finally:
            self._sender.start()
        await asyncio.sleep(0)
        return at_end

    def _take_late(self, items: Items) -> None:
        late = Batch()
        buffer = self._accumulator.buffer
        self._take(items, late if self._counted else buffer, len(buffer) + 1)
        self._results.add_unsent([late])

    def _take(self, items: Items, batch: Batch, size: int) -> bool:
        at_end = self._accumulator.take(items, batch, size)
        self._changed()
        return at_end

    # Finishing

    async def _finish(self, on_sent: Callable[[], None] | None) -> None:
        with self._faults.recording():
            try:
                await self._sender.all_launched()
            finally:
                if on_sent is not None:
                    on_sent()
            await self._sender.all_ended()
            # The close is a request like any other, so it needs a permit too.
            async with self._permits:
                if not self._faults.stopped:
                    await self._close()
        with self._faults.recording():
            if isinstance(self._faults.fault, RestartMessageError) and not self._faults.halted:
                await self._give_up()
        with self._faults.recording():
            if self._message.closed_elsewhere:
                if not self._message.is_settled:
                    await self._closer.settle_closed_elsewhere()
            elif self._tuning.closed_elsewhere and self._message.state == "open":
                await self._closer.settle_if_closed_elsewhere()

    async def _close(self) -> None:
        if self._procedure is not None:
            self._in_close = True
            await self._procedure(self._requests, self._closer)
            return
        await self._send_rest()
        await self._sender.all_ended()
        if self._message.batches and not self._faults.stopped:
            self._in_close = True
            await self._closer.close(self._accumulator.buffer or None)

    async def _send_rest(self) -> None:
        """Send all recipients but those kept for the close."""
        await self._sender.send_one_by_one()
        self._accumulator.keep_for_close()
        await self._sender.send_one_by_one()

    async def _give_up(self) -> None:
        """Delete the open message, because its recipients go to another one.

        It may fail: an open message would not send anyway.
        """
        if self._message.state == "open" and not self._message.closed_elsewhere:
            await self._requests.try_delete()

    # Changes

    def _failed(self) -> None:
        # What waits for the message to be opened would otherwise wait for ever.
        self._sender.opened.set()
        self._changed()

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change()
