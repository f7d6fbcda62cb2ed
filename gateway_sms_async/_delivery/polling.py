"""Polls messages until all their recipients are final, one request at a time.

A message is about 1 kB and is polled often. Its list of recipients is about 1 kB per recipient and
is read only when it is likely to have changed.
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

# A message is polled again after a quarter of the time since polling began, within these bounds.
_MIN_INTERVAL, _MAX_INTERVAL = 1.0, 60.0
_INTERVAL_SHARE = 0.25
_JITTER = 0.1

# All lists together may use this bandwidth, so long lists are read rarely.
_REPORT_BYTES = 1000
_BYTES_PER_SECOND = 100_000

# Lists are also read when the statistics have not changed, in case the statistics are stuck: after
# four times the pause, then twice as long each time the list confirmed the statistics.
_CHECK_FACTOR = 4.0
_MAX_DOUBLINGS = 6

# The time reserved for the last lists before the timeout: seconds, share of the timeout, bandwidth.
_LAST_SECONDS, _LAST_SHARE, _LAST_BYTES_PER_SECOND = 2.0, 0.1, 5_000_000

# A list that is too short this many times, over this many seconds, will not grow any more.
_SHORT_LISTS, _SHORT_SECONDS = 3, 120.0

_SLICE = 500
_DATE_SLACK = 60.0
_NO_SUCH_ID = {404, 406}
_ALL_FINAL = 2


@dataclass(slots=True)
class _Followed:
    """One message and the state of its polling; times are on the loop's clock.

    `snapshot`, `listed_at` and `listed_settled` are about the last list: the message's snapshot,
    the time of reading, and whether all recipients were final.
    """

    message_id: str
    due: float
    states: RecipientStates = field(default_factory=RecipientStates)
    message: Message | None = None
    error: GatewayError | None = None
    ended: bool = False
    unfinished: Unfinished | None = None

    listed_at: float | None = None
    snapshot: tuple[object, ...] | None = None
    listed_settled: bool = False

    # Whether the statistics kept up with the last list, and how many lists in a row confirmed that.
    statistics_trusted: bool = True
    confirmations: int = 0

    # The length of the last list, how long it has had this length, and how often in a row.
    list_length: int = -1
    list_length_since: float = 0.0
    unchanged_lists: int = 0

    def end(self, unfinished: Unfinished | None = None) -> None:
        """Stop polling the message."""
        self.ended = True
        self.unfinished = unfinished

    def summary(self) -> MessageDelivery:
        """Return the delivery of the message so far."""
        counts = self.states.counts()
        if self.message is not None:
            counts[DeliveryState.PENDING] += max(0, self.message.valid - len(self.states))
        return MessageDelivery(
            message_id=self.message_id,
            counts=counts,
            listed=len(self.states),
            complete=self.ended and self.unfinished is None,
            unfinished=self.unfinished,
            message=self.message,
            error=self.error,
        )

    def has_changed(self, message: Message) -> bool:
        """Whether the message has changed since the last list."""
        if self.snapshot is None:
            return _has_begun(message)
        return _snapshot(message) != self.snapshot

    def judge(
        self, message: Message, now: float, *, listed: int, invalid: int, changed: bool
    ) -> None:
        """Decide, after a list, whether the message is complete and which figures to trust.

        `invalid` of the `listed` entries are known to be invalid, and no recipient is counted
        twice. `changed`: the message has changed since the previous list.
        """
        known = len(self.states)
        final = sum(count for state, count in self.states.counts().items() if state.is_final)
        whole = _is_whole(message, known=known, listed=listed, invalid=invalid)
        if whole and final == known:
            self.end()
            return
        self._judge_statistics(message, final, changed=changed)
        self._judge_length(now, listed, whole=whole)

    def _judge_statistics(self, message: Message, final: int, *, changed: bool) -> None:
        """Trust the statistics unless the list had final recipients that they do not count yet.

        The list is read after the message, so it may be ahead of statistics that still advance.
        """
        counted = _count_final(message)
        self.statistics_trusted = final <= counted or (counted > 0 and changed)
        self.confirmations = self.confirmations + 1 if self.statistics_trusted else 0

    def _judge_length(self, now: float, listed: int, *, whole: bool) -> None:
        """End a message whose list stays too short, although the message counts all as final."""
        if not self.listed_settled or listed != self.list_length:
            self.list_length, self.list_length_since, self.unchanged_lists = listed, now, 0
            return
        self.unchanged_lists += 1
        has_waited = now - self.list_length_since >= _SHORT_SECONDS
        if not whole and has_waited and self.unchanged_lists >= _SHORT_LISTS - 1:
            self.end("list incomplete")


def _is_whole(message: Message, *, known: int, listed: int, invalid: int) -> bool:
    """Whether a list had all valid recipients of a message.

    The list may be truncated, and may contain invalid recipients that look like the others. If no
    entry can be recognized as invalid, the list is assumed to leave the invalid ones out.
    """
    if listed >= message.valid + message.invalid:
        return True
    return known == message.valid and invalid in {0, message.invalid}


class DeliveryPoller:
    """Polls each message when it is due.

    With `eager`, lists are read whenever a message has changed; otherwise mostly at the end.
    """

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
        self.followed = [_Followed(one, self._began) for one in dict.fromkeys(message_ids)]
        self.active = list(self.followed)

    def summary(self) -> DeliverySummary:
        """Return the delivery of all messages so far."""
        messages = [one.summary() for one in self.followed]
        return DeliverySummary(
            counts={state: sum(one.counts[state] for one in messages) for state in DeliveryState},
            messages=messages,
            complete=all(one.complete for one in messages),
            requests=self._session.requests,
        )

    async def step(self) -> Sequence[DeliveryChange]:
        """Wait until a message is due, poll it, and return the changes.

        At the deadline, all messages that are still active end as timed out.
        """
        followed = min(self.active, key=lambda one: one.due)
        changes: Sequence[DeliveryChange] = ()
        with anyio.CancelScope(deadline=self._deadline) as scope:
            await asyncio.sleep(max(0.0, followed.due - self._loop.time()))
            changes = await self._poll(followed)
        if scope.cancelled_caught:
            for one in self.active:
                one.end("timed out")
        self.active = [one for one in self.active if not one.ended]
        return changes

    async def _poll(self, followed: _Followed) -> Sequence[DeliveryChange]:
        """Read a message, and its list if that is due."""
        now = self._loop.time()
        is_last = now >= self._last_polls_at
        jitter = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311
        followed.due = now + self._interval(now) * jitter
        if not is_last:
            followed.due = min(followed.due, self._last_polls_at)
        changes: Sequence[DeliveryChange] = ()
        try:
            message = await self._get(followed)
            if message is not None and self._is_list_due(followed, message, now, is_last=is_last):
                changes = await self._read_list(followed, message, now)
        except AuthenticationError:
            raise
        except GatewayError as error:
            followed.error = error
            return ()
        if is_last and not followed.ended:
            followed.end("timed out")
        return changes

    async def _get(self, followed: _Followed) -> Message | None:
        """Read a message. Returns None, and ends it, if waiting for it is pointless."""
        try:
            message = await self._api.get(followed.message_id)
        except (NotFoundError, InvalidRequestError) as error:
            if error.status not in _NO_SUCH_ID:
                raise
            followed.error = error
            followed.end("not found")
            return None
        followed.message, followed.error = message, None
        if (reason := self._why_unfinished(message)) is not None:
            followed.end(reason)
            return None
        return message

    @property
    def _last_polls_at(self) -> float:
        if self._deadline == math.inf:
            return math.inf
        reserved = _LAST_SECONDS + self._bytes / _LAST_BYTES_PER_SECOND
        return self._deadline - min(reserved, self._timeout * _LAST_SHARE)

    @property
    def _bytes(self) -> int:
        """The size of the lists of all active messages."""
        known = (one.message.valid for one in self.active if one.message is not None)
        return sum(known) * _REPORT_BYTES

    def _interval(self, now: float) -> float:
        return min(max(_MIN_INTERVAL, (now - self._began) * _INTERVAL_SHARE), _MAX_INTERVAL)

    def _why_unfinished(self, message: Message) -> Unfinished | None:
        """Return why waiting for this message is pointless, None if it is not."""
        if message.transaction:
            return "open"
        if not message.valid:
            return "no recipients"
        send_at, created_at = message.options.timestamp_send, message.timestamp
        if (
            not _has_begun(message)
            and send_at is not None
            # Compared with the gateway's clock too, which may differ from ours.
            and (created_at is None or (send_at - created_at).total_seconds() > _DATE_SLACK)
            and send_at.timestamp() - time.time() > self._deadline - self._loop.time()
        ):
            return "scheduled"
        return None

    def _is_list_due(
        self, followed: _Followed, message: Message, now: float, *, is_last: bool
    ) -> bool:
        """Decide whether to read the list of a message that was just read."""
        changed = followed.has_changed(message)
        pause = self._bytes / _BYTES_PER_SECOND
        since_list = math.inf if followed.listed_at is None else now - followed.listed_at
        if is_last:
            # Skip the last list only if nothing suggests that it differs from a recent one.
            return changed or not followed.statistics_trusted or since_list >= pause
        if _is_settled(message):
            # This list should complete the message. If it did not, it may still grow: read it
            # again, less often each time.
            doublings = min(followed.unchanged_lists, _MAX_DOUBLINGS)
            return not followed.listed_settled or since_list >= math.ldexp(pause, doublings)
        if not followed.statistics_trusted or (self._eager and changed):
            return since_list >= pause
        # Nothing suggests that the list has changed. Read it rarely, in case the statistics are
        # stuck; before the first list, the wait counts from the start of polling.
        waited = now - (self._began if followed.listed_at is None else followed.listed_at)
        longest_pause = max(self._interval(now), pause) * _CHECK_FACTOR
        return waited >= math.ldexp(longest_pause, min(followed.confirmations, _MAX_DOUBLINGS))

    async def _read_list(
        self, followed: _Followed, message: Message, now: float
    ) -> Sequence[DeliveryChange]:
        """Read the list of a message, apply it, and return the changes; the list is not kept."""
        before = followed.listed_at, followed.snapshot, followed.listed_settled
        followed.listed_at, followed.snapshot = now, _snapshot(message)
        followed.listed_settled = _is_settled(message)
        try:
            reports = await self._api.recipients(followed.message_id)
        except APIError:
            # A refusal costs nothing: request the list again at the next poll. After other errors
            # (too long, too slow) the pause applies, because the bytes were transferred.
            followed.listed_at, followed.snapshot, followed.listed_settled = before
            raise
        entries = ListFilter(message)
        accepted: list[RecipientReport] = []
        packed: list[int] = []
        for index, report in enumerate(reports):
            if index % _SLICE == 0:
                await asyncio.sleep(0)
            if entries.accepts(report):
                accepted.append(report)
                packed.append(pack(key_of(report.number), state_of(report)))
        advanced = followed.states.advance(packed)
        changed = before[1] != followed.snapshot
        followed.judge(
            message, now, listed=entries.listed, invalid=entries.invalid, changed=changed
        )
        if not self._eager:
            return ()
        return [
            DeliveryChange(one.number, state_of(one), one)
            for one in map(accepted.__getitem__, advanced)
        ]


def _snapshot(message: Message) -> tuple[object, ...]:
    """Return the parts of a message that change when the state of a recipient does."""
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
    return bool(message.state or message.statistics.sent or _count_final(message))


def _count_final(message: Message) -> int:
    statistics = message.statistics
    return (statistics.delivered or 0) + (statistics.error or 0)


def _is_settled(message: Message) -> bool:
    """Whether all recipients are final according to the message itself."""
    return message.state == _ALL_FINAL or _count_final(message) >= message.valid


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
    poller = DeliveryPoller(session, ids, timeout=timeout, eager=False)
    while poller.active:
        await poller.step()
        if on_progress is not None:
            result = on_progress(poller.summary())
            if isinstance(result, Awaitable):
                await result
    return poller.summary()


async def follow(
    session: Session, message_id: str, *, timeout: float | None
) -> AsyncIterator[DeliveryChange]:
    """See `GatewayClient.delivery`."""
    poller = DeliveryPoller(
        session, [message_id], timeout=math.inf if timeout is None else timeout, eager=True
    )
    while poller.active:
        for change in await poller.step():
            yield change
    [followed] = poller.followed
    if followed.unfinished in {None, "timed out"}:
        return
    if followed.unfinished == "not found" and followed.error is not None:
        raise followed.error
    raise GatewayError(f"message {message_id}: {_REASONS[str(followed.unfinished)]}")


_REASONS = {
    "open": "it is still open and sends nothing until it is closed",
    "no recipients": "it has no recipients",
    "scheduled": "it goes out on a later day, after the timeout",
    "list incomplete": "the gateway does not list all of its recipients",
}
