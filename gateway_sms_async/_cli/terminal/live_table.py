"""Deliveries as they come: a table that moves on a terminal, lines of JSON for programs.

The delivery commands enter. What moves is shown in numbers of recipients; nobody's number is in it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..._delivery.state import DeliveryState
from ..._delivery.summary import DeliverySummary, MessageDelivery
from ..figures import Share
from .deliveries import bar, is_plain

__all__ = ["MessageFigures", "Show", "is_known", "shown", "standing", "total"]

_WIDE = 110


_ID, _SHORT_ID = 24, 10


_WITHOUT_BAR = 66


_LONGEST_BAR = 30
"""Characters."""


_FAILED = (DeliveryState.UNDELIVERED, DeliveryState.EXPIRED, DeliveryState.REJECTED)


Show = Callable[[DeliverySummary], None]


class MessageFigures(NamedTuple):
    """How many recipients of a message have it, will not get it, and are still undecided."""

    delivered: int
    failed: int
    undecided: int

    @property
    def recipients(self) -> int:
        """How many there are."""
        return sum(self)


def standing(message: MessageDelivery) -> MessageFigures:
    """Return where a message stands, by its list of recipients or by its newer statistics."""
    counts = message.counts
    delivered = counts[DeliveryState.DELIVERED]
    failed = sum(counts[state] for state in _FAILED)
    undecided = sum(counts.values()) - delivered - failed
    if message.message is not None and not message.complete:
        # The list is read seldom; what the message itself counts moves with each look.
        statistics = message.message.statistics
        people = delivered + failed + undecided
        failed = min(max(failed, statistics.error or 0), people - delivered)
        delivered = min(max(delivered, statistics.delivered or 0), people - failed)
        undecided = people - delivered - failed
    return MessageFigures(delivered, failed, undecided)


def is_known(message: MessageDelivery) -> bool:
    """Whether there was a look at it already."""
    parts = (message.message, message.error, message.unfinished)
    return any(part is not None for part in parts)


def total(summary: DeliverySummary) -> MessageFigures:
    """Return where all of it stands."""
    each = [standing(message) for message in summary.messages]
    return (
        MessageFigures(*(sum(counts) for counts in zip(*each, strict=True)))
        if each
        else MessageFigures(0, 0, 0)
    )


@contextmanager
def shown(*, as_json: bool) -> Generator[Show]:
    """Hand out what takes the summaries as they come, and shows them on stdout."""
    console = Console(markup=False, emoji=False, highlight=False)
    if as_json or not console.is_terminal:
        yield _Lines().show
        return
    table = _Table(console.width, plain=is_plain(console))
    with Live(console=console, auto_refresh=False) as live:

        def show(summary: DeliverySummary) -> None:
            live.update(table.draw(summary), refresh=True)

        yield show


class _Lines:
    """Writes one line of JSON for each message whose figures have changed."""

    def __init__(self) -> None:
        self._last: dict[str, dict[str, Any]] = {}

    def show(self, summary: DeliverySummary) -> None:
        for message in filter(is_known, summary.messages):
            figures = _figures(message)
            if self._last.get(message.message_id) == figures:
                continue
            self._last[message.message_id] = figures
            at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            print(json.dumps({"at": at, **figures}), flush=True)  # noqa: T201


def _figures(message: MessageDelivery) -> dict[str, Any]:
    now = standing(message)
    return {
        "message_id": message.message_id,
        "recipients": now.recipients,
        "delivered": now.delivered,
        "not_delivered": now.failed,
        "undecided": now.undecided,
        "listed": {state.name.lower(): message.counts[state] for state in DeliveryState},
        "complete": message.complete,
        "unfinished": message.unfinished,
        "error": None if message.error is None else str(message.error),
    }


class _Table:
    """Draws one line a message, and one for all of them, as wide as there is room."""

    def __init__(self, width: int, *, plain: bool) -> None:
        self._plain = plain
        self._is_wide = width >= _WIDE
        room = width - _WITHOUT_BAR - (_ID if self._is_wide else _SHORT_ID)
        # Without room for a share and its bar neither is shown, rather than cut off.
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
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("last change", no_wrap=True)
        if len(summary.messages) > 1:
            self._add(table, f"all {len(summary.messages):,}", total(summary), "")
        for message in summary.messages:
            self._add(table, message.message_id, standing(message), _remark(message))
        return table

    def _add(self, table: Table, name: str, now: MessageFigures, remark: str) -> None:
        before = self._last.get(name)
        if before is None or before[0] != now:
            self._last[name] = now, time.time()
        delivered = Share(name, "delivered", now.delivered, now.recipients)
        shown: list[Text | str] = []
        if self._bar:
            drawn = bar(delivered.share, self._bar, plain=self._plain)
            shown = [
                delivered.percent if now.recipients else "",
                Text(drawn, "" if self._plain else "green"),
            ]
        changed = time.strftime("%H:%M:%S", time.localtime(self._last[name][1]))
        if not self._is_wide and len(name) > _SHORT_ID:
            name = (".." if self._plain else "…") + name[2 - _SHORT_ID :]
        table.add_row(
            name,
            f"{now.delivered:,}/{now.recipients:,}",
            *shown,
            f"{now.failed:,}",
            f"{now.undecided:,}",
            remark or changed,
        )


def _remark(message: MessageDelivery) -> str:
    """Say what there is to say instead of the time of the last change."""
    if not is_known(message):
        return "not looked"
    if message.complete:
        return "all final"
    if message.unfinished is not None:
        return message.unfinished
    return "" if message.error is None else "no answer"
