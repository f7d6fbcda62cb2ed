"""SIGINT, SIGTERM and SIGHUP: what a command does when one arrives.

SIGTERM and SIGHUP end a command as Ctrl-C does: its tasks are cancelled and its temporary files are
removed. A campaign handles all three. A signal that is ignored stays so, as SIGHUP under nohup.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Never

_Handler = Callable[[int, FrameType | None], object]


class EndedBySignalError(KeyboardInterrupt):
    """Raised in the main thread to end a campaign's command at once."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.number = number


def raise_ended(number: int) -> Never:
    """Raise the error for a signal."""
    raise EndedBySignalError(number)


class CtrlC:
    """The signal that ended a command: `number` is that of Ctrl-C, unless it was another one."""

    def __init__(self) -> None:
        self.number: int = signal.SIGINT

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Do what Ctrl-C does now: while an event loop runs, it cancels the main task."""
        self.number = number
        handler = signal.getsignal(signal.SIGINT)
        if not callable(handler):
            raise KeyboardInterrupt
        handler(signal.SIGINT, frame)


@contextmanager
def all_as_ctrl_c() -> Generator[CtrlC]:
    """Treat SIGTERM and SIGHUP as Ctrl-C."""
    ended = CtrlC()
    with _handlers({one: ended.handle for one in _handled() if one is not signal.SIGINT}):
        yield ended


@contextmanager
def on_signal(handler: Callable[[int], None]) -> Generator[None]:
    """Call `handler` in the middle of what runs when a signal arrives; it may raise."""

    def handle(number: int, _: FrameType | None) -> None:
        handler(number)

    with _handlers(dict.fromkeys(_handled(), handle)):
        yield


@contextmanager
def _handlers(handlers: Mapping[signal.Signals, _Handler]) -> Generator[None]:
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, previous in before.items():
            # None: it was not set by Python, so it cannot be set again.
            if previous is not None:
                signal.signal(number, previous)


@contextmanager
def on_signal_in_loop(handler: Callable[[int], None]) -> Generator[None]:
    """Call `handler` from the event loop when a signal arrives, where the system supports it."""
    numbers = [] if sys.platform == "win32" else _handled()
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in numbers}
    for number in numbers:
        loop.add_signal_handler(number, handler, number)
    try:
        yield
    finally:
        # A signal between the two calls would end the process at once.
        with _blocked(numbers):
            for number, previous in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, previous)


def _handled() -> list[signal.Signals]:
    """Return the signals to handle; none outside the main thread, which alone may do that."""
    if threading.current_thread() is not threading.main_thread():
        return []
    numbers = [signal.SIGINT, signal.SIGTERM]
    if sys.platform != "win32":
        numbers.append(signal.SIGHUP)
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def _blocked(numbers: list[signal.Signals]) -> Generator[None]:
    if not numbers or sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
