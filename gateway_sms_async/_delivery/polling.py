"""Follows messages until everybody on them is final, one request at a time.

The client enters. A look at a message is about 1 kB and is taken often; its
list of recipients is about 1 kB a recipient, and is read only when it has something to tell.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

import anyio

from .._http.session import Session
from .._messages.api import MessagesAPI, message_path
from ..errors import APIError, AuthenticationError, GatewayError, InvalidRequestError, NotFoundError
from ..models import Message, RecipientReport
from .listing import ListFilter, RecipientStates, key_of, pack
from .state import DeliveryState, state_of
from .summary import DeliveryChange, DeliverySummary, MessageDelivery, Unfinished

__all__ = ["follow", "wait_until_final"]

# The next look at a message comes after a quarter of the time that it has been followed for.
_SHORTEST, _LONGEST = 1.0, 60.0


_PART = 0.25


_JITTER = 0.1


# All the lists together may take so much, so that long ones are read seldom.
_REPORT_BYTES = 1000


_BYTES_A_SECOND = 100_000


# Lists are also read where nothing seems to have moved, in case the statistics stand still: after
# four times the pause, then after twice as long each time that they were right.
_DOUBT = 4.0


_MOST_DOUBLINGS = 6


# The time kept for the last lists before the timeout.
_LAST_SECONDS, _LAST_PART, _LAST_BYTES_A_SECOND = 2.0, 0.1, 5_000_000


# A list that stays too short so often and so long will not grow.
_SHORT_LISTS, _SHORT_SECONDS = 3, 120.0


_SLICE = 500


_DATE_SLACK = 60.0


_NO_SUCH_ID = {404, 406}


_ALL_DELIVERED = 2


@dataclass(slots=True)
class _Followed:
    """One message while it is followed; times are on the loop's clock."""

    message_id: str
    due: float
    standing: RecipientStates = field(default_factory=RecipientStates)
    message: Message | None = None
    error: GatewayError | None = None
    over: bool = False
    unfinished: Unfinished | None = None
    # About the list that was read last: when, what the message said then, and how it fitted.
    listed_at: float | None = None
    seen: tuple[object, ...] | None = None
    settled: bool = False
    agreed: int = 0
    trusted: bool = True
    length: int = -1
    length_since: float = 0.0
    short: int = 0

    def end(self, unfinished: Unfinished | None = None) -> None:
        """Follow it no longer."""
        self.over = True
        self.unfinished = unfinished

    def told(self) -> MessageDelivery:
        """Return how far it is."""
        counts = self.standing.counts()
        if self.message is not None:
            counts[DeliveryState.PENDING] += max(0, self.message.valid - len(self.standing))
        return MessageDelivery(
            message_id=self.message_id,
            counts=counts,
            listed=len(self.standing),
            complete=self.over and self.unfinished is None,
            unfinished=self.unfinished,
            message=self.message,
            error=self.error,
        )


