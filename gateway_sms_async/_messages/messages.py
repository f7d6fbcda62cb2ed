"""The seven calls of the gateway, one method each, as users make them.

Checks and encodes what the caller passes, before any request. The requests themselves are in
`api`, and what belongs to sending one message in `sending`.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from msgspec import UNSET

from .._arguments import check_flag
from .._events import CloseEvent, Emit, safe_id
from .._http.session import Session
from .._recipients.numbers import normalize
from .._recipients.recipient import Recipient, RecipientLike, coerce
from .._recipients.wire import Addressee, wire_recipients
from ..errors import NotFoundError, OutcomeUnknownError, RecipientsRejectedError
from ..models import Message, MessageSummary, RecipientReport
from .api import MessagesAPI
from .draft import Draft, MessageUpdate, Options, OptionsPatch, check_reference, encode, wire_date
from .sending import MessageSender, check_accepted

__all__ = ["Messages"]


class Messages:
    """The calls on messages. Every method raises a GatewayError when the gateway says no."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._api = MessagesAPI(session)
        self._sender = MessageSender(self._api)

    async def list(self) -> builtins.list[MessageSummary]:
        """Return the messages of the account, as many as the gateway lists.

        An empty account is an empty list. (`GET /messages/`)
        """
        return await self._api.list()

    async def send(
        self,
        *,
        sender: str,
        body: str,
        recipients: str | Recipient | Iterable[RecipientLike],
        priority: float | Decimal | None = None,
        options: Options | None = None,
        test: bool = False,
        transaction: bool = False,
        reference: str | None = None,
        wait_realtime: bool = False,
    ) -> Message:
        """Send one message, or open a transaction with `transaction=True`, which sends nothing.

        `recipients` is one number, a `Recipient`, or several of them; a number given twice is
        sent to once. `priority` is at least 1.00 and costs more above it; `test=True` simulates.
        `reference` is kept by the gateway in `options.custom` (random unless given, left out
        when `options.custom` is the caller's own) and is what `find` looks for.

        When the answer is lost the message is looked for by its reference, which lists the
        account and reads the newest messages one by one, for `max_elapsed` at the most; found,
        it is returned. A reference of your own must therefore be new with each call.

        The gateway takes one `realtime` message a minute: a second one is refused here with a
        RateLimitError whose `retry_after` says the seconds to wait, or waited for with
        `wait_realtime=True`, if `max_elapsed` allows it.

        Raises ValueError or TypeError before any request; RecipientsRejectedError when the
        gateway took none of the recipients; OutcomeUnknownError when a text may have gone out
        and could not be found: the only GatewayError after which calling again is not safe.
        (`POST /messages/`)
        """
        draft = Draft(sender=sender, body=body, priority=priority, options=options, test=test)
        wire = wire_recipients(recipients, draft.placeholders)
        if not wire:
            raise ValueError("there is nobody to send to: recipients is empty")
        if draft.has_custom and reference is not None:
            raise ValueError("give either reference or options.custom: they share one field")
        if not draft.has_custom:
            reference = (
                self._sender.new_reference() if reference is None else check_reference(reference)
            )
        payload = draft.payload(
            wire, transaction=check_flag("transaction", transaction), reference=reference
        )
        if transaction:
            return check_accepted(await self._api.open_transaction(payload))
        turn: float | None = None
        patience = self._session.policy.max_elapsed
        if not check_flag("wait_realtime", wait_realtime):
            patience = 0.0
        if draft.is_realtime:
            turn = await self._sender.realtime_turn(patience)
        emit = self._session.emit
        if emit is None:
            return await self._sender.send(draft, payload, reference, turn)
        try:
            message = await self._sender.send(draft, payload, reference, turn)
        except RecipientsRejectedError as rejected:
            _report(emit, rejected.message)
            raise
        except OutcomeUnknownError:
            count = 1 if isinstance(wire, str | Addressee) else len(wire)
            emit(CloseEvent(result="unknown", message_id=None, unknown=count))
            raise
        _report(emit, message)
        return message

    async def find(self, reference: str) -> Message | None:
        """Return the newest message that was sent with this reference, None when there is none.

        Costs one listing and one request for each message looked at.
        """
        return await self._sender.find(check_reference(reference))

    async def get(self, message_id: str) -> Message:
        """Return one message. (`GET /messages/{id}`)."""
        return await self._api.get(message_id)

    async def update(
        self,
        message_id: str,
        *,
        recipients: str | Recipient | Iterable[RecipientLike] = (),
        transaction: bool | None = None,
        timestamp_send: date | None = None,
    ) -> Message:
        """Add recipients to an open message, close it, or move its date; the low level.

        `transaction` False closes the message, which then goes out; True leaves it open; None
        leaves the field out. Raises TransactionClosedError when the message is closed already,
        OutcomeUnknownError when it is not known whether this was applied: look with `get`
        before anything else, for recipients added twice are texted twice.
        (`PUT /messages/{id}`)
        """
        payload = encode(
            MessageUpdate(
                recipients=wire_recipients(recipients),
                transaction=UNSET
                if transaction is None
                else check_flag("transaction", transaction),
                options=UNSET
                if timestamp_send is None
                else OptionsPatch(timestamp_send=wire_date(timestamp_send)),
            )
        )
        message = await self._api.put(message_id, payload, transaction)
        if transaction is False and self._session.emit is not None:
            _report(self._session.emit, message)
        return message

    async def reschedule(self, message_id: str, timestamp_send: date) -> Message:
        """Move a message that has not been sent yet to another day; an open one stays open.

        A day, not an hour: a datetime is a TypeError. (`GET`, then `PUT /messages/{id}`)
        """
        wire_date(timestamp_send)
        seen = await self.get(message_id)
        return await self.update(
            message_id, transaction=seen.transaction, timestamp_send=timestamp_send
        )

    async def delete(self, message_id: str) -> None:
        """Cancel a message, which then never goes out; credit spent is not given back.

        When an answer is lost, the message is looked at before it is deleted again. Raises
        NotFoundError when there was no such message, InvalidRequestError (code 221) when it is
        too late, OutcomeUnknownError when neither could be told. (`DELETE /messages/{id}`)
        """
        await self._api.delete(message_id)

    async def recipients(self, message_id: str) -> builtins.list[RecipientReport]:
        """Return every recipient of a message and what became of it.

        About 1 kB each; at most 64 MiB. (`GET /messages/{id}/recipients/`)
        """
        return await self._api.recipients(message_id)

    async def recipient(self, message_id: str, number: str) -> RecipientReport:
        """Return one recipient of a message. (`GET /messages/{id}/recipients/{number}`)."""
        reports = await self._api.recipient(message_id, normalize(coerce(number)[0]))
        if not reports:
            raise NotFoundError("GET: no such recipient on this message", status=404)
        return reports[0]


def _report(emit: Emit, message: Message) -> None:
    """Report the end of a single message."""
    emit(
        CloseEvent(
            result="left_open" if message.transaction else "closed",
            message_id=safe_id(message.id),
            accepted=message.valid,
            invalid=message.invalid,
            price=message.price,
        )
    )
