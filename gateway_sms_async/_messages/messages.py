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
from .._recipients.wire import WireRecipients, wire_recipients
from ..errors import NotFoundError, OutcomeUnknownError, RecipientsRejectedError
from ..models import Message, MessageSummary, RecipientReport
from .api import MessagesAPI, response_to
from .draft import Draft, MessageUpdate, Options, OptionsPatch, check_day, check_reference, encode
from .sending import MessageSender, Post, check_accepted, count_recipients

__all__ = ["Messages"]


class Messages:
    """The gateway's seven calls on messages, as `gateway.messages`.

    ```python
    message = await gateway.messages.send(sender="ACME", body="Ciao", recipients="+39-3401234567")
    print(message.id, message.valid, message.price)
    print(len(await gateway.messages.recipients(message.id)))
    ```

    Every method raises ValueError or TypeError for a wrong argument, before any request. It raises
    a GatewayError if the call fails; `gateway_sms_async.errors` describes when calling again is
    safe. The client handles retries, the rate and the token.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._api = MessagesAPI(session)
        self._sender = MessageSender(self._api)

    async def list(self) -> builtins.list[MessageSummary]:
        """Return the messages of the account, as many as the gateway lists.

        ```python
        for summary in await gateway.messages.list():
            print(summary.id, summary.sender, summary.timestamp)
        ```

        Returns an empty list if the account has no messages. At most 64 MiB are read.
        (`GET /messages/`)
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
        """Send one message to one or more recipients.

        ```python
        message = await gateway.messages.send(
            sender="ACME", body="Ciao, your code is 123456", recipients="+39-3401234567"
        )
        ```

        - `sender`: 3 to 11 characters of the GSM-7 alphabet, or 3 to 14 digits.
        - `body`: the text. `{{name}}` is filled from each recipient's field `name`. A text without
          anything that a phone can show is refused, and one with braces that do not match or with
          `{name}`, `%name%` or the like, which would go out as written.
        - `recipients`: a number, a `Recipient`, or several of them. A number that is given twice is
          sent to once.
        - `priority`: at least 1.00, the default. A higher one costs more.
        - `options`: an `Options`, such as a day to send on.
        - `test`: True simulates; no text is sent.
        - `transaction`: True opens a message that sends nothing until it is closed by `update`.
          `gateway.transaction` does this for you.
        - `reference`: 1 to 200 characters that `find` looks for, kept by the gateway in
          `options.custom`. Random by default; none is sent if you set `options.custom` yourself.
        - `wait_realtime`: the gateway accepts one realtime message per minute. By default a second
          one raises RateLimitError, whose `retry_after` is the wait in seconds. True waits, if
          `max_elapsed` allows it.

        If the response is lost, the message is looked for by its reference: the account is listed
        and its newest messages are read one by one. If it is found, it is returned. A reference of
        your own should be new in every call: another message may have it, so what is found is
        returned only if its sender, its text and its list of recipients are those of this call, and
        no earlier call of this client has returned it.

        The whole call takes at most `max_elapsed` seconds. A quarter of them is kept for the search,
        and the wait for a realtime message takes at most the other three.

        Returns the message as the gateway accepted it, which may be without some recipients:

        ```python
        message = await gateway.messages.send(
            sender="ACME", body="Ciao", recipients=["+39-3401234567", "+39-3401234568"]
        )
        if not message.all_accepted:
            print("not sent to:", message.refused)
        ```

        Raises ValueError or TypeError before any request, RecipientsRejectedError if the gateway
        accepted none of the recipients, and OutcomeUnknownError if a text may have been sent and was
        not found, or if the gateway counts fewer recipients than it was sent. After any other GatewayError, nothing was sent and calling again is safe.
        (`POST /messages/`)
        """
        deadline = self._session.deadline()
        draft = Draft(sender=sender, body=body, priority=priority, options=options, test=test)
        wire = wire_recipients(recipients, draft.placeholders, draft.body)
        if not wire:
            raise ValueError("recipients is empty: give at least one number")
        if draft.has_custom and reference is not None:
            raise ValueError("give either reference or options.custom: they share one field")
        has_own_reference = reference is None
        if not draft.has_custom:
            reference = (
                self._sender.new_reference() if reference is None else check_reference(reference)
            )
        payload = draft.payload(
            wire, transaction=check_flag("transaction", transaction), reference=reference
        )
        count = count_recipients(wire)
        if transaction:
            accepts = response_to(
                draft.custom if reference is None else reference,
                count,
                draft=draft,
                opened_ids=self._session.opened_ids,
            )
            opened = await self._api.open_transaction(payload, accepts=accepts)
            return check_accepted(opened, count, reference)
        turn: str | None = None
        waits = check_flag("wait_realtime", wait_realtime)
        if draft.is_realtime:
            patience = self._sender.realtime_patience() if waits else 0.0
            turn = await self._sender.realtime_turn(patience)
        post = Post(draft, wire, payload, reference, has_own_reference)
        emit = self._session.emit
        if emit is None:
            return await self._sender.send(post, turn=turn, deadline=deadline)
        try:
            message = await self._sender.send(post, turn=turn, deadline=deadline)
        except RecipientsRejectedError as rejected:
            _report(emit, rejected.message)
            raise
        except OutcomeUnknownError:
            emit(CloseEvent(result="unknown", message_id=None, unknown=count))
            raise
        _report(emit, message)
        return message

    async def find(self, reference: str) -> Message | None:
        """Return the newest message with this reference; None if there is no such message.

        ```python
        order = {"sender": "ACME", "body": "Your order is ready", "reference": "order-4711"}
        if await gateway.messages.find("order-4711") is None:
            await gateway.messages.send(recipients="+39-3401234567", **order)
        ```

        Takes one request for the list, and one for each message until it is found. Raises
        GatewayTimeoutError if that takes longer than `max_elapsed` seconds.
        (`GET /messages/`, `GET /messages/{id}`)
        """
        reference = check_reference(reference)
        return await self._sender.find(reference, deadline=self._session.deadline())

    async def get(self, message_id: str) -> Message:
        """Return one message, with its state, counts of recipients, price and options.

        ```python
        sent = await gateway.messages.send(sender="ACME", body="Ciao", recipients="+39-3401234567")
        message = await gateway.messages.get(sent.id)
        print(message.state, message.statistics.delivered)
        ```

        Raises NotFoundError if there is no such message. (`GET /messages/{id}`)
        """
        return await self._api.get(message_id)

    async def update(
        self,
        message_id: str,
        *,
        recipients: str | Recipient | Iterable[RecipientLike] = (),
        transaction: bool | None = None,
        timestamp_send: date | None = None,
    ) -> Message:
        """Add recipients to an open message, close it, or move its date. The low-level call.

        ```python
        opened = await gateway.messages.send(
            sender="ACME", body="Ciao", recipients="+39-3401234567", transaction=True
        )
        await gateway.messages.update(opened.id, recipients=["+39-3401234568"], transaction=False)
        ```

        - `recipients`: are added to the message, in the same forms as in `send`.
        - `transaction`: False closes the message, which is then sent. True leaves it open. None
          leaves the field out of the request.
        - `timestamp_send`: the new day to send on, which must not have passed.

        Raises TransactionClosedError if the message is already closed. Raises OutcomeUnknownError
        if it is not known whether the change was applied: look with `get` before you call again,
        because recipients that are added twice are texted twice. (`PUT /messages/{id}`)
        """
        return await self._update(
            message_id, wire_recipients(recipients), transaction, timestamp_send
        )

    async def _update(
        self,
        message_id: str,
        recipients: WireRecipients,
        transaction: bool | None,  # noqa: FBT001 - the field's own three values
        timestamp_send: date | None,
        deadline: float | None = None,
    ) -> Message:
        payload = encode(
            MessageUpdate(
                recipients=recipients,
                transaction=UNSET
                if transaction is None
                else check_flag("transaction", transaction),
                options=UNSET
                if timestamp_send is None
                else OptionsPatch(timestamp_send=check_day(timestamp_send)),
            )
        )
        message = await self._api.put(message_id, payload, transaction, deadline=deadline)
        if transaction is False and self._session.emit is not None:
            _report(self._session.emit, message)
        return message

    async def reschedule(self, message_id: str, timestamp_send: date) -> Message:
        """Move a message that is not sent yet to another day. An open message stays open.

        ```python
        from datetime import date

        options = Options(timestamp_send=date(2099, 12, 24))
        later = await gateway.messages.send(
            sender="ACME", body="Ciao", recipients="+39-3401234567", options=options
        )
        await gateway.messages.reschedule(later.id, date(2099, 12, 27))
        ```

        The gateway knows days, not hours: a datetime raises TypeError. A day that has passed raises
        ValueError. Raises the errors of `get` and `update`. Both requests together take at most
        `max_elapsed` seconds. (`GET`, then `PUT /messages/{id}`)
        """
        check_day(timestamp_send)
        deadline = self._session.deadline()
        seen = await self._api.get(message_id, deadline)
        return await self._update(message_id, [], seen.transaction, timestamp_send, deadline)

    async def delete(self, message_id: str) -> None:
        """Cancel a message, which is then never sent. Credit that was spent is not refunded.

        ```python
        opened = await gateway.messages.send(
            sender="ACME", body="Ciao", recipients="+39-3401234567", transaction=True
        )
        await gateway.messages.delete(opened.id)
        ```

        If a response is lost, the message is looked at before it is deleted again, all within
        `max_elapsed` seconds. Raises NotFoundError if there was no such message, InvalidRequestError (code 221) if it is too
        late, and OutcomeUnknownError if neither is known. (`DELETE /messages/{id}`)
        """
        await self._api.delete(message_id, self._session.deadline())

    async def recipients(self, message_id: str) -> builtins.list[RecipientReport]:
        """Return every recipient of a message, with its delivery state.

        ```python
        sent = await gateway.messages.send(sender="ACME", body="Ciao", recipients="+39-3401234567")
        for report in await gateway.messages.recipients(sent.id):
            print(report.number, report.state, report.price)
        ```

        About 1 kB is read per recipient, at most 64 MiB. (`GET /messages/{id}/recipients/`)
        """
        return await self._api.recipients(message_id)

    async def recipient(self, message_id: str, number: str) -> RecipientReport:
        """Return one recipient of a message, with its delivery state.

        ```python
        sent = await gateway.messages.send(sender="ACME", body="Ciao", recipients="+39-3401234567")
        report = await gateway.messages.recipient(sent.id, "+39-3401234567")
        print(report.state, report.sms, report.price)
        ```

        Raises NotFoundError if the message has no such recipient, InvalidNumberError if `number` is
        not a phone number. (`GET /messages/{id}/recipients/{number}`)
        """
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
