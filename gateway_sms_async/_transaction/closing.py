"""The fence: look, close, look again, and settle who is on the message.

Nothing goes out before a close and nothing gets on after it, so all that must be known is known
around it. The transaction builder enters, with a message whose batches have all landed.
"""

from __future__ import annotations

import asyncio

from .._messages.draft import MessageUpdate, encode
from .._receipt import RecipientOutcome
from .._recipients.batches import Batch
from .._recipients.wire import WireRecipients
from ..errors import (
    APIError,
    AuthenticationError,
    GatewayError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
)
from ..models import Message
from .message import AssignedBatch, BatchState, RestartMessageError
from .reconcile import (
    Counts,
    Listing,
    OutcomesByBatch,
    count,
    counts_add_up,
    outcomes_by_counts,
    outcomes_by_list,
    read_list,
    unnamed,
)
from .requests import MessageRequests
from .spending import SpendingLimit

__all__ = ["MessageCloser"]

_CLOSE_TRIES = 5


_LOOKS_AT_AN_OPEN_LIST = 3


class MessageCloser:
    """Closes one message, so that everyone on it is accepted, invalid, doubled or unsent.

    `replaceable`: the people of a message that cannot be proven may be given another one, so it
    raises StartAnewError for them where it would otherwise close and see.
    """

    def __init__(
        self, requests: MessageRequests, *, replaceable: bool, spending: SpendingLimit | None = None
    ) -> None:
        self._requests = requests
        self._message = requests.message
        self._spending = spending
        self._replaceable = replaceable
        self._tuning = requests.tuning

    async def close(self, last: Batch | None) -> None:
        """Look, close with the last batch, look again and settle; raise if it did not come to that.

        After StartAnewError nothing of the message has gone out or will.
        """
        message, requests = self._message, self._requests
        await requests.wait_for_turn()
        before, proven = await self._look()
        if last is None and before.valid == 0:
            if before.invalid != sum(map(len, message.batches)):
                raise self._start_carefully("does not hold those who were acknowledged")
            await requests.delete()
            message.found_all_invalid(before)
            return
        self._reserve(before, 0 if last is None else len(last))
        assigned = None if last is None else message.assign(last)
        cost = None if self._spending is None else self._spending.cost(message.number)
        await requests.intend_close(assigned, count(before), proven=proven, cost=cost)
        await self._close(assigned, count(before), proven=proven)

    async def resume_close(
        self, last: AssignedBatch | None, before: Counts, *, proven: bool
    ) -> None:
        """Go on from an intent to close that an earlier process left: look first."""
        others = [one for one in self._message.assigned if one is not last]
        # The intent was proven for those who were acknowledged then, and for nobody else.
        proven = proven and all(one.state is BatchState.ACKNOWLEDGED for one in others)
        if not await self._settle_if_closed(last, before, None, proven=proven):
            await self._requests.wait_for_turn()
            await self._close(last, before, proven=proven)

    async def settle_closed_elsewhere(self) -> None:
        """Find out who is on a message that somebody else has closed."""
        final = await self._look_again()
        if final.transaction:
            return
        outcomes = await self._outcomes_by_list(final)
        if outcomes is not None:
            self._message.settle(outcomes, final)

    async def settle_if_closed_elsewhere(self) -> None:
        """Find out whether what closed another message has closed this one too."""
        message, requests = self._message, self._requests
        # Until it is seen: nobody on it may be called unsent.
        message.closed_elsewhere = True
        if (await self._look_again()).transaction:
            message.closed_elsewhere = False
            return
        requests.note_closed_elsewhere()
        await self.settle_closed_elsewhere()

    # Before the close

    def _reserve(self, seen: Message, brought: int) -> None:
        """Raise LimitReachedError if this close would cross what the campaign may spend."""
        if self._spending is not None:
            self._spending.reserve(
                self._message.number, seen.valid, seen.price, brought, self._tuning.orphans
            )

    async def _look(self) -> tuple[Message, bool]:
        """Return the message as it is, and whether counts alone prove who is on it."""
        message, requests = self._message, self._requests
        try:
            seen = await requests.look()
        except NotFoundError as error:
            # Never closed and not there: whatever it was, it does not go out any more.
            raise requests.gone(error) from error
        requests.check_open(seen)
        self._check_objects(seen)
        ladder = not message.in_doubt and counts_add_up(message.counts_by_batch, count(seen).total)
        proven = ladder and not unnamed(seen, message.batches, once=True)
        if not ladder and self._tuning.careful and self._replaceable:
            raise RestartMessageError(f"message {message.id} is not what was acknowledged")
        if not proven or self._tuning.verify_always:
            seen = await self._look_at_list(seen, ladder=ladder)
        return seen, proven

    def _check_objects(self, seen: Message) -> None:
        """Never close on people whom the gateway may only not understand."""
        lists = [len(batch) for batch in self._message.batches if batch.is_object_list]
        if not lists or self._tuning.objects_understood:
            return
        self._tuning.objects_understood = seen.invalid < min(lists)
        if not self._tuning.objects_understood:
            raise RestartMessageError(
                f"the gateway may not understand lists of objects (message {self._message.id}): "
                "each is sent by itself"
            )

    async def _look_at_list(self, seen: Message, *, ladder: bool) -> Message:
        message = self._message
        try:
            listing, seen = await self._read_open_list(seen, once=ladder)
        except NotFoundError:
            # This gateway may list recipients only after the close.
            if not ladder and self._replaceable:
                raise self._start_carefully("cannot be listed before its close") from None
            self._check_named(seen, once=ladder)
            return seen
        if listing is None:
            if not ladder and self._replaceable:
                raise self._start_carefully("is not listed completely")
            self._check_named(seen, once=ladder)
            raise GatewayError(
                f"the gateway does not list all recipients of message {message.id}: it was not "
                "closed, so nothing has gone out. Use fewer recipients_per_message, or "
                'verify="auto"'
            )
        if listing.doubled or listing.strangers:
            raise self._start_carefully("holds somebody twice, or somebody else")
        if unnamed(seen, message.batches, once=ladder):
            # Shown on a message that does not change: its list leaves the invalid ones out.
            self._tuning.lists_hold_invalid = False
        if sum(listing.times.values()) + seen.invalid < message.acknowledged:
            self._tuning.careful = True
        return seen

    async def _read_open_list(self, seen: Message, *, once: bool) -> tuple[Listing | None, Message]:
        """Read the list of an open message, again while the message changes under it."""
        message, requests = self._message, self._requests
        listing: Listing | None = None
        for _ in range(_LOOKS_AT_AN_OPEN_LIST):
            numbers = await requests.list_numbers()
            before, seen = seen, await requests.look()
            requests.check_open(seen)
            listing = read_list(seen, message.batches, numbers, once=once)
            if count(before) == count(seen):
                break
        return listing, seen

    def _check_named(self, seen: Message, *, once: bool) -> None:
        nameless = unnamed(seen, self._message.batches, once=once)
        if nameless:
            raise GatewayError(
                f"the gateway counts {nameless} invalid recipients on message {self._message.id} "
                "without naming them, and its list does not tell who they are: it was not closed, "
                "so nothing has gone out. Check the numbers, or use recipients_per_message=1"
            )

    def _start_carefully(self, why: str) -> RestartMessageError:
        self._tuning.careful = True
        return RestartMessageError(f"message {self._message.id} {why}")

    # The close and after

    async def _close(self, last: AssignedBatch | None, before: Counts, *, proven: bool) -> None:
        message, requests = self._message, self._requests
        people: WireRecipients = () if last is None else last.batch.to_wire()
        payload = encode(MessageUpdate(recipients=people, transaction=False))
        for _ in range(_CLOSE_TRIES):
            try:
                answer = await requests.close_once(payload, last)
            except APIError as refusal:
                await self._after_refusal(refusal, payload, last, before)
                return
            if await self._settle_if_closed(last, before, answer, proven=proven):
                return
        raise GatewayError(f"message {message.id} did not close after {_CLOSE_TRIES} requests")

    async def _after_refusal(
        self, refusal: APIError, payload: bytes, last: AssignedBatch | None, before: Counts
    ) -> None:
        """Look what a complete no has left, and raise it unless something better can be done."""
        message, requests = self._message, self._requests
        if message.close_begun or isinstance(refusal, AuthenticationError | RateLimitError):
            raise refusal
        seen = await requests.look()
        requests.check_open(seen)
        if count(seen) != before:
            raise self._start_carefully("has changed though its close was refused")
        requests.check_size(refusal, payload, Batch() if last is None else last.batch)
        if last is not None or not isinstance(refusal, InvalidRequestError):
            raise refusal
        # This gateway takes no empty list, and nobody is left to close with.
        people = max(count(seen).total, sum(map(len, message.batches)))
        if people > 1 and self._tuning.close_empty:
            raise GatewayError(
                f"message {message.id} cannot be closed: the gateway takes recipients with a close "
                "without closing, and no close without recipients. Use recipients_per_message=1"
            ) from refusal
        if people > 1:
            raise RestartMessageError(f"message {message.id} cannot be closed with nobody")
        alone = message.batches[0]
        await requests.delete()
        # It may have been paid for already, and is now once more.
        self._tuning.orphans += 1
        self._reserve(seen, 0)
        await requests.send_single(alone)

    async def _settle_if_closed(
        self, last: AssignedBatch | None, before: Counts, answer: Message | None, *, proven: bool
    ) -> bool:
        """Look again: settle and return True if closed, False if open as before the close."""
        message, requests = self._message, self._requests
        after = await self._look_again()
        if after.transaction:
            if count(after) == before:
                return False
            # Its people are on the message but it is open: closing again would add them twice.
            await requests.delete()
            self._tuning.close_empty = True
            raise RestartMessageError(
                f"message {message.id} took its last recipients but did not close; it was deleted"
            )
        agreed = answer is None or count(answer) == count(after)
        await self._settle(last, before, after, proven=proven and agreed)
        return True

    async def _settle(
        self, last: AssignedBatch | None, before: Counts, final: Message, *, proven: bool
    ) -> None:
        message = self._message
        batches = message.batches
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
            # Who asks for the list does not go by counts alone.
            outcomes = None
        outcomes = (
            listed or outcomes or [[RecipientOutcome.UNKNOWN] * len(batch) for batch in batches]
        )
        message.settle(outcomes, message.seen or final)
        self._learn(outcomes)
        if _has(outcomes, RecipientOutcome.UNKNOWN):
            raise GatewayError(
                f"message {message.id} went out, but neither its counts nor its list tell who is on "
                "it: see its recipients before sending to them again"
            )

    async def _outcomes_by_list(
        self, final: Message, *, once: bool = False
    ) -> OutcomesByBatch | None:
        """Read the list of a closed message until it is whole, to a deadline; None if it never is.

        It counts only with an answer that shows the message closed after it was read.
        """
        message, requests = self._message, self._requests
        loop = asyncio.get_running_loop()
        deadline = loop.time() + requests.policy.max_elapsed
        delay = requests.policy.base_delay
        while True:
            listing = None
            try:
                numbers = await requests.list_numbers()
                final = await requests.look()
            except GatewayError:
                numbers = []
            else:
                if final.transaction:
                    raise GatewayError(
                        f"message {message.id} is open again after it was closed: what the gateway "
                        "says of it cannot be relied on"
                    )
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
        """Whether a list can be whole: unnamed invalid ones in a growing list would hide it."""
        return not unnamed(final, self._message.batches, once=once) or (
            self._tuning.lists_hold_invalid is False
        )

    def _learn(self, outcomes: OutcomesByBatch) -> None:
        """Go carefully after anybody was doubled, or acknowledged and is missing."""
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

    async def _look_again(self) -> Message:
        """Read the message until there is an answer: outside the retry budget, but slowly."""
        message, requests = self._message, self._requests
        loop = asyncio.get_running_loop()
        deadline = loop.time() + requests.policy.max_elapsed
        delay = requests.policy.base_delay
        while True:
            try:
                return await requests.look()
            except Exception as error:
                # A closed client stays closed.
                hopeless = isinstance(error, NotFoundError | RuntimeError)
                if hopeless or loop.time() + delay >= deadline:
                    raise GatewayError(
                        f"message {message.id} was being closed and cannot be read: whether it goes "
                        "out is not known"
                    ) from error
            await asyncio.sleep(delay)
            delay = min(delay * 2, requests.policy.max_delay)


def _has(outcomes: OutcomesByBatch, outcome: RecipientOutcome) -> bool:
    return any(outcome in one for one in outcomes)
