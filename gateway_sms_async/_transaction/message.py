"""The state of one message and of its batches.

No I/O and no asyncio: `requests.py` sends the requests and reports here what each answer proves.
This module sends nothing and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto
from operator import attrgetter
from typing import Literal

from .._events import BatchEvent, BatchOutcome, CloseEvent, CloseResult, safe_id
from .._http.endpoint import WireStatus
from .._receipt import RecipientOutcome
from .._recipients.batches import Batch
from ..errors import GatewayError
from ..models import Message
from .reconcile import MESSAGE_OUTCOMES, OutcomesByBatch, count

__all__ = [
    "AssignedBatch",
    "BatchState",
    "OutgoingMessage",
    "RestartMessageError",
    "State",
    "batch_event",
    "close_event",
]

State = Literal["new", "open", "closing", "closed", "left_open", "abandoned", "unknown"]

_NEXT: dict[State, frozenset[State]] = {
    "new": frozenset({"open", "abandoned"}),
    "open": frozenset({"closing", "closed", "left_open", "abandoned", "unknown"}),
    # Back to open when the close is proven not to be applied, and to itself for the next attempt.
    "closing": frozenset({"closing", "open", "closed", "left_open", "abandoned", "unknown"}),
    # Final, but a second look may report it again.
    "closed": frozenset({"closed"}),
    # The message ended here, but it may still be seen closed, or be deleted.
    "left_open": frozenset({"closed", "abandoned"}),
    "unknown": frozenset({"closed", "abandoned"}),
    # To closing when its only recipient is then sent to by a POST of its own. To closed when the
    # gateway first reports the message as gone, and then shows it closed.
    "abandoned": frozenset({"abandoned", "closing", "closed"}),
}


class RestartMessageError(GatewayError):
    """Nothing of a message has gone out or will, so its recipients need another message.

    A campaign assigns them to one. A transaction that is used directly raises this error as the
    cause of its own.
    """


class BatchState(Enum):
    """How far one batch has come into its message."""

    PENDING = auto()
    """Not on the wire, or proven not to be applied."""
    IN_FLIGHT = auto()
    """On its way; its answer is still to come."""
    IN_DOUBT = auto()
    """Its answer was lost: it may be on the message, now or later."""
    ACKNOWLEDGED = auto()
    """The gateway said yes."""


@dataclass(slots=True, eq=False)
class AssignedBatch:
    """A batch of a message. `count` is what its answer counted on the whole message."""

    batch: Batch
    number: int
    state: BatchState = BatchState.PENDING
    count: int = 0


_state_of = attrgetter("state")


class OutgoingMessage:
    """A message from its first batch to its end.

    - `number`: its number in the journal.
    - `assigned`: the batches that were meant for it, in order, without those that were released.
    - `closed_elsewhere`: it is closed, or may be, though this process did not close it.
    - `shown_closed`: an answer has shown so, or the journal says so; otherwise it is only feared.
    - `seen_open_after`: how often another message had been found closed elsewhere when this one was
      last looked at for that reason, and was open.
    - `final`: the message as seen closed; `seen`: as seen last.
    - `close_status`: how many requests to close it have left. From the first byte of a close until
      the message is proven closed, open as before, or deleted, its recipients are accepted or
      unknown, never unsent. No refusal is such a proof.
    - `close_in_doubt`: a close may still arrive, whatever a look shows now: its answer was lost, or
      an earlier run sent it. The same holds for a single send.
    - `was_refused`: a close was refused, and a look showed the message as before.
    - `refused_as_closed`: a close was refused because the message was closed already.
    - `is_own`: the answer that named it showed the reference of its own open.
    - `deleting`: a DELETE of it may have left, so that it may be gone.
    """

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.message_id: str | None = None
        self.assigned: list[AssignedBatch] = []
        self.closed_elsewhere = False
        self.shown_closed = False
        self.seen_open_after = 0
        self.final: Message | None = None
        self.seen: Message | None = None
        self.close_status: WireStatus = WireStatus()
        self.close_in_doubt: bool = False
        self.deleting = False
        self.is_own = False
        self.refused_as_closed = False
        self.was_refused = False
        self._state: State = "new"
        self._next_batch = 0
        self._outcomes: OutcomesByBatch | None = None

    # What is known

    @property
    def state(self) -> State:
        """How far the message has come."""
        return self._state

    @property
    def id(self) -> str:
        """The message's id; it must have been opened."""
        assert self.message_id is not None
        return self.message_id

    @property
    def batches(self) -> list[Batch]:
        """The batches that are or may be on the message."""
        return [one.batch for one in self.assigned if one.state is not BatchState.PENDING]

    @property
    def acknowledged(self) -> int:
        """How many recipients the gateway has acknowledged."""
        return sum(len(one.batch) for one in self.assigned if one.state is BatchState.ACKNOWLEDGED)

    @property
    def held(self) -> int:
        """How many recipients it holds at least: those acknowledged, or what a look has shown."""
        shown = 0 if self.seen is None else count(self.seen).total
        return max(self.acknowledged, shown)

    @property
    def in_doubt(self) -> bool:
        """Whether the answer to a batch was lost."""
        return BatchState.IN_DOUBT in map(_state_of, self.assigned)

    @property
    def is_lost(self) -> bool:
        """Whether it may exist though its id is not known: the answer to its open was lost."""
        return self._state == "new" and self.in_doubt

    @property
    def counts_by_batch(self) -> list[tuple[int, int]]:
        """For each acknowledged batch: what its answer counted, and its size."""
        return [
            (one.count, len(one.batch))
            for one in self.assigned
            if one.state is BatchState.ACKNOWLEDGED
        ]

    @property
    def price(self) -> Decimal | None:
        """The price of the message in euro, None if no answer has named one."""
        known = self.final or self.seen
        return None if known is None else known.price

    @property
    def close_begun(self) -> bool:
        """Whether a close may have reached the gateway, and nothing has proven what it did."""
        return self.close_in_doubt or self.close_status.departed > 0

    @property
    def is_settled(self) -> bool:
        """Whether the outcome of each recipient on the message has been proven, or given up."""
        return self._outcomes is not None

    def outcomes(self) -> Iterator[tuple[Batch, Sequence[RecipientOutcome]]]:
        """Yield each batch of the message with the outcomes of its recipients, as of now."""
        yield from self.outcomes_on_message()
        for one in self.assigned:
            if one.state is BatchState.PENDING:
                yield one.batch, [RecipientOutcome.UNSENT] * len(one.batch)

    def outcomes_on_message(self) -> Iterable[tuple[Batch, Sequence[RecipientOutcome]]]:
        """Return the same for the batches that are or may be on the message, without the others."""
        if self._outcomes is not None:
            return zip(self.batches, self._outcomes, strict=True)
        doubt = self.close_begun or self.closed_elsewhere or self._state in {"unknown", "closed"}
        outcome = RecipientOutcome.UNKNOWN if doubt else RecipientOutcome.UNSENT
        return [(batch, [outcome] * len(batch)) for batch in self.batches]

    # Its batches

    def assign(self, batch: Batch) -> AssignedBatch:
        """Add a batch that is about to be sent: from here on it is counted here."""
        assigned = AssignedBatch(batch, self._next_batch)
        self._next_batch += 1
        self.assigned.append(assigned)
        return assigned

    def release(self, assigned: AssignedBatch) -> Batch:
        """Remove a batch that is proven not to be on the message, and return it."""
        assert assigned.state is BatchState.PENDING
        self.assigned.remove(assigned)
        return assigned.batch

    def acknowledge(self, assigned: AssignedBatch, answer: Message) -> None:
        """Record the answer that a batch is on the message."""
        assigned.state = BatchState.ACKNOWLEDGED
        assigned.count = count(answer).total
        self.seen = answer

    # Its states

    def opened(self, message_id: str) -> None:
        """Record that the gateway has opened the message."""
        self.message_id = message_id
        self._become("open")

    def gone(self) -> None:
        """Record that a message that was never closed does not exist, or no longer."""
        self._become("abandoned")

    def deleted(self) -> None:
        """Record that the message is deleted, so that it never goes out."""
        self._become("abandoned")
        self._no_close()

    def begin_close(self, last: AssignedBatch | None) -> None:
        """Record that a close is about to be sent, with the last batch if there is one."""
        self._become("closing")
        if last is not None:
            last.state = BatchState.IN_DOUBT

    def close_never_left(self, last: AssignedBatch | None) -> None:
        """Record that no byte of a close has left; the last batch stays if one was refused before."""
        self._become("open")
        self._no_close()
        if last is not None and not self.was_refused:
            last.state = BatchState.PENDING

    def close_refused(self) -> None:
        """Record that a close was refused, and that a look after it shows the message as before.

        The last batch stays assigned to the message: no other message takes it, because a copy of
        the close may still arrive.
        """
        self._become("open")
        self._no_close()
        self.was_refused = True

    def close_may_apply(self) -> None:
        """Record that a close may be applied."""
        self.close_in_doubt = True

    def settle(self, outcomes: OutcomesByBatch, final: Message) -> None:
        """Record the outcomes of all recipients on the message, which is closed."""
        if list(map(len, outcomes)) != list(map(len, self.batches)):
            raise GatewayError(f"message {self.id} was settled for other recipients than it holds")
        self._become("closed")
        self._outcomes = outcomes
        self.final = final

    def found_all_invalid(self, seen: Message) -> None:
        """Record that all recipients on the message, which is deleted, are invalid."""
        self._outcomes = [[RecipientOutcome.INVALID] * len(batch) for batch in self.batches]
        self.final = None
        self.seen = seen

    def end(self) -> None:
        """Record that no more requests are made for the message."""
        if self._state in {"open", "closing"}:
            doubt = self.close_begun or self.closed_elsewhere
            self._become("unknown" if doubt else "left_open")

    # A message of an earlier run

    def restore(self, message_id: str, assigned: Iterable[tuple[int, Batch, int | None]]) -> None:
        """Take over (number, batch, count) of an earlier run; no count means in doubt."""
        self.opened(message_id)
        for number, batch, counted in assigned:
            state = BatchState.IN_DOUBT if counted is None else BatchState.ACKNOWLEDGED
            self.assigned.append(AssignedBatch(batch, number, state, counted or 0))
            self._next_batch = max(self._next_batch, number + 1)

    def restore_close(self, last: Batch | None) -> AssignedBatch | None:
        """Record that an earlier run may have sent a close, with the last batch if there is one."""
        assigned = None if last is None else self.assign(last)
        self.begin_close(assigned)
        self.close_may_apply()
        return assigned

    def _no_close(self) -> None:
        self.close_status = WireStatus()
        self.close_in_doubt = False

    def _become(self, state: State) -> None:
        """Change the state; an impossible change is a fault of this program."""
        if state not in _NEXT[self._state]:
            raise RuntimeError(f"a message that is {self._state} cannot become {state}")
        self._state = state


