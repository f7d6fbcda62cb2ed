"""What is kept of a campaign in files: everybody with his outcome, and those who are left over.

The campaign commands enter. Everything is written row by row, for a million of them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from os import PathLike
from pathlib import PurePath
from typing import IO, Any, Self

from ..._campaign.stored import journal_numbers
from ..._receipt import InvalidRecipient, Outcome, Receipt
from ...errors import InvalidNumberError
from ..lists.recipient_list import Row

__all__ = ["left_over", "refused", "write_journal_report", "write_report"]

_COLUMNS = ("position", "line", "number", "outcome", "message_id", "reason")


_NOT_READ = Outcome("unsent", None, "not read")


_SENT_TO = {"accepted", "doubled", "unknown"}


Read = Callable[[str], str]
"""Turns a number as written into the gateway's form; InvalidNumberError if that cannot be."""


def write_report(rows: Iterable[Row], receipt: Receipt, file: IO[str]) -> None:
    """Write every row of a list with what became of it."""
    with _Writer(file) as writer:
        for position, row in enumerate(rows):
            writer.write(position, row.line, row.number, _outcome(receipt.outcomes, position))


async def write_journal_report(
    journal: str | PathLike[str], receipt: Receipt, file: IO[str]
) -> None:
    """Write everyone whom a journal accounts for; the numbers of duplicates are not kept in it.

    Raises JournalError when the journal cannot be read.
    """
    with _Writer(file) as writer:
        position = 0
        async for named, number in journal_numbers(journal):
            for nameless in range(position, named):
                writer.write(nameless, None, "", receipt.outcomes[nameless])
            writer.write(named, None, number, receipt.outcomes[named])
            position = named + 1
        for nameless in range(position, receipt.total):
            writer.write(nameless, None, "", receipt.outcomes[nameless])


def refused(
    rows: Iterable[Row],
    invalid: Iterable[InvalidRecipient],
    outcomes: Sequence[Outcome],
    read: Read,
) -> dict[int, str]:
    """Return the reasons of the invalid rows by their places, without those of people sent to.

    A row may be refused for a field that it lacks while another one with the same number went out.
    """
    reasons = {one.position: one.reason for one in invalid}
    numbers: dict[str, list[int]] = {}
    for one in invalid:
        if (number := _read_or_none(one.number, read)) is not None:
            numbers.setdefault(number, []).append(one.position)
    if numbers:
        for outcome, row in zip(outcomes, rows, strict=False):
            if outcome.name in _SENT_TO:
                for position in numbers.get(read(row.number), ()):
                    reasons.pop(position, None)
    return reasons


def left_over(
    receipt: Receipt, excluded: Collection[str], read: Read
) -> Callable[[int, Row], str | None]:
    """Return what says of each row, in order, why it is left over: None if it is not.

    Those are left over who are proven unsent, and those whom the campaign did not come to read,
    except for the `excluded`, in the gateway's form.
    """
    not_to_be = frozenset(excluded)
    # Who stands among the rows that were read and is not unsent is texted, or may be: a row
    # further down with the same number must not bring that number back.
    settled: set[str] = set()

    def reason(position: int, row: Row) -> str | None:
        outcome = _outcome(receipt.outcomes, position)
        if outcome.name != "unsent":
            if outcome.name not in {"invalid", "excluded"}:
                settled.add(read(row.number))
            return None
        if outcome is not _NOT_READ:
            return "not sent"
        number = _read_or_none(row.number, read)
        return None if number in settled or number in not_to_be else "not read"

    return reason


def _read_or_none(number: str, read: Read) -> str | None:
    try:
        return read(number)
    except InvalidNumberError:
        return None


def _outcome(outcomes: Sequence[Outcome], position: int) -> Outcome:
    return outcomes[position] if position < len(outcomes) else _NOT_READ


class _Writer:
    """Writes a CSV, or one JSON array where the file's name ends in .json."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._is_json = PurePath(file.name).suffix.lower() == ".json"
        self._csv = csv.writer(file, lineterminator="\n")
        self._separator = "[\n"

    def __enter__(self) -> Self:
        if not self._is_json:
            self._csv.writerow(_COLUMNS)
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_json:
            self._file.write("[]\n" if self._separator == "[\n" else "\n]\n")

    def write(self, position: int, line: int | None, number: str, outcome: Outcome) -> None:
        cells: tuple[Any, ...] = (position, line, number, *outcome)
        if not self._is_json:
            self._csv.writerow(cells)
            return
        self._file.write(self._separator)
        self._file.write(json.dumps(dict(zip(_COLUMNS, cells, strict=True)), ensure_ascii=False))
        self._separator = ",\n"
