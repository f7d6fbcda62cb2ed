"""A campaign: one message after another until every recipient of the source is settled.

The messages of a campaign share one `Batcher`, so that no recipient is on two of them, and one
semaphore, so that at most `concurrency` requests are in flight. Recipients that a message leaves
unsent go to another message in the next round.

Three limits hold a batch back: a message is filled only when `_ahead` has room, a batch is sent only
with one of the `_permits`, and its request leaves only with a slot of the client's rate limiter.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from .._cancellation import GRACE_PERIOD, drain, wait_for
from .._http.session import Session
from .._journal.journal import Journal
from .._journal.schema import Settings
from .._messages.draft import Draft
from .._receipt import Progress, Receipt
from .._recipients.batches import Batch
from .._recipients.source import Source
from .._transaction.builder import MessageBuilder
from .._transaction.message import RestartMessageError
from .._transaction.results import completed, describe, shortfall
from ..errors import BulkSendError, JournalError, LimitReachedError
from .backlog import read_rest
from .bookkeeping import Bookkeeping
from .progress import ProgressReporter
from .state import CampaignState

__all__ = ["ROUNDS", "Campaign"]

ROUNDS = 10
"""The number of rounds: recipients left unsent are given up to nine further messages."""


# Recipients read from the source and not sent yet: about 25 MB.
_RECIPIENTS_AHEAD = 200_000


class Campaign:
    """Runs once. `halt` may be called from outside at any time.

    On resume, `state` holds the results of earlier runs.
    """

    def __init__(
        self,
        session: Session,
        draft: Draft,
        source: Source,
        settings: Settings,
        state: CampaignState,
        *,
        journal: Journal | None,
        concurrency: int,
        on_progress: Callable[[Progress], object] | None,
        total: int | None,
    ) -> None:
        self._session = session
        self._draft = draft
        self._source = source
        self._settings = settings
        self._bookkeeping = Bookkeeping(journal, settings, state)
        self._permits = asyncio.Semaphore(concurrency)
        self._ahead = asyncio.Semaphore(
            _messages_at_once(settings, concurrency, rate=session.rate, realtime=draft.is_realtime)
        )
        self._reporter = ProgressReporter(on_progress)
        self._total = total
        self._results = state.results
        self._tuning = state.tuning
        self._spending = state.spending
        self._backlog = state.backlog
        self._next_number = state.next_number
        self._adopted: deque[MessageBuilder] = deque()
        self._returned: list[Batch] = []
        self._live: list[MessageBuilder] = []
        self._feeder: asyncio.Task[None] | None = None
        self._reason: str | None = None
        self._cause: Exception | None = None
        self._latest: RestartMessageError | None = None
        self._halting = asyncio.Event()
        self._halted_at: float | None = None
        self._objects_known = asyncio.Event()
        self._rounds_over = False
        self.done: asyncio.Event = asyncio.Event()

    async def run(self, stop: asyncio.Event | None) -> Receipt:
        """Send to all recipients; raise BulkSendError, with the receipt, if it ends before that."""
        watcher = None if stop is None else asyncio.create_task(self._watch(stop))
        try:
            try:
                await self._run_rounds()
                await self._collect()
            except BaseException:
                self.halt("cancelled")
                await self._drain()
                raise
            return await self._conclude()
        finally:
            self._reporter.report(self._progress())
            if watcher is not None:
                watcher.cancel()
            try:
                await drain([*self._reporter.tasks, *([watcher] if watcher else [])])
            finally:
                try:
                    await self._bookkeeping.close()
                finally:
                    self.done.set()

    def halt(self, reason: str, cause: Exception | None = None) -> None:
        """Send nothing new; requests in flight complete, and `run` ends."""
        if self._reason is None:
            self._reason, self._cause = reason, cause
        self._session.halted = True
        if self._halted_at is None:
            self._halted_at = asyncio.get_running_loop().time()
        self._halting.set()
        self._live.extend(self._adopted)
        self._adopted.clear()
        if self._feeder is not None:
            self._feeder.cancel()
        for builder in self._live:
            builder.halt()

    def new_message(self, number: int | None = None) -> MessageBuilder:
        """Return a message of this campaign: the next one, or the one of an earlier run."""
        if number is None:
            number = self._next_number
            self._next_number += 1
        return MessageBuilder(
            self._session,
            self._draft,
            self._results,
            self._tuning,
            permits=self._permits,
            replaceable=True,
            on_change=self._changed,
            journal=self._bookkeeping.journal,
            number=number,
            spending=self._spending,
        )

    def adopt(self, builder: MessageBuilder) -> None:
        """Resume a message of an earlier run before anything new is sent."""
        self._adopted.append(builder)

    async def _watch(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.halt("stopped on request")

    async def _run_rounds(self) -> None:
        for _ in range(ROUNDS):
            self._feeder = asyncio.create_task(self._feed())
            await self._wait([self._feeder])
            if self._feeder.done():
                self._check_feeder(self._feeder)
            # Live messages were filled but not closed. After a halt, `finish` only counts them.
            while self._live and not self._halting.is_set():
                await self._wait([builder.finish() for builder in self._live])
            if self._reason is not None:
                await self._drain()
                return
            if not self._returned:
                return
            self._backlog.put(self._returned)
            self._returned = []
        self._rounds_over = True
        self._reason = f"after {ROUNDS} rounds some recipients are still not on a closed message"
        if self._latest is not None:
            self._reason += f"; the last time because {self._latest}"
            self._cause = self._latest

    async def _wait(self, tasks: Collection[asyncio.Task[None]]) -> None:
        """Wait until the tasks have ended, or the campaign is halted."""
        halting = asyncio.create_task(self._halting.wait())
        pending: set[asyncio.Task[Any]] = set(tasks)
        try:
            while pending and not self._halting.is_set():
                _, pending = await asyncio.wait(
                    {*pending, halting}, return_when=asyncio.FIRST_COMPLETED
                )
                pending.discard(halting)
        finally:
            halting.cancel()

    async def _feed(self) -> None:
        if self._bookkeeping.unpublished:
            batcher = self._results.batcher
            await self._backlog.keep(self._source, batcher, self._report)
            await self._bookkeeping.publish(batcher)
        while self._adopted and self._reason is None:
            await self._fill_and_finish(self._adopted.popleft())
        # The reason is checked as well: a source may swallow the cancellation that a halt sends.
        while (self._backlog or not self._source.exhausted) and self._reason is None:
            await self._fill_and_finish(self.new_message())

    async def _fill_and_finish(self, builder: MessageBuilder) -> None:
        self._live.append(builder)
        await self._ahead.acquire()
        room = await self._keep_within_limits(builder)
        while wanted := builder.wanted:
            batch = await self._backlog.take(wanted)
            if batch is None:
                break
            builder.offer(batch)
        if not self._source.exhausted:
            await builder.feed(self._source)
        if not room and builder.taken and not builder.message.assigned:
            self._stop_at_limit(self._spending.no_room(self._tuning.orphans))
        finishing = builder.finish(on_sent=self._ahead.release)
        if builder.brings_objects and self._tuning.objects_understood is None:
            # The first message with a list of objects goes alone. If the gateway does not
            # understand such lists, other messages would have to be deleted with it.
            known = asyncio.create_task(self._objects_known.wait())
            try:
                await asyncio.wait([finishing, known], return_when=asyncio.FIRST_COMPLETED)
            finally:
                known.cancel()

    async def _keep_within_limits(self, builder: MessageBuilder) -> int:
        """Bound what a message takes by the limits, and return how many more recipients fit.

        Near a limit, first wait until all messages before it have ended: what they hold may be paid
        for, and only their end shows what is left. A new message may take one recipient even if
        none fits, because only that shows whether any is left.
        """
        if not self._is_near_limit(builder):
            return builder.room
        await wait_for([one.finish() for one in self._live if one is not builder])
        room = self._spending.room(self._held(), self._tuning.orphans)
        builder.most = max(1, builder.taken + room)
        return room

    def _is_near_limit(self, builder: MessageBuilder) -> bool:
        return self._spending.is_near(builder.room, self._held(), self._tuning.orphans)

    def _held(self) -> dict[int, int]:
        """Return how many recipients each message holds that has not ended."""
        return {one.message.number: one.taken for one in (*self._live, *self._adopted)}

    def _check_feeder(self, feeder: asyncio.Task[None]) -> None:
        if feeder.cancelled():
            if self._reason is not None:
                return
            self.halt("the source of recipients was cancelled")
            return
        error = feeder.exception()
        if isinstance(error, JournalError):
            self.halt(str(error), error)
        elif isinstance(error, Exception):
            self.halt(f"the source of recipients raised {type(error).__name__}", error)
        elif error is not None:
            raise error

    def _stop_at_limit(self, fault: LimitReachedError) -> None:
        """Open no further message; messages whose close is within the limits are still closed."""
        if self._reason is None:
            self._reason, self._cause = describe(fault), fault
            if self._feeder is not None:
                self._feeder.cancel()
            for builder in self._live:
                builder.skip()

    def _changed(self) -> None:
        """Handle faults and ends of messages, and report progress. Builders call it on each change."""
        for builder in self._live:
            fault = builder.fault
            if isinstance(fault, RestartMessageError):
                self._latest = fault
            elif isinstance(fault, LimitReachedError):
                self._stop_at_limit(fault)
            elif fault is not None and self._reason is None:
                self.halt(describe(fault), fault)
        for builder in self._live:
            if builder.counted:
                self._settle(builder)
        self._live = [one for one in self._live if not one.counted]
        if self._tuning.careful:
            self._bookkeeping.note_careful()
        if self._tuning.objects_understood is not None:
            self._objects_known.set()
        self._report()

    def _settle(self, builder: MessageBuilder) -> None:
        """Record the cost of an ended message and collect its unsent recipients."""
        message = builder.message
        self._returned.extend(builder.left_over)
        if message.state == "unknown":
            # It may have been sent to all of them.
            self._spending.ended(message.number, builder.taken, None)
        else:
            sent = message.state == "closed" and message.final is not None
            valid = message.final.valid if sent and message.final is not None else 0
            self._spending.ended(message.number, valid, message.price)
        # A message that was replaced is left open, but its recipients go to another message.
        replaced = message.state == "left_open" and isinstance(builder.fault, RestartMessageError)
        if message.state in {"closed", "abandoned"} or (replaced and self._reason is None):
            self._bookkeeping.note_ended(message)

    def _report(self) -> None:
        self._reporter.offer(self._progress)

    def _progress(self) -> Progress:
        waiting = sum(one.waiting for one in self._live if not one.counted)
        left = sum(map(len, self._returned)) + len(self._backlog)
        progress = self._results.progress(self._total, waiting + left)
        # Once the campaign is ending, the remaining recipients count as unsent.
        return replace(progress, unsent=progress.unsent + left) if self._reason else progress

    async def _drain(self) -> None:
        """Give requests in flight the grace period.

        Drains the feeder first, because it may start more requests.
        """
        deadline = asyncio.get_running_loop().time() + GRACE_PERIOD
        try:
            if self._feeder is not None:
                await drain([self._feeder], deadline)
                if not self._feeder.cancelled():
                    self._feeder.exception()
        finally:
            try:
                await drain([task for one in self._live for task in one.tasks()], deadline)
            finally:
                # The done callback of a task that has just ended may not have run yet.
                for builder in list(self._live):
                    builder.count()

    async def _collect(self) -> None:
        """Count as unsent the recipients that will not be put on another message.

        Among them are those that the source can still name without being waited for.
        """
        self._results.add_unsent(self._returned)
        self._returned = []
        try:
            while (batch := await self._backlog.take(self._settings.batch_size)) is not None:
                self._results.add_unsent([batch])
        except JournalError as error:
            # They are in the journal, but cannot be read from it: count them without naming them.
            self._results.add_unreadable(len(self._backlog))
            self._backlog.clear()
            self.halt(str(error), error)
        deadline = (self._halted_at or asyncio.get_running_loop().time()) + GRACE_PERIOD
        async for batch in read_rest(self._source, self._results.batcher, deadline):
            self._results.add_unsent([batch])

    async def _conclude(self) -> Receipt:
        # A stop that arrives when everything has been sent changes nothing: the receipt is complete.
        receipt = completed(self._results.receipt(), source_exhausted=self._source.exhausted)
        if self._bookkeeping.unpublished:
            receipt = replace(receipt, complete=False)
        at_its_end = self._reason is None or self._rounds_over
        finished = receipt.complete or (at_its_end and not receipt.unknown)
        try:
            await self._bookkeeping.conclude(receipt, finished=finished)
        except JournalError as error:
            if finished:
                self._reason, self._cause, finished = str(error), error, False
        if isinstance(self._cause, JournalError) and not self._bookkeeping.published:
            # Nothing was sent, and only the file is at fault.
            raise self._cause
        if receipt.complete and finished:
            return receipt
        raise self._error(receipt, finished=finished)

    def _error(self, receipt: Receipt, *, finished: bool) -> BulkSendError:
        reason = self._reason or shortfall(receipt)
        if self._reason and receipt.doubled:
            reason += f"; {shortfall(receipt)}"
        resumable = self._bookkeeping.published and not finished
        error = BulkSendError(
            f"the campaign ended before all recipients were accepted: {reason}",
            receipt=replace(receipt, complete=False),
            reason=reason,
            resumable=resumable,
            journal=self._bookkeeping.path if resumable else None,
        )
        error.__cause__ = self._cause
        return error


def _messages_at_once(
    settings: Settings, concurrency: int, *, rate: float | None, realtime: bool
) -> int:
    """Return how many messages to fill concurrently.

    If messages were filled one at a time, the campaign would be idle while the last one closes.
    """
    limited = settings.max_cost is not None or settings.max_recipients is not None
    if limited or realtime:
        # With limits, a second message might never be closed; with realtime, not for a minute.
        return 1
    if rate is not None:
        # With a rate limit, a second message only hides the wait for the next message's id.
        return min(concurrency, 2)
    return min(concurrency, max(2, _RECIPIENTS_AHEAD // settings.recipients_per_message))
