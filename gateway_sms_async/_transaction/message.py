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

from .._events import BatchEvent, BatchOutcome, CloseEvent, CloseResult, shown_id
from .._http.endpoint import Flight
from .._http.retry import RetryPolicy
from .._journal.journal import Journal
from .._journal.records import (
    Abandoning,
    Added,
    Adding,
    ClosedElsewhere,
    CloseRefused,
    Closing,
    Opened,
    Opening,
    SendingPlainly,
    TakenBack,
    runs,
)
from .._messages.draft import Draft, MessageUpdate, encode
from .._messages.messages import Messages
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
from .tuning import Learned

__all__ = [
    "Given",
    "MessageOnWire",
    "Standing",
    "StartAnewError",
    "State",
    "batch_event",
    "close_event",
]

State = Literal["new", "open", "closing", "closed", "left_open", "abandoned", "unknown"]


class StartAnewError(GatewayError):
    """Nothing of a message has gone out or will, and its people need another message.

    A campaign gives them one; from a transaction used directly it comes out as the cause.
    """


class Standing(Enum):
    """How far one batch has come into its message."""

    WAITING = auto()
    """Not on the wire, or proven not to be applied."""
    FLYING = auto()
    """On its way; its answer is still to come."""
    DOUBTFUL = auto()
    """Its answer was lost: it may be on the message, now or later."""
    ACKNOWLEDGED = auto()
    """The gateway said yes."""


@dataclass(slots=True, eq=False)
class Given:
    """A batch of a message. `count` is what its answer counted on the whole message."""

    batch: Batch
    number: int
    standing: Standing = Standing.WAITING
    count: int = 0


_standing_of = attrgetter("standing")


