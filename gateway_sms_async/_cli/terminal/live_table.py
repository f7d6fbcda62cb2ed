"""Deliveries while they are followed: a live table on a terminal, else one JSON object a line.

Shows counts only, no numbers of recipients.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..._delivery.state import DeliveryState
from ..._delivery.summary import DeliverySummary, MessageDelivery
from ..figures import Share
from .console import make_console, printable
from .deliveries import bar, is_plain

# Widths in characters. From `_WIDE` on, ids are shown whole; below `_NARROW` there is no room for the
# last change, and a figure that is cut off would be a wrong one.
_WIDE, _NARROW = 110, 60
_ID, _SHORT_ID = 24, 10
_WITHOUT_BAR = 66
_LONGEST_BAR = 30

_FAILED = (DeliveryState.UNDELIVERED, DeliveryState.EXPIRED, DeliveryState.REJECTED)

Show = Callable[[DeliverySummary], None]
"""Shows a summary of the messages, each time that it is called."""


class MessageFigures(NamedTuple):
    """The recipients of a message by outcome: delivered, failed, still undecided."""

    delivered: int
    failed: int
    undecided: int

    @property
    def recipients(self) -> int:
        """How many recipients there are."""
        return sum(self)


def count_recipients(message: MessageDelivery) -> MessageFigures:
    """Count the recipients of a message, by its recipient list and its newer statistics."""
    counts = message.counts
    delivered = counts[DeliveryState.DELIVERED]
    failed = sum(counts[state] for state in _FAILED)
    undecided = sum(counts.values()) - delivered - failed
    if message.message is not None and not message.complete:
        # The list is read seldom, while the statistics come with each poll. They may count more
        # than there are recipients, so each is limited to what the other leaves.
        statistics = message.message.statistics
        recipients = delivered + failed + undecided
        failed = min(max(failed, statistics.error or 0), recipients - delivered)
        delivered = min(max(delivered, statistics.delivered or 0), recipients - failed)
        undecided = recipients - delivered - failed
    return MessageFigures(delivered, failed, undecided)


def count_all(summary: DeliverySummary) -> MessageFigures:
    """Count the recipients of all messages."""
    each = [count_recipients(message) for message in summary.messages]
    return (
        MessageFigures(*(sum(counts) for counts in zip(*each, strict=True)))
        if each
        else MessageFigures(0, 0, 0)
    )


def is_known(message: MessageDelivery) -> bool:
    """Whether a message was polled at least once."""
    parts = (message.message, message.error, message.unfinished)
    return any(part is not None for part in parts)


@contextmanager
def show_deliveries(*, as_json: bool) -> Generator[Show]:
    """Yield a function that shows a summary on stdout each time it is called."""
    console = make_console()
    if as_json or not console.is_terminal:
        yield _JSONPrinter().print
        return
    table = _LiveTable(console.width, plain=is_plain(console))
    with Live(console=console, auto_refresh=False) as live:

        def show(summary: DeliverySummary) -> None:
            live.update(table.draw(summary), refresh=True)

        yield show


class _JSONPrinter:
    """Prints one JSON object, on one line, for each message whose figures changed."""

    def __init__(self) -> None:
        self._last: dict[str, dict[str, Any]] = {}

    def print(self, summary: DeliverySummary) -> None:
        for message in filter(is_known, summary.messages):
            figures = _figures_as_json(message)
            if self._last.get(message.message_id) == figures:
                continue
            self._last[message.message_id] = figures
            at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            print(json.dumps({"at": at, **figures}), flush=True)  # noqa: T201


def _figures_as_json(message: MessageDelivery) -> dict[str, Any]:
    figures = count_recipients(message)
    return {
        "message_id": message.message_id,
        "recipients": figures.recipients,
        "delivered": figures.delivered,
        "not_delivered": figures.failed,
        "undecided": figures.undecided,
        "listed": {state.name.lower(): message.counts[state] for state in DeliveryState},
        "complete": message.complete,
        "unfinished": message.unfinished,
        "error": None if message.error is None else str(message.error),
    }


class _LiveTable:
    """Draws one row for each message, and one for all of them, within the given width."""

    def __init__(self, width: int, *, plain: bool) -> None:
        self._plain = plain
        self._is_wide, self._is_narrow = width >= _WIDE, width < _NARROW
        room = width - _WITHOUT_BAR - (_ID if self._is_wide else _SHORT_ID)
        # Without room for the share and its bar, both are left out rather than cut off.
        self._bar = max(0, min(room, _LONGEST_BAR))
        self._last: dict[str, tuple[MessageFigures, float]] = {}

    def draw(self, summary: DeliverySummary) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="")
        table.add_column("message", no_wrap=True)
        table.add_column("delivered", justify="right", no_wrap=True)
        if self._bar:
            table.add_column("", justify="right", no_wrap=True)
            table.add_column("", min_width=self._bar, no_wrap=True)
        for name in ("failed", "under way"):
            table.add_column(name, justify="right", no_wrap=not self._is_narrow)
        if not self._is_narrow:
            table.add_column("last change", no_wrap=True)
        if len(summary.messages) > 1:
            self._add(table, f"all {len(summary.messages):,}", count_all(summary), "")
        for message in summary.messages:
            name = printable(message.message_id)
            self._add(table, name, count_recipients(message), _remark(message))
        return table

    def _add(self, table: Table, name: str, figures: MessageFigures, remark: str) -> None:
        before = self._last.get(name)
        if before is None or before[0] != figures:
            self._last[name] = figures, time.time()
        delivered = Share(name, "delivered", figures.delivered, figures.recipients)
        share: list[Text | str] = []
        if self._bar:
            drawn = bar(delivered.share, self._bar, plain=self._plain)
            share = [
                delivered.percent if figures.recipients else "",
                Text(drawn, "" if self._plain else "green"),
            ]
        changed = time.strftime("%H:%M:%S", time.localtime(self._last[name][1]))
        if not self._is_wide and len(name) > _SHORT_ID:
            name = (".." if self._plain else "…") + name[2 - _SHORT_ID :]
        table.add_row(
            name,
            f"{figures.delivered:,}/{figures.recipients:,}",
            *share,
            f"{figures.failed:,}",
            f"{figures.undecided:,}",
            *(() if self._is_narrow else (remark or changed,)),
        )


def _remark(message: MessageDelivery) -> str:
    """Return what to show in place of the time of the last change; empty to show the time."""
    if not is_known(message):
        return "not polled"
    if message.complete:
        return "all final"
    if message.unfinished is not None:
        return message.unfinished
    return "" if message.error is None else "no response"
