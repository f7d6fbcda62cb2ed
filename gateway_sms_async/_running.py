"""A campaign as the command line runs it: its progress is shown, and signals stop it.

The commands on campaigns and on deliveries enter. Progress and remarks go to stderr.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress as Bar, TextColumn

from ._console import (
    FAILED,
    INTERRUPTED,
    RESUMABLE,
    SOME_INVALID,
    UNKNOWN,
    duration,
    print_receipt,
    say,
    summarize,
)
from .client import GatewayClient
from .errors import BulkSendError
from .receipt import Progress, Receipt

__all__ = ["Campaign", "heeding", "progress_shown", "reading_shown"]

_LINE_EVERY = 5.0


@contextmanager
def progress_shown(total: int | None) -> Generator[Callable[[Progress], None]]:
    """Hand out what takes reports of progress: a bar on a terminal, else a line now and then."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines().report
        return
    columns = (
        TextColumn("Sending"),
        BarColumn(bar_width=None),
        TextColumn("{task.completed:,} of {task.total:,} · {task.fields[pace]}"),
    )
    with Bar(*columns, console=console) as bar:
        task = bar.add_task("", total=total, pace="")
        yield lambda progress: bar.update(
            task, total=progress.total, completed=_done(progress), pace=_pace(progress)
        )


class _Lines:
    """Says how far it is every few seconds: not at every step, and not never."""

    def __init__(self) -> None:
        self._due = time.monotonic() + _LINE_EVERY

    def report(self, progress: Progress) -> None:
        at_end = progress.eta == 0.0 and not (progress.unsent or progress.unknown)
        if at_end or time.monotonic() >= self._due:
            self._due = time.monotonic() + _LINE_EVERY
            say(f"{_done(progress):,} of {progress.total or 0:,} recipients · {_pace(progress)}")


@contextmanager
def reading_shown(what: str, total: int | None = None) -> Generator[Callable[[int], None]]:
    """Hand out what takes the number of rows read so far, and shows it if that takes long."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _RowLines(what).report
        return
    columns = (
        TextColumn(what),
        BarColumn(bar_width=None),
        TextColumn("{task.completed:,} rows"),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda rows: bar.update(task, completed=rows)


class _RowLines:
    """Says how many rows were read every few seconds."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._due = time.monotonic() + _LINE_EVERY

    def report(self, rows: int) -> None:
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + _LINE_EVERY
            say(f"{self._what} {rows:,} rows")


def _done(progress: Progress) -> int:
    # Not what was read, which runs ahead, nor what is accepted, which waits for a close.
    return round(progress.rate * progress.elapsed)


def _pace(progress: Progress) -> str:
    if progress.eta is None:
        return ""
    return f"{progress.rate:,.0f} a second · {duration(progress.eta)} left"


Send = Callable[
    [GatewayClient, Callable[[Progress], None], asyncio.Event], Coroutine[Any, Any, Receipt]
]
"""Starts a campaign that reports its progress and can be stopped."""


class Campaign:
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
                with heeding(partial(self._heed, sending)):
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


@contextmanager
def heeding(heed: Callable[[int], None]) -> Generator[None]:
    """Pass SIGINT and SIGTERM on, where the system and the thread have them."""
    numbers: tuple[signal.Signals, ...] = ()
    if sys.platform != "win32" and threading.current_thread() is threading.main_thread():
        numbers = (signal.SIGINT, signal.SIGTERM)
    loop = asyncio.get_running_loop()
    for number in numbers:
        loop.add_signal_handler(number, heed, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
