"""The gateway's rules as a plain object: no socket, no event loop, no clock of its own.

Each of the seven calls takes what a request brought and returns an `Answer`. The server is one
caller; a property test is another.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from . import answers
from .answers import JSON, Answer, RefusedError, invalid, is_object
from .dialect import Dialect
from .message import ITALY, Message, Terms
from .recipients import Batch, check_fields, count_batch_parts, read_recipients

DEFAULT_CREDIT: Final = Decimal(1_000_000)
DEFAULT_PRICE: Final = Decimal("0.03")

_is_id: Final = re.compile(r"[0-9a-f]{24}").fullmatch
_is_sender: Final = re.compile(r"\+?[0-9]{3,14}|(?!\+?[0-9]+$)[^\x00-\x1f]{3,11}").fullmatch
_year_first: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2})").fullmatch
_day_first: Final = re.compile(r"(\d{2})-(\d{2})-(\d{4})").fullmatch
_REALTIME_PAUSE: Final = 60.0

_P = ParamSpec("_P")
_Default = TypeVar("_Default")


def _answers(
    call: Callable[Concatenate[Gateway, _P], Answer],
) -> Callable[Concatenate[Gateway, _P], Answer]:
    """Turn a refusal raised inside a call into the answer that says so."""

    @wraps(call)
    def answered(self: Gateway, /, *args: _P.args, **kwargs: _P.kwargs) -> Answer:
        try:
            return call(self, *args, **kwargs)
        except RefusedError as refusal:
            return refusal.answer()

    return answered


class Gateway:
    """One account: its messages, its credit, and the seven calls on them.

    `credit` is in EUR, `price` in EUR per SMS part; a closed message is sent `sent_after` and
    delivered `delivered_after` seconds after it was queued, by `clock` (wall seconds), seen
    when somebody looks. A refused call has changed nothing.
    """

    def __init__(
        self,
        *,
        credit: Decimal = DEFAULT_CREDIT,
        price: Decimal = DEFAULT_PRICE,
        dialect: Dialect | None = None,
        sent_after: float = 1.0,
        delivered_after: float = 3.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.credit = credit
        self.messages: dict[str, Message] = {}
        self.dialect = dialect or Dialect()
        self._terms = Terms(
            price=price,
            sent_after=sent_after,
            delivered_after=delivered_after,
            dialect=self.dialect,
        )
        self._clock = clock
        self._last_realtime = float("-inf")
        self._created = 0
        self._origin = secrets.token_hex(2)  # an id of one gateway is unknown to the next

    @property
    def ledger(self) -> Counter[str]:
        """How often each number sits on closed messages; a simulated send counts not."""
        ledger: Counter[str] = Counter()
        for message in self.messages.values():
            if not message.is_open and not message.test:
                ledger.update(message.numbers)
        return ledger

    @_answers
    def list_messages(self) -> Answer:
        """`GET /messages/`: the newest first."""
        if not self.messages:
            raise RefusedError(404, answers.NOT_FOUND, "No message found")
        summaries = [message.summary() for message in self.messages.values()]
        summaries.reverse()
        return self._success(200, summaries, _results(len(summaries)))

    @_answers
    def post(self, body: object) -> Answer:
        """`POST /messages/`: send, or with `transaction: true` open a message."""
        request = _read_object(body)
        now = self._clock()
        sender, text = _read_sender(request), _read_text(request)
        options = _read_options(request)
        message = Message(
            id=self._next_id(now),
            sender=sender,
            text=text,
            test=_read_bool(request, "test") or False,
            priority=_read_priority(request),
            options=options,
            created_at=now,
            updated_at=now,
            send_at=_read_date(options, default=now),
            terms=self._terms,
        )
        batch = self._read_batch(request, message)
        closes = not _read_bool(request, "transaction")
        self._accept(message, batch, closes=closes, now=now)
        self.messages[message.id] = message
        wording = "Message Queued" if closes else "Transaction Opened"
        return self._success(201, [message.document(now)], wording)

    @_answers
    def get(self, message_id: str) -> Answer:
        """`GET /messages/{id}`."""
        message = self._find(message_id)
        return self._success(200, [message.document(self._clock())], _results(1))

    @_answers
    def put(self, message_id: str, body: object) -> Answer:
        """`PUT /messages/{id}`: add recipients, close, reschedule, or several of these at once."""
        message = self._find(message_id, answers.PUT_NOT_FOUND, answers.PUT_INVALID_ID)
        request = _read_object(body)
        batch = self._read_batch(request, message)
        now = self._clock()
        if message.is_open:
            self._append(message, request, batch, now)
        else:
            _reschedule(message, request, batch, now)
        message.updated_at = now
        document = message.document(now)
        if self.dialect.put_as_created:
            return self._success(201, [document], "Updated")
        return self._success(200, document, "Updated")

    @_answers
    def delete(self, message_id: str) -> Answer:
        """`DELETE /messages/{id}`: an open one, or one whose date is still to come. No refund."""
        if not message_id:
            raise RefusedError(400, answers.DELETE_NO_ID, "Message Id required")
        message = self._find(message_id, answers.DELETE_NOT_FOUND, answers.DELETE_INVALID_ID)
        if not message.is_open and not message.is_waiting(self._clock()):
            wording = "message already scheduled for sending"
            raise RefusedError(422, answers.ALREADY_SCHEDULED, wording)
        del self.messages[message_id]
        envelope = {
            "data": list[Any](),
            "message": f"{message_id} Deleted",
            "success": True,
            "error": None,
        }
        return Answer(200, envelope)

    @_answers
    def recipients(self, message_id: str) -> Answer:
        """`GET /messages/{id}/recipients/`: in the order they were added, invalid ones left out."""
        message = self._find_listable(message_id)
        return self._recipient_list(message, range(len(message.numbers)))

    @_answers
    def recipient(self, message_id: str, number: str) -> Answer:
        """`GET /messages/{id}/recipients/{number}`: one entry for each time it was added."""
        message = self._find_listable(message_id)
        found = [i for i, known in enumerate(message.numbers) if known == number]
        if not found:
            raise RefusedError(404, answers.NOT_FOUND, "No message found")
        return self._recipient_list(message, found)

    def checkpoint(self, message_id: str) -> Callable[[], None]:
        """Return a function that takes back the one call on `message_id` (or the POST) to come."""
        before = self.messages.get(message_id)
        saved = before and before.copy()
        credit, last_realtime, known = self.credit, self._last_realtime, len(self.messages)

        def undo() -> None:
            self.credit, self._last_realtime = credit, last_realtime
            if saved is not None:
                self.messages[message_id] = saved
            while len(self.messages) > known:
                self.messages.popitem()

        return undo

    def _find(
        self,
        message_id: str,
        missing: int = answers.NOT_FOUND,
        malformed: int = answers.INVALID_ID,
    ) -> Message:
        message = self.messages.get(message_id)
        if message is not None:
            return message
        if not _is_id(message_id):
            raise RefusedError(406, malformed, "Invalid Message ID")
        raise RefusedError(404, missing, "No message found")

    def _find_listable(self, message_id: str) -> Message:
        message = self._find(message_id)
        if message.is_open and not self.dialect.list_while_open:
            raise RefusedError(404, answers.NOT_FOUND, "No message found")
        return message

    def _append(self, message: Message, request: JSON, batch: Batch, now: float) -> None:
        keeps_open = _read_bool(request, "transaction")
        closes = self.dialect.put_closes if keeps_open is None else not keeps_open
        if closes and not len(batch) and not self.dialect.empty_close:
            raise RefusedError(422, answers.EMPTY_CLOSE, "'recipients' must not be empty")
        send_at = _read_date(_read_options(request), default=message.send_at)
        self._accept(message, batch, closes=closes, now=now)
        message.send_at = send_at

    def _read_batch(self, request: JSON, message: Message) -> Batch:
        batch = read_recipients(request, object_lists=self.dialect.object_lists)
        limit = self.dialect.max_recipients
        if limit is not None and len(batch) > limit:
            wording = f"at most {limit} recipients in one request"
            raise RefusedError(413, answers.TOO_MANY_RECIPIENTS, wording)
        if self.dialect.refuse_missing_fields:
            check_fields(message.text, batch)
        return batch.without(message.numbers) if self.dialect.merge_repeats else batch

    def _accept(self, message: Message, batch: Batch, *, closes: bool, now: float) -> None:
        """Add the batch, close if asked, take the credit: all of it, or a refusal and nothing."""
        parts = count_batch_parts(message.text, batch)
        due = Decimal(0)
        if self.dialect.charge_at == "put":
            due = message.cost(parts)
        elif closes:
            due = message.cost(message.parts + parts)
        if message.test:
            due = Decimal(0)
        if due > self.credit:
            raise RefusedError(402, answers.NO_CREDIT, self._poverty(message, due))
        if closes and message.options.get("realtime") and not message.test:
            if now - self._last_realtime < _REALTIME_PAUSE:
                wording = "only one realtime message per minute"
                raise RefusedError(422, answers.TOO_MANY_REALTIME, wording)
            self._last_realtime = now
        message.add(batch, parts)
        self.credit -= due
        if closes:
            message.released_at = now

    def _poverty(self, message: Message, due: Decimal) -> str:
        if message.id in self.messages:
            return f"Insufficient Credit in Wallet: {self.credit}"
        return f"Current User credit is not enough. {due} needed {self.credit} € available"

    def _next_id(self, now: float) -> str:
        # The last six digits stay free: those of the recipients are counted there.
        self._created += 1
        return f"{int(now) & 0xFFFFFFFF:08x}{self._origin}{self._created & 0xFFFFFF:06x}000000"

    def _success(self, status: int, data: object, message: str) -> Answer:
        envelope = {
            "data": data,
            "success": True,
            "message": message,
            "credit": f"{self.credit:f}",
            "error": None,
        }
        return Answer(status, envelope)

    def _recipient_list(self, message: Message, positions: range | list[int]) -> Answer:
        now = self._clock()
        documents = [message.recipient_document(i, now) for i in positions]
        answer = self._success(200, documents, _results(len(documents)))
        answer.body["credit"] = float(self.credit)  # a number here, as in the vendor's example
        return answer


def _reschedule(message: Message, request: JSON, batch: Batch, now: float) -> None:
    """Move the date of a closed message, which is all that a PUT may still do to it."""
    send_at = _read_date(_read_options(request), default=None)
    is_more = len(batch) > 0 or _read_bool(request, "transaction")
    if send_at is None or is_more or not message.is_waiting(now):
        raise RefusedError(422, answers.ALREADY_CLOSED, "Transaction already closed")
    message.send_at = send_at
    message.released_at = now


def _results(count: int) -> str:
    return "1 Result" if count == 1 else f"{count} Results"


def _read_object(body: object) -> JSON:
    if not is_object(body):
        raise RefusedError(400, answers.NOT_JSON, "the request is not a JSON object")
    return body


def _read_sender(request: JSON) -> str:
    sender = request.get("sender")
    if sender is None or sender == "":
        raise RefusedError(422, answers.MISSING_SENDER, "missing 'sender' parameter")
    if not isinstance(sender, str) or not _is_sender(sender):
        raise invalid("'sender' must have 3-11 characters, or 3-14 if numeric")
    return sender


def _read_text(request: JSON) -> str:
    text = request.get("body")
    if text is None or text == "":
        raise RefusedError(422, answers.MISSING_BODY, "missing 'body' parameter")
    if not isinstance(text, str):
        raise invalid("'body' must be a string")
    return text


def _read_bool(values: JSON, name: str) -> bool | None:
    value = values.get(name)
    if value is not None and not isinstance(value, bool):
        raise invalid(f"'{name}' must be true or false")
    return value


def _read_priority(request: JSON) -> Decimal:
    value = request.get("priority", 1)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 1:
        raise invalid("'priority' must be a number from 1.00 on")
    return Decimal(str(value))


def _read_options(request: JSON) -> JSON:
    options = request.get("options")
    if not options:
        return {}
    if not is_object(options):
        raise invalid("'options' must be an object")
    _read_bool(options, "flash")
    _read_bool(options, "realtime")
    return options


def _read_date(options: JSON, *, default: _Default) -> float | _Default:
    """Return midnight in Italy of `options.timestamp_send` in wall seconds, if it is given."""
    text = options.get("timestamp_send")
    if text is None:
        return default
    if isinstance(text, str):
        year_first, day_first = _year_first(text), _day_first(text)
        digits = year_first.groups() if year_first else day_first and day_first.groups()[::-1]
        if digits:
            year, month, day = map(int, digits)
            try:
                return datetime(year, month, day, tzinfo=ITALY).timestamp()
            except ValueError:  # the 31st of a short month
                pass
    raise invalid("'timestamp_send' must be a date like 2018-05-20 or 20-05-2018")
