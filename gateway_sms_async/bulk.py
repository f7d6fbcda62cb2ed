"""A campaign: one message after another until every recipient of the source is settled.

The client enters. The messages of a campaign share one intake, so that nobody is on two of
them, and one set of permits, so that never more than `concurrency` requests are under way.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, cast

from .draft import Draft
from .errors import BulkSendError
from .intake import Intake, Source
from .receipt import Progress, Receipt
from .session import Session
from .tally import Tally, completed
from .transaction import Transaction, describe, land

__all__ = ["Campaign"]

_logger = logging.getLogger("gateway_sms_async")
_PROGRESS_EVERY = 0.25


class Campaign:
    """Runs once. `halt` may be called from outside at any time."""

    def __init__(
        self,
        session: Session,
        draft: Draft,
        source: Source,
        *,
        batch_size: int,
        concurrency: int,
        recipients_per_message: int,
        allow_missing_fields: bool,
        on_progress: Callable[[Progress], object] | None,
        total: int | None,
    ) -> None:
        self._session = session
        self._draft = draft
        self._source = source
        self._batch_size = batch_size
        self._permits = asyncio.Semaphore(concurrency)
        self._recipients_per_message = recipients_per_message
        intake = Intake(draft.placeholders, allow_missing_fields=allow_missing_fields)
        self._tally = Tally(intake, session)
        self._reporter = _Reporter(on_progress)
        self._total = total
        self._live: list[Transaction] = []
        self._feeder: asyncio.Task[None] | None = None
        self._reason: str | None = None
        self._cause: Exception | None = None
        self.done = asyncio.Event()

    async def run(self, stop: asyncio.Event | None) -> Receipt:
        """Send to everyone; raise BulkSendError with the receipt when it ends before that."""
        self._feeder = asyncio.create_task(self._feed())
        watcher = None if stop is None else asyncio.create_task(self._watch(stop))
        try:
            await asyncio.wait([self._feeder])
            self._look_at_feeder(self._feeder)
            # What is still live was fed but not finished; when halted, this only counts it.
            while self._live:
                await asyncio.wait([transaction.finish() for transaction in self._live])
        except BaseException:
            self.halt("cancelled")
            await self._land()
            raise
        finally:
            self._reporter.report(self._progress())
            if watcher is not None:
                watcher.cancel()
            try:
                await land([*self._reporter.tasks, *([watcher] if watcher else [])])
            finally:
                self.done.set()
        receipt = completed(self._tally.receipt())
        # A stop that comes when everything has gone out has stopped nothing.
        if self._source.exhausted and receipt.complete:
            return receipt
        reason = self._reason or "not everyone could be sent to"
        raise BulkSendError(
            f"the campaign ended before everyone was accepted: {reason}",
            receipt=replace(receipt, complete=False),
            reason=reason,
        ) from self._cause

    def halt(self, reason: str, cause: Exception | None = None) -> None:
        """Let nothing new leave; what is on the wire lands, and `run` ends."""
        if self._reason is None:
            self._reason, self._cause = reason, cause
        self._session.halted = True
        if self._feeder is not None:
            self._feeder.cancel()
        for transaction in self._live:
            transaction.halt()

    async def _watch(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.halt("stopped on request")

    async def _feed(self) -> None:
        # A source may swallow the cancellation that a halt sends it.
        while not self._source.exhausted and self._reason is None:
            transaction = Transaction(
                self._session,
                self._draft,
                self._tally,
                batch_size=self._batch_size,
                permits=self._permits,
                on_change=self._changed,
            )
            self._live.append(transaction)
            await transaction.feed(self._source, self._recipients_per_message)
            # Its last batch waits for its close, so it counts as under way like any other.
            await self._permits.acquire()
            transaction.finish().add_done_callback(lambda _: self._permits.release())

    def _look_at_feeder(self, feeder: asyncio.Task[None]) -> None:
        if feeder.cancelled():
            self.halt("the source of recipients was cancelled")
            return
        error = feeder.exception()
        if isinstance(error, Exception):
            self.halt(f"the source of recipients raised {type(error).__name__}", error)
        elif error is not None:
            raise error

    def _changed(self) -> None:
        """Look after the transactions, and tell whoever listens how far it is."""
        for transaction in self._live:
            if transaction.fault is not None and self._reason is None:
                self.halt(describe(transaction.fault), transaction.fault)
        self._live = [one for one in self._live if not one.counted]
        self._reporter.offer(self._progress)

    def _progress(self) -> Progress:
        return self._tally.progress(self._total, sum(one.waiting for one in self._live))

    async def _land(self) -> None:
        assert self._feeder is not None
        try:
            await land([self._feeder])
        finally:
            await land([task for transaction in self._live for task in transaction.tasks()])


class _Reporter:
    """Calls `on_progress` at most four times a second, and once more at the end.

    `tasks` are the awaitables that it returned, while they run.
    """

    def __init__(self, on_progress: Callable[[Progress], object] | None) -> None:
        self._on_progress = on_progress
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time()
        self.tasks: set[asyncio.Task[Any]] = set()

    def offer(self, progress: Callable[[], Progress]) -> None:
        """Report if it is time to, and the report before has been taken in."""
        if self._on_progress is None or self.tasks or self._loop.time() < self._due:
            return
        self._due = self._loop.time() + _PROGRESS_EVERY
        self.report(progress())

    def report(self, progress: Progress) -> None:
        """Report now."""
        if self._on_progress is None:
            return
        try:
            answer = self._on_progress(progress)
        except Exception:
            # A broken listener must not stop a campaign half way.
            _logger.exception("on_progress raised")
            return
        if inspect.isawaitable(answer):
            task = asyncio.ensure_future(cast("Coroutine[Any, Any, Any]", answer))
            self.tasks.add(task)
            task.add_done_callback(self._reported)

    def _reported(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.error("on_progress raised", exc_info=error)
