"""What is kept of deliveries in files: everybody with what became of him, and whom to try again.

The delivery commands enter. Numbers are whole in here, as people ask for them.
"""

from __future__ import annotations

import csv
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
from ..lists.columns import NUMBER_NAMES, plain_name

__all__ = ["RetryList", "write_deliveries", "write_header"]

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


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


_JSON_LINES = {".jsonl", ".ndjson", ".json"}


def write_header(file: IO[str]) -> None:
    """Write the names of the columns that `write_deliveries` fills."""
    _writer(file).writerow(_COLUMNS)


def write_deliveries(message_id: str, recipients: Iterable[RecipientReport], file: IO[str]) -> None:
    """Write one line of CSV for each recipient of a message; times in ISO 8601 and UTC."""
    _writer(file).writerows(_row(message_id, one) for one in recipients)


def _writer(file: IO[str]) -> Any:
    return csv.writer(file, lineterminator="\n")


def _row(message_id: str, recipient: RecipientReport) -> tuple[Any, ...]:
    failure = failure_of(recipient)
    sent, delivered = times_of(recipient)
    number = _read(recipient.number)
    return (
        # As a list has them: a number begins with a plus sign, and must stay one for programs.
        _guarded(recipient.number) if number is None else number,
        "" if number is None else calling_code(number),
        message_id,
        state_of(recipient).name.lower(),
        "" if failure is None else _guarded(failure.reason),
        "" if failure is None else str(failure.permanent).lower(),
        recipient.sms,
        recipient.price,
        recipient.real_cost,
        _time(sent),
        _time(delivered),
        seconds_to_deliver(recipient),
    )


def _guarded(text: str) -> str:
    """Keep a spreadsheet from taking for a formula what others wrote."""
    # Where a comma is a decimal sign, a spreadsheet ends cells at semicolons: there too.
    text = text.replace(";", ",")
    return f"'{text}" if text.startswith(_FORMULA) else text


def _time(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _read(number: str) -> str | None:
    try:
        return normalize(number)
    except InvalidNumberError:
        return None


class RetryList:
    """Those who did not get it and may get it when it is sent again, each once.

    Feed it with the recipients of all messages that they were sent to. Whoever has it on one of
    these messages, may still get it, or cannot be helped, is not on the list; nor is anybody whom
    the gateway itself calls delivered and the carrier does not. The fields are those that the
    gateway shows, of the first message with the number.

    Numbers that cannot be read, being masked, are nobody's: `lost` counts those who could be tried
    again, `hidden` those who have it or may still get it. While there are any of these, somebody
    on the list may be one of them.
    """

    def __init__(self) -> None:
        self.lost: int = 0
        self.hidden: int = 0
        self._people: dict[int, tuple[str, dict[str, str]]] = {}
        self._settled: set[int] = set()

    def __len__(self) -> int:
        return len(self._people)

    def add(self, recipient: RecipientReport) -> None:
        """Take one recipient of a message into account."""
        failure = failure_of(recipient)
        is_settled = failure is None or failure.permanent or says_delivered(recipient)
        number = _read(recipient.number)
        if number is None:
            self.lost += not is_settled
            # Who cannot be helped has it not, and would only cost once more.
            self.hidden += failure is None or says_delivered(recipient)
            return
        key = digits_key(number)
        if is_settled:
            self._settle(key)
        elif key not in self._settled and key not in self._people:
            self._people[key] = number, _fields(recipient)

    def leave_out(self, numbers: Iterable[str]) -> None:
        """Keep these off the list: it is not known that they have not got it, or will not."""
        for written in numbers:
            number = _read(written)
            if number is None:
                self.hidden += 1
            else:
                self._settle(digits_key(number))

    def _settle(self, key: int) -> None:
        self._settled.add(key)
        self._people.pop(key, None)

    def number_column(self) -> str | None:
        """Return what `bulk` must be told with --number-column; None when it finds it itself."""
        names = self._field_names()
        column = _number_name(names)
        known = {plain_name(name).lower() for name in names} & set(NUMBER_NAMES)
        return column if known or column not in NUMBER_NAMES else None

    def write(self, file: IO[str]) -> None:
        """Write a list that can be sent to: CSV, or JSON Lines if the file's name ends like that."""
        names = self._field_names()
        column = _number_name(names)
        if PurePath(file.name).suffix.lower() in _JSON_LINES:
            for number, fields in self._people.values():
                file.write(msgspec.json.encode({column: number, **fields}).decode() + "\n")
            return
        writer = _writer(file)
        writer.writerow((column, *names))
        for number, fields in self._people.values():
            writer.writerow((number, *(_as_cell(fields.get(name, "")) for name in names)))

    def _field_names(self) -> list[str]:
        return list(dict.fromkeys(name for _, fields in self._people.values() for name in fields))


def _number_name(fields: Iterable[str]) -> str:
    """Return a name for the column of the numbers that no field has."""
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


def _as_cell(value: str) -> str:
    """Write a value so that no spreadsheet reckons with it and `bulk` reads it back to the letter."""
    if not value.startswith(_FORMULA):
        return value
    quoted = value.replace('"', '""')
    return f'="{quoted}"'
