"""From the records of a journal to the state of its campaign. Pure: no I/O.

What is not in the log did not happen. An intent without its answer may have happened.
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
    """A batch that was about to be sent. `count` is what its answer counted, None if there is none."""

    recipients: Ranges
    count: int | None = None


@dataclass(slots=True)
class SavedMessage:
    """A message as the log has it.

    - `closing`: the last intent to close that may have left.
    - `is_own`: the answer to its open showed the reference of this open.
    - `lost`: how many attempts to open it had no answer, before the one that had.
    - `refused`: that close was refused, and the message was seen open and unchanged after it.
    - `cost`: what was reserved for its last close, or for the single send instead, in euro as text.
    - `released`: its recipients may be assigned to another message, because it has no id.
    - `accounted`: a summary of a run was written after it, so its orphans are counted there.
    """

    number: int
    message_id: str | None = None
    batches: dict[int, SavedBatch] = field(default_factory=dict[int, SavedBatch])
    closing: CloseIntent | None = None
    refused: bool = False
    is_own: bool = True
    lost: int = 0
    cost: str | None = None
    abandoning: bool = False
    closed_elsewhere: bool = False
    sending: SingleSendIntent | None = None
    released: bool = False
    accounted: bool = False
    ended: Ended | None = None

    @property
    def recipients(self) -> Ranges:
        """The recipients that are or may be on it."""
        ranges = [run for batch in self.batches.values() for run in batch.recipients]
        return ranges + (self.closing.recipients if self.closing is not None else [])

    @property
    def is_unfinished(self) -> bool:
        """Whether a resume has to finish it."""
        if self.ended is not None:
            return bool(self.ended.unknown)
        return self.message_id is not None

    @property
    def is_fillable(self) -> bool:
        """Whether it is open, and nothing else was begun with it: it can take more recipients."""
        begun = self.closing is not None or self.sending is not None or self.abandoning
        return not (begun or self.closed_elsewhere)

    @property
    def is_lost(self) -> bool:
        """Whether it may be closed and cannot be looked at, because its id is not known."""
        return self.message_id is None and self.closed_elsewhere

    @property
    def may_be_closed(self) -> bool:
        """Whether its recipients may be texted, so that they must not be called unsent."""
        closing = self.closing is not None and not self.refused
        return closing or self.sending is not None or self.closed_elsewhere


_PENDING, _ASSIGNED = b"\x00", b"\x01"


class Position:
    """The state of a campaign: its messages, and which recipients are on none.

    `messages` are by their numbers, `runs` are the summaries of the runs so far, and `finished` is
    None until the campaign is.
    """

    def __init__(self, recipients: int) -> None:
        self._where = bytearray(recipients)
        self.messages: dict[int, SavedMessage] = {}
        self.runs: list[RunSummary] = []
        self.finished: Finished | None = None

    @property
    def next_number(self) -> int:
        """The first number that no message has."""
        return max(self.messages, default=-1) + 1

    @property
    def orphans(self) -> int:
        """How many recipients are on opened messages whose answer never came.

        Only those of killed runs: a run that ended has counted its own in `wasted`.
        """
        return sum(
            end - first
            for message in self.messages.values()
            if message.message_id is None and not message.accounted
            for first, end in message.recipients
        )

    @property
    def has_lost_opens(self) -> bool:
        """Whether there may be an opened message whose answer never came."""
        return any(
            message.lost or (message.message_id is None and message.recipients)
            for message in self.messages.values()
        )

    @property
    def has_others_opens(self) -> bool:
        """Whether an unfinished message may have the id that belongs to another open."""
        return any(
            message.is_unfinished and not message.is_own for message in self.messages.values()
        )

    @property
    def wasted(self) -> Decimal:
        """What the runs so far may have paid for messages that never went out."""
        return Decimal((self.runs[-1].wasted if self.runs else None) or 0)

    def pending(self) -> Ranges:
        """Return the recipients that are on no message that may still go out."""
        ranges: Ranges = []
        end = 0
        where = bytes(self._where)
        while (first := where.find(_PENDING, end)) >= 0:
            end = where.find(_ASSIGNED, first)
            end = len(where) if end < 0 else end
            ranges.append((first, end))
        return ranges

    def apply(self, record: Record) -> None:  # noqa: C901, PLR0912 - one case for each record
        """Apply one record."""
        match record:
            case RunSummary():
                self.runs.append(record)
                for message in self.messages.values():
                    message.accounted = True
                return
            case Finished():
                self.finished = record
                return
            case Resumed():
                self.release_unanswered()
                return
            case OpenIntent():
                message = self.messages[record.message] = SavedMessage(record.message)
            case _:
                message = self.messages[record.message]
        match record:
            case OpenIntent(recipients=recipients):
                message.batches[0] = SavedBatch(recipients)
                self._mark(recipients, _ASSIGNED)
            case Opened():
                message.message_id = record.message_id
                message.is_own = record.is_own
                message.lost = record.lost
                message.batches[0].count = record.count
            case AppendIntent():
                message.batches[record.batch] = SavedBatch(record.recipients)
                self._mark(record.recipients, _ASSIGNED)
            case Appended():
                message.batches[record.batch].count = record.count
            case BatchReleased():
                self._mark(message.batches.pop(record.batch).recipients, _PENDING)
            case CloseIntent(recipients=recipients):
                message.closing = record
                message.refused = False
                message.cost = record.cost
                self._mark(recipients, _ASSIGNED)
            case CloseRefused(seen_open=True):
                message.refused = True
            case CloseRefused():
                if message.closing is not None:
                    self._mark(message.closing.recipients, _PENDING)
                message.closing = message.sending = None
            case ClosedElsewhere():
                message.closed_elsewhere = True
            case AbandonIntent():
                # Its recipients stay assigned until it is answered, or the message has ended.
                message.abandoning = True
            case SingleSendIntent():
                message.sending = record
            case Ended():
                message.ended = record
                self._mark(message.recipients, _ASSIGNED)
                self._mark(record.unsent, _PENDING)

    def release_unanswered(self) -> None:
        """Make recipients pending that are on opened messages without an answer: those never go out."""
        for message in self.messages.values():
            if message.message_id is None and not (message.released or message.closed_elsewhere):
                message.released = True
                self._mark(message.recipients, _PENDING)

    def _mark(self, recipients: Iterable[tuple[int, int]], mark: bytes) -> None:
        for first, end in recipients:
            self._where[first:end] = mark * (end - first)


def replay(records: Iterable[Record], recipients: int) -> Position:
    """Return the state after these records, for a source of so many recipients."""
    position = Position(recipients)
    for record in records:
        position.apply(record)
    position.release_unanswered()
    return position
