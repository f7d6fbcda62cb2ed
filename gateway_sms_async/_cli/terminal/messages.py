"""Todo."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from rich.table import Table

from ...models import Message, MessageSummary, RecipientReport
from .console import _cell, _print, print_lines

__all__ = ["print_message", "print_messages", "print_recipients"]

# Answers of the gateway


def print_messages(messages: Iterable[MessageSummary]) -> None:
    """Print the messages of an account as a table."""
    table = Table("id", "sender", "made")
    for message in messages:
        table.add_row(*map(_cell, (message.id, message.sender, message.timestamp)))
    _print(table)


def print_message(message: Message) -> None:
    """Print everything about one message, a line each."""
    statistics, options = message.statistics, message.options
    stage = "open: it never sends by itself" if message.transaction else "closed"
    lines = {
        "id": message.id,
        "stage": stage,
        "state": message.state,
        "sender": message.sender,
        "body": message.body,
        "valid": message.valid,
        "invalid": message.invalid,
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
        "made": message.timestamp,
        "changed": message.last_update,
    }
    print_lines(lines)


def print_recipients(reports: Iterable[RecipientReport]) -> None:
    """Print the recipients of a message, numbers whole, as a table."""
    table = Table("number", "state", "parts", "price", "sent", "delivered")
    for one in reports:
        row = (
            one.number,
            one.state,
            one.sms,
            one.price,
            one.timestamp_sent,
            one.timestamp_delivery,
        )
        table.add_row(*map(_cell, row))
    _print(table)
