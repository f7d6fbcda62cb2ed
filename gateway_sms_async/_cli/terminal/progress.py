"""Progress on stderr: a bar on a terminal, elsewhere a line every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress as Bar, TextColumn

from ..._receipt import Progress
from .console import duration, print_status

_LINE_EVERY = 5.0
"""Seconds."""


@contextmanager
def show_progress(total: int | None) -> Generator[Callable[[Progress], None]]:
    """Yield a function that shows the progress of a campaign each time it is called."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _ProgressLines().print
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


class _ProgressLines:
    """Prints progress every few seconds, and once more at the end."""

    def __init__(self) -> None:
        self._due = time.monotonic() + _LINE_EVERY

    def print(self, progress: Progress) -> None:
        at_end = progress.eta == 0.0 and not (progress.unsent or progress.unknown)
        if at_end or time.monotonic() >= self._due:
            self._due = time.monotonic() + _LINE_EVERY
            print_status(
                f"{_done(progress):,} of {progress.total or 0:,} recipients · {_pace(progress)}"
            )


@contextmanager
def show_rows_read(label: str, total: int | None = None) -> Generator[Callable[[int], None]]:
    """Yield a function that shows how many rows were read, if reading takes long."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _RowLines(label).print
        return
    columns = (
        TextColumn(label),
        BarColumn(bar_width=None),
        TextColumn("{task.completed:,} rows"),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda rows: bar.update(task, completed=rows)


class _RowLines:
    """Prints the number of rows read every few seconds."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._due = time.monotonic() + _LINE_EVERY

    def print(self, rows: int) -> None:
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + _LINE_EVERY
            print_status(f"{self._label} {rows:,} rows")


def _done(progress: Progress) -> int:
    # `progress.read` runs ahead of sending and `progress.accepted` only grows with each close, so
    # neither moves evenly.
    return round(progress.rate * progress.elapsed)


def _pace(progress: Progress) -> str:
    if progress.eta is None:
        return ""
    return f"{progress.rate:,.0f} a second · {duration(progress.eta)} left"
