"""Delivery results in files: one row per recipient, and a list of recipients to retry.

Numbers are written whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import PurePath
from typing import IO, Any

import msgspec

from ..._delivery.state import says_delivered, state_of
from ..._delivery.statistics import failure_of, seconds_to_deliver, times_of
from ..._recipients.numbers import calling_code, digits_key, normalize
from ...errors import InvalidNumberError
from ...models import RecipientReport
from ..cells import RowWriter, guard, guard_number
from ..lists.columns import NUMBER_NAMES, plain_name

_COLUMNS = (
    "number",
    "country",
    "message_id",
    "state",
    "reason",
    "permanent",
    "parts",
    "price",
    "real_cost",
    "sent",
    "delivered",
    "seconds_to_deliver",
)

_JSON_LINES = {".jsonl", ".ndjson", ".json"}


def write_header(file: IO[str]) -> None:
    """Write the header of the columns of `write_deliveries`."""
    RowWriter(file).write(_COLUMNS)


def write_deliveries(message_id: str, recipients: Iterable[RecipientReport], file: IO[str]) -> None:
    """Write one row of CSV for each recipient of a message; times in ISO 8601 and UTC."""
    writer = RowWriter(file)
    for recipient in recipients:
        writer.write(_row(message_id, recipient))


def _row(message_id: str, recipient: RecipientReport) -> tuple[Any, ...]:
    failure = failure_of(recipient)
    sent, delivered = times_of(recipient)
    number = _read(recipient.number)
    return (
        guard_number(recipient.number if number is None else number),
        "" if number is None else calling_code(number),
        guard(message_id),
        state_of(recipient).name.lower(),
        "" if failure is None else guard(failure.reason),
        "" if failure is None else str(failure.permanent).lower(),
        recipient.sms,
        recipient.price,
        recipient.real_cost,
        _time(sent),
        _time(delivered),
        seconds_to_deliver(recipient),
    )


def _time(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _read(number: str) -> str | None:
    try:
        return normalize(number)
    except InvalidNumberError:
        return None


class RetryList:
    """The recipients whose delivery failed and may succeed on a retry, each once.

    Add the recipients of all messages that they were sent to. A recipient is not on the list if, by
    any of these messages, it has the text, may still get it, or failed permanently; nor if the
    gateway calls it delivered and only the carrier does not. Its fields are those that the gateway
    shows in the first message with the number.

    Masked numbers cannot be matched: `lost` counts those that could be retried, `hidden` those that
    have the text or may still get it. If `hidden` is not 0, a recipient on the list may be one of
    the hidden ones.
    """

    def __init__(self) -> None:
        self.lost: int = 0
        self.hidden: int = 0
        self._recipients: dict[int, tuple[str, dict[str, str]]] = {}
        self._settled: set[int] = set()

    def __len__(self) -> int:
        return len(self._recipients)

    def add(self, recipient: RecipientReport) -> None:
        """Add one recipient of a message."""
        failure = failure_of(recipient)
        is_settled = failure is None or failure.permanent or says_delivered(recipient)
        number = _read(recipient.number)
        if number is None:
            self.lost += not is_settled
            # A permanent failure is not counted: it does not have the text, so nothing is sent twice.
            self.hidden += failure is None or says_delivered(recipient)
            return
        key = digits_key(number)
        if is_settled:
            self._settle(key)
        elif key not in self._settled and key not in self._recipients:
            self._recipients[key] = number, _fields(recipient)

    def leave_out(self, numbers: Iterable[str]) -> None:
        """Leave out these numbers, which may have the text or may still get it."""
        for written in numbers:
            number = _read(written)
            if number is None:
                self.hidden += 1
            else:
                self._settle(digits_key(number))

    def _settle(self, key: int) -> None:
        self._settled.add(key)
        self._recipients.pop(key, None)

    def number_column(self) -> str | None:
        """Return the value that `bulk` needs for --number-column, or None if it needs none."""
        names = self._field_names()
        column = _number_name(names)
        known = {plain_name(name).lower() for name in names} & set(NUMBER_NAMES)
        return column if known or column not in NUMBER_NAMES else None

    def write(self, file: IO[str]) -> None:
        """Write a list for `bulk`: CSV, or JSON Lines if the file's name ends in .jsonl or similar."""
        names = self._field_names()
        column = _number_name(names)
        if PurePath(file.name).suffix.lower() in _JSON_LINES:
            for number, fields in self._recipients.values():
                file.write(msgspec.json.encode({column: number, **fields}).decode() + "\n")
            return
        writer = RowWriter(file)
        writer.write((column, *map(guard, names)))
        for number, fields in self._recipients.values():
            cells = (guard(fields.get(name, "")) for name in names)
            writer.write((guard_number(number), *cells))

    def _field_names(self) -> list[str]:
        return list(
            dict.fromkeys(name for _, fields in self._recipients.values() for name in fields)
        )


def _number_name(fields: Iterable[str]) -> str:
    """Return a name for the number column that is not the name of a field."""
    taken = {plain_name(name).lower() for name in fields}
    return next(name for name in _number_names() if name not in taken)


def _number_names() -> Iterator[str]:
    yield from NUMBER_NAMES
    at = 2
    while True:
        yield f"{NUMBER_NAMES[0]}{at}"
        at += 1


def _fields(recipient: RecipientReport) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in recipient.fields.items()
        if value is not None
    }
