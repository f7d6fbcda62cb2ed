"""The transaction: one message that a user fills and closes.

`gateway.transaction(...)` makes it. The builder does the work; this module checks what may be called
when, and raises the errors.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from types import TracebackType
from typing import Self

from .._cancellation import wait_for
from .._events import guarded
from .._http.session import Session
from .._messages.draft import Draft
from .._receipt import Receipt
from .._recipients.batches import Batcher
from .._recipients.recipient import RecipientLike, Recipients
from .._recipients.source import as_source
from .._template import field_check
from ..errors import BulkSendError
from .builder import MessageBuilder
from .message import State
from .results import Results, completed, describe, shortfall, unaccounted
from .tuning import Tuning

__all__ = ["Transaction"]


class Transaction:
    """One message with any number of recipients, sent when it is closed.

    An async context manager: leaving the block closes the message; leaving it by an exception
    leaves the message open, and an open message never sends. Or call `await close()` or
    `await abandon()`. Several tasks may `add`. A recipient that is added twice is sent to once.
    """

    def __init__(
        self,
        session: Session,
        draft: Draft,
        *,
        batch_size: int,
        concurrency: int,
    ) -> None:
        if session.emit is not None:
            session.emit = guarded(session.emit, self._failed)
        batcher = Batcher(
            draft.placeholders, allow_missing_fields=False, check=field_check(draft.body)
        )
        # All recipients go on one message, however many there are.
        tuning = Tuning(batch_size=batch_size, per_message=sys.maxsize)
        self._results = Results(batcher, session)
        self._builder = MessageBuilder(
            session, draft, self._results, tuning, permits=asyncio.Semaphore(concurrency)
        )
        self._adding = 0
        # Sources that `add` was given, and that were not read to their end.
        self._unread = 0
        self._no_adds = asyncio.Event()
        self._no_adds.set()
        self._ended = False
        self._failure: BaseException | None = None

    @property
    def state(self) -> State:
        """The state of the message."""
        return self._builder.message.state

    @property
    def message_id(self) -> str | None:
        """The id of the message, None until the gateway has answered the first batch."""
        return self._builder.message.message_id

    @property
    def receipt(self) -> Receipt:
        """The outcome of each recipient so far."""
        builder, exhausted = self._builder, not self._unread
        if builder.counted:
            builder.doubt()
        receipt = self._results.receipt(builder.message, unsent=builder.unplaced())
        if not builder.counted:
            return replace(receipt, source_exhausted=exhausted)
        receipt = completed(receipt, source_exhausted=exhausted)
        return receipt if builder.fault is None else replace(receipt, complete=False)

    async def add(self, recipients: RecipientLike | Recipients) -> None:
        """Add one recipient, or a sync or async iterable of them.

        Takes recipients as fast as batches leave: at most `batch_size * (concurrency + 1)` are held
        in memory. Refused recipients are named in the receipt. Raises BulkSendError if a batch has
        failed, RuntimeError if the transaction has ended.

        If this call ends by an exception, the rest of `recipients` is not taken: no receipt names
        it, and `receipt.source_exhausted` is False.
        """
        if self._ended:
            raise RuntimeError(f"this transaction has ended ({self.state}); nothing can be added")
        source = as_source(recipients)
        self._adding += 1
        self._unread += 1
        self._no_adds.clear()
        try:
            await self._builder.feed(source)
        finally:
            self._unread -= source.exhausted
            self._adding -= 1
            if not self._adding:
                self._no_adds.set()
        if self._builder.fault is not None or self._failure is not None:
            self._builder.halt()
            await self._builder.drained()
            raise self._error()
        if self._builder.stopped:
            raise RuntimeError(
                f"this transaction has ended ({self.state}); not all recipients were added"
            )

    async def close(self) -> Receipt:
        """Close the message, which then goes out, and return the outcome of each recipient.

        Refuses further recipients first, and waits for those being added. A batch whose answer was
        lost is not sent again: whether it is on the message is read from its list after the close,
        and recipients that are proven missing are `unsent`. Raises BulkSendError, with the receipt,
        if the message was not closed, or if a recipient is unsent, unknown or doubled.
        """
        if self.state == "abandoned":
            raise RuntimeError("this transaction was abandoned; there is nothing to close")
        self._ended = True
        try:
            await self._no_adds.wait()
            await wait_for([self._builder.finish()])
        except asyncio.CancelledError:
            await self._builder.stop()
            raise
        receipt = self.receipt
        short = receipt.unsent or receipt.unknown or receipt.doubled or unaccounted(receipt)
        if self._builder.fault is not None or self._failure is not None or short:
            raise self._error()
        return receipt

    async def abandon(self) -> None:
        """Delete the message, which then never goes out; all its recipients are unsent.

        Raises InvalidRequestError if it is closed already, OutcomeUnknownError if it is not known
        whether it is gone.
        """
        self._ended = True
        self._builder.halt()
        await wait_for(self._builder.running())
        if self._builder.counted:
            raise RuntimeError(f"this transaction has ended ({self.state})")
        try:
            await self._builder.requests.delete()
        finally:
            self._builder.count()
        if self._failure is not None:
            raise self._failure

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
            await self._builder.stop()
        elif not self._builder.counted:
            await self.close()

    def _failed(self, error: BaseException) -> None:
        """Send nothing new after a listener raised what is no Exception; it is raised at the end."""
        self._failure = self._failure or error
        self._builder.halt()

    def _error(self) -> BaseException:
        """Return why the transaction failed: what is no Exception has a BulkSendError as its cause."""
        error = self._bulk_error()
        failure = self._failure or self._builder.fault
        if failure is None or isinstance(failure, Exception):
            return error
        error.__cause__ = None
        failure.__cause__ = error
        return failure

    def _bulk_error(self) -> BulkSendError:
        receipt = self.receipt
        reason = shortfall(receipt)
        if self._builder.fault is not None:
            reason = describe(self._builder.fault)
        elif self.state != "closed":
            reason = "stopped before it was closed"
        if unaccounted(receipt) and reason != shortfall(receipt):
            reason += f"; {shortfall(receipt)}"
        if not receipt.source_exhausted:
            reason += (
                "; not all recipients were taken from the source, and the receipt does not name the "
                "rest"
            )
        error = BulkSendError(
            f"the message did not go out to all recipients: {reason}",
            receipt=receipt,
            reason=reason,
        )
        error.__cause__ = self._builder.fault
        return error