class DeliveryPoller:
    """Looks at messages as each is due. Lists are read `eager`ly, or as late as will do."""

    def __init__(
        self, session: Session, message_ids: Iterable[str], *, timeout: float, eager: bool
    ) -> None:
        self._session = session
        self._api = MessagesAPI(session)
        self._eager = eager
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._timeout = timeout
        self._deadline = self._began + timeout
        self.watches = [_Followed(one, self._began) for one in dict.fromkeys(message_ids)]
        self.left = [watch for watch in self.watches if not watch.over]

    def summary(self) -> DeliverySummary:
        """Return how far everything is."""
        messages = [watch.told() for watch in self.watches]
        return DeliverySummary(
            counts={state: sum(one.counts[state] for one in messages) for state in DeliveryState},
            messages=messages,
            complete=all(one.complete for one in messages),
            requests=self._session.requests,
        )

    async def step(self) -> Sequence[DeliveryChange]:
        """Wait until a look is due, take it, and return what it has changed; all ends in time."""
        watch = min(self.left, key=lambda one: one.due)
        changes: Sequence[DeliveryChange] = ()
        with anyio.CancelScope(deadline=self._deadline) as scope:
            await asyncio.sleep(max(0.0, watch.due - self._loop.time()))
            changes = await self._look(watch)
        if scope.cancelled_caught:
            for one in self.left:
                one.end("timed out")
        self.left = [one for one in self.left if not one.over]
        return changes

    async def _look(self, watch: _Followed) -> Sequence[DeliveryChange]:
        """Look at a message, and read its list when that is due."""
        now = self._loop.time()
        is_last = now >= self._last_looks_at
        watch.due = now + self._interval(now) * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311
        if not is_last:
            watch.due = min(watch.due, self._last_looks_at)
        changes: Sequence[DeliveryChange] = ()
        try:
            message = await self._get(watch)
            if message is not None and self._is_list_due(watch, message, now, is_last=is_last):
                changes = await self._read_list(watch, message, now)
        except AuthenticationError:
            raise
        except GatewayError as error:
            watch.error = error
            return ()
        if is_last and not watch.over:
            watch.end("timed out")
        return changes

    async def _get(self, watch: _Followed) -> Message | None:
        """Return what the gateway says about a message; end it and return None if in vain."""
        try:
            message = await self._api.get(watch.message_id)
        except (NotFoundError, InvalidRequestError) as error:
            if error.status not in _NO_SUCH_ID:
                raise
            watch.error = error
            watch.end("not found")
            return None
        watch.message, watch.error = message, None
        if (why := self._why_not(message)) is not None:
            watch.end(why)
            return None
        return message

    @property
    def _last_looks_at(self) -> float:
        if self._deadline == math.inf:
            return math.inf
        kept = _LAST_SECONDS + self._bytes / _LAST_BYTES_A_SECOND
        return self._deadline - min(kept, self._timeout * _LAST_PART)

    @property
    def _bytes(self) -> int:
        """What reading all the lists that are still to be read would take."""
        known = (one.message.valid for one in self.left if one.message is not None)
        return sum(known) * _REPORT_BYTES

    def _interval(self, now: float) -> float:
        return min(max(_SHORTEST, (now - self._began) * _PART), _LONGEST)

    def _why_not(self, message: Message) -> Unfinished | None:
        """Say why waiting for this message is in vain, None when it is not."""
        if message.transaction:
            return "open"
        if not message.valid:
            return "no recipients"
        sends, made = message.options.timestamp_send, message.timestamp
        if (
            not _has_begun(message)
            and sends is not None
            # By the gateway's clock too, which need not be ours.
            and (made is None or (sends - made).total_seconds() > _DATE_SLACK)
            and sends.timestamp() - time.time() > self._deadline - self._loop.time()
        ):
            return "scheduled"
        return None

    def _is_list_due(
        self, watch: _Followed, message: Message, now: float, *, is_last: bool
    ) -> bool:
        moved = _has_begun(message) if watch.seen is None else _look_of(message) != watch.seen
        waited = math.inf if watch.listed_at is None else now - watch.listed_at
        pause = self._bytes / _BYTES_A_SECOND
        if is_last:
            return moved or not watch.trusted or waited >= pause
        if _is_settled(message):
            return not watch.settled or waited >= math.ldexp(
                pause, min(watch.short, _MOST_DOUBLINGS)
            )
        if not watch.trusted or (self._eager and moved):
            return waited >= pause
        unlisted = now - (self._began if watch.listed_at is None else watch.listed_at)
        rest = max(self._interval(now), pause) * _DOUBT
        return unlisted >= math.ldexp(rest, min(watch.agreed, _MOST_DOUBLINGS))

    async def _read_list(
        self, watch: _Followed, message: Message, now: float
    ) -> Sequence[DeliveryChange]:
        """Read a message's list, take in what has changed, and drop it."""
        before = watch.listed_at, watch.seen, watch.settled
        watch.listed_at, watch.seen = now, _look_of(message)
        watch.settled = _is_settled(message)
        try:
            reports = await self._api.recipients(watch.message_id)
        except APIError:
            # A refusal is no list: it is asked for again at the next look. One that was too long
            # or came too slowly has taken its bytes.
            watch.listed_at, watch.seen, watch.settled = before
            raise
        sieve = ListFilter(message)
        kept: list[RecipientReport] = []
        packed: list[int] = []
        for place, report in enumerate(reports):
            if place % _SLICE == 0:
                await asyncio.sleep(0)
            if sieve.accepts(report):
                kept.append(report)
                packed.append(pack(key_of(report.number), state_of(report)))
        moved = watch.standing.advance(packed)
        stood = before[1] == watch.seen
        _judge(watch, message, now, listed=sieve.listed, invalid=sieve.invalid, stood=stood)
        if not self._eager:
            return ()
        return [
            DeliveryChange(one.number, state_of(one), one) for one in map(kept.__getitem__, moved)
        ]


