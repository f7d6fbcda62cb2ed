"""What the command line shows: progress and remarks on stderr, answers and JSON on stdout.

Only the command line enters; also what goes wrong there ends here, as a line and an exit code.
Receipts are shown with masked numbers; what the gateway holds for the account as it is.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, cast

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress as Bar, TextColumn
from rich.table import Table

from .client import GatewayClient
from .errors import BulkSendError, GatewayError, OutcomeUnknownError
from .models import Message, MessageSummary, RecipientReport
from .receipt import Progress, Receipt
from .recipients import mask

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "RESUMABLE",
    "SOME_INVALID",
    "UNKNOWN",
    "WRONG_USE",
    "Campaign",
    "print_json",
    "print_message",
    "print_messages",
    "print_receipt",
    "print_recipients",
    "progress_shown",
    "run",
    "say",
    "say_how_to_look",
    "summarize",
]

FAILED, WRONG_USE, SOME_INVALID, UNKNOWN, RESUMABLE = 1, 2, 3, 4, 5
INTERRUPTED = 128
"""The exit codes; the last one is added to the number of the signal."""

_EXAMPLES = 5
_LINE_EVERY = 5.0


def say(text: str) -> None:
    """Write one remark to stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def run(function: Callable[[], int | None]) -> int:
    """Run a command; whatever the user, the network or the gateway did wrong is one line."""
    try:
        return function() or 0
    except OutcomeUnknownError as error:
        say(f"gateway-sms: {error}")
        say_how_to_look(error.reference)
        return UNKNOWN
    except GatewayError as error:
        say(f"gateway-sms: {error}")
        return FAILED
    except (ValueError, TypeError) as error:
        say(f"gateway-sms: {error}")
        return WRONG_USE
    except BrokenPipeError:
        raise
    except OSError as error:
        say(f"gateway-sms: {error}")
        return FAILED
    except KeyboardInterrupt:
        say("gateway-sms: interrupted")
        return INTERRUPTED + signal.SIGINT


def say_how_to_look(reference: str | None) -> None:
    """Say how to find out about a message whose fate is not known."""
    if reference is None:
        say("Look at it before anything else: gateway-sms list, then gateway-sms show ID")
        return
    say(
        f"Its reference is {reference}. Look for it before sending again: gateway-sms list, then "
        "gateway-sms show ID, which names the reference as `custom`."
    )


# Progress


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


def _done(progress: Progress) -> int:
    # Not what was read, which runs ahead, nor what is accepted, which waits for a close.
    return round(progress.rate * progress.elapsed)


def _pace(progress: Progress) -> str:
    if progress.eta is None:
        return ""
    return f"{progress.rate:,.0f} a second · {_duration(progress.eta)} left"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


# Campaigns

Send = Callable[
    [GatewayClient, Callable[[Progress], None], asyncio.Event], Coroutine[Any, Any, Receipt]
]
"""Starts a campaign that reports its progress and can be stopped."""


class Campaign:
    """A campaign that heeds signals: the first one stops it, the second one breaks it off."""

    def __init__(self, send: Send, *, total: int | None, journal: str | None) -> None:
        self.receipt: Receipt | None = None
        self._send = send
        self._total = total
        self._journal = journal
        self._failure: BulkSendError | None = None
        self._signal: int | None = None
        self._progress = Progress()
        self._stop = asyncio.Event()

    async def run(self, client: AbstractAsyncContextManager[GatewayClient]) -> None:
        """Send; what came of it is kept."""
        async with client as gateway:
            with progress_shown(self._total) as show:

                def report(progress: Progress) -> None:
                    self._progress = progress
                    show(progress)

                sending = asyncio.create_task(self._send(gateway, report, self._stop))
                with _heeding(partial(self._heed, sending)):
                    await asyncio.wait([sending])
        try:
            self.receipt = sending.result()
        except BulkSendError as error:
            self.receipt, self._failure = error.receipt, error
        except asyncio.CancelledError:
            pass

    def _heed(self, sending: asyncio.Task[Receipt], number: int) -> None:
        if self._signal is None:
            self._signal = number
            self._stop.set()
            say("Stopping: nothing new leaves; what is under way lands. Once more to break off.")
        else:
            sending.cancel()

    def conclude(self) -> int:
        """Print the receipt, say what to do next, and return the exit code."""
        interrupted = 0 if self._signal is None else INTERRUPTED + self._signal
        if self.receipt is None:
            last = self._progress
            say(
                f"Broken off after {last.read:,} recipients, {last.accepted:,} of them accepted. "
                "There is no receipt; see which messages there are: gateway-sms list"
            )
            self._say_how_to_go_on()
            return UNKNOWN if last.unknown else interrupted
        print_receipt(self.receipt)
        failure = self._failure
        if failure is not None and not interrupted:
            say(f"Stopped: {failure.reason}")
        resumable = failure is not None and failure.resumable
        summarize(self.receipt, resumable=resumable)
        unread = (self._total or self.receipt.total) - self.receipt.total
        if unread:
            say(f"{unread:,} rows at the end of the list were not read.")
        if resumable:
            self._say_how_to_go_on()
        elif failure is not None and self.receipt.accepted:
            say(
                "Do not send the same list again, some of it has gone out: --unsent FILE writes those "
                "who are left."
            )
        if self.receipt.unknown or self.receipt.doubled:
            return UNKNOWN
        if failure is not None:
            return interrupted or (RESUMABLE if failure.resumable else FAILED)
        return SOME_INVALID if self.receipt.invalid else 0

    def _say_how_to_go_on(self) -> None:
        if self._journal is not None:
            say(
                f"To go on where it stopped: gateway-sms resume {self._journal} (do not send the list "
                "again)"
            )


