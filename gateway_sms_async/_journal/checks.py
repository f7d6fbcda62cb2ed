"""What no campaign can have written, in the settings, the recipients and the log of a journal.

Each function raises ValueError, TypeError or LookupError. The checks are those of what the code
relies on: a range is used as an index and for memory, a price as a number, an id in an address.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from itertools import pairwise

from .._arguments import check_cost, check_count, check_per_message
from .records import (
    Appended,
    AppendIntent,
    BatchReleased,
    CloseIntent,
    Ended,
    Finished,
    Opened,
    OpenIntent,
    Ranges,
    Record,
    Resumed,
    RunSummary,
)
from .schema import Settings, StoredRow, StoredSource

__all__ = ["check_record", "check_row", "check_settings", "check_source"]

_MESSAGE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


_STATES = frozenset({"new", "open", "closing", "closed", "left_open", "abandoned", "unknown"})


_MOST = 2**31
"""No campaign has as many recipients, messages, batches or requests."""


def check_settings(settings: Settings) -> None:
    """Check the settings that are numbers. The texts are checked where they are used."""
    check_count("batch_size", settings.batch_size)
    check_count("concurrency", settings.concurrency)
    check_per_message(settings.recipients_per_message)
    if settings.max_cost is not None:
        check_cost("max_cost", settings.max_cost)
    if settings.max_recipients is not None:
        check_count("max_recipients", settings.max_recipients)


def check_source(source: StoredSource, size: int) -> None:
    """Check counts and positions; `size` is that of the file in bytes."""
    _check_number(source.total)
    _check_number(source.duplicates)
    if not 0 <= source.people <= min(source.total, size):
        raise IndexError("there are not as many recipients")
    excluded = _check_within(source.excluded, source.total)
    invalid = [(position, position + 1) for _, _, position in source.invalid]
    refused = _check_within(invalid, source.total)
    if source.people + source.duplicates + excluded + refused != source.total:
        raise ValueError("the counts of the source do not add up")


def check_row(row: StoredRow, total: int) -> None:
    """Check that positions and fields are those of the numbers, in a source of `total`."""
    count = len(row.numbers)
    if _check_within(row.positions, total) != count:
        raise IndexError("recipients and positions are not as many")
    if any(not 0 <= one < count for one in (*row.written, *row.fields)):
        raise IndexError("a recipient is not one of the row")


def check_record(record: Record, recipients: int) -> None:
    """Check a record of the log of a campaign of so many recipients."""
    match record:
        case RunSummary() | Finished():
            _check_run(record)
        case Resumed():
            pass
        case _:
            _check_number(record.message)
            _check_on_message(record, recipients)


def _check_on_message(record: Record, recipients: int) -> None:
    match record:
        case OpenIntent():
            _check_within(record.recipients, recipients)
        case Opened():
            _check_id(record.message_id)
            _check_number(record.lost)
        case AppendIntent():
            _check_number(record.batch)
            _check_within(record.recipients, recipients)
        case Appended() | BatchReleased():
            _check_number(record.batch)
        case CloseIntent():
            _check_within(record.recipients, recipients)
            _check_amount(record.cost)
        case Ended():
            _check_ended(record, recipients)
        case _:
            pass


def _check_ended(record: Ended, recipients: int) -> None:
    if record.state not in _STATES:
        raise ValueError("there is no such state")
    if record.message_id is not None:
        _check_id(record.message_id)
    _check_amount(record.price)
    _check_within(record.invalid + record.doubled + record.unknown + record.unsent, recipients)
    if record.accepted is not None and not 0 <= record.accepted <= recipients:
        raise ValueError("more are accepted than there are")


def _check_run(record: RunSummary | Finished) -> None:
    _check_number(record.requests)
    _check_number(record.retries)
    if not 0 <= record.elapsed < math.inf:
        raise ValueError("a run has no such time")
    match record:
        case RunSummary():
            check_count("batch_size", record.batch_size)
            check_count("per_message", record.per_message)
            _check_amount(record.wasted)
        case Finished():
            for message_id in (*record.message_ids, *record.open_message_ids):
                _check_id(message_id)
            _check_amount(record.cost)


def _check_within(ranges: Ranges, count: int) -> int:
    """Return how many ordinals there are; each must be in one range, and below `count`."""
    if any(not 0 <= first < end <= count for first, end in ranges):
        raise IndexError("a range is not one of the source")
    if any(end > first for (_, end), (first, _) in pairwise(sorted(ranges))):
        raise IndexError("two ranges hold the same recipient")
    return sum(end - first for first, end in ranges)


def _check_number(value: int) -> None:
    if not 0 <= value < _MOST:
        raise ValueError("a number is negative or far too large")


def _check_id(message_id: str) -> None:
    if _MESSAGE_ID.fullmatch(message_id) is None:
        raise ValueError("this is no id of a message")


def _check_amount(amount: str | None) -> None:
    if amount is not None and not Decimal(amount).is_finite():
        raise ValueError("this is no amount of euro")
