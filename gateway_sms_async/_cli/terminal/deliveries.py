"""What arrived, as the terminal shows it: bars where they can be drawn, plain signs elsewhere.

The delivery commands enter. Nobody's number and no text is in it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..._delivery.statistics import DeliveryStatistics
from ..figures import Share, countries, facts, failures, headline, outcomes, waits

__all__ = ["bar", "is_plain", "print_statistics"]

_WIDTH, _LEAST_WIDTH = 30, 10


_LABEL, _LEAST_LABEL = 36, 12


_PERCENT = 7


_BETWEEN = 2
"""All in characters."""


_EIGHTHS = " ▏▎▍▌▋▊▉█"


_STYLES = {
    "delivered": "green",
    "at_operator": "blue",
    "undelivered": "red",
    "expired": "yellow",
    "rejected": "magenta",
    "invalid": "magenta",
}


def is_plain(console: Console) -> bool:
    """Whether only plain signs may be written: to a file, without colours, or not in UTF-8."""
    return (
        not console.is_terminal
        or bool(os.environ.get("NO_COLOR"))
        or console.encoding.lower().replace("-", "") != "utf8"
    )


def bar(share: float, width: int, *, plain: bool) -> str:
    """Draw a share of a width; what is something is never drawn as nothing."""
    if plain:
        return "#" * max(round(share * width), 1 if share else 0)
    eighths = max(round(share * width * 8), 1 if share else 0)
    whole, rest = divmod(eighths, 8)
    return _EIGHTHS[-1] * whole + _EIGHTHS[rest].strip()


def print_statistics(statistics: DeliveryStatistics, messages: Sequence[str]) -> None:
    """Print what became of everybody, and how fast and for how much, on stdout."""
    console = Console(markup=False, emoji=False, highlight=False)
    plain = is_plain(console)
    console.print(headline(statistics))
    _print_bars(console, "", outcomes(statistics), plain=plain)
    _print_bars(console, "Why not", failures(statistics), plain=plain)
    _print_bars(console, "Time to deliver", waits(statistics.total), plain=plain)
    _print_countries(console, statistics)
    console.print()
    table = Table.grid(padding=(0, 2))
    for name, value in facts(statistics, messages):
        table.add_row(name, value)
    console.print(table)


def _print_bars(console: Console, title: str, shares: Sequence[Share], *, plain: bool) -> None:
    rows = [
        (
            f"  {one.label}",
            f"{one.count:,}",
            {"yes": "try again", "no": "permanent"}.get(one.note, ""),
        )
        for one in shares
    ]
    if not rows:
        return
    labels, counts, notes = (max(map(len, column)) for column in zip(*rows, strict=True))
    # A bar that is cut off is out of proportion; a label goes on in the next line.
    room = console.width - counts - _PERCENT - notes - 5 * _BETWEEN
    labels = min(labels, _LABEL, max(room - _LEAST_WIDTH, _LEAST_LABEL))
    width = max(1, min(room - labels, _WIDTH))
    table = Table.grid(padding=(0, _BETWEEN))
    table.add_column(max_width=labels)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    for one, (label, count, note) in zip(shares, rows, strict=True):
        drawn = Text(bar(one.share, width, plain=plain), "" if plain else _STYLES.get(one.kind, ""))
        table.add_row(label, count, one.percent, drawn, note)
    console.print(f"\n{title}" if title else "")
    console.print(table)


def _print_countries(console: Console, statistics: DeliveryStatistics) -> None:
    lines = countries(statistics)
    if not lines:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="")
    table.add_column("  country")
    for name in ("recipients", "delivered", "half in", "9/10 in", "est. EUR", "real EUR"):
        table.add_column(name, justify="right")
    for one in lines:
        table.add_row(
            f"  {one.code}",
            f"{one.delivered.of:,}",
            one.delivered.percent,
            one.half_within,
            one.most_within,
            one.price,
            one.real_cost,
        )
    console.print("\nBy country")
    console.print(table)
