"""The error that a campaign ends with: why it ended, and which messages stay unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .._journal_place import JournalPlace
from .._receipt import Receipt, RecipientOutcome
from .._transaction.builder import MessageBuilder
from .._transaction.message import OutgoingMessage
from .._transaction.results import shortfall, unaccounted
from ..errors import BulkSendError

__all__ = ["campaign_error", "may_be_closed", "stays_unknown"]


def may_be_closed(message: OutgoingMessage) -> bool:
    """Whether a message that has not ended may be closed, so that it must be looked at."""
    return message.close_begun or message.closed_elsewhere


def stays_unknown(message: OutgoingMessage) -> bool:
    """Whether a message has ended with recipients whose outcome is not known."""
    return any(RecipientOutcome.UNKNOWN in one for _, one in message.outcomes_on_message())


def campaign_error(
    receipt: Receipt,
    *,
    reason: str | None,
    cause: BaseException | None,
    set_aside: Sequence[MessageBuilder],
    journal: JournalPlace | None,
) -> BulkSendError:
    """Return the error of a campaign that did not send to all recipients.

    `reason` and `cause` are those that it was stopped for, if it was. `set_aside` are the messages
    of earlier runs that stay unknown. `journal` is None if it cannot be resumed.
    """
    words = reason or shortfall(receipt)
    if reason and (receipt.doubled or set_aside or unaccounted(receipt)):
        words += f"; {shortfall(receipt)}"
    if set_aside:
        ids = ", ".join(one.message.id for one in set_aside)
        words += f"; it could not be read whether these messages go out: {ids}"
        cause = cause or set_aside[0].fault
    error = BulkSendError(
        f"the campaign ended before all recipients were accepted: {words}",
        receipt=replace(receipt, complete=False),
        reason=words,
        resumable=journal is not None,
        journal=None if journal is None else journal.handle,
    )
    error.__cause__ = cause
    return error
