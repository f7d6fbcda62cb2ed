"""A campaign: one message after another until every recipient of the source is settled.

The client enters. The messages of a campaign share one intake, so that nobody is on two of
them, and one set of permits, so that never more than `concurrency` requests are under way. Those
whom a message leaves unsent go to another one, in the next round.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import replace
from decimal import Decimal
from typing import Any

from .._cancellation import GRACE_PERIOD, drain
from .._http.session import Session
from .._journal.journal import Journal
from .._journal.records import Ended, RunSummary
from .._journal.schema import Settings
from .._messages.draft import Draft
from .._receipt import Progress, Receipt, RecipientOutcome
from .._recipients.batches import Batch, Batcher
from .._recipients.source import Source
from .._transaction.builder import MessageBuilder
from .._transaction.message import RestartMessageError
from .._transaction.results import Results, completed, describe, group_by_outcome, shortfall
from .._transaction.spending import SpendingLimit
from .._transaction.tuning import Tuning
from ..errors import BulkSendError, JournalError, LimitReachedError
from .backlog import Backlog
from .bookkeeping import _finished, _ordinals
from .progress import ProgressReporter

__all__ = ["ROUNDS", "Campaign"]

ROUNDS = 10
"""How often those left unsent are given another message."""


# About 25 MB of people who are taken and wait to be sent.
_PEOPLE_AHEAD = 200_000


class Campaign:
    """Runs once. `halt` may be called from outside at any time.

    What `results`, `tuning`, `spending` and `backlog` hold at the start is what an earlier run of
    the campaign has left.
    """

    def __init__(
        self,
        session: Session,
        draft: Draft,
        source: Source,
        batcher: Batcher,
        settings: Settings,
        *,
        journal: Journal | None = None,
        results: Results | None = None,
        concurrency: int,
        on_progress: Callable[[Progress], object] | None,
        total: int | None = None,
    ) -> None:
        self._session = session
        self._draft = draft
        self._source = source
        self._batcher = batcher
        self._settings = settings
        self._journal = journal
        self._permits = asyncio.Semaphore(concurrency)
        self._ahead = asyncio.Semaphore(
            _messages_at_once(settings, concurrency, rate=session.rate, realtime=draft.is_realtime)
        )
        self._reporter = ProgressReporter(on_progress)
        self._total = total
        self.results: Results = results or Results(batcher, session)
        self.tuning: Tuning = Tuning(
            batch_size=settings.batch_size,
            per_message=settings.recipients_per_message,
            careful=settings.careful,
            verify_always=settings.verify_always,
        )
        self.spending: SpendingLimit = SpendingLimit(
            max_recipients=settings.max_recipients,
            max_cost=None if settings.max_cost is None else Decimal(settings.max_cost),
        )
        self.backlog: Backlog = Backlog(journal)
        self.next_number: int = 0
        self._adopted: deque[MessageBuilder] = deque()
        self._returned: list[Batch] = []
        self._live: list[MessageBuilder] = []
        self._feeder: asyncio.Task[None] | None = None
        self._reason: str | None = None
        self._cause: Exception | None = None
        self._latest: RestartMessageError | None = None
        self._halting = asyncio.Event()
        self._objects_known = asyncio.Event()
        self._rounds_over = False
        self._is_went = False
        self._is_careful = settings.careful
        self.done: asyncio.Event = asyncio.Event()

    async def run(self, stop: asyncio.Event | None) -> Receipt:
        """Send to everyone; raise BulkSendError with the receipt when it ends before that."""
        watcher = None if stop is None else asyncio.create_task(self._watch(stop))
        try:
            try:
                await self._run_rounds()
                await self._collect()
            except BaseException:
                self.halt("cancelled")
                await self._land()
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
                    await self._close_journal()
                finally:
                    self.done.set()

    def halt(self, reason: str, cause: Exception | None = None) -> None:
        """Let nothing new leave; what is on the wire lands, and `run` ends."""
        if self._reason is None:
            self._reason, self._cause = reason, cause
        self._session.halted = True
        self._halting.set()
        self._live.extend(self._adopted)
        self._adopted.clear()
        if self._feeder is not None:
            self._feeder.cancel()
        for builder in self._live:
            builder.halt()

    def new_message(self, number: int | None = None) -> MessageBuilder:
        """Return a message of this campaign, the next one unless it has a number already."""
        if number is None:
            number = self.next_number
            self.next_number += 1
        return MessageBuilder(
            self._session,
            self._draft,
            self.results,
            self.tuning,
            permits=self._permits,
            replaceable=True,
            on_change=self._changed,
            journal=self._journal,
            number=number,
            spending=self.spending,
        )

    def adopt(self, builder: MessageBuilder) -> None:
        """Go on with a message of an earlier run before anything new."""
        self._adopted.append(builder)

    # Inside

    async def _watch(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.halt("stopped on request")

    async def _run_rounds(self) -> None:
        for _ in range(ROUNDS):
            self._feeder = asyncio.create_task(self._feed())
            await self._wait([self._feeder])
            if self._feeder.done():
                self._look_at_feeder(self._feeder)
            # What is still live was fed but not finished; when halted, this only counts it.
            while self._live and not self._halting.is_set():
                await self._wait([builder.finish() for builder in self._live])
            if self._reason is not None:
                await self._land()
                return
            if not self._returned:
                return
            self.backlog.put(self._returned)
            self._returned = []
        self._rounds_over = True
        self._reason = f"after {ROUNDS} rounds some recipients are still on no closed message"
        if self._latest is not None:
            self._reason += f"; the last time because {self._latest}"
            self._cause = self._latest

    async def _wait(self, tasks: Collection[asyncio.Task[None]]) -> None:
        """Wait until the tasks have ended, or the campaign is to halt."""
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
        if self._journal is not None and not self._journal.published:
            await self.backlog.keep(self._source, self._batcher, self._tell)
            await self._journal.publish(self._settings, self._batcher)
        while self._adopted and self._reason is None:
            await self._fill_and_finish(self._adopted.popleft())
        # A source may swallow the cancellation that a halt sends it.
        while (self.backlog or not self._source.exhausted) and self._reason is None:
            await self._fill_and_finish(self.new_message())

    async def _fill_and_finish(self, builder: MessageBuilder) -> None:
        self._live.append(builder)
        await self._ahead.acquire()
        while wanted := builder.wanted:
            batch = await self.backlog.take(wanted)
            if batch is None:
                break
            builder.offer(batch)
        if not self._source.exhausted:
            await builder.feed(self._source)
        finishing = builder.finish(on_sent=self._ahead.release)
        if builder.brings_objects and self.tuning.objects_understood is None:
            # The first objects go alone: others would only be deleted with them.
            known = asyncio.create_task(self._objects_known.wait())
            try:
                await asyncio.wait([finishing, known], return_when=asyncio.FIRST_COMPLETED)
            finally:
                known.cancel()

    def _look_at_feeder(self, feeder: asyncio.Task[None]) -> None:
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
        """Begin nothing new; messages whose close is within the limits are closed all the same."""
        if self._reason is None:
            self._reason, self._cause = describe(fault), fault
            if self._feeder is not None:
                self._feeder.cancel()
            for builder in self._live:
                builder.skip()

    def _changed(self) -> None:
        """Look after the builders, and tell whoever listens how far it is."""
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
        if self.tuning.careful and not self._is_careful and self._published:
            assert self._journal is not None
            self._is_careful = True
            self._journal.note(self._went())
        if self.tuning.objects_understood is not None:
            self._objects_known.set()
        self._tell()

    def _settle(self, builder: MessageBuilder) -> None:
        """Take over what a message has come to, and those whom it has left over."""
        message = builder.message
        self._returned.extend(builder.left_over)
        sent = message.state == "closed" and message.final is not None
        valid = message.final.valid if sent and message.final is not None else 0
        self.spending.ended(message.number, valid, message.price)
        # Left open, but given up: its people go to another message.
        replaced = message.state == "left_open" and isinstance(builder.fault, RestartMessageError)
        at_its_end = message.state in {"closed", "abandoned"} or (replaced and self._reason is None)
        if self._journal is None or message.message_id is None or not at_its_end:
            return
        parted = group_by_outcome(message.outcomes_on_message())
        self._journal.note(
            Ended(
                message.number,
                message.state,
                message.message_id,
                None if message.price is None else str(message.price),
                invalid=_ordinals(parted[RecipientOutcome.INVALID]),
                doubled=_ordinals(parted[RecipientOutcome.DOUBLED]),
                unknown=_ordinals(parted[RecipientOutcome.UNKNOWN]),
                unsent=_ordinals(parted[RecipientOutcome.UNSENT]),
                accepted=sum(map(len, parted[RecipientOutcome.ACCEPTED])),
            )
        )

    def _tell(self) -> None:
        self._reporter.offer(self._progress)

    def _progress(self) -> Progress:
        waiting = sum(one.waiting for one in self._live if not one.counted)
        left = sum(map(len, self._returned)) + len(self.backlog)
        progress = self.results.progress(self._total, waiting + left)
        # Once nothing leaves any more, those who are left are unsent.
        return replace(progress, unsent=progress.unsent + left) if self._reason else progress

    async def _land(self) -> None:
        """Give all that is under way its time, the feeder first: it may have more of them."""
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
                # What ended just now may not have come to it yet.
                for builder in list(self._live):
                    builder.count()

    async def _collect(self) -> None:
        """Count those who are given no message any more as unsent."""
        self.results.add_unsent(self._returned)
        self._returned = []
        try:
            while (batch := await self.backlog.take(self._settings.batch_size)) is not None:
                self.results.add_unsent([batch])
        except JournalError as error:
            # They are in the journal, but cannot be read from it: counted, and not named.
            self.results.add_unreadable(len(self.backlog))
            self.backlog.clear()
            self.halt(str(error), error)

    async def _conclude(self) -> Receipt:
        receipt = completed(self.results.receipt())
        # A stop that comes when everything has gone out has stopped nothing.
        unkept = self._journal is not None and not self._published
        if unkept or not self._source.exhausted:
            receipt = replace(receipt, complete=False)
        at_its_end = self._reason is None or self._rounds_over
        finished = receipt.complete or (at_its_end and not receipt.unknown)
        if self._journal is not None and self._journal.published:
            self._note_went()
            try:
                if finished:
                    await self._journal.intend(_finished(receipt))
                else:
                    await self._journal.flush()
            except JournalError as error:
                if finished:
                    self._reason, self._cause, finished = str(error), error, False
        if isinstance(self._cause, JournalError) and not self._published:
            # Nothing was sent: what is wrong is the file alone.
            raise self._cause
        if receipt.complete and (finished or self._journal is None):
            return receipt
        raise self._error(receipt, finished=finished)

    def _error(self, receipt: Receipt, *, finished: bool) -> BulkSendError:
        reason = self._reason or shortfall(receipt)
        if self._reason and receipt.doubled:
            reason += f"; {shortfall(receipt)}"
        resumable = self._published and not finished
        error = BulkSendError(
            f"the campaign ended before everyone was accepted: {reason}",
            receipt=replace(receipt, complete=False),
            reason=reason,
            resumable=resumable,
            journal=self._journal.path if self._journal is not None and resumable else None,
        )
        error.__cause__ = self._cause
        return error

    @property
    def _published(self) -> bool:
        return self._journal is not None and self._journal.published

    def _went(self) -> RunSummary:
        tuning = self.tuning
        return RunSummary(
            self.results.requests,
            self.results.retries,
            self.results.elapsed,
            tuning.batch_size,
            tuning.per_message,
            tuning.careful,
            tuning.objects_understood,
            tuning.lists_hold_invalid,
            str(self.spending.wasted(self.tuning.orphans)),
        )

    def _note_went(self) -> None:
        if self._published and not self._is_went:
            assert self._journal is not None
            self._is_went = True
            self._journal.note(self._went())

    async def _close_journal(self) -> None:
        if self._journal is not None:
            self._note_went()
            await self._journal.close()


def _messages_at_once(
    settings: Settings, concurrency: int, *, rate: float | None, realtime: bool
) -> int:
    """Return how many messages are filled side by side: they then come to their ends together.

    One after another, the last one's end would be waited for with nothing else to do.
    """
    limited = settings.max_cost is not None or settings.max_recipients is not None
    if limited or realtime:
        # Nobody is put on a message that may not be closed, or not for long.
        return 1
    if rate is not None:
        # It is the rate that takes the time: only the wait for the next message's id is saved.
        return min(concurrency, 2)
    return min(concurrency, max(2, _PEOPLE_AHEAD // settings.recipients_per_message))
