"""Holds the wire to the rules of the protocol, whether or not breaking one has hurt anybody.

It sees requests in the order in which they reach the gateway, from all lives of a campaign alike:
what a killed process had sent before its end counts like everything else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .faults import Note
from .oracle import key_of

Counts = tuple[int, int]


@dataclass
class _Message:
    """One message as whoever sees both directions knows it."""

    people: set[str] = field(default_factory=set)
    closes: list[str] = field(default_factory=list)
    closed_at: int = 0
    counts: Counts | None = None
    before: Counts | None = None
    looked: bool = False
    shown_open: bool = False
    was_shown_open: bool = False
    shown_closed: bool = False
    deleted: bool = False


class WireJudge:
    """Goes through the notes once.

    - one recipient reaches one message once, unless each attempt before got a complete no;
    - a close comes after a look, and is repeated identically, after a look that shows the message
      open and unchanged;
    - nobody is added after a close, and nobody is added and nothing closed after a DELETE;
    - every PUT names its `transaction`;
    - a message is called closed only when it was seen closed.
    """

    def __init__(self) -> None:
        self._messages: dict[str, _Message] = {}

    def check(self, notes: Iterable[Note], called_closed: Iterable[str]) -> Iterator[str]:
        """Say what was against the rules; `called_closed` are ids that receipts name."""
        events: list[tuple[int, bool, Note]] = []
        for note in notes:
            events.append((note.arrived, True, note))
            if note.answered is not None:
                events.append((note.answered, False, note))
        for at, arrives, note in sorted(events, key=lambda event: event[0]):
            message_id = note.message_id
            if not message_id:
                continue
            message = self._messages.setdefault(message_id, _Message())
            if arrives:
                for words in self._arrival(message, note, at):
                    yield f"wire: {note.request.operation} {words}"
            else:
                self._answer(message, note)
        for message_id in set(called_closed):
            if not self._messages.get(message_id, _Message()).shown_closed:
                yield "wire: a message is called closed, and was not seen closed"

    def _arrival(self, message: _Message, note: Note, at: int) -> Iterator[str]:
        operation, body = note.request.operation, note.request.body
        if operation in {"open", "send"}:
            message.people |= _people(body)
        if operation == "append":
            if body.get("transaction") is not True:
                yield "without transaction: true"
            if message.closes:
                yield "after a close"
            if message.deleted:
                yield "after a DELETE"
            if twice := message.people & _people(body):
                yield f"brings {sorted(twice)} to a message a second time"
            message.people |= _people(body)
            message.looked = False
        if operation == "close":
            yield from self._close(message, body)
            message.people |= _people(body)
            message.closes.append(_text(body))
            message.closed_at = at
            message.was_shown_open = message.shown_open
            message.shown_open = message.shown_closed = False
        if operation == "delete":
            message.deleted = True

    def _close(self, message: _Message, body: Any) -> Iterator[str]:
        if message.deleted:
            yield "after a DELETE"
        if not message.looked:
            yield "without a look before it"
        if not message.closes:
            message.before = message.counts
            if twice := message.people & _people(body):
                yield f"brings {sorted(twice)} to a message a second time"
        elif set(message.closes) != {_text(body)}:
            yield "is not the close that was sent before"
        elif not message.shown_open:
            yield "again, though nobody has seen the message open and unchanged"

    def _answer(self, message: _Message, note: Note) -> None:
        operation, body = note.request.operation, note.request.body
        if note.rejected and operation in {"append", "close"}:
            message.people -= _people(body)
            if operation == "close":
                message.closes.remove(_text(body))
                message.shown_open = message.was_shown_open
        document = note.document if note.may_be_heard else None
        if document is None or operation != "get":
            return
        message.looked = True
        counts = document["recipients"]
        message.counts = counts["valid"]["count"], counts["invalid"]["total"]
        if note.arrived > message.closed_at:
            message.shown_closed = not document["transaction"]
            message.shown_open = document["transaction"] and message.counts == message.before


def _people(body: Any) -> set[str]:
    recipients = body.get("recipients") if isinstance(body, dict) else None
    if not isinstance(recipients, list):
        recipients = [] if recipients is None else [recipients]
    return {key_of(one["number"] if isinstance(one, dict) else one) for one in recipients}


def _text(body: Any) -> str:
    return json.dumps(body, sort_keys=True)
