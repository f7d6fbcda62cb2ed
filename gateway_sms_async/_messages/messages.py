"""The seven calls of the gateway, one method each.

Users enter by `gateway.messages`; the transaction builder uses the same methods and the few
marked as its own. Everything a caller got wrong is refused here, before a request.

The vendor's documentation of each call: https://console.openapi.com/apis/gatewaysms
"""

from __future__ import annotations

import asyncio
import builtins
import math
import secrets
import time
from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from msgspec import UNSET

from .._arguments import check_flag
from .._events import CloseEvent, safe_id
from .._http.endpoint import WireStatus
from .._http.session import Session
from .._recipients.numbers import normalize
from .._recipients.recipient import Recipient, RecipientLike, coerce
from .._recipients.wire import Addressee, WireRecipients, wire_recipients
from ..errors import (
    GatewayError,
    InvalidRequestError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    RecipientsRejectedError,
)
from ..models import Message, MessageSummary, RecipientReport
from .api import (
    _DELETE,
    _GET,
    _ID,
    _LIST,
    _OPEN,
    _PUT,
    _RECIPIENT,
    _RECIPIENTS,
    _SEND,
    _about,
    _one,
    message_path,
)
from .draft import Draft, MessageUpdate, Options, OptionsPatch, check_reference, encode, wire_date
from .sending import _CLOCK_SLACK, _REFERENCES, _with_somebody

__all__ = ["Messages"]

_DELETE_TRIES = 3


