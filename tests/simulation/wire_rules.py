"""Checks the wire against the rules of the protocol, whether or not a violation did any harm.

It sees the requests of all processes of a campaign in the order in which they reach the gateway.
Requests that a killed process had sent count like all others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .oracle import key_of
from .record import RequestRecord

Counts = tuple[int, int]


@dataclass
class _Message:
    """One message as an observer of both directions knows it."""

    recipients: set[str] = field(default_factory=set)
    closes: list[str] = field(default_factory=list)
    closed_at: int = 0
    counts: Counts | None = None
    before: Counts | None = None
    was_read: bool = False
    shown_open: bool = False
    was_shown_open: bool = False
    shown_closed: bool = False
    deleted: bool = False


class WireRules:
    """The rules:

    - A recipient is added to one message once, unless all attempts before were refused.
    - A close follows a read of the message. It is repeated only identically, and only after a read
      that shows the message open and unchanged.
    - No recipient is added after a close. After a DELETE none is added, and nothing is closed.
    - Every PUT has `transaction`.
    - A message is reported closed only if it was read closed.
    """

    def __init__(self) -> None:
        self._messages: dict[str, _Message] = {}

    def check(
        self, records: Iterable[RequestRecord], reported_closed: Iterable[str]
    ) -> Iterator[str]:
        """Yield the violations; `reported_closed` are the message ids that receipts name."""
        events: list[tuple[int, bool, RequestRecord]] = []
        for record in records:
            events.append((record.arrived, True, record))
            if record.responded is not None:
                events.append((record.responded, False, record))
        for at, arrives, record in sorted(events, key=lambda event: event[0]):
            message_id = record.message_id
            if not message_id:
                continue
            message = self._messages.setdefault(message_id, _Message())
            if arrives:
                for words in self._arrival(message, record, at):
                    yield f"wire: {record.request.operation} {words}"
            else:
                self._response(message, record)
        for message_id in set(reported_closed):
            if not self._messages.get(message_id, _Message()).shown_closed:
                yield "wire: a message is reported closed, but was never read closed"

    def _arrival(self, message: _Message, record: RequestRecord, at: int) -> Iterator[str]:
        operation, body = record.request.operation, record.request.body
        if operation in {"open", "send"}:
            message.recipients |= _recipients(body)
        if operation == "append":
            if body.get("transaction") is not True:
                yield "without transaction: true"
            if message.closes:
                yield "after a close"
            if message.deleted:
                yield "after a DELETE"
            if twice := message.recipients & _recipients(body):
                yield f"adds {sorted(twice)} to a message a second time"
            message.recipients |= _recipients(body)
            message.was_read = False
        if operation == "close":
            yield from self._close(message, body)
            message.recipients |= _recipients(body)
            message.closes.append(_serialize(body))
            message.closed_at = at
            message.was_shown_open = message.shown_open
            message.shown_open = message.shown_closed = False
        if operation == "delete":
            message.deleted = True

    def _close(self, message: _Message, body: Any) -> Iterator[str]:
        if message.deleted:
            yield "after a DELETE"
        if not message.was_read:
            yield "without a read before it"
        if not message.closes:
            message.before = message.counts
            if twice := message.recipients & _recipients(body):
                yield f"adds {sorted(twice)} to a message a second time"
        elif set(message.closes) != {_serialize(body)}:
            yield "is not the close that was sent before"
        elif not message.shown_open:
            yield "repeated, though no read showed the message open and unchanged"

    def _response(self, message: _Message, record: RequestRecord) -> None:
        operation, body = record.request.operation, record.request.body
        if record.rejected and operation in {"append", "close"}:
            message.recipients -= _recipients(body)
            if operation == "close":
                message.closes.remove(_serialize(body))
                message.shown_open = message.was_shown_open
        document = record.document if record.may_be_received else None
        if document is None or operation != "get":
            return
        message.was_read = True
        counts = document["recipients"]
        message.counts = counts["valid"]["count"], counts["invalid"]["total"]
        if record.arrived > message.closed_at:
            message.shown_closed = not document["transaction"]
            message.shown_open = document["transaction"] and message.counts == message.before


def _recipients(body: Any) -> set[str]:
    recipients = body.get("recipients") if isinstance(body, dict) else None
    if not isinstance(recipients, list):
        recipients = [] if recipients is None else [recipients]
    return {key_of(one["number"] if isinstance(one, dict) else one) for one in recipients}


def _serialize(body: Any) -> str:
    return json.dumps(body, sort_keys=True)
