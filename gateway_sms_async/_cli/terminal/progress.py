"""Progress on stderr: a bar on a terminal, elsewhere a line every few seconds.

A campaign prepares messages, and sends each by its close. The bar counts the recipients that are
prepared, and the words beside it those that are accepted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol

from ..._receipt import Progress
from .bar_line import DONE, RUNNING, STOPPED, BarLine, draw
from .console import duration, make_console, print_status

_LINE_EVERY = 5.0
"""Seconds."""


class ProgressView(Protocol):
    """Shows the progress of a campaign."""

    def show(self, progress: Progress) -> None:
        """Show how far it is."""

    def stopping(self) -> None:
        """Show that it was asked to stop."""

    def stopped(self) -> None:
        """Show that it has ended before its end."""


@contextmanager
def show_progress(total: int | None) -> Generator[ProgressView]:
    """Yield a view of a campaign with so many recipients, None if that is not known."""
    console = make_console(stderr=True)
    if not console.is_terminal:
        yield _ProgressLines()
        return
    line = BarLine("Sending", total)
    with draw(line, console) as start:
        bar = _ProgressBar(line, start)
        try:
            yield bar
        except BaseException:
            bar.stopped()
            raise
        bar.ended()


class _ProgressBar:
    """Shows progress as a bar, whose colour and label say how the campaign stands."""

    def __init__(self, line: BarLine, start: Callable[[], None]) -> None:
        self._line = line
        self._start = start
        self._last = Progress()

    def show(self, progress: Progress) -> None:
        self._last = progress
        if progress.total is not None:
            self._line.total = progress.total
        if self._line.style != RUNNING:
            # What a stop takes back is no longer prepared, and not yet counted as unsent.
            return
        prepared = self._line.completed = _prepared(progress)
        self._line.words = (
            f"{_counts(progress, self._line.total)}{_pace(progress)}",
            _counts(progress, self._line.total),
            f"{prepared:,} prepared, {progress.accepted:,} accepted",
            f"{progress.accepted:,} accepted",
        )
        self._start()

    def stopping(self) -> None:
        self._line.label, self._line.style = "Stopping", STOPPED

    def stopped(self) -> None:
        last = self._last
        self._line.label, self._line.style = "Stopped", STOPPED
        # Messages that were prepared and not closed are not sent.
        self._line.completed = last.accepted + last.invalid + last.duplicates
        self._line.words = (f"{_of(last.accepted, self._line.total)} accepted",)

    def ended(self) -> None:
        if self._line.style == RUNNING:
            self._line.label, self._line.style = "Finished", DONE


class _ProgressLines:
    """Prints progress every few seconds, and once more at the end."""

    def __init__(self) -> None:
        self._due = time.monotonic() + _LINE_EVERY
        self._is_stopping = False

    def show(self, progress: Progress) -> None:
        if self._is_stopping:
            return
        at_end = progress.eta == 0.0 and not (progress.unsent or progress.unknown)
        if at_end or time.monotonic() >= self._due:
            self._due = time.monotonic() + _LINE_EVERY
            print_status(f"{_counts(progress, progress.total)}{_pace(progress)}")

    def stopping(self) -> None:
        self._is_stopping = True

    def stopped(self) -> None:
        pass


def _prepared(progress: Progress) -> int:
    """Return how many recipients were put on a message, or left out for good."""
    # Not `progress.read`, which runs ahead.
    return max(0, round(progress.rate * progress.elapsed) - progress.unsent)


def _counts(progress: Progress, total: int | None) -> str:
    return f"{_of(_prepared(progress), total)} prepared, {progress.accepted:,} accepted"


def _of(count: int, total: int | None) -> str:
    return f"{count:,}" if total is None else f"{count:,} of {total:,}"


def _pace(progress: Progress) -> str:
    if progress.eta is None:
        return ""
    return f" · {progress.rate:,.0f} a second · {duration(progress.eta)} left"


@contextmanager
def show_rows_read(label: str, total: int | None = None) -> Generator[Callable[[int], None]]:
    """Yield a function that shows how many rows were read, if reading takes long."""
    console = make_console(stderr=True)
    if not console.is_terminal:
        yield _RowLines(label).print
        return
    line = BarLine(label, total)

    def show(rows: int) -> None:
        line.completed = rows
        line.words = (f"{rows:,} rows",)
        start()

    with draw(line, console, transient=True) as start:
        yield show


class _RowLines:
    """Prints the number of rows read every few seconds."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._due = time.monotonic() + _LINE_EVERY

    def print(self, rows: int) -> None:
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + _LINE_EVERY
            print_status(f"{self._label} {rows:,} rows")