_OUTCOMES: dict[BatchState, BatchOutcome] = {
    BatchState.PENDING: "unsent",
    BatchState.IN_FLIGHT: "doubtful",
    BatchState.IN_DOUBT: "doubtful",
    BatchState.ACKNOWLEDGED: "acknowledged",
}


_RESULTS: dict[State, CloseResult] = {
    "closed": "closed",
    "abandoned": "abandoned",
    "left_open": "left_open",
}


def batch_event(message: OutgoingMessage, assigned: AssignedBatch) -> BatchEvent:
    """Return the event for a batch whose request has ended."""
    return BatchEvent(
        number=message.number,
        message_id=safe_id(message.message_id),
        batch=assigned.number,
        recipients=len(assigned.batch),
        outcome=_OUTCOMES[assigned.state],
    )


def close_event(message: OutgoingMessage) -> CloseEvent:
    """Return the event for a message that has ended."""
    counts = dict.fromkeys(MESSAGE_OUTCOMES, 0)
    for _, outcomes in message.outcomes_on_message():
        for outcome in MESSAGE_OUTCOMES:
            counts[outcome] += outcomes.count(outcome)
    return CloseEvent(
        result=_RESULTS.get(message.state, "unknown"),
        message_id=safe_id(message.message_id),
        number=message.number,
        accepted=counts[RecipientOutcome.ACCEPTED],
        invalid=counts[RecipientOutcome.INVALID],
        doubled=counts[RecipientOutcome.DOUBLED],
        unknown=counts[RecipientOutcome.UNKNOWN],
        unsent=counts[RecipientOutcome.UNSENT],
        price=message.price,
    )
