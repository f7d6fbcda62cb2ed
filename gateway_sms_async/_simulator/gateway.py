"""The gateway's rules as a plain object: no socket, no event loop, no clock of its own.

Each of the seven calls takes the content of a request and returns a `Response`. The server and
a property test call it.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from . import responses
from .deliveries import Deliveries, Timeline
from .dialect import Dialect
from .message import StoredMessage, Terms
from .parameters import (
    read_bool,
    read_date,
    read_object,
    read_options,
    read_priority,
    read_sender,
    read_text,
)
from .recipients import (
    ReceivedBatch,
    brings_recipients,
    check_fields,
    count_batch_parts,
    halve,
    read_recipients,
)
from .responses import JSON, RefusedError, Response

DEFAULT_CREDIT: Final = Decimal(1_000_000)
DEFAULT_PRICE: Final = Decimal("0.03")
_is_id: Final = re.compile(r"[0-9a-f]{24}").fullmatch
_REALTIME_PAUSE: Final = 60.0
# The gateway's own refusals after which half of a PUT may be applied. The statuses of injected
# faults that do the same are in the dispatcher.
_REFUSALS_THAT_APPLY_HALF: Final = frozenset({402, 413, 422})
_P = ParamSpec("_P")
_Default = TypeVar("_Default")


def _refusals_as_responses(
    call: Callable[Concatenate[Gateway, _P], Response],
) -> Callable[Concatenate[Gateway, _P], Response]:
    """Turn a refusal raised inside a call into its response."""

    @wraps(call)
    def wrapper(self: Gateway, /, *args: _P.args, **kwargs: _P.kwargs) -> Response:
        try:
            return call(self, *args, **kwargs)
        except RefusedError as refusal:
            return refusal.response()

    return wrapper


class Gateway:
    """One account: its messages, its credit, and the seven calls on them.

    - `credit`: in EUR; `price`: in EUR per SMS part.
    - `dialect`: settings for behaviour that the vendor's documentation leaves open.
    - `sent_after`, `delivered_after`: seconds after queueing until the recipients of a closed
      message are sent and delivered; `deliveries` varies them.
    - `clock`: returns wall seconds. States are computed when they are read.
    - `unroutable`: well-formed numbers that nevertheless count as invalid.
    - `watched`: ids of messages with a `callback_url` whose state may still change.

    A refused call changes nothing, unless a setting of `dialect` says otherwise.
    """

    def __init__(
        self,
        *,
        credit: Decimal = DEFAULT_CREDIT,
        price: Decimal = DEFAULT_PRICE,
        dialect: Dialect | None = None,
        sent_after: float = 1.0,
        delivered_after: float = 3.0,
        deliveries: Deliveries | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.credit: Decimal = credit
        self.unroutable: set[str] = set()
        self.watched: set[str] = set()
        self.dialect: Dialect = dialect or Dialect()
        self._terms = Terms(
            price=price,
            timeline=Timeline(
                sent_after=sent_after,
                delivered_after=delivered_after,
                deliveries=deliveries or Deliveries(),
            ),
            dialect=self.dialect,
        )
        self._clock = clock
        self._messages: dict[str, StoredMessage] = {}
        self._last_realtime = float("-inf")
        self._created = 0
        self._origin = secrets.token_hex(2)  # an id of one gateway does not exist on another

    @property
    def messages(self) -> dict[str, StoredMessage]:
        """The messages by id, oldest first."""
        after = self.dialect.opens_send_after
        if after is not None:
            self._send_overdue(after)
        return self._messages

    @property
    def ledger(self) -> Counter[str]:
        """How often each number is on closed messages, test sends excluded."""
        ledger: Counter[str] = Counter()
        # A copy, because a simulator in a thread may get a message meanwhile.
        for message in list(self.messages.values()):
            if not message.is_open and not message.test:
                ledger.update(message.numbers)
        return ledger

    @_refusals_as_responses
    def list_messages(self) -> Response:
        """`GET /messages/`: newest first."""
        if not self.messages:
            raise RefusedError(404, responses.NOT_FOUND, "No message found")
        newest = reversed(self.messages.values())
        summaries = [message.summary() for message in newest][: self.dialect.list_limit]
        return self._success(200, summaries, _results(len(summaries)))

    @_refusals_as_responses
    def post(self, body: object) -> Response:
        """`POST /messages/`: send a message, or open it with `transaction: true`."""
        request = read_object(body)
        now = self._clock()
        sender = read_sender(request, longest=self.dialect.max_sender)
        text = read_text(request)
        options = read_options(request)
        message = StoredMessage(
            id=self._next_id(now),
            sender=sender,
            text=text,
            test=read_bool(request, "test") or False,
            priority=read_priority(request),
            options=options,
            created_at=now,
            updated_at=now,
            send_at=self._send_at(options, default=now),
            terms=self._terms,
        )
        batch = self._read_batch(request, message)
        closes = not read_bool(request, "transaction")
        self._accept(message, batch, closes=closes, now=now)
        self._messages[message.id] = message
        if options.get("callback_url"):
            self.watched.add(message.id)
        wording = "Message Queued" if closes else "Transaction Opened"
        return self._success(201, [message.document(now)], wording)

    @_refusals_as_responses
    def get(self, message_id: str) -> Response:
        """`GET /messages/{id}`."""
        message = self._find_readable(message_id)
        return self._success(200, [message.document(self._clock())], _results(1))

    @_refusals_as_responses
    def put(self, message_id: str, body: object, *, seen: StoredMessage | None = None) -> Response:
        """`PUT /messages/{id}`: add recipients, close, reschedule, or several of these at once.

        `seen` is what `look_up` returned when the request arrived, for a PUT that is applied later
        than it arrived.
        """
        message = self._find(message_id, responses.PUT_NOT_FOUND, responses.PUT_INVALID_ID)
        request = read_object(body)
        if seen is not None and message.is_open and brings_recipients(request):
            message = seen  # recipients added by other requests since then are lost
        now = self._clock()
        try:
            self._change(message, request, now)
        except RefusedError as refusal:
            if refusal.status in _REFUSALS_THAT_APPLY_HALF:
                self.take_half(message_id, request)
            raise
        message.updated_at = now
        self._messages[message_id] = message
        document = message.document(now)
        if self.dialect.put_as_created:
            return self._success(201, [document], "Updated")
        return self._success(200, document, "Updated")

    def look_up(self, message_id: str) -> StoredMessage | None:
        """Return a copy of the message for a PUT that overwrites later changes, else None."""
        message = self.messages.get(message_id)
        if message is None or not message.is_open or not self.dialect.lose_concurrent:
            return None
        return message.copy()

    def take_half(self, message_id: str, body: object) -> None:
        """Add half the recipients of a refused PUT to an open message, if the dialect says so."""
        message = self.messages.get(message_id)
        request = halve(body)
        if not self.dialect.refusals_apply_half or message is None or not message.is_open:
            return
        with suppress(RefusedError):
            batch = self._unrepeated(self._sort(read_object(request)), message)
            message.add(batch, count_batch_parts(message.text, batch))

    @_refusals_as_responses
    def delete(self, message_id: str) -> Response:
        """`DELETE /messages/{id}`: if it is open, or its date is in the future. No refund."""
        if not message_id:
            raise RefusedError(400, responses.DELETE_NO_ID, "Message Id required")
        message = self._find(message_id, responses.DELETE_NOT_FOUND, responses.DELETE_INVALID_ID)
        if not message.is_open and not message.is_waiting(self._clock()):
            wording = "message already scheduled for sending"
            raise RefusedError(422, responses.ALREADY_SCHEDULED, wording)
        if not self.dialect.deletes_undone:
            del self._messages[message_id]
        envelope = {
            "data": list[Any](),
            "message": f"{message_id} Deleted",
            "success": True,
            "error": None,
        }
        return Response(200, envelope)

    def close_all(self) -> None:
        """Close every open message with the recipients that it has, as another program would."""
        now = self._clock()
        for message in self.messages.values():
            if message.is_open:
                self._close_unasked(message, now)

    @_refusals_as_responses
    def recipients(self, message_id: str) -> Response:
        """`GET /messages/{id}/recipients/`: in the order they were added.

        Without the invalid ones, unless `dialect.list_invalid` is set: it lists them at the end.
        """
        message = self._find_listable(message_id)
        now = self._clock()
        return self._recipient_list(message, message.listed(now)[: self.dialect.list_limit], now)

    @_refusals_as_responses
    def recipient(self, message_id: str, number: str) -> Response:
        """`GET /messages/{id}/recipients/{number}`: one entry for each time it was added."""
        message = self._find_listable(message_id)
        now = self._clock()
        found = message.find(number, now)
        if not found:
            raise RefusedError(404, responses.NOT_FOUND, "No message found")
        return self._recipient_list(message, found, now)

    def checkpoint(self, message_id: str) -> Callable[[], None]:
        """Return a function that undoes the next call, on `message_id` or a POST."""
        before = self.messages.get(message_id)
        saved = before and before.copy()
        credit, last_realtime, known = self.credit, self._last_realtime, len(self.messages)

        def undo() -> None:
            self.credit, self._last_realtime = credit, last_realtime
            if saved is not None:
                self._messages[message_id] = saved
            while len(self._messages) > known:
                self._messages.popitem()

        return undo

    def _send_overdue(self, after: float) -> None:
        now = self._clock()
        for message in self._messages.values():
            if message.is_open and message.created_at + after <= now:
                self._close_unasked(message, message.created_at + after)

    def _close_unasked(self, message: StoredMessage, now: float) -> None:
        message.close(now)
        if self.dialect.charge_at == "close" and not message.test:
            self.credit -= message.cost(message.parts)  # even below zero

    def _find(
        self,
        message_id: str,
        missing: int = responses.NOT_FOUND,
        malformed: int = responses.INVALID_ID,
    ) -> StoredMessage:
        message = self.messages.get(message_id)
        if message is not None:
            return message
        if not _is_id(message_id):
            raise RefusedError(406, malformed, "Invalid Message ID")
        raise RefusedError(404, missing, "No message found")

    def _find_readable(self, message_id: str) -> StoredMessage:
        message = self._find(message_id)
        if self.dialect.closed_unreadable and not message.is_open:
            raise RefusedError(404, responses.NOT_FOUND, "No message found")
        return message

    def _find_listable(self, message_id: str) -> StoredMessage:
        message = self._find_readable(message_id)
        if message.is_open and not self.dialect.list_while_open:
            raise RefusedError(404, responses.NOT_FOUND, "No message found")
        return message

    def _change(self, message: StoredMessage, request: JSON, now: float) -> None:
        batch = self._read_batch(request, message)
        if message.is_open:
            self._append(message, request, batch, now)
        elif self.dialect.closed_takes_puts and brings_recipients(request):
            self._accept(message, batch, closes=False, now=now)
        else:
            self._change_closed(message, request, batch, now)

    def _change_closed(
        self, message: StoredMessage, request: JSON, batch: ReceivedBatch, now: float
    ) -> None:
        """Apply a PUT to a closed message: change its date, or refuse the PUT as "already closed".

        The date is the only change that a PUT may still make, and only while it is in the future.
        """
        send_at = self._send_at(read_options(request), default=None)
        is_more = len(batch) > 0 or read_bool(request, "transaction")
        if send_at is None or is_more or not message.is_waiting(now):
            raise RefusedError(422, responses.ALREADY_CLOSED, "Transaction already closed")
        message.send_at = send_at
        message.released_at = now

    def _send_at(self, options: JSON, *, default: _Default) -> float | _Default:
        return read_date(options, default=default, millis=self.dialect.millis_dates)

    def _append(
        self, message: StoredMessage, request: JSON, batch: ReceivedBatch, now: float
    ) -> None:
        keeps_open = read_bool(request, "transaction")
        closes = self.dialect.put_closes if keeps_open is None else not keeps_open
        if closes and not len(batch) and not self.dialect.empty_close:
            raise RefusedError(422, responses.EMPTY_CLOSE, "'recipients' must not be empty")
        if self.dialect.split_close and brings_recipients(request):
            closes = False
        send_at = self._send_at(read_options(request), default=message.send_at)
        self._accept(message, batch, closes=closes, now=now)
        message.send_at = send_at

    def _read_batch(self, request: JSON, message: StoredMessage) -> ReceivedBatch:
        batch = self._sort(request)
        _check_limit(len(batch), self.dialect.max_recipients, "request")
        if self.dialect.refuse_missing_fields:
            check_fields(message.text, batch)
        return self._unrepeated(batch, message)

    def _sort(self, request: JSON) -> ReceivedBatch:
        batch = read_recipients(request, object_lists=self.dialect.object_lists)
        return batch.rejecting(self.unroutable) if self.unroutable else batch

    def _unrepeated(self, batch: ReceivedBatch, message: StoredMessage) -> ReceivedBatch:
        return batch.without(message.numbers) if self.dialect.merge_repeats else batch

    def _accept(
        self, message: StoredMessage, batch: ReceivedBatch, *, closes: bool, now: float
    ) -> None:
        """Add the batch, close if `closes`, and charge the credit; or refuse and change nothing."""
        held = len(message.numbers) + len(message.invalid)
        _check_limit(held + len(batch), self.dialect.max_per_message, "message")
        parts = count_batch_parts(message.text, batch)
        due = self._due(message, parts, closes=closes)
        if due > self.credit:
            raise RefusedError(402, responses.NO_CREDIT, self._no_credit_message(message, due))
        if closes and message.options.get("realtime") and not message.test:
            if now - self._last_realtime < _REALTIME_PAUSE:
                wording = "only one realtime message per minute"
                raise RefusedError(422, responses.TOO_MANY_REALTIME, wording)
            self._last_realtime = now
        message.add(batch, parts)
        self.credit -= due
        if closes:
            message.close(now)

    def _due(self, message: StoredMessage, parts: int, *, closes: bool) -> Decimal:
        """Return the credit to charge when the message gets `parts` more SMS."""
        if message.test:
            return Decimal(0)
        if self.dialect.charge_at == "put" or not message.is_open:
            return message.cost(parts)
        return message.cost(message.parts + parts) if closes else Decimal(0)

    def _no_credit_message(self, message: StoredMessage, due: Decimal) -> str:
        if message.id in self.messages:
            return f"Insufficient Credit in Wallet: {self.credit}"
        return f"Current User credit is not enough. {due} needed {self.credit} € available"

    def _next_id(self, now: float) -> str:
        # The last six digits are zero: recipient ids are counted there.
        self._created += 1
        return f"{int(now) & 0xFFFFFFFF:08x}{self._origin}{self._created & 0xFFFFFF:06x}000000"

    def _success(self, status: int, data: object, message: str) -> Response:
        envelope = {
            "data": data,
            "success": True,
            "message": message,
            "credit": f"{self.credit:f}",
            "error": None,
        }
        return Response(status, envelope)

    def _recipient_list(
        self, message: StoredMessage, positions: range | list[int], now: float
    ) -> Response:
        documents = [message.recipient_document(i, now) for i in positions]
        response = self._success(200, documents, _results(len(documents)))
        # A number in lists, as in the vendor's example.
        response.body["credit"] = float(self.credit)
        return response


def _check_limit(count: int, limit: int | None, container: str) -> None:
    if limit is not None and count > limit:
        wording = f"at most {limit} recipients in one {container}"
        raise RefusedError(413, responses.TOO_MANY_RECIPIENTS, wording)


def _results(count: int) -> str:
    return "1 Result" if count == 1 else f"{count} Results"
