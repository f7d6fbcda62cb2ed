"""Delivery figures on the terminal, with bars: block characters if possible, else `#`.

Neither numbers of recipients nor texts of messages are printed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..._delivery.statistics import DeliveryStatistics
from ..figures import Share, countries, facts, failures, headline, outcomes, waits
from .console import make_console, printable

# Widths in characters.
_BAR, _SHORTEST_BAR = 30, 10
_LABEL, _SHORTEST_LABEL = 36, 12
_PERCENT = 7
_GAP = 2

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
    """Whether to print ASCII only: not to a terminal, without colours, or not in UTF-8."""
    return (
        not console.is_terminal
        or bool(os.environ.get("NO_COLOR"))
        or console.encoding.lower().replace("-", "") != "utf8"
    )


def bar(share: float, width: int, *, plain: bool) -> str:
    """Draw a bar. A non-zero share gets at least one mark."""
    if plain:
        return "#" * max(round(share * width), 1 if share else 0)
    eighths = max(round(share * width * 8), 1 if share else 0)
    whole, rest = divmod(eighths, 8)
    return _EIGHTHS[-1] * whole + _EIGHTHS[rest].strip()


def print_statistics(statistics: DeliveryStatistics, messages: Sequence[str]) -> None:
    """Print the outcomes of all recipients, how long delivery took, and what it cost."""
    console = make_console()
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
            f"  {printable(share.label)}",
            f"{share.count:,}",
            {"yes": "retry", "no": "permanent"}.get(share.note, ""),
        )
        for share in shares
    ]
    if not rows:
        return
    labels, counts, notes = (max(map(len, column)) for column in zip(*rows, strict=True))
    # Shorten the labels first, which can wrap: a bar that is cut off shows a wrong share.
    room = console.width - counts - _PERCENT - notes - 5 * _GAP
    labels = min(labels, _LABEL, max(room - _SHORTEST_BAR, _SHORTEST_LABEL))
    width = max(1, min(room - labels, _BAR))
    table = Table.grid(padding=(0, _GAP))
    table.add_column(max_width=labels)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    for share, (label, count, note) in zip(shares, rows, strict=True):
        style = "" if plain else _STYLES.get(share.kind, "")
        drawn = Text(bar(share.share, width, plain=plain), style)
        table.add_row(label, count, share.percent, drawn, note)
    console.print(f"\n{title}" if title else "")
    console.print(table)


def _print_countries(console: Console, statistics: DeliveryStatistics) -> None:
    lines = countries(statistics)
    if not lines:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="")
    table.add_column("  country")
    for name in ("recipients", "delivered", "50 % in", "90 % in", "est. EUR", "real EUR"):
        table.add_column(name, justify="right")
    for country in lines:
        table.add_row(
            f"  {printable(country.code)}",
            f"{country.delivered.of:,}",
            country.delivered.percent,
            country.half_within,
            country.most_within,
            country.price,
            country.real_cost,
        )
    console.print("\nBy country")
    console.print(table)
