"""SIGINT, SIGTERM and SIGHUP: what a command does when one arrives.

Each ends a command in order, so that its temporary files are removed, unless a campaign handles it.
A signal that is ignored stays so, as SIGHUP does under nohup.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Never


class EndedBySignalError(KeyboardInterrupt):
    """Raised in the main thread when a signal arrives that no campaign handles."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.number = number


def raise_ended(number: int) -> Never:
    """Raise the error for a signal."""
    raise EndedBySignalError(number)


@contextmanager
def on_signal(handler: Callable[[int], None]) -> Generator[None]:
    """Call `handler` in the middle of what runs when a signal arrives; it may raise."""

    def handle(number: int, _: FrameType | None) -> None:
        handler(number)

    before = {number: signal.signal(number, handle) for number in _handled()}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def on_signal_in_loop(handler: Callable[[int], None]) -> Generator[None]:
    """Call `handler` from the event loop when a signal arrives, where the system supports it."""
    numbers = [] if sys.platform == "win32" else _handled()
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in numbers}
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