class MessageOnWire:
    """A message from its first batch to its end.

    `number` is what the journal knows it by. `given` are the batches that were meant for it, in
    order; those taken back are no longer among them.
    """

    def __init__(
        self,
        messages: Messages,
        draft: Draft,
        policy: RetryPolicy,
        learned: Learned,
        *,
        journal: Journal | None = None,
        number: int = 0,
    ) -> None:
        self.messages = messages
        self.draft = draft
        self.policy = policy
        self.learned = learned
        self.number = number
        self.message_id: str | None = None
        self.state: State = "new"
        self.given: list[Given] = []
        self._next = 0
        self._allowed = learned.limit
        self.closed_elsewhere: bool = False
        self.final: Message | None = None
        self.seen: Message | None = None
        self._journal = journal
        # From the first byte of a close until it is proven closed or deleted, its people are
        # accepted or unknown, never unsent.
        self._close_flight = Flight()
        self.close_doubtful: bool = False
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
        return [one.batch for one in self.given if one.standing is not Standing.WAITING]

    @property
    def acknowledged(self) -> int:
        """How many recipients the gateway has said yes to."""
        return sum(len(one.batch) for one in self.given if one.standing is Standing.ACKNOWLEDGED)

    @property
    def doubtful(self) -> bool:
        """Whether the answer to a batch was lost."""
        return Standing.DOUBTFUL in map(_standing_of, self.given)

    @property
    def steps(self) -> list[tuple[int, int]]:
        """For each acknowledged batch: what its answer counted, and its size."""
        return [
            (one.count, len(one.batch))
            for one in self.given
            if one.standing is Standing.ACKNOWLEDGED
        ]

    @property
    def price(self) -> Decimal | None:
        """What the gateway said the message costs, in euro, as far as it was heard."""
        known = self.final or self.seen
        return None if known is None else known.price

    @property
    def close_begun(self) -> bool:
        """Whether a byte of a close may have reached the gateway."""
        return self.close_doubtful or self._close_flight.on_wire

    def fates(self) -> Iterator[tuple[Batch, Sequence[Fate]]]:
        """Say what became of everyone on the message, as far as it has come."""
        yield from self.fates_on_it()
        for one in self.given:
            if one.standing is Standing.WAITING:
                yield one.batch, [Fate.UNSENT] * len(one.batch)

    def fates_on_it(self) -> Iterable[tuple[Batch, Sequence[Fate]]]:
        """Say the same of those who are or may be on it, without those who only were to be."""
        if self._fates is not None:
            return zip(self.batches, self._fates, strict=True)
        doubt = self.close_begun or self.closed_elsewhere or self.state in {"unknown", "closed"}
        fate = Fate.UNKNOWN if doubt else Fate.UNSENT
        return [(batch, [fate] * len(batch)) for batch in self.batches]

    # What it does

    def give(self, batch: Batch) -> Given:
        """Take note of a batch that is about to be sent: from here on it is counted here."""
        given = Given(batch, self._next)
        self._next += 1
        self.given.append(given)
        return given

    def take_back(self, given: Given) -> Batch:
        """Return a batch that is proven not to be on the message."""
        assert given.standing is Standing.WAITING
        self.given.remove(given)
        return given.batch

    async def open(self, given: Given, flight: Flight | None = None) -> None:
        """Open the message with its first batch."""
        flight = flight or Flight()
        await self._intend_batch(Opening(self.number, runs(given.batch.ordinals)), given)
        payload = self.draft.payload(given.batch.to_wire(), transaction=True)
        try:
            message = await self.messages.open_transaction(payload, flight)
        except GatewayError as error:
            self._note(TakenBack(self.number, given.number))
            self.check_size(error, payload, given.batch)
            raise
        finally:
            # Opened as they may be, they never send; but they may cost.
            self.learned.orphans += (flight.lost + flight.on_wire) * len(given.batch)
        self.message_id = message.id
        self.state = "open"
        self._acknowledge(given, message, payload)
        self._note(Opened(self.number, message.id, given.count))
        self.check_open(message)
        self._check_objects(given.batch, message)

    async def append(self, given: Given, flight: Flight | None = None) -> None:
        """Add a batch; at most once on the wire, whatever comes of it.

        A lost answer raises nothing: the batch is doubtful from then on.
        """
        flight = flight or Flight()
        await self._intend_batch(
            Adding(self.number, given.number, runs(given.batch.ordinals)), given
        )
        payload = encode(MessageUpdate(recipients=given.batch.to_wire(), transaction=True))
        given.standing = Standing.FLYING
        try:
            message = await self.messages.put(self.id, payload, True, flight)
        except OutcomeUnknownError:
            given.standing = Standing.DOUBTFUL
            return
        except TransactionClosedError as error:
            self._not_applied(given)
            raise TransactionClosedError(
                str(self._closed_elsewhere()), status=error.status, code=error.code
            ) from error
        except NotFoundError as error:
            self._not_applied(given)
            raise self.gone(error) from error
        except GatewayError as error:
            self._not_applied(given)
            self.check_size(error, payload, given.batch)
            raise
        except BaseException:
            if flight.on_wire:
                given.standing = Standing.DOUBTFUL
            else:
                self._not_applied(given)
            raise
        if message.transaction:
            self._acknowledge(given, message, payload)
            self._note(Added(self.number, given.number, given.count))
            return
        given.standing = Standing.DOUBTFUL
        self.check_open(message)

    async def look(self) -> Message:
        """Read the message."""
        self.seen = await self.messages.get(self.id)
        return self.seen

    async def list_numbers(self) -> list[str]:
        """Read the numbers of its recipients, as the gateway writes them."""
        return [report.number for report in await self.messages.recipients(self.id)]

    def gone(self, error: NotFoundError) -> StartAnewError:
        """Take note that a message that was never closed is not there (any more)."""
        self.state = "abandoned"
        return StartAnewError(f"message {self.id} is gone: {error}")

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
        if too_large and self.learned.shrink(len(payload), len(batch), held, self._allowed):
            raise StartAnewError(
                f"{error}: going on with {self.learned.batch_size} recipients a request and "
                f"{self.learned.per_message} a message"
            ) from error

    async def wait_for_turn(self) -> None:
        """Wait for the minute that realtime messages are apart: before a close is even intended."""
        if self.draft.is_realtime:
            await self.messages.realtime_turn(math.inf)

    async def intend_close(
        self, last: Given | None, before: Counts, *, proven: bool, cost: Decimal | None = None
    ) -> None:
        """Make the intent to close durable; `cost` is what was reserved for it."""
        people = [] if last is None else runs(last.batch.ordinals)
        reckoned = None if cost is None else str(cost)
        record = Closing(self.number, people, before.valid, before.invalid, proven, reckoned)
        try:
            await self._intend(record)
        except BaseException:
            # Cut off meanwhile: no byte of it has left.
            self._note(CloseRefused(self.number))
            raise

    async def close_once(self, payload: bytes, last: Given | None) -> Message | None:
        """Send the close once; None when its answer is lost, or says that it is closed.

        Raises what is proven to have changed nothing.
        """
        self.state = "closing"
        if last is not None:
            last.standing = Standing.DOUBTFUL
        try:
            answer = await self.messages.put(self.id, payload, False, self._close_flight)
        except (OutcomeUnknownError, TransactionClosedError):
            answer = None
        except BaseException:
            if not self.close_begun:
                self._close_refused(last)
            raise
        # Also after a yes: only a message seen closed has proven where its people are.
        self.close_doubtful = True
        return answer

    async def delete(self) -> None:
        """Delete the message, and see that it is gone; it then never goes out."""
        if self.message_id is None:
            self.state = "abandoned"
            return
        await self._intend(Abandoning(self.number))
        try:
            await self.messages.delete(self.id)
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
        self.close_doubtful = False

    async def send_plainly(self, batch: Batch) -> None:
        """Send to one recipient alone by a POST of its own; the message itself is deleted."""
        # The POST is the close now: while it lasts, nobody can be called unsent.
        self.state = "closing"
        reference = None if self.draft.has_custom else secrets.token_hex(16)
        try:
            await self._intend(SendingPlainly(self.number, reference))
        except BaseException:
            self.state = "abandoned"
            self._note(CloseRefused(self.number))
            raise
        self.close_doubtful = True
        try:
            sent = await self.messages.send_draft(self.draft, batch.to_wire(), reference)
            self.message_id = sent.id
            final = await self._see_sent(sent)
        except OutcomeUnknownError:
            raise
        except RecipientsRejectedError as rejected:
            final = await self._see_sent(rejected.message)
        except GatewayError:
            self.state = "abandoned"
            self.close_doubtful = False
            raise
        self.message_id = final.id
        self.settled([[_fate_of_one(final)] * len(batch)], final)

    async def _see_sent(self, sent: Message) -> Message:
        """Read a message that was answered with a yes: only what is seen there is proven."""
        try:
            return await self.messages.get(sent.id)
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

    def restore(self, message_id: str, given: Iterable[tuple[int, Batch, int | None]]) -> None:
        """Go on with a message of an earlier run; a batch without a count is doubtful."""
        self.message_id = message_id
        self.state = "open"
        for number, batch, counted in given:
            standing = Standing.DOUBTFUL if counted is None else Standing.ACKNOWLEDGED
            self.given.append(Given(batch, number, standing, counted or 0))
            self._next = max(self._next, number + 1)

    async def recover_plain(self, reference: str | None) -> None:
        """Look for a message of its own that an earlier run may have sent."""
        final = None if reference is None else await self.messages.find(reference)
        if final is None or final.transaction:
            raise OutcomeUnknownError(
                "POST: the answer was lost, and no message with its reference was found; a text "
                "may have gone out",
                reference=reference,
            )
        self.message_id = final.id
        self.settled([[_fate_of_one(final)] * len(batch) for batch in self.batches], final)

    def restore_close(self, last: Batch | None) -> Given | None:
        """Take note that an earlier run may have sent a close, with the last batch."""
        self.state = "closing"
        self.close_doubtful = True
        if last is None:
            return None
        given = self.give(last)
        given.standing = Standing.DOUBTFUL
        return given

    def note_closed_elsewhere(self) -> None:
        """Take note that it is closed though nobody here closed it."""
        self.closed_elsewhere = self.learned.closed_elsewhere = True
        self._note(ClosedElsewhere(self.number))

    def check_settled(self) -> None:
        """Raise when it is still not known who is on a message that somebody else has closed."""
        if self._fates is None:
            raise self._closed_elsewhere()

    async def _intend_batch(self, record: Opening | Adding, given: Given) -> None:
        """Make the intent durable; cut off meanwhile, the batch has not left."""
        try:
            await self._intend(record)
        except BaseException:
            self._note(TakenBack(self.number, given.number))
            raise

    async def _is_still_there(self) -> bool:
        try:
            await self.messages.get(self.id)
        except NotFoundError:
            return False
        except GatewayError:
            # The DELETE was answered with a yes; that it could not be seen changes nothing.
            return False
        return True

    def _acknowledge(self, given: Given, message: Message, payload: bytes) -> None:
        given.standing = Standing.ACKNOWLEDGED
        given.count = count(message).total
        self.seen = message
        self.learned.taken(len(payload))

    def _close_refused(self, last: Given | None) -> None:
        self.state = "open"
        if last is not None:
            last.standing = Standing.WAITING
        self._note(CloseRefused(self.number))

    def _not_applied(self, given: Given) -> None:
        given.standing = Standing.WAITING
        self._note(TakenBack(self.number, given.number))

    def _check_objects(self, batch: Batch, message: Message) -> None:
        """Never call people invalid because a list of objects is not understood."""
        if not batch.is_object_list or self.learned.objects_understood:
            return
        self.learned.objects_understood = bool(message.valid)
        if not message.valid:
            raise StartAnewError(
                f"the gateway counts all of a list of objects on message {self.id} as invalid: "
                "each is sent by itself"
            )

    async def _intend(
        self, record: Opening | Adding | Closing | Abandoning | SendingPlainly
    ) -> None:
        if self._journal is not None:
            await self._journal.intend(record)

    def _note(self, record: Opened | Added | TakenBack | CloseRefused | ClosedElsewhere) -> None:
        if self._journal is not None:
            self._journal.note(record)


