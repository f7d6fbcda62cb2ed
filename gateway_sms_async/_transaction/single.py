"""One recipient, sent to by a POST of its own, without a transaction.

It is the remedy for a gateway that rejects a close without recipients. The message that held the
recipient is deleted before; its number in the journal then stands for the POST.
"""

from __future__ import annotations

import secrets

from .._journal.journal import Journal, NullJournal
from .._journal.records import CloseRefused, SingleSendIntent
from .._messages.api import MessagesAPI
from .._messages.draft import Draft
from .._messages.sending import MessageSender
from .._recipients.batches import Batch
from ..errors import GatewayError, OutcomeUnknownError, RecipientsRejectedError
from ..models import Message
from .message import OutgoingMessage
from .reconcile import outcome_of_one

__all__ = ["SingleSend"]


class SingleSend:
    """Sends to the one recipient of a message that cannot be closed."""

    def __init__(
        self,
        message: OutgoingMessage,
        api: MessagesAPI,
        draft: Draft,
        sender: MessageSender,
        journal: Journal | NullJournal,
    ) -> None:
        self._message = message
        self._api = api
        self._draft = draft
        self._sender = sender
        self._journal = journal

    async def send(self, batch: Batch) -> None:
        """Send to one recipient by a POST of its own; the message itself is deleted before."""
        message = self._message
        # The POST is the close now: until it is answered, the recipient is not called unsent.
        message.begin_close(None)
        reference = None if self._draft.has_custom else secrets.token_hex(16)
        try:
            await self._journal.intend(SingleSendIntent(message.number, reference))
        except BaseException:
            message.deleted()
            self._journal.note(CloseRefused(message.number))
            raise
        message.close_may_apply()
        try:
            sent = await self._sender.send_draft(self._draft, batch.to_wire(), reference)
            message.message_id = sent.id
            final = await self._see_sent(sent)
        except OutcomeUnknownError:
            raise
        except RecipientsRejectedError as rejected:
            final = await self._see_sent(rejected.message)
        except GatewayError:
            message.deleted()
            raise
        message.message_id = final.id
        message.settle([[outcome_of_one(final)] * len(batch)], final)

    async def recover(self, reference: str | None) -> None:
        """Look for a message to one recipient that an earlier run may have sent."""
        message = self._message
        final = None if reference is None else await self._sender.find(reference)
        if final is None or final.transaction:
            raise OutcomeUnknownError(
                "POST: the answer was lost, and no message with its reference was found; a text "
                "may have gone out",
                reference=reference,
            )
        self._api.session.opened_ids.claim(final.id)
        message.message_id = final.id
        message.settle([[outcome_of_one(final)] * len(batch) for batch in message.batches], final)

    async def _see_sent(self, sent: Message) -> Message:
        """Read a message that was answered with a yes: only what is seen there is proven."""
        try:
            seen = await self._api.get(sent.id)
        except GatewayError as error:
            raise OutcomeUnknownError(
                f"message {sent.id} was sent and cannot be read: whether it goes out is not known"
            ) from error
        if seen.transaction:
            raise OutcomeUnknownError(
                f"message {sent.id} was sent and is shown open: whether it goes out is not known"
            )
        return seen
