"""Restores a message of an earlier run from its journal, so that this run can finish it."""

from __future__ import annotations

from collections.abc import Mapping

from .._journal.journal import Journal
from .._journal.records import CloseIntent
from .._journal.replay import SavedMessage
from .._recipients.batches import Batch
from .builder import MessageBuilder
from .closing import MessageCloser
from .message import RestartMessageError
from .reconcile import Counts
from .requests import MessageRequests

__all__ = ["restore_message"]


async def restore_message(
    builder: MessageBuilder,
    saved: SavedMessage,
    journal: Journal,
    shown_closed: Mapping[str, object],
) -> None:
    """Give a new builder the state of a saved message, and the procedure that finishes it.

    Without a procedure the message is still open, and takes more recipients like any other.
    `shown_closed` holds what answers have shown closed since the journal was read.
    """
    builder.message.is_own = saved.is_own
    if saved.is_fillable and not builder.requests.is_identified:
        # It may hold the recipients of another open. A batch in doubt keeps others off it, until
        # the list shows whose recipients it holds.
        saved.batches[0].count = None
    assigned: list[tuple[int, Batch, int | None]] = []
    for number, batch in sorted(saved.batches.items()):
        assigned.append((number, await journal.recipients(batch.recipients), batch.count))
    assert saved.message_id is not None
    builder.restore(saved.message_id, assigned)
    builder.message.deleting = saved.abandoning
    if saved.sending is not None:
        _resume_single(builder, saved.sending.reference)
    elif saved.closing is not None:
        closing = saved.closing
        last = await journal.recipients(closing.recipients) if closing.recipients else None
        # Also if it is to be deleted: the recipients of its close are on no other message.
        _resume_close(builder, closing, last, refused=saved.refused)
        if saved.refused:
            # A copy of it may have arrived since the message was seen open: it is in doubt again.
            journal.note(closing)
    elif saved.abandoning and not saved.closed_elsewhere:
        builder.finish_with(_delete)
    elif saved.closed_elsewhere:
        builder.message.closed_elsewhere = True
        builder.finish_with(_settle_closed_elsewhere)
    # Not before: until here it seems that no close of it has begun.
    builder.requests.outside_close.watch(shown_closed)


def _resume_single(builder: MessageBuilder, reference: str | None) -> None:
    builder.restore_close(None)

    async def recover(requests: MessageRequests, _: MessageCloser) -> None:
        await requests.single.recover(reference)

    builder.finish_with(recover)


def _resume_close(
    builder: MessageBuilder, closing: CloseIntent, last: Batch | None, *, refused: bool
) -> None:
    assigned = builder.restore_close(last)
    before = Counts(closing.valid, closing.invalid)

    async def close(_: MessageRequests, closer: MessageCloser) -> None:
        await closer.resume_close(assigned, before, proven=closing.proven, refused=refused)

    builder.finish_with(close)


async def _settle_closed_elsewhere(requests: MessageRequests, closer: MessageCloser) -> None:
    await closer.settle_closed_elsewhere()
    message = requests.message
    if message.seen is not None and message.seen.transaction:
        # It was only feared to be closed. It may still be, unless it is deleted.
        await requests.delete()
        message.closed_elsewhere = False
        raise RestartMessageError(f"message {message.id} was open after all; it was deleted")
    requests.outside_close.check_settled()


async def _delete(requests: MessageRequests, _: MessageCloser) -> None:
    await requests.delete()
