"""A campaign as the command line runs it: its progress is shown, and signals stop it.

The commands on campaigns and on deliveries enter. Progress and remarks go to stderr.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from .._client import GatewayClient
from .._receipt import Progress, Receipt
from ..errors import BulkSendError
from .app import FAILED, INTERRUPTED, RESUMABLE, SOME_INVALID, UNKNOWN, signal_handlers
from .terminal.console import say
from .terminal.progress import progress_shown
from .terminal.receipt import print_receipt, summarize

__all__ = ["CampaignRun"]

Send = Callable[
    [GatewayClient, Callable[[Progress], None], asyncio.Event], Coroutine[Any, Any, Receipt]
]
"""Starts a campaign that reports its progress and can be stopped."""


class CampaignRun:
    """A campaign that heeds signals: the first one stops it, the second one breaks it off."""

    def __init__(self, send: Send, *, total: int | None, journal: str | None) -> None:
        self.receipt: Receipt | None = None
        self._send = send
        self._total = total
        self._journal = journal
        self._failure: BulkSendError | None = None
        self._signal: int | None = None
        self._progress = Progress()
        self._stop = asyncio.Event()

    async def run(self, client: AbstractAsyncContextManager[GatewayClient]) -> None:
        """Send; what came of it is kept."""
        async with client as gateway:
            with progress_shown(self._total) as show:

                def report(progress: Progress) -> None:
                    self._progress = progress
                    show(progress)

                sending = asyncio.create_task(self._send(gateway, report, self._stop))
                with signal_handlers(partial(self._heed, sending)):
                    await asyncio.wait([sending])
        try:
            self.receipt = sending.result()
        except BulkSendError as error:
            self.receipt, self._failure = error.receipt, error
        except asyncio.CancelledError:
            pass

    def _heed(self, sending: asyncio.Task[Receipt], number: int) -> None:
        if self._signal is None:
            self._signal = number
            self._stop.set()
            say("Stopping: nothing new leaves; what is under way lands. Once more to break off.")
        else:
            sending.cancel()

    def conclude(self) -> int:
        """Print the receipt, say what to do next, and return the exit code."""
        interrupted = 0 if self._signal is None else INTERRUPTED + self._signal
        if self.receipt is None:
            last = self._progress
            say(
                f"Broken off after {last.read:,} recipients, {last.accepted:,} of them accepted. "
                "There is no receipt; see which messages there are: gateway-sms list"
            )
            self._say_how_to_go_on()
            return UNKNOWN if last.unknown else interrupted
        print_receipt(self.receipt)
        failure = self._failure
        if failure is not None and not interrupted:
            say(f"Stopped: {failure.reason}")
        resumable = failure is not None and failure.resumable
        summarize(self.receipt, resumable=resumable)
        unread = (self._total or self.receipt.total) - self.receipt.total
        if unread:
            say(f"{unread:,} rows at the end of the list were not read.")
        if resumable:
            self._say_how_to_go_on()
        elif failure is not None and self.receipt.accepted:
            say(
                "Do not send the same list again, some of it has gone out: --unsent FILE writes those "
                "who are left."
            )
        if self.receipt.unknown or self.receipt.doubled:
            return UNKNOWN
        if failure is not None:
            return interrupted or (RESUMABLE if failure.resumable else FAILED)
        return SOME_INVALID if self.receipt.invalid else 0

    def _say_how_to_go_on(self) -> None:
        if self._journal is not None:
            say(
                f"To go on where it stopped: gateway-sms resume {self._journal} (do not send the list "
                "again)"
            )