class Messages:
    """The calls on messages. Every method raises a GatewayError when the gateway says no."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._references: builtins.list[str] = []

    async def list(self) -> builtins.list[MessageSummary]:
        """Return the messages of the account, as many as the gateway lists.

        An empty account is an empty list. (`GET /messages/`)
        """
        try:
            return await self._session.call(_LIST, "/messages/")
        except NotFoundError:
            return []

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
            reference = self._reference() if reference is None else check_reference(reference)
        payload = draft.payload(
            wire, transaction=check_flag("transaction", transaction), reference=reference
        )
        if transaction:
            return _with_somebody(await self.open_transaction(payload))
        turn: float | None = None
        patience = self._session.policy.max_elapsed
        if not check_flag("wait_realtime", wait_realtime):
            patience = 0.0
        if draft.is_realtime:
            turn = await self.realtime_turn(patience)
        if self._session.emit is None:
            return await self._send(draft, payload, reference, turn)
        try:
            message = await self._send(draft, payload, reference, turn)
        except RecipientsRejectedError as rejected:
            self._tell(rejected.message)
            raise
        except OutcomeUnknownError:
            self._tell(None, unknown=1 if isinstance(wire, str | Addressee) else len(wire))
            raise
        self._tell(message)
        return message

    async def find(self, reference: str) -> Message | None:
        """Return the newest message that was sent with this reference, None when there is none.

        Costs one listing and one request for each message looked at.
        """
        return await self._find(check_reference(reference))

    async def get(self, message_id: str) -> Message:
        """Return one message. (`GET /messages/{id}`)."""
        path = message_path(message_id)
        return _one(await self._session.call(_GET, path, accepts=_about(message_id)))

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
        message = await self.put(message_id, payload, transaction)
        if transaction is False and self._session.emit is not None:
            self._tell(message)
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
        path = message_path(message_id)
        lost: OutcomeUnknownError | None = None
        for _ in range(_DELETE_TRIES):
            try:
                await self._session.call(_DELETE, path)
            except NotFoundError:
                if lost is None:
                    raise
            except InvalidRequestError:
                raise
            except OutcomeUnknownError as error:
                lost = error
                if await self._is_there(message_id):
                    continue
            except Exception:
                # Whatever kept us from asking again, it is the first answer that is missing.
                if lost is None:
                    raise
                break
            return
        assert lost is not None
        raise lost

    async def recipients(self, message_id: str) -> builtins.list[RecipientReport]:
        """Return every recipient of a message and what became of it.

        About 1 kB each; at most 64 MiB. (`GET /messages/{id}/recipients/`)
        """
        return await self._session.call(_RECIPIENTS, message_path(message_id) + "/recipients/")

    async def recipient(self, message_id: str, number: str) -> RecipientReport:
        """Return one recipient of a message. (`GET /messages/{id}/recipients/{number}`)."""
        path = f"{message_path(message_id)}/recipients/{normalize(coerce(number)[0])}"
        reports = await self._session.call(_RECIPIENT, path)
        if not reports:
            raise NotFoundError("GET: no such recipient on this message", status=404)
        return reports[0]

    async def send_draft(
        self, draft: Draft, wire: WireRecipients, reference: str | None
    ) -> Message:
        """Send a message that is already checked; for the transaction builder."""
        payload = draft.payload(wire, transaction=False, reference=reference)
        return await self._send(draft, payload, reference)

    async def open_transaction(
        self, payload: bytes, wire_status: WireStatus | None = None
    ) -> Message:
        """Send a POST that is already written and sends nothing; for the transaction builder."""
        return _one(await self._session.call(_OPEN, "/messages/", payload, wire_status=wire_status))

    async def put(
        self,
        message_id: str,
        payload: bytes,
        transaction: bool | None,  # noqa: FBT001 - the field's own three values
        wire_status: WireStatus | None = None,
    ) -> Message:
        """Send a PUT that is already written; for the transaction builder."""
        path = message_path(message_id)
        return _one(
            await self._session.call(
                _PUT[transaction],
                path,
                payload,
                wire_status=wire_status,
                accepts=_about(message_id),
            )
        )

    async def realtime_turn(self, patience: float) -> float:
        """Wait until one more realtime message may leave, and return since when, on the loop's clock.

        RateLimitError when that is too long. For the transaction builder too.
        """
        pace, loop = self._session.realtime, asyncio.get_running_loop()
        give_up = loop.time() + patience
        while left := pace.wait(now := loop.time()):
            if now + left > give_up:
                raise RateLimitError(
                    f"only one realtime message a minute: wait {math.ceil(left)} s; nothing was sent",
                    status=429,
                    retry_after=left,
                )
            await asyncio.sleep(left)
        pace.sent(now)
        return now

    def _reference(self) -> str:
        """Return 32 random hex digits that no other call has."""
        if not self._references:
            # Many at once: each time the system's chance is asked costs more than the rest of this.
            drawn = secrets.token_hex(16 * _REFERENCES)
            self._references = [drawn[at : at + 32] for at in range(0, len(drawn), 32)]
        return self._references.pop()

    async def _send(
        self, draft: Draft, payload: bytes, reference: str | None, turn: float | None = None
    ) -> Message:
        started = time.time()
        try:
            message = _one(await self._session.call(_SEND, "/messages/", payload))
        except OutcomeUnknownError as unknown:
            message = await self._recover(draft, reference, started, unknown)
        except GatewayError:
            if turn is not None:
                self._session.realtime.not_sent(turn)
            raise
        if draft.is_realtime:
            # The gateway's minute begins when it arrives.
            self._session.realtime.sent(asyncio.get_running_loop().time())
        return _with_somebody(message)

    def _tell(self, message: Message | None, *, unknown: int = 0) -> None:
        """Tell whoever listens of a single message's end; None: it is not known what became of it."""
        emit = self._session.emit
        if emit is None:
            return
        if message is None:
            emit(CloseEvent(result="unknown", message_id=None, unknown=unknown))
            return
        emit(
            CloseEvent(
                result="left_open" if message.transaction else "closed",
                message_id=safe_id(message.id),
                accepted=message.valid,
                invalid=message.invalid,
                price=message.price,
            )
        )

    async def _is_there(self, message_id: str) -> bool:
        try:
            await self.get(message_id)
        except NotFoundError:
            return False
        except Exception:  # noqa: BLE001
            # Whatever kept us from looking, the fate of the DELETE is what is not known.
            return True
        return True

    async def _recover(
        self, draft: Draft, reference: str | None, started: float, unknown: OutcomeUnknownError
    ) -> Message:
        """Find the message whose answer was lost, or say that it cannot be known."""
        found: Message | None = None
        if reference is not None:
            try:
                async with asyncio.timeout(self._session.policy.max_elapsed):
                    found = await self._find(reference, since=started - _CLOCK_SLACK, draft=draft)
            except Exception:  # noqa: BLE001 - whatever kept us from finding it, a text may be out
                found = None
        if found is None:
            lost = OutcomeUnknownError(
                "POST: the answer was lost, and no message with its reference was found; a text "
                "may have gone out",
                reference=reference,
            )
            raise lost from unknown.__cause__
        return found

    async def _find(
        self, reference: str, *, since: float | None = None, draft: Draft | None = None
    ) -> Message | None:
        """Return the newest message with this reference, made `since` and from this draft."""
        for summary in await self.list():
            made = summary.timestamp
            too_old = since is not None and made is not None and made.timestamp() < since
            if too_old or not _ID.fullmatch(summary.id):
                continue
            try:
                message = await self.get(summary.id)
            except NotFoundError:
                continue
            if message.options.custom == reference and (
                draft is None or (not message.transaction and message.body in {None, draft.body})
            ):
                return message
        return None