def _judge(
    watch: _Followed, message: Message, now: float, *, listed: int, invalid: int, stood: bool
) -> None:
    """Decide from a list just taken in whether everybody is final, and what to rely on.

    `invalid` of those `listed` are known to be, and nobody is counted twice; `stood`: the message said the same as at the list
    before.
    """
    known = len(watch.standing)
    final = sum(count for state, count in watch.standing.counts().items() if state.is_final)
    # A list may be cut off, and may hold invalid ones that cannot be told from the others. Where
    # none can be told, it is taken to leave them out.
    everything = listed >= message.valid + message.invalid
    whole = everything or (known == message.valid and invalid in {0, message.invalid})
    if whole and final == known:
        watch.end()
        return
    told = _final_by_statistics(message)
    # The list is the newer one, so it may be further on than statistics that move.
    watch.trusted = final <= told or (told > 0 and not stood)
    watch.agreed = watch.agreed + 1 if watch.trusted else 0
    if not watch.settled or listed != watch.length:
        watch.length, watch.length_since, watch.short = listed, now, 0
        return
    watch.short += 1
    has_waited = now - watch.length_since >= _SHORT_SECONDS
    if not whole and has_waited and watch.short >= _SHORT_LISTS - 1:
        watch.end("list incomplete")


def _look_of(message: Message) -> tuple[object, ...]:
    """Return what of a message moves when a recipient does."""
    statistics = message.statistics
    return (
        message.state,
        statistics.sent,
        statistics.delivered,
        statistics.error,
        message.last_update,
        message.valid,
    )


def _has_begun(message: Message) -> bool:
    return bool(message.state or message.statistics.sent or _final_by_statistics(message))


def _final_by_statistics(message: Message) -> int:
    statistics = message.statistics
    return (statistics.delivered or 0) + (statistics.error or 0)


def _is_settled(message: Message) -> bool:
    """Whether everybody is final as far as the message itself says."""
    return message.state == _ALL_DELIVERED or _final_by_statistics(message) >= message.valid


async def wait_until_final(
    session: Session,
    message_ids: str | Iterable[str],
    *,
    timeout: float,
    on_progress: Callable[[DeliverySummary], object] | None,
) -> DeliverySummary:
    """See `GatewayClient.wait_delivered`."""
    ids = [message_ids] if isinstance(message_ids, str) else list(message_ids)
    for message_id in ids:
        message_path(message_id)
    following = DeliveryPoller(session, ids, timeout=timeout, eager=False)
    while following.left:
        await following.step()
        if on_progress is not None:
            answer = on_progress(following.summary())
            if isinstance(answer, Awaitable):
                await answer
    return following.summary()


async def follow(
    session: Session, message_id: str, *, timeout: float | None
) -> AsyncIterator[DeliveryChange]:
    """See `GatewayClient.delivery`."""
    following = DeliveryPoller(
        session, [message_id], timeout=math.inf if timeout is None else timeout, eager=True
    )
    while following.left:
        for change in await following.step():
            yield change
    [watch] = following.watches
    if watch.unfinished in {None, "timed out"}:
        return
    if watch.unfinished == "not found" and watch.error is not None:
        raise watch.error
    raise GatewayError(f"message {message_id}: {_WHY_NOT[str(watch.unfinished)]}")


_WHY_NOT = {
    "open": "it is still open and sends nothing until it is closed",
    "no recipients": "it has no recipients",
    "scheduled": "it goes out on a later day, after the timeout",
    "list incomplete": "the gateway does not list all of its recipients",
}
