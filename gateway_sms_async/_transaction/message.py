"""One message on the wire: its requests, each journaled, and where each of its batches stands.

What it stands on: an open message never sends by itself, a close is atomic and final, a complete
rejection has applied nothing, a DELETE answered 200 is final. The fence and the transaction
builder enter. It decides nothing; each method is one request and what its answer proves.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto
from operator import attrgetter
from typing import Literal

from .._events import BatchEvent, BatchOutcome, CloseEvent, CloseResult, safe_id
from .._http.endpoint import WireStatus
from .._http.retry import RetryPolicy
from .._journal.journal import Journal
from .._journal.records import (
    AbandonIntent,
    Appended,
    AppendIntent,
    BatchReleased,
    ClosedElsewhere,
    CloseIntent,
    CloseRefused,
    Opened,
    OpenIntent,
    SingleSendIntent,
    ranges,
)
from .._messages.api import MessagesAPI
from .._messages.draft import Draft, MessageUpdate, encode
from .._messages.sending import MessageSender
from .._recipients.batches import Batch
from ..errors import (
    APIError,
    GatewayError,
    InvalidRequestError,
    NotFoundError,
    OutcomeUnknownError,
    RecipientsRejectedError,
    TransactionClosedError,
)
from ..models import Message
from .reconcile import Counts, Fate, Fates, count
from .requests import _TOO_LARGE, _fate_of_one
from .tuning import Tuning

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


class RestartMessageError(GatewayError):
    """Nothing of a message has gone out or will, and its people need another message.

    A campaign gives them one; from a transaction used directly it comes out as the cause.
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

    `number` is what the journal knows it by. `assigned` are the batches that were meant for it, in
    order; those taken back are no longer among them.
    """

    def __init__(
        self,
        api: MessagesAPI,
        draft: Draft,
        policy: RetryPolicy,
        tuning: Tuning,
        *,
        journal: Journal | None = None,
        number: int = 0,
    ) -> None:
        self.api = api
        self.sender: MessageSender = MessageSender(api)
        self.draft = draft
        self.policy = policy
        self.tuning = tuning
        self.number = number
        self.message_id: str | None = None
        self.state: State = "new"
        self.assigned: list[AssignedBatch] = []
        self._next = 0
        self._allowed = tuning.limit
        self.closed_elsewhere: bool = False
        self.final: Message | None = None
        self.seen: Message | None = None
        self._journal = journal
        # From the first byte of a close until it is proven closed or deleted, its people are
        # accepted or unknown, never unsent.
        self._close_status = WireStatus()
        self.close_in_doubt: bool = False
        self._fates: Fates | None = None

    # What is known

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
        """How many recipients the gateway has said yes to."""
        return sum(len(one.batch) for one in self.assigned if one.state is BatchState.ACKNOWLEDGED)

    @property
    def in_doubt(self) -> bool:
        """Whether the answer to a batch was lost."""
        return BatchState.IN_DOUBT in map(_state_of, self.assigned)

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
        """What the gateway said the message costs, in euro, as far as it was heard."""
        known = self.final or self.seen
        return None if known is None else known.price

    @property
    def close_begun(self) -> bool:
        """Whether a byte of a close may have reached the gateway."""
        return self.close_in_doubt or self._close_status.on_wire

    def fates(self) -> Iterator[tuple[Batch, Sequence[Fate]]]:
        """Say what became of everyone on the message, as far as it has come."""
        yield from self.fates_on_it()
        for one in self.assigned:
            if one.state is BatchState.PENDING:
                yield one.batch, [Fate.UNSENT] * len(one.batch)

    def fates_on_it(self) -> Iterable[tuple[Batch, Sequence[Fate]]]:
        """Say the same of those who are or may be on it, without those who only were to be."""
        if self._fates is not None:
            return zip(self.batches, self._fates, strict=True)
        doubt = self.close_begun or self.closed_elsewhere or self.state in {"unknown", "closed"}
        fate = Fate.UNKNOWN if doubt else Fate.UNSENT
        return [(batch, [fate] * len(batch)) for batch in self.batches]

    # What it does

    def assign(self, batch: Batch) -> AssignedBatch:
        """Take note of a batch that is about to be sent: from here on it is counted here."""
        assigned = AssignedBatch(batch, self._next)
        self._next += 1
        self.assigned.append(assigned)
        return assigned

    def release(self, assigned: AssignedBatch) -> Batch:
        """Return a batch that is proven not to be on the message."""
        assert assigned.state is BatchState.PENDING
        self.assigned.remove(assigned)
        return assigned.batch

    async def open(self, assigned: AssignedBatch, wire_status: WireStatus | None = None) -> None:
        """Open the message with its first batch."""
        wire_status = wire_status or WireStatus()
        await self._intend_batch(OpenIntent(self.number, ranges(assigned.batch.ordinals)), assigned)
        payload = self.draft.payload(assigned.batch.to_wire(), transaction=True)
        try:
            message = await self.api.open_transaction(payload, wire_status)
        except GatewayError as error:
            self._note(BatchReleased(self.number, assigned.number))
            self.check_size(error, payload, assigned.batch)
            raise
        finally:
            # Opened as they may be, they never send; but they may cost.
            self.tuning.orphans += (wire_status.lost + wire_status.on_wire) * len(assigned.batch)
        self.message_id = message.id
        self.state = "open"
        self._acknowledge(assigned, message, payload)
        self._note(Opened(self.number, message.id, assigned.count))
        self.check_open(message)
        self._check_objects(assigned.batch, message)

    async def append(self, assigned: AssignedBatch, wire_status: WireStatus | None = None) -> None:
        """Add a batch; at most once on the wire, whatever comes of it.

        A lost answer raises nothing: the batch is doubtful from then on.
        """
        wire_status = wire_status or WireStatus()
        await self._intend_batch(
            AppendIntent(self.number, assigned.number, ranges(assigned.batch.ordinals)), assigned
        )
        payload = encode(MessageUpdate(recipients=assigned.batch.to_wire(), transaction=True))
        assigned.state = BatchState.IN_FLIGHT
        try:
            message = await self.api.put(self.id, payload, True, wire_status)
        except OutcomeUnknownError:
            assigned.state = BatchState.IN_DOUBT
            return
        except TransactionClosedError as error:
            self._not_applied(assigned)
            raise TransactionClosedError(
                str(self._closed_elsewhere()), status=error.status, code=error.code
            ) from error
        except NotFoundError as error:
            self._not_applied(assigned)
            raise self.gone(error) from error
        except GatewayError as error:
            self._not_applied(assigned)
            self.check_size(error, payload, assigned.batch)
            raise
        except BaseException:
            if wire_status.on_wire:
                assigned.state = BatchState.IN_DOUBT
            else:
                self._not_applied(assigned)
            raise
        if message.transaction:
            self._acknowledge(assigned, message, payload)
            self._note(Appended(self.number, assigned.number, assigned.count))
            return
        assigned.state = BatchState.IN_DOUBT
        self.check_open(message)

    async def look(self) -> Message:
        """Read the message."""
        self.seen = await self.api.get(self.id)
        return self.seen

    async def list_numbers(self) -> list[str]:
        """Read the numbers of its recipients, as the gateway writes them."""
        return [report.number for report in await self.api.recipients(self.id)]

    def gone(self, error: NotFoundError) -> RestartMessageError:
        """Take note that a message that was never closed is not there (any more)."""
        self.state = "abandoned"
        return RestartMessageError(f"message {self.id} is gone: {error}")

    def check_open(self, seen: Message) -> None:
        """Raise when the message is closed though nobody here closed it."""
        if not seen.transaction:
            raise self._closed_elsewhere()

    def _closed_elsewhere(self) -> GatewayError:
        self.note_closed_elsewhere()
        return GatewayError(
            f"message {self.id} is closed though nobody here closed it: another process or the "
            "console did, or the gateway does not keep transactions open"
        )

    def check_size(self, error: GatewayError, payload: bytes, batch: Batch) -> None:
        """Raise StartAnewError when a request was too large and a smaller one may do."""
        too_large = isinstance(error, APIError) and error.status == _TOO_LARGE
        held = self.acknowledged
        if too_large and self.tuning.shrink(len(payload), len(batch), held, self._allowed):
            raise RestartMessageError(
                f"{error}: going on with {self.tuning.batch_size} recipients a request and "
                f"{self.tuning.per_message} a message"
            ) from error

    async def wait_for_turn(self) -> None:
        """Wait for the minute that realtime messages are apart: before a close is even intended."""
        if self.draft.is_realtime:
            await self.sender.realtime_turn(math.inf)

    async def intend_close(
        self,
        last: AssignedBatch | None,
        before: Counts,
        *,
        proven: bool,
        cost: Decimal | None = None,
    ) -> None:
        """Make the intent to close durable; `cost` is what was reserved for it."""
        people = [] if last is None else ranges(last.batch.ordinals)
        accounted = None if cost is None else str(cost)
        record = CloseIntent(self.number, people, before.valid, before.invalid, proven, accounted)
        try:
            await self._intend(record)
        except BaseException:
            # Cut off meanwhile: no byte of it has left.
            self._note(CloseRefused(self.number))
            raise

    async def close_once(self, payload: bytes, last: AssignedBatch | None) -> Message | None:
        """Send the close once; None when its answer is lost, or says that it is closed.

        Raises what is proven to have changed nothing.
        """
        self.state = "closing"
        if last is not None:
            last.state = BatchState.IN_DOUBT
        try:
            answer = await self.api.put(self.id, payload, False, self._close_status)
        except (OutcomeUnknownError, TransactionClosedError):
            answer = None
        except BaseException:
            if not self.close_begun:
                self._close_refused(last)
            raise
        # Also after a yes: only a message seen closed has proven where its people are.
        self.close_in_doubt = True
        return answer

    async def delete(self) -> None:
        """Delete the message, and see that it is gone; it then never goes out."""
        if self.message_id is None:
            self.state = "abandoned"
            return
        await self._intend(AbandonIntent(self.number))
        try:
            await self.api.delete(self.id)
        except NotFoundError:
            if self.close_begun:
                raise
        except InvalidRequestError:
            # Too late: it is closed.
            self.note_closed_elsewhere()
            raise
        if await self._is_still_there():
            raise GatewayError(
                f"message {self.id} is still there after the gateway said it was deleted"
            )
        self.state = "abandoned"
        self.close_in_doubt = False

    async def send_single(self, batch: Batch) -> None:
        """Send to one recipient alone by a POST of its own; the message itself is deleted."""
        # The POST is the close now: while it lasts, nobody can be called unsent.
        self.state = "closing"
        reference = None if self.draft.has_custom else secrets.token_hex(16)
        try:
            await self._intend(SingleSendIntent(self.number, reference))
        except BaseException:
            self.state = "abandoned"
            self._note(CloseRefused(self.number))
            raise
        self.close_in_doubt = True
        try:
            sent = await self.sender.send_draft(self.draft, batch.to_wire(), reference)
            self.message_id = sent.id
            final = await self._see_sent(sent)
        except OutcomeUnknownError:
            raise
        except RecipientsRejectedError as rejected:
            final = await self._see_sent(rejected.message)
        except GatewayError:
            self.state = "abandoned"
            self.close_in_doubt = False
            raise
        self.message_id = final.id
        self.settled([[_fate_of_one(final)] * len(batch)], final)

    async def _see_sent(self, sent: Message) -> Message:
        """Read a message that was answered with a yes: only what is seen there is proven."""
        try:
            return await self.api.get(sent.id)
        except GatewayError as error:
            raise OutcomeUnknownError(
                f"message {sent.id} was sent and cannot be read: whether it goes out is not known"
            ) from error

    def settled(self, fates: Fates, final: Message) -> None:
        """Take note of what became of everyone on the message, which is closed."""
        if list(map(len, fates)) != list(map(len, self.batches)):
            raise GatewayError(f"message {self.id} was settled for others than are on it")
        self.state = "closed"
        self._fates = fates
        self.final = final

    def found_all_invalid(self, seen: Message) -> None:
        """Take note that nobody on the message, which is deleted, can be sent to."""
        self._fates = [[Fate.INVALID] * len(batch) for batch in self.batches]
        self.final = None
        self.seen = seen

    def leave(self) -> None:
        """Settle the state of a message that goes no further."""
        if self.state in {"open", "closing"}:
            doubt = self.close_begun or self.closed_elsewhere
            self.state = "unknown" if doubt else "left_open"

    def restore(self, message_id: str, assigned: Iterable[tuple[int, Batch, int | None]]) -> None:
        """Go on with a message of an earlier run; a batch without a count is doubtful."""
        self.message_id = message_id
        self.state = "open"
        for number, batch, counted in assigned:
            state = BatchState.IN_DOUBT if counted is None else BatchState.ACKNOWLEDGED
            self.assigned.append(AssignedBatch(batch, number, state, counted or 0))
            self._next = max(self._next, number + 1)

    async def recover_single(self, reference: str | None) -> None:
        """Look for a message of its own that an earlier run may have sent."""
        final = None if reference is None else await self.sender.find(reference)
        if final is None or final.transaction:
            raise OutcomeUnknownError(
                "POST: the answer was lost, and no message with its reference was found; a text "
                "may have gone out",
                reference=reference,
            )
        self.message_id = final.id
        self.settled([[_fate_of_one(final)] * len(batch) for batch in self.batches], final)

    def restore_close(self, last: Batch | None) -> AssignedBatch | None:
        """Take note that an earlier run may have sent a close, with the last batch."""
        self.state = "closing"
        self.close_in_doubt = True
        if last is None:
            return None
        assigned = self.assign(last)
        assigned.state = BatchState.IN_DOUBT
        return assigned

    def note_closed_elsewhere(self) -> None:
        """Take note that it is closed though nobody here closed it."""
        self.closed_elsewhere = self.tuning.closed_elsewhere = True
        self._note(ClosedElsewhere(self.number))

    def check_settled(self) -> None:
        """Raise when it is still not known who is on a message that somebody else has closed."""
        if self._fates is None:
            raise self._closed_elsewhere()

    async def _intend_batch(
        self, record: OpenIntent | AppendIntent, assigned: AssignedBatch
    ) -> None:
        """Make the intent durable; cut off meanwhile, the batch has not left."""
        try:
            await self._intend(record)
        except BaseException:
            self._note(BatchReleased(self.number, assigned.number))
            raise

    async def _is_still_there(self) -> bool:
        try:
            await self.api.get(self.id)
        except NotFoundError:
            return False
        except GatewayError:
            # The DELETE was answered with a yes; that it could not be seen changes nothing.
            return False
        return True

    def _acknowledge(self, assigned: AssignedBatch, message: Message, payload: bytes) -> None:
        assigned.state = BatchState.ACKNOWLEDGED
        assigned.count = count(message).total
        self.seen = message
        self.tuning.taken(len(payload))

    def _close_refused(self, last: AssignedBatch | None) -> None:
        self.state = "open"
        if last is not None:
            last.state = BatchState.PENDING
        self._note(CloseRefused(self.number))

    def _not_applied(self, assigned: AssignedBatch) -> None:
        assigned.state = BatchState.PENDING
        self._note(BatchReleased(self.number, assigned.number))

    def _check_objects(self, batch: Batch, message: Message) -> None:
        """Never call people invalid because a list of objects is not understood."""
        if not batch.is_object_list or self.tuning.objects_understood:
            return
        self.tuning.objects_understood = bool(message.valid)
        if not message.valid:
            raise RestartMessageError(
                f"the gateway counts all of a list of objects on message {self.id} as invalid: "
                "each is sent by itself"
            )

    async def _intend(
        self, record: OpenIntent | AppendIntent | CloseIntent | AbandonIntent | SingleSendIntent
    ) -> None:
        if self._journal is not None:
            await self._journal.intend(record)

    def _note(
        self, record: Opened | Appended | BatchReleased | CloseRefused | ClosedElsewhere
    ) -> None:
        if self._journal is not None:
            self._journal.note(record)


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
    """Return what to tell of a batch that has landed."""
    return BatchEvent(
        number=message.number,
        message_id=safe_id(message.message_id),
        batch=assigned.number,
        recipients=len(assigned.batch),
        outcome=_OUTCOMES[assigned.state],
    )


def close_event(message: OutgoingMessage) -> CloseEvent:
    """Return what to tell of a message that goes no further."""
    people = dict.fromkeys(Fate, 0)
    for _, fates in message.fates_on_it():
        for fate in Fate:
            people[fate] += fates.count(fate)
    return CloseEvent(
        result=_RESULTS.get(message.state, "unknown"),
        message_id=safe_id(message.message_id),
        number=message.number,
        accepted=people[Fate.ACCEPTED],
        invalid=people[Fate.INVALID],
        doubled=people[Fate.DOUBLED],
        unknown=people[Fate.UNKNOWN],
        unsent=people[Fate.UNSENT],
        price=message.price,
    )
