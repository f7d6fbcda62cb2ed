"""A campaign: one message after another until every recipient of the source is settled.

The messages of a campaign share one `Batcher`, so that no recipient is on two of them, and one
semaphore, so that at most `concurrency` requests are in flight. Recipients that a message leaves
unsent go to another message in the next round.

Three limits hold a batch back: a message is filled only when the filler has room for it, a batch is
sent only with one of the `_permits`, and its request leaves only with a slot of the client's rate
limiter.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from .._cancellation import GRACE_PERIOD, drain
from .._events import guarded
from .._http.session import Session
from .._journal.journal import Journal
from .._journal.schema import Settings
from .._messages.draft import Draft
from .._receipt import Progress, Receipt
from .._recipients.batches import Batch
from .._recipients.source import Source
from .._transaction.builder import MessageBuilder
from .._transaction.message import RestartMessageError
from .._transaction.results import completed, describe, unaccounted
from .._transaction.spending import Spent
from ..errors import GatewayError, JournalError, JournalHeldError, LimitReachedError
from .backlog import read_rest
from .bookkeeping import Bookkeeping
from .ending import campaign_error, may_be_closed, stays_unknown
from .filling import MessageFiller
from .limits import CampaignLimits, messages_at_once
from .outstanding import OutstandingMessages
from .progress import ProgressReporter
from .state import CampaignState

__all__ = ["ROUNDS", "Campaign"]

_logger = logging.getLogger("gateway_sms_async")

ROUNDS = 10
"""The number of rounds: recipients left unsent are given up to nine further messages."""


# Seconds to read the rest of a source without a length, if the requests in flight took all of the
# grace period.
_REST_AT_LEAST = 1.0


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
        if session.emit is not None:
            session.emit = guarded(session.emit, self._failed)
        self._draft = draft
        self._source = source
        self._settings = settings
        self._bookkeeping = Bookkeeping(journal, settings, state)
        if journal is not None:
            journal.on_held = self._held
        self._permits = asyncio.Semaphore(concurrency)
        self._reporter = ProgressReporter(on_progress, self._failed)
        self._total = total
        self._results = state.results
        self._tuning = state.tuning
        self._spending = state.spending
        self._backlog = state.backlog
        self._next_number = state.next_number
        self._outstanding = OutstandingMessages()
        self._limits = CampaignLimits(state.spending, state.tuning, self._outstanding)
        self._filler = MessageFiller(
            self._outstanding,
            self._limits,
            state.backlog,
            source,
            state.tuning,
            at_once=messages_at_once(
                settings, concurrency, rate=session.rate, realtime=draft.is_realtime
            ),
            at_limit=self._stop_at_limit,
        )
        self._set_aside: list[MessageBuilder] = []
        self._returned: list[Batch] = []
        self._left_open: list[MessageBuilder] = []
        self._replaced: list[MessageBuilder] = []
        self._feeder: asyncio.Task[None] | None = None
        self._reason: str | None = None
        self._cause: BaseException | None = None
        self._failure: BaseException | None = None
        self._latest: RestartMessageError | None = None
        self._halting = asyncio.Event()
        self._halted_at: float | None = None
        self._rounds_over = False
        self._receipt: Receipt | None = None
        self._is_finished = False
        self._left_running = False
        self.done: asyncio.Event = asyncio.Event()

    async def run(self, stop: asyncio.Event | None) -> Receipt:
        """Send to all recipients; raise BulkSendError, with the receipt, if it ends before that.

        What a listener or a progress callback raises that is no Exception stops the campaign. It is
        raised at the end, with the BulkSendError as its cause.
        """
        try:
            receipt = await self._run(stop)
        except GatewayError as error:
            if self._failure is not None:
                raise self._failure from error
            raise
        except asyncio.CancelledError:
            if self._failure is not None:
                _log_failure(self._failure)
            raise
        if self._failure is not None:
            raise self._failure
        return receipt

    async def _run(self, stop: asyncio.Event | None) -> Receipt:
        watcher = None if stop is None else asyncio.create_task(self._watch(stop))
        try:
            try:
                await self._run_rounds()
                await self._collect()
            except BaseException:
                self.halt("cancelled")
                await self._drain()
                raise
            await self._conclude()
        finally:
            try:
                self._reporter.report(self._progress())
            finally:
                await self._close(watcher)
        return self._result()

    async def _close(self, watcher: asyncio.Task[None] | None) -> None:
        """Wait for the last reports, and close the journal."""
        tasks = list(self._reporter.tasks)
        if watcher is not None:
            watcher.cancel()
            tasks.append(watcher)
        # The last report was made just now: it has a moment even if the grace period is over.
        moment = asyncio.get_running_loop().time() + GRACE_PERIOD / 5
        try:
            await drain(tasks, max(self._deadline(), moment))
        finally:
            self._reporter.close()
            try:
                # At one moment, so that the receipt and the journal say the same.
                self._renew_receipt()
            finally:
                try:
                    await self._bookkeeping.close()
                finally:
                    self.done.set()

    def halt(self, reason: str, cause: BaseException | None = None) -> None:
        """Send nothing new; requests in flight complete, and `run` ends."""
        if self._reason is None:
            self._reason, self._cause = reason, cause
        self._session.halted = True
        if self._halted_at is None:
            self._halted_at = asyncio.get_running_loop().time()
        self._halting.set()
        self._outstanding.begin_adopted()
        if self._feeder is not None:
            self._feeder.cancel()
        for builder in self._outstanding.live:
            builder.halt()

    async def publish(self) -> None:
        """Write the whole source to the journal, for others to send. Instead of `run`.

        Raises what the source raises.
        """
        batcher = self._results.batcher
        try:
            await self._backlog.keep(self._source, batcher, self._report)
            await self._bookkeeping.publish(batcher)
        finally:
            await self._bookkeeping.close()
            self.done.set()

    @property
    def spent(self) -> Spent:
        """What it has spent, or may still spend."""
        return self._spending.spent(self._tuning.orphans)

    @property
    def careful(self) -> bool:
        """Whether each message is one POST and one close, from the start or since a double."""
        return self._tuning.careful

    def be_careful(self) -> None:
        """Make each further message one POST and one close, because another shard met a double."""
        self._tuning.careful = True

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
        self._outstanding.adopt(builder)

    def _held(self, reason: str) -> None:
        """Stop because the campaign was stopped where its journal is."""
        self.halt(reason, JournalHeldError(f"{self._bookkeeping.place}: {reason}", reason=reason))

    def _failed(self, error: BaseException) -> None:
        """Stop as on request; `run` raises the error at its end."""
        if self.done.is_set():
            _log_failure(error)
        if self._failure is None:
            self._failure = error
        self.halt(f"{type(error).__name__} was raised")

    def _deadline(self) -> float:
        """Return when the grace period ends, on the loop's clock."""
        began = self._halted_at
        return (asyncio.get_running_loop().time() if began is None else began) + GRACE_PERIOD

    async def _watch(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.halt("stopped on request")

    async def _run_rounds(self) -> None:
        for _ in range(ROUNDS):
            if self._reason is None:
                self._feeder = asyncio.create_task(self._feed())
                await self._wait([self._feeder])
                if self._feeder.done():
                    self._check_feeder(self._feeder)
            # Live messages were filled but not closed. After a halt, `finish` only counts them.
            await self._finish_live()
            if self._reason is not None:
                await self._settle_adopted()
                self.halt(self._reason)
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

    async def _finish_live(self) -> None:
        while self._outstanding.live and not self._halting.is_set():
            finishing = {builder: builder.finish() for builder in self._outstanding.live}
            await self._wait(finishing.values())
            # Counted already, unless its count was interrupted.
            for builder, task in finishing.items():
                if task.done():
                    builder.count()
            self._changed()

    async def _settle_adopted(self) -> None:
        """At a limit, look at the messages of earlier runs that may be closed, and close none."""
        if self._halting.is_set():
            return
        self._session.halted = True
        self._outstanding.begin_adopted_in_doubt()
        await self._finish_live()

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
            if self._left_running:
                return
            await self._bookkeeping.publish(batcher)
        while self._outstanding.adopted and self._reason is None:
            await self._filler.fill(self._outstanding.adopted.popleft())
        # The reason is checked as well: a source may swallow the cancellation that a halt sends.
        while (self._backlog or not self._source.exhausted) and self._reason is None:
            await self._filler.fill(self.new_message())

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
            self._failed(error)

    def _stop_at_limit(self, fault: LimitReachedError) -> None:
        """Open no further message; messages whose close is within the limits are still closed."""
        if self._reason is None:
            self._reason, self._cause = describe(fault), fault
            if self._feeder is not None:
                self._feeder.cancel()
            self._outstanding.open_no_more()

    def _changed(self) -> None:
        """Handle faults and ends of messages, and report progress. Builders call it on each change."""
        outstanding = self._outstanding
        for builder in outstanding.live:
            fault = builder.fault
            if isinstance(fault, RestartMessageError):
                self._latest = fault
            elif isinstance(fault, LimitReachedError):
                self._stop_at_limit(fault)
            elif fault is not None and self._reason is None:
                self._stop_for(builder, fault)
        for builder in outstanding.live:
            if builder.counted:
                self._settle(builder)
        outstanding.live = [one for one in outstanding.live if not one.counted]
        if self._tuning.careful:
            self._bookkeeping.note_careful()
        if self._tuning.objects_understood is not None:
            self._filler.objects_known.set()
        self._report()

    def _stop_for(self, builder: MessageBuilder, fault: BaseException) -> None:
        """Stop because of a fault, unless it concerns one message of an earlier run only.

        Whether such a message is closed may never become known. It is set aside, so that all other
        recipients are sent to.
        """
        message = builder.message
        is_earlier = self._outstanding.is_earlier(builder) and not self._tuning.closed_elsewhere
        if not isinstance(fault, Exception):
            self._failed(fault)
        elif is_earlier and not builder.counted and may_be_closed(message):
            return  # what becomes of it shows at its end
        elif is_earlier and builder.counted and stays_unknown(message):
            self._set_aside.append(builder)
        else:
            self.halt(describe(fault), fault)

    def _settle(self, builder: MessageBuilder) -> None:
        """Record the cost of an ended message and collect its unsent recipients."""
        message = builder.message
        self._limits.note_ended(builder)
        self._returned.extend(builder.left_over)
        # A message that was replaced is left open, but its recipients go to another message.
        replaced = self._reason is None and isinstance(builder.fault, RestartMessageError)
        if replaced and (message.state == "left_open" or message.is_lost):
            # If it is shown closed, so may be others: it is watched as long as it is in use.
            builder.requests.outside_close.is_replaced = True
            self._replaced.append(builder)
        if message.state in {"closed", "abandoned"} or (replaced and message.state == "left_open"):
            self._bookkeeping.note_ended(message)
        elif message.state != "unknown" and not replaced:
            self._left_open.append(builder)

    def _report(self) -> None:
        self._reporter.offer(self._progress)

    def _progress(self) -> Progress:
        waiting = self._outstanding.waiting()
        left = sum(map(len, self._returned)) + len(self._backlog)
        progress = self._results.progress(self._total, waiting + left)
        # Once the campaign is ending, the remaining recipients count as unsent.
        return replace(progress, unsent=progress.unsent + left) if self._reason else progress

    async def _drain(self) -> None:
        """Give requests in flight the grace period.

        Drains the feeder first, because it may start more requests.
        """
        deadline = self._deadline()
        try:
            if self._feeder is not None:
                await drain([self._feeder], deadline)
        finally:
            if self._feeder is not None and not self._feeder.done():
                self._left_running = True
                self._backlog.stop_keeping()
            elif self._feeder is not None:
                self._check_feeder(self._feeder)
            try:
                await drain(
                    [task for one in self._outstanding.live for task in one.tasks()], deadline
                )
            finally:
                # The done callback of a task that has just ended may not have run yet.
                for builder in list(self._outstanding.live):
                    builder.count()
                self._doubt_left_open()

    def _doubt_left_open(self) -> None:
        """Count as unknown what messages hold that may have been closed after their end."""
        for builder in list(self._left_open):
            if doubted := builder.doubt():
                self._left_open.remove(builder)
                unsent = {id(batch) for batch in doubted}
                self._returned = [one for one in self._returned if id(one) not in unsent]
                message = builder.message
                self._results.doubt(message, doubted)
                self._spending.ended(message.number, builder.taken, None)

    async def _collect(self) -> None:
        """Count as unsent the recipients that were put on no message.

        Among them are those that the source can still name without being waited for.
        """
        try:
            while (batch := await self._backlog.take(self._settings.batch_size)) is not None:
                self._results.add_unsent([batch])
        except JournalError as error:
            # They are in the journal, but cannot be read from it: count them without naming them.
            self._results.add_unreadable(len(self._backlog))
            self._backlog.clear()
            self.halt(str(error), error)
        now = asyncio.get_running_loop().time()
        deadline = max((self._halted_at or now) + GRACE_PERIOD, now + _REST_AT_LEAST)
        async for batch in read_rest(self._source, self._results.batcher, deadline):
            self._results.add_unsent([batch])

    def _make_receipt(self) -> Receipt:
        # An answer may have shown just now that a message left open is closed.
        self._doubt_left_open()
        receipt = self._results.receipt(unsent=self._returned)
        receipt = completed(receipt, source_exhausted=self._source.exhausted)
        return replace(receipt, complete=False) if self._bookkeeping.unpublished else receipt

    async def _conclude(self) -> None:
        """Make the receipt, and record the end."""
        # A stop that arrives when everything has been sent changes nothing: the receipt is complete.
        receipt = self._receipt = self._make_receipt()
        at_its_end = self._reason is None or self._rounds_over
        settled = not receipt.unknown and not unaccounted(receipt)
        finished = receipt.complete or (at_its_end and settled)
        try:
            await self._bookkeeping.conclude(receipt, finished=finished)
        except JournalError as error:
            if finished:
                self._reason, self._cause, finished = str(error), error, False
        if isinstance(self._cause, JournalError) and not self._bookkeeping.published:
            # Nothing was sent, and only the file is at fault.
            raise self._cause
        self._is_finished = finished

    def _renew_receipt(self) -> None:
        """Make the receipt anew, right before the journal is closed, unless the campaign is finished.

        Until then, an answer may still show what others have done. After that, the journal could
        not hold it, and a resume would not know.
        """
        if self._is_finished:
            return
        if self._receipt is None:
            self._doubt_left_open()
        else:
            self._receipt = self._make_receipt()

    def _result(self) -> Receipt:
        """Return the receipt if the campaign is complete; otherwise raise BulkSendError with it."""
        receipt = self._receipt
        assert receipt is not None
        if receipt.complete and self._is_finished:
            return receipt
        resumable = self._bookkeeping.published and not self._is_finished
        raise campaign_error(
            receipt,
            reason=self._reason,
            cause=self._cause,
            set_aside=self._set_aside,
            journal=self._bookkeeping.place if resumable else None,
        )


def _log_failure(error: BaseException) -> None:
    """Log what a callback raised, where no caller can be told of it."""
    _logger.error("a callback raised: the campaign was stopped", exc_info=error)