@contextmanager
def _heeding(heed: Callable[[int], None]) -> Generator[None]:
    """Pass SIGINT and SIGTERM on, where the system and the thread have them."""
    numbers: tuple[signal.Signals, ...] = ()
    if sys.platform != "win32" and threading.current_thread() is threading.main_thread():
        numbers = (signal.SIGINT, signal.SIGTERM)
    loop = asyncio.get_running_loop()
    for number in numbers:
        loop.add_signal_handler(number, heed, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


# Receipts


def print_receipt(receipt: Receipt) -> None:
    """Print a receipt as one JSON object, counts and masked numbers only."""
    examples = dict.fromkeys(mask(one.number) for one in receipt.invalid[:1000])
    print_json(
        {
            "total": receipt.total,
            "accepted": receipt.accepted,
            "duplicates": receipt.duplicates,
            "excluded": receipt.excluded,
            "invalid": {
                "count": len(receipt.invalid),
                "reasons": dict(Counter(one.reason for one in receipt.invalid).most_common()),
                "examples": list(examples)[:_EXAMPLES],
            },
            "doubled": len(receipt.doubled),
            "unknown": len(receipt.unknown),
            "unsent": len(receipt.unsent),
            "message_ids": receipt.message_ids,
            "open_message_ids": receipt.open_message_ids,
            "requests": receipt.requests,
            "retries": receipt.retries,
            "elapsed": round(receipt.elapsed, 3),
            "cost": receipt.cost,
            "complete": receipt.complete,
        }
    )


def summarize(receipt: Receipt, *, resumable: bool) -> None:
    """Say in a few words what became of everyone, and what to do about those left over."""
    counts = {
        "invalid": len(receipt.invalid),
        "duplicates": receipt.duplicates,
        "not sent to": len(receipt.unsent),
        "unknown": len(receipt.unknown),
        "doubled": len(receipt.doubled),
    }
    left_over = "".join(f", {count:,} {name}" for name, count in counts.items() if count)
    cost = "" if receipt.cost is None else f"; {receipt.cost} EUR"
    say(
        f"Accepted {receipt.accepted:,} of {receipt.total:,}{left_over}{cost}; "
        f"{receipt.elapsed:.1f} s."
    )
    if resumable:
        return
    if receipt.unsent:
        say("Those not sent to are on no closed message: it is safe to send to them again.")
    if receipt.unknown:
        say(
            "Whether the unknown ones are texted cannot be known: do not simply send to them again."
        )
    for message_id in receipt.open_message_ids:
        say(
            f"Message {message_id} was left open: it never sends by itself. To remove it: "
            f"gateway-sms delete {message_id}"
        )


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
    table = Table.grid(padding=(0, 2))
    for name, value in lines.items():
        if value is not None:
            table.add_row(name, _cell(value))
    _print(table)


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


def print_json(value: Any) -> None:
    """Print plain JSON: times in ISO 8601 and UTC, amounts as text, absent parts as null."""
    ascii_only = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    print(json.dumps(_plain(value), indent=2, ensure_ascii=ascii_only), flush=True)  # noqa: T201


def _print(table: Table) -> None:
    Console(markup=False, emoji=False, highlight=False).print(table)


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        case _:
            # What others wrote must not reach the terminal as commands.
            return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in str(value))


def _plain(value: Any) -> Any:
    """Turn answers into what JSON has, under the names that their properties go by."""
    if isinstance(value, msgspec.Struct):
        names = [name.removeprefix("wire_") for name in value.__struct_fields__]
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, dict):
        parts = cast("dict[str, Any]", value)
        return {name: _plain(part) for name, part in parts.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in cast("Iterable[Any]", value)]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return str(value)
    return None if value is msgspec.UNSET else value
