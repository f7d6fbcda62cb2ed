"""One line of a terminal that is drawn again and again: a label, a bar, and words."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .console import printable

# By name, so that the terminal chooses colours that go with its background.
RUNNING, STOPPED, DONE, _TRACK = "cyan", "yellow", "green", "bright_black"

# Widths in characters.
_SHORTEST_BAR = 10
_GAP = 1


class BarLine:
    """A label, a bar of `completed` out of `total`, and words, in the width of the terminal.

    `words` are the same words in several lengths, the longest first: the first ones are drawn that
    leave room for a bar, else those that fit without one. There is no bar if `total` is None.
    """

    def __init__(self, label: str, total: int | None = None) -> None:
        self.label = label
        self.total = total
        self.completed = 0
        self.style = RUNNING
        self.words: Sequence[str] = ("",)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the line."""
        label = Text(printable(self.label))
        room = options.max_width - label.cell_len - _GAP
        words = next((one for one in self.words if len(one) <= room - _SHORTEST_BAR - _GAP), None)
        table = Table.grid(padding=(0, _GAP, 0, 0), expand=True)
        if self.total is None or words is None:
            words = next((one for one in self.words if len(one) <= room), self.words[-1])
            table.add_column(no_wrap=True)
            table.add_column(no_wrap=True, min_width=len(words), ratio=1)
            table.add_row(label, words)
        else:
            table.add_column(no_wrap=True)
            table.add_column(ratio=1)
            table.add_column(no_wrap=True)
            table.add_row(label, self._bar(), words)
        yield table

    def _bar(self) -> ProgressBar:
        return ProgressBar(
            total=self.total,
            completed=self.completed,
            style=_TRACK,
            complete_style=self.style,
            finished_style=self.style,
        )


@contextmanager
def draw(
    line: BarLine, console: Console, *, transient: bool = False
) -> Generator[Callable[[], None]]:
    """Yield a function that draws the line, and from then on again and again.

    A transient line is taken away at the end.
    """
    live = Live(line, console=console, transient=transient)
    try:
        yield live.start
    finally:
        live.stop()
