"""The requests of one message, each journaled first.

One method a request: it writes the intent to the journal, sends, and reports to the message what
the answer proves. It relies on five rules of the gateway: an open message never sends by itself, a
close is atomic and final, a complete rejection has applied nothing, and a DELETE answered with 200
is final. Which request comes next is decided elsewhere.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from decimal import Decimal

from .._http.endpoint import WireStatus
from .._http.retry import RetryPolicy
from .._journal.journal import Journal, NullJournal
from .._journal.records import (
    AbandonIntent,
    Appended,
    AppendIntent,
    BatchReleased,
    CloseIntent,
    CloseRefused,
    Opened,
    OpenIntent,
    ranges,
)
from .._messages.api import Accepts, MessagesAPI, response_to
from .._messages.draft import Draft, MessageUpdate, encode
from .._messages.sending import MessageSender
from .._recipients.batches import Batch
from ..errors import (
    APIError,
    GatewayConnectionError,
    GatewayError,
    GatewayTimeoutError,
    InvalidRequestError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    ServerError,
    TransactionClosedError,
)
from ..models import Message
from .message import AssignedBatch, BatchState, OutgoingMessage, RestartMessageError
from .outside_close import OutsideClose
from .reconcile import Counts, entries_are_distinct
from .single import SingleSend
from .tuning import Tuning

__all__ = ["MessageRequests"]

_TOO_LARGE = 413

_NO_ANSWER = (
    GatewayConnectionError,
    GatewayTimeoutError,
    OutcomeUnknownError,
    RateLimitError,
    ServerError,
)


class MessageRequests:
    """Sends the requests of one message, which is `message`.

    `single` sends to its only recipient without a transaction, once the message is deleted.
    """

    def __init__(
        self,
        api: MessagesAPI,
        draft: Draft,
        policy: RetryPolicy,
        tuning: Tuning,
        *,
        journal: Journal | NullJournal | None = None,
        number: int = 0,
    ) -> None:
        self.message = OutgoingMessage(number)
        self.policy = policy
        self.tuning = tuning
        self._api = api
        self._sender = MessageSender(api)
        self._draft = draft
        self._journal = NullJournal() if journal is None else journal
        self._allowed = tuning.limit
        self._opened_ids = api.session.opened_ids
        self._open_messages = api.session.open_messages
        self._own_lost = 0
        self.outside_close = OutsideClose(self.message, tuning, self._journal, self._open_messages)
        self.single = SingleSend(self.message, api, draft, self._sender, self._journal)

    # Its batches

    async def open(self, assigned: AssignedBatch, wire_status: WireStatus | None = None) -> None:
        """Open the message with its first batch."""
        message = self.message
        wire_status = wire_status or WireStatus()
        await self._intend_batch(
            OpenIntent(message.number, ranges(assigned.batch.ordinals)), assigned
        )
        reference = None if self._draft.has_custom else secrets.token_hex(16)
        payload = self._draft.payload(
            assigned.batch.to_wire(), transaction=True, reference=reference
        )
        if reference is not None:
            self.outside_close.watch_reference(reference)
        shown_closed: Mapping[str, object] = {}
        try:
            with self._open_messages.message_coming() as shown_closed:
                answer = await self._api.open_transaction(
                    payload, wire_status, accepts=self._response_to_open(reference, assigned.batch)
                )
        except GatewayError as error:
            if wire_status.lost:
                # It is on a message that never sends, unless another client closes that message.
                assigned.state = BatchState.IN_DOUBT
            else:
                self._journal.note(BatchReleased(message.number, assigned.number))
            self.check_size(error, payload, assigned.batch)
            raise
        except BaseException:
            if wire_status.departed:
                assigned.state = BatchState.IN_DOUBT
            raise
        finally:
            # An opened message whose answer was lost never sends, but it may cost.
            lost = wire_status.lost + wire_status.on_wire
            self.tuning.orphans += lost * len(assigned.batch)
            self._opened_ids.lost += wire_status.on_wire
            if message.is_lost and reference is not None and reference in shown_closed.values():
                self.outside_close.copy_seen_closed()
        message.opened(answer.id)
        message.is_own = reference is not None and answer.options.custom == reference
        self._own_lost = wire_status.lost
        message.acknowledge(assigned, answer)
        self.tuning.taken(len(payload))
        self._journal.note(
            Opened(
                message.number,
                answer.id,
                assigned.count,
                is_own=message.is_own,
                lost=wire_status.lost,
            )
        )
        self.outside_close.watch(shown_closed, reference)
        self.outside_close.check_open(answer)
        self._check_objects(assigned.batch, answer)

    async def append(self, assigned: AssignedBatch, wire_status: WireStatus | None = None) -> None:
        """Add a batch. It is on the wire at most once, whatever the answer.

        A lost answer raises nothing: the batch is in doubt from then on.
        """
        message = self.message
        wire_status = wire_status or WireStatus()
        await self._intend_batch(
            AppendIntent(message.number, assigned.number, ranges(assigned.batch.ordinals)), assigned
        )
        payload = encode(MessageUpdate(recipients=assigned.batch.to_wire(), transaction=True))
        assigned.state = BatchState.IN_FLIGHT
        try:
            answer = await self._api.put(message.id, payload, True, wire_status)
        except OutcomeUnknownError:
            assigned.state = BatchState.IN_DOUBT
            return
        except TransactionClosedError as error:
            # An earlier copy of it may have been applied before the close: the list decides.
            assigned.state = BatchState.IN_DOUBT
            raise TransactionClosedError(
                str(self.outside_close.error()), status=error.status, code=error.code
            ) from error
        except NotFoundError as error:
            self._not_applied(assigned)
            raise self.gone(error) from error
        except GatewayError as error:
            self._not_applied(assigned)
            self.check_size(error, payload, assigned.batch)
            raise
        except BaseException:
            # Also after an answer: an exception between the answer and its note proves nothing.
            if wire_status.departed:
                assigned.state = BatchState.IN_DOUBT
            else:
                self._not_applied(assigned)
            raise
        if answer.transaction:
            message.acknowledge(assigned, answer)
            self.tuning.taken(len(payload))
            self._journal.note(Appended(message.number, assigned.number, assigned.count))
            return
        assigned.state = BatchState.IN_DOUBT
        self.outside_close.check_open(answer)

    # Reading it

    async def look(self) -> Message:
        """Read the message."""
        seen = self.message.seen = await self._api.get(self.message.id)
        return seen

    async def list_numbers(self) -> list[str] | None:
        """Read the numbers of its recipients, as the gateway writes them.

        None if the list cannot be believed: it repeats an entry, so that another one is missing, or
        it has an entry of another message.
        """
        reports = await self._api.recipients(self.message.id)
        if not entries_are_distinct(reports, self.message.id):
            return None
        return [report.number for report in reports]

    async def lists_recipient(self, number: str) -> bool:
        """Return whether the gateway shows this recipient on the message."""
        try:
            return bool(await self._api.recipient(self.message.id, number))
        except NotFoundError:
            return False

    # Its close

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Wait until a realtime message may be closed: they are one minute apart.

        This comes before the intent to close. If no close leaves, the next one need not wait for it.
        """
        if not self._draft.is_realtime:
            yield
            return
        turn = await self._sender.realtime_turn(math.inf)
        try:
            yield
        finally:
            if self.message.close_begun or self.message.state == "closed":
                await self._sender.realtime_sent(turn)
            else:
                await self._sender.realtime_not_sent(turn)

    async def intend_close(
        self,
        last: AssignedBatch | None,
        before: Counts,
        *,
        proven: bool,
        cost: Decimal | None = None,
    ) -> None:
        """Make the intent to close durable; `cost` is what was reserved for it."""
        number = self.message.number
        recipients = [] if last is None else ranges(last.batch.ordinals)
        reserved = None if cost is None else str(cost)
        record = CloseIntent(number, recipients, before.valid, before.invalid, proven, reserved)
        try:
            await self._journal.intend(record)
        except BaseException:
            # Failed or cancelled before the close: no byte of it has left.
            self._note_refused()
            raise

    async def close_once(self, payload: bytes, last: AssignedBatch | None) -> Message | None:
        """Send the close once; return None if its answer is lost, or says that it is closed.

        Raises the error of a refusal, which proves nothing while `close_begun` holds: behind a
        proxy that repeats requests, an earlier copy may have been applied. The same holds after a
        yes: only a message that was seen closed proves where its recipients are.
        """
        message = self.message
        message.begin_close(last)
        try:
            answer = await self._api.put(message.id, payload, False, message.close_status)
        except OutcomeUnknownError:
            answer = None
        except TransactionClosedError:
            answer, message.refused_as_closed = None, True
        except BaseException:
            if not message.close_begun:
                message.close_never_left(last)
                self._note_refused()
            raise
        message.close_may_apply()
        return answer

    def close_refused(self) -> None:
        """Record that the close was refused, and that a look shows the message open and unchanged."""
        self.message.close_refused()
        self._note_refused()

    def _note_refused(self) -> None:
        seen_open = self.message.was_refused
        self._journal.note(CloseRefused(self.message.number, seen_open=seen_open))

    # Its delete

    async def delete(self) -> None:
        """Delete the message, and check that it is gone; it then never goes out."""
        message = self.message
        if message.message_id is None:
            message.gone()
            return
        await self._journal.intend(AbandonIntent(message.number))
        message.deleting = True
        try:
            # A closed message stays readable, so one that cannot be found is gone.
            with suppress(NotFoundError):
                await self._api.delete(message.id)
        except InvalidRequestError:
            # Too late: it is closed.
            self.outside_close.note()
            raise
        if await self._is_still_there():
            raise GatewayError(
                f"message {message.id} is still there after the gateway said it was deleted"
            )
        message.deleted()

    async def try_delete(self) -> None:
        """Delete the message, unless the gateway does not answer."""
        with suppress(*_NO_ANSWER):
            await self.delete()

    async def _is_still_there(self) -> bool:
        try:
            await self._api.get(self.message.id)
        except NotFoundError:
            return False
        except GatewayError:
            # The DELETE was answered with a yes; a look that fails changes nothing.
            return False
        return True

    # What an answer proves

    def _response_to_open(self, reference: str | None, batch: Batch) -> Accepts:
        """Return a check that a response is the one to this open, not one that a proxy mixed up.

        It must name a new message: two builders that fill one message would each count the
        recipients of the other.
        """
        custom = self._draft.custom if reference is None else reference
        return response_to(custom, len(batch), draft=self._draft, opened_ids=self._opened_ids)

    @property
    def is_identified(self) -> bool:
        """Whether the answer to its open cannot have been that of another one.

        The answer to a lost open, whose id is not known, could come as the answer to this one.
        """
        return self.message.is_own or self._opened_ids.lost <= self._own_lost

    def gone(self, error: NotFoundError) -> RestartMessageError:
        """Record that a message that was never closed does not exist, and return the error for it."""
        self.message.gone()
        return RestartMessageError(f"message {self.message.id} is gone: {error}")

    def end(self, *, replaced: bool) -> None:
        """Record that no more requests are made for the message.

        `replaced`: its recipients go to another message.
        """
        message = self.message
        if self.outside_close.may_be_unseen():
            self.outside_close.doubt()
        elif replaced and message.is_lost:
            self._journal.note(BatchReleased(message.number, message.assigned[0].number))
        message.end()

    def check_size(self, error: GatewayError, payload: bytes, batch: Batch) -> None:
        """Raise RestartMessageError if a request was too large and a smaller one may succeed."""
        if not (isinstance(error, APIError) and error.status == _TOO_LARGE):
            return
        tuning, held = self.tuning, self.message.held
        shrunk = tuning.shrink(len(payload), len(batch), held, self._allowed)
        # A batch of an earlier run may be larger than what has been learnt since.
        outgrown = len(batch) > tuning.batch_size or held + len(batch) > tuning.per_message
        if shrunk or outgrown:
            raise RestartMessageError(
                f"{error}: continuing with {tuning.batch_size} recipients a request and "
                f"{tuning.per_message} a message"
            ) from error

    def _check_objects(self, batch: Batch, answer: Message) -> None:
        """Never report recipients as invalid because the gateway cannot read a list of objects."""
        if not batch.is_object_list or self.tuning.objects_understood:
            return
        self.tuning.objects_understood = bool(answer.valid)
        if not answer.valid:
            raise RestartMessageError(
                "the gateway counts all of a list of objects on message "
                f"{self.message.id} as invalid: each is sent by itself"
            )

    def _not_applied(self, assigned: AssignedBatch) -> None:
        assigned.state = BatchState.PENDING
        self._journal.note(BatchReleased(self.message.number, assigned.number))

    # Its journal

    async def _intend_batch(
        self, record: OpenIntent | AppendIntent, assigned: AssignedBatch
    ) -> None:
        """Make the intent durable; if that fails or is cancelled, the batch has not left."""
        try:
            await self._journal.intend(record)
        except BaseException:
            self._journal.note(BatchReleased(self.message.number, assigned.number))
            raise
