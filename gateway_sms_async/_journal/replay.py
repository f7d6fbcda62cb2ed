"""From a journal's log back to where everyone stands. Pure: records go in, a state comes out.

The journal and the campaign enter. What is not said in the log did not happen; an intent without
its answer may have.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from .records import (
    AbandonIntent,
    Appended,
    AppendIntent,
    BatchReleased,
    ClosedElsewhere,
    CloseIntent,
    CloseRefused,
    Ended,
    Finished,
    Opened,
    OpenIntent,
    Ranges,
    Record,
    Resumed,
    RunSummary,
    SingleSendIntent,
)

__all__ = ["Position", "SavedBatch", "SavedMessage", "replay"]


@dataclass(slots=True)
class SavedBatch:
    """A batch that was about to be sent. `count` is what its answer counted, None without one."""

    people: Ranges
    count: int | None = None


@dataclass(slots=True)
class SavedMessage:
    """A message as far as the log tells. `closing` is the last intent that was not refused."""

    number: int
    message_id: str | None = None
    batches: dict[int, SavedBatch] = field(default_factory=dict[int, SavedBatch])
    closing: CloseIntent | None = None
    abandoning: bool = False
    closed_elsewhere: bool = False
    sending: SingleSendIntent | None = None
    given_back: bool = False
    reckoned: bool = False
    ended: Ended | None = None

    @property
    def people(self) -> Ranges:
        """Everyone who is or may be on it."""
        ranges = [run for batch in self.batches.values() for run in batch.people]
        return ranges + (self.closing.people if self.closing is not None else [])

    @property
    def is_unfinished(self) -> bool:
        """Whether a resume has to do something about it."""
        if self.ended is not None:
            return bool(self.ended.unknown)
        return self.message_id is not None

    @property
    def may_be_closed(self) -> bool:
        """Whether its people may be texted, so that nobody may call them unsent."""
        return self.closing is not None or self.sending is not None or self.closed_elsewhere


_PENDING, _GIVEN = b"\x00", b"\x01"


class Position:
    """Where everyone of a campaign stands.

    `messages` by their numbers; `orphans` counts recipients on opened messages whose answer never
    came; `went` are the runs so far; `finished` is None while the campaign is not.
    """

    def __init__(self, people: int) -> None:
        self._where = bytearray(people)
        self.messages: dict[int, SavedMessage] = {}
        self.went: list[RunSummary] = []
        self.finished: Finished | None = None

    @property
    def next_number(self) -> int:
        """A number that no message has."""
        return max(self.messages, default=-1) + 1

    @property
    def orphans(self) -> int:
        """How many recipients are on opened messages whose answer never came, killed runs' only."""
        return sum(
            end - first
            for message in self.messages.values()
            if message.message_id is None and not message.reckoned
            for first, end in message.people
        )

    @property
    def wasted(self) -> Decimal:
        """What the runs so far may have paid for messages that did not go out."""
        return Decimal((self.went[-1].wasted if self.went else None) or 0)

    def pending(self) -> Ranges:
        """Return those who are on no message that may still go out."""
        ranges: Ranges = []
        end = 0
        where = bytes(self._where)
        while (first := where.find(_PENDING, end)) >= 0:
            end = where.find(_GIVEN, first)
            end = len(where) if end < 0 else end
            ranges.append((first, end))
        return ranges

    def apply(self, record: Record) -> None:  # noqa: C901, PLR0912 - one case for each record
        """Take one record in."""
        match record:
            case RunSummary():
                self.went.append(record)
                for message in self.messages.values():
                    message.reckoned = True
                return
            case Finished():
                self.finished = record
                return
            case Resumed():
                self.give_back_unanswered()
                return
            case OpenIntent():
                message = self.messages[record.message] = SavedMessage(record.message)
            case _:
                message = self.messages[record.message]
        match record:
            case OpenIntent(people=people):
                message.batches[0] = SavedBatch(people)
                self._mark(people, _GIVEN)
            case Opened():
                message.message_id = record.message_id
                message.batches[0].count = record.count
            case AppendIntent():
                message.batches[record.batch] = SavedBatch(record.people)
                self._mark(record.people, _GIVEN)
            case Appended():
                message.batches[record.batch].count = record.count
            case BatchReleased():
                self._mark(message.batches.pop(record.batch).people, _PENDING)
            case CloseIntent(people=people):
                message.closing = record
                self._mark(people, _GIVEN)
            case CloseRefused():
                if message.closing is not None:
                    self._mark(message.closing.people, _PENDING)
                message.closing = message.sending = None
            case ClosedElsewhere():
                message.closed_elsewhere = True
            case AbandonIntent():
                # Only its answer, or giving it up, lets its people go to another message.
                message.abandoning = True
            case SingleSendIntent():
                message.sending = record
            case Ended():
                message.ended = record
                self._mark(message.people, _GIVEN)
                self._mark(record.unsent, _PENDING)

    def give_back_unanswered(self) -> None:
        """Give back those on messages that were opened but never answered: they cannot go out."""
        for message in self.messages.values():
            if message.message_id is None and not message.given_back:
                message.given_back = True
                self._mark(message.people, _PENDING)

    def _mark(self, people: Iterable[tuple[int, int]], mark: bytes) -> None:
        for first, end in people:
            self._where[first:end] = mark * (end - first)


def replay(records: Iterable[Record], people: int) -> Position:
    """Return where everyone stands after these records."""
    position = Position(people)
    for record in records:
        position.apply(record)
    position.give_back_unanswered()
    return position
