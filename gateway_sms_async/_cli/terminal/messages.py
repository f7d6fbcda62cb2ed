"""Messages and their recipients as the gateway reports them, as tables."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from rich.table import Column, Table

from ...models import Message, MessageSummary, RecipientReport
from .console import cell, print_lines, print_table

_MOST_NAMED = 20


def print_messages(messages: Iterable[MessageSummary]) -> None:
    """Print the messages of an account as a table."""
    # An id and a number are copied, so neither is broken over two lines.
    table = Table(Column("id", no_wrap=True), "sender", "created")
    for message in messages:
        table.add_row(*map(cell, (message.id, message.sender, message.timestamp)))
    print_table(table)


def print_message(message: Message) -> None:
    """Print everything about one message, one property a line."""
    statistics, options = message.statistics, message.options
    stage = "open: not sent until it is closed" if message.transaction else "closed"
    lines = {
        "id": message.id,
        "stage": stage,
        "state": message.state,
        "sender": message.sender,
        "body": message.body,
        "valid": message.valid,
        "invalid": message.invalid,
        "refused": _named(message),
        "sent": statistics.sent,
        "delivered": statistics.delivered,
        "failed": statistics.error,
        "parts": statistics.sms_total,
        "price": message.price,
        "priority": message.priority,
        "test": message.test or None,
        "flash": options.flash or None,
        "realtime": options.realtime or None,
        "due": options.timestamp_send,
        "custom": None if options.custom is msgspec.UNSET else options.custom,
        "callback": options.callback_url,
        "created": message.timestamp,
        "changed": message.last_update,
    }
    print_lines(lines)


def _named(message: Message) -> str | None:
    refused = message.refused
    if not refused:
        return None
    more = f" and {len(refused) - _MOST_NAMED} more" if len(refused) > _MOST_NAMED else ""
    return ", ".join(refused[:_MOST_NAMED]) + more


def print_recipients(reports: Iterable[RecipientReport]) -> None:
    """Print the recipients of a message as a table, with whole numbers."""
    table = Table(Column("number", no_wrap=True), "state", "parts", "price", "sent", "delivered")
    for report in reports:
        row = (
            report.number,
            report.state,
            report.sms,
            report.price,
            report.timestamp_sent,
            report.timestamp_delivery,
        )
        table.add_row(*map(cell, row))
    print_table(table)