_OUTCOMES: dict[Standing, BatchOutcome] = {
    Standing.WAITING: "unsent",
    Standing.FLYING: "doubtful",
    Standing.DOUBTFUL: "doubtful",
    Standing.ACKNOWLEDGED: "acknowledged",
}


_RESULTS: dict[State, CloseResult] = {
    "closed": "closed",
    "abandoned": "abandoned",
    "left_open": "left_open",
}


def batch_event(message: MessageOnWire, given: Given) -> BatchEvent:
    """Return what to tell of a batch that has landed."""
    return BatchEvent(
        number=message.number,
        message_id=shown_id(message.message_id),
        batch=given.number,
        recipients=len(given.batch),
        outcome=_OUTCOMES[given.standing],
    )


def close_event(message: MessageOnWire) -> CloseEvent:
    """Return what to tell of a message that goes no further."""
    people = dict.fromkeys(Fate, 0)
    for _, fates in message.fates_on_it():
        for fate in Fate:
            people[fate] += fates.count(fate)
    return CloseEvent(
        result=_RESULTS.get(message.state, "unknown"),
        message_id=shown_id(message.message_id),
        number=message.number,
        accepted=people[Fate.ACCEPTED],
        invalid=people[Fate.INVALID],
        doubled=people[Fate.DOUBLED],
        unknown=people[Fate.UNKNOWN],
        unsent=people[Fate.UNSENT],
        price=message.price,
    )
