"""Calls `on_progress`, seldom enough that it does not slow the campaign down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast

from .._receipt import Progress

__all__ = ["ProgressReporter"]

_logger = logging.getLogger("gateway_sms_async")


_PROGRESS_EVERY = 0.25


class ProgressReporter:
    """Calls `on_progress` at most four times a second, and once more at the end.

    Its exceptions are logged. What is no Exception, such as the failure of a test, is passed to
    `failed`. `tasks` are the awaitables that it returned and that still run.
    """

    def __init__(
        self,
        on_progress: Callable[[Progress], object] | None,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._on_progress = on_progress
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time()
        self.tasks: set[asyncio.Task[Any]] = set()

    def offer(self, progress: Callable[[], Progress]) -> None:
        """Report if a report is due and the previous one has been handled."""
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
            if isinstance(answer, Awaitable):
                task = asyncio.ensure_future(cast("Coroutine[Any, Any, Any]", answer))
                self.tasks.add(task)
                task.add_done_callback(self._reported)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001
            self._raised(error)

    def close(self) -> None:
        """Report nothing more."""
        self._on_progress = None

    def _reported(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._raised(error)

    def _raised(self, error: BaseException) -> None:
        # A broken callback must not stop a campaign half-way. It is called by the campaign, not
        # awaited: a CancelledError in it cancels nothing.
        if isinstance(error, Exception | asyncio.CancelledError):
            _logger.error("on_progress raised", exc_info=error)
        else:
            self._failed(error)
