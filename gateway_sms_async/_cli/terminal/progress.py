"""Todo."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress as Bar, TextColumn

from ..._receipt import Progress
from .console import duration, say

__all__ = ["progress_shown", "reading_shown"]

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
