"""Closes a message: look, close, look again, and settle the outcome of each recipient.

A message is sent only by its close and cannot change afterwards, so one look before and one after
the close are enough. No batch of the message may be in flight when its close begins.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal

from .._messages.draft import MessageUpdate, encode
from .._receipt import RecipientOutcome
from .._recipients.batches import Batch
from .._recipients.wire import WireRecipients
from ..errors import (
    AuthenticationError,
    GatewayError,
    InvalidRequestError,
    NotFoundError,
)
from ..models import Message
from .message import AssignedBatch, BatchState, RestartMessageError
from .reconcile import (
    Counts,
    OutcomesByBatch,
    count,
    outcomes_by_counts,
    outcomes_by_list,
    read_list,
    unnamed,
)
from .requests import MessageRequests
from .spending import SpendingLimit
from .verification import OpenMessageVerifier

__all__ = ["MessageCloser"]

_CLOSE_TRIES = 5


class MessageCloser:
    """Closes one message and settles its recipients: accepted, invalid, doubled, unsent or unknown.

    `replaceable`: the recipients of a message may be assigned to another one. If its recipients
    cannot be proven before its close, RestartMessageError is then raised. A message that is not
    replaceable is closed all the same, and the outcomes are read afterwards.
    """

    def __init__(
        self, requests: MessageRequests, *, replaceable: bool, spending: SpendingLimit | None = None
    ) -> None:
        self._requests = requests
        self._message = requests.message
        self._spending = spending
        self._tuning = requests.tuning
        self._verifier = OpenMessageVerifier(requests, replaceable=replaceable)

    async def close(self, last: Batch | None) -> None:
        """Look, close with the last batch, look again and settle; raise if one of these fails.

        After RestartMessageError, nothing from this message was or will be sent.
        """
        async with self._requests.turn():
            await self._look_and_close(last)

    async def _look_and_close(self, last: Batch | None) -> None:
        message, requests = self._message, self._requests
        before, proven = await self._verifier.look(last)
        if before.valid == 0 and (last is None or self._is_unpriced(before)):
            if not proven or before.invalid != sum(map(len, message.batches)):
                raise self._verifier.start_carefully(
                    "does not hold the recipients that were acknowledged"
                )
            await requests.delete()
            message.found_all_invalid(before)
            return
        self._reserve(before, 0 if last is None else len(last))
        requests.outside_close.check_no_copy()
        assigned = None if last is None else message.assign(last)
        await requests.intend_close(assigned, count(before), proven=proven, cost=self._cost())
        await self._close(assigned, count(before), proven=proven)

    async def resume_close(
        self, last: AssignedBatch | None, before: Counts, *, proven: bool, refused: bool
    ) -> None:
        """Resume from an intent to close that an earlier process left: look first.

        `refused`: that close was refused, and a look showed the message open and unchanged.
        """
        message, requests = self._message, self._requests
        others = [one for one in self._message.assigned if one is not last]
        # The intent was proven for the batches that were acknowledged then, and for no others.
        proven = proven and all(one.state is BatchState.ACKNOWLEDGED for one in others)
        if await self._settle_if_closed(last, before, None, proven=proven):
            return
        if message.deleting:
            # It was to be deleted, because its recipients go to another message.
            await requests.delete()
            raise RestartMessageError(f"message {message.id} was not closed; it was deleted")
        seen = message.seen
        assert seen is not None
        if self._is_unpriced(seen):
            await requests.delete()
            raise RestartMessageError(f"message {message.id} shows no price; it was deleted")
        if refused:
            requests.close_refused()
        async with requests.turn():
            self._reserve(seen, 0 if last is None else len(last.batch))
            if refused:
                # From here on it may be applied, as it may be after any other intent.
                await requests.intend_close(last, before, proven=proven, cost=self._cost())
            await self._close(last, before, proven=proven)

    async def settle_closed_elsewhere(self) -> None:
        """Find out which recipients are on a message that was closed elsewhere.

        "Closed elsewhere": by another process, in the vendor's console, or by the gateway.
        """
        final = await self._look_again()
        if final.transaction:
            return
        outcomes = await self._outcomes_by_list(final)
        if outcomes is not None:
            self._message.settle(outcomes, final)

    async def settle_if_closed_elsewhere(self) -> None:
        """Find out whether this message was closed elsewhere, as another one was."""
        message, requests = self._message, self._requests
        while not requests.outside_close.seen_open_since():
            # Until the message is seen, do not report its recipients as unsent.
            message.closed_elsewhere = True
            found_so_far = self._tuning.closed_elsewhere
            seen = await self._look_again()
            # Another answer may have come after this one was made.
            if message.shown_closed or not seen.transaction:
                break
            message.closed_elsewhere = False
            message.seen_open_after = found_so_far
        else:
            return
        requests.outside_close.note()
        await self.settle_closed_elsewhere()

    # The close and after

    async def _close(self, last: AssignedBatch | None, before: Counts, *, proven: bool) -> None:
        message, requests = self._message, self._requests
        recipients: WireRecipients = () if last is None else last.batch.to_wire()
        payload = encode(MessageUpdate(recipients=recipients, transaction=False))
        for _ in range(_CLOSE_TRIES):
            try:
                answer = await requests.close_once(payload, last)
            except GatewayError as refusal:
                if not message.close_begun:
                    raise
                if await self._settle_if_closed(last, before, None, proven=proven, after=refusal):
                    return
                if message.close_in_doubt:
                    # An earlier one, whose answer was lost, may still arrive.
                    raise
                await self._after_refusal(refusal, payload, last)
                return
            if await self._settle_if_closed(last, before, answer, proven=proven):
                return
        raise GatewayError(f"message {message.id} did not close after {_CLOSE_TRIES} requests")

    async def _after_refusal(
        self, refusal: GatewayError, payload: bytes, last: AssignedBatch | None
    ) -> None:
        """Raise the refusal of a close, after which the message was seen unchanged, or a remedy.

        A remedy sends to its recipients another way. A copy of the close may still arrive, so the
        message is deleted first; if it cannot be, its recipients are unknown.

        One remedy sends here: if the gateway rejects a close without recipients and the message
        holds only one recipient, that one is sent to by a POST.
        """
        message, requests = self._message, self._requests
        seen = message.seen
        assert seen is not None
        try:
            requests.check_size(refusal, payload, Batch() if last is None else last.batch)
        except RestartMessageError:
            await requests.delete()
            raise
        if last is not None or not isinstance(refusal, InvalidRequestError):
            requests.close_refused()
            raise refusal
        # This gateway rejects an empty list, and no recipient is left to send with the close.
        held = max(count(seen).total, sum(map(len, message.batches)))
        if held > 1 and self._tuning.close_empty:
            requests.close_refused()
            raise GatewayError(
                f"message {message.id} cannot be closed: the gateway adds recipients sent with a "
                "close but does not close, and rejects a close without recipients. Use "
                "recipients_per_message=1"
            ) from refusal
        alone = message.batches[0]
        await requests.delete()
        if held > 1:
            raise RestartMessageError(f"message {message.id} cannot be closed without recipients")
        # The recipient may have been paid for already, and is now paid for again.
        self._tuning.orphans += 1
        self._reserve(seen, 0)
        await requests.single.send(alone)

    def _is_unpriced(self, seen: Message) -> bool:
        """Return whether the close could cost anything: without a valid recipient there is no price."""
        return seen.valid == 0 and self._spending is not None and self._spending.price_missing

    def _cost(self) -> Decimal | None:
        """Return what is reserved for the close, None if its cost is not limited."""
        return None if self._spending is None else self._spending.cost(self._message.number)

    def _reserve(self, seen: Message, brought: int) -> None:
        """Raise LimitReachedError if this close would exceed the campaign's limits."""
        if self._spending is not None:
            self._spending.reserve(
                self._message.number, seen.valid, seen.price, brought, self._tuning.orphans
            )

    async def _settle_if_closed(
        self,
        last: AssignedBatch | None,
        before: Counts,
        answer: Message | None,
        *,
        proven: bool,
        after: GatewayError | None = None,
    ) -> bool:
        """Look again: settle and return True if closed, False if open as before the close.

        `after` is the refusal of the close, if it was refused.
        """
        message, requests = self._message, self._requests
        final = await self._look_again(after)
        if final.transaction and requests.outside_close.shown_during_close:
            # Another answer may have come after this one was made.
            final = await self._look_again(after)
            requests.outside_close.check_closed(final)
        if final.transaction:
            if count(final) == before:
                return False
            # The close added its recipients but left the message open: a second close would add
            # them again.
            await requests.delete()
            if after is None:
                self._tuning.close_empty = True
            else:
                self._tuning.careful = True
            raise RestartMessageError(
                f"message {message.id} took its last recipients but did not close; it was deleted"
            )
        agreed = answer is None or count(answer) == count(final)
        await self._settle(last, before, final, proven=proven and agreed)
        return True

    async def _settle(
        self, last: AssignedBatch | None, before: Counts, final: Message, *, proven: bool
    ) -> None:
        message = self._message
        batches = message.batches
        # Before the list is read, which may be cut short.
        self._check_counts(last, is_unchanged=count(final) == before)
        outcomes: OutcomesByBatch | None = None
        if proven:
            brought = None if last is None else last.batch
            outcomes = outcomes_by_counts(before, final, batches, brought)
        listed: OutcomesByBatch | None = None
        if (
            outcomes is None
            or _has(outcomes, RecipientOutcome.UNKNOWN)
            or self._tuning.verify_always
        ):
            listed = await self._outcomes_by_list(final, once=outcomes is not None)
        may_believe = self._may_believe(final, once=outcomes is not None)
        if listed is None and self._tuning.verify_always and may_believe:
            # With verify="always", counts alone prove nothing.
            outcomes = None
        outcomes = (
            listed or outcomes or [[RecipientOutcome.UNKNOWN] * len(batch) for batch in batches]
        )
        message.settle(outcomes, message.seen or final)
        self._learn(outcomes)
        self._check_closed_here(last, outcomes)
        if _has(outcomes, RecipientOutcome.UNKNOWN):
            raise GatewayError(
                f"message {message.id} went out, but neither its counts nor its list show which "
                "recipients are on it: read its list before sending to them again"
            )

    def _check_counts(self, last: AssignedBatch | None, *, is_unchanged: bool) -> None:
        """Put other messages in doubt if the counts do not show that it was this close that closed.

        A close is atomic with its recipients, so with the counts from before (`is_unchanged`) none of
        them is on the message. Without recipients, a refusal as "already closed" may also be the
        answer to a copy of this close.
        """
        may_be_of_others = self._message.refused_as_closed if last is None else is_unchanged
        if may_be_of_others:
            # A gateway that loses recipients would show the same.
            self._requests.outside_close.count()

    def _check_closed_here(self, last: AssignedBatch | None, outcomes: OutcomesByBatch) -> None:
        """Raise GatewayError if another process has closed the message: it lacks those of the close."""
        if last is None:
            return
        brought = outcomes[self._message.batches.index(last.batch)]
        if set(brought) != {RecipientOutcome.UNSENT}:
            return
        if self._message.refused_as_closed:
            raise self._requests.outside_close.error()
        self._requests.outside_close.count()

    async def _outcomes_by_list(
        self, final: Message, *, once: bool = False
    ) -> OutcomesByBatch | None:
        """Read the list of a closed message until it is complete; None if it is not by a deadline.

        A list counts only if a look after it shows the message closed.
        """
        message, requests = self._message, self._requests
        loop = asyncio.get_running_loop()
        deadline = loop.time() + requests.policy.max_elapsed
        delay = requests.policy.base_delay
        while True:
            listing = None
            numbers: list[str] | None = None
            try:
                numbers = await requests.list_numbers()
                final = await requests.look()
            except GatewayError:
                pass
            else:
                if final.transaction:
                    raise GatewayError(
                        f"message {message.id} is open again after it was closed: the gateway's "
                        "reports about it are not reliable"
                    )
                if numbers is not None:
                    listing = read_list(final, message.batches, numbers, once=once)
            if listing is not None:
                if not self._may_believe(final, once=once):
                    return None
                return outcomes_by_list(final, message.batches, listing, once=once)
            if loop.time() + delay >= deadline:
                return None
            await asyncio.sleep(delay)
            delay = min(delay * 2, requests.policy.max_delay)

    def _may_believe(self, final: Message, *, once: bool) -> bool:
        """Whether a complete list can be recognized.

        A list that is still growing may hold unnamed invalid recipients, and then reach the expected
        length without being complete.
        """
        return not unnamed(final, self._message.batches, once=once) or (
            self._tuning.lists_hold_invalid is False
        )

    def _learn(self, outcomes: OutcomesByBatch) -> None:
        """Be careful from now on if a recipient was doubled, or acknowledged and is missing."""
        for assigned, batch_outcomes in zip(
            (one for one in self._message.assigned if one.state is not BatchState.PENDING),
            outcomes,
            strict=True,
        ):
            lost = (
                assigned.state is BatchState.ACKNOWLEDGED
                and RecipientOutcome.UNSENT in batch_outcomes
            )
            if lost or RecipientOutcome.DOUBLED in batch_outcomes:
                self._tuning.careful = True

    async def _look_again(self, refusal: GatewayError | None = None) -> Message:
        """Read the message until the gateway answers, with growing waits.

        `refusal`: the request before was refused with it. Raises RestartMessageError if the message
        is gone after a DELETE of it, and GatewayError if it cannot be read.

        Only this loop is outside the retry budget: the retries inside each look draw on the budget
        that all calls share.
        """
        message, requests = self._message, self._requests
        loop = asyncio.get_running_loop()
        deadline = loop.time() + requests.policy.max_elapsed
        delay = requests.policy.base_delay
        while True:
            try:
                return await requests.look()
            except Exception as error:
                if isinstance(error, NotFoundError) and message.deleting:
                    # Closed, it would still be readable. So the DELETE came before any close.
                    message.deleted()
                    raise RestartMessageError(f"message {message.id} was deleted") from error
                # A closed client stays closed, and so does a lost token.
                hopeless = isinstance(error, NotFoundError | RuntimeError) or (
                    isinstance(error, AuthenticationError) and type(refusal) is type(error)
                )
                if hopeless or loop.time() + delay >= deadline:
                    raise GatewayError(
                        f"message {message.id} was being closed and cannot be read: whether it goes "
                        "out is not known"
                    ) from error
            await asyncio.sleep(delay)
            delay = min(delay * 2, requests.policy.max_delay)


def _has(outcomes: OutcomesByBatch, outcome: RecipientOutcome) -> bool:
    return any(outcome in one for one in outcomes)
