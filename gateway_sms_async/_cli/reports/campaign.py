"""Files on a campaign: every recipient with its outcome, and the rows to correct or to send later.

Rows are written one at a time, so that a list of a million takes no memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import PurePath
from typing import IO, Self

from ..._journal.place import JournalLike
from ..._receipt import InvalidRecipient, Outcome, Receipt
from ..._shards.reading import journal_numbers
from ...errors import InvalidNumberError
from ..cells import RowWriter, guard, guard_number
from ..lists.recipient_list import Row

_COLUMNS = ("position", "line", "number", "outcome", "message_id", "reason")

_NOT_READ = Outcome("unsent", None, "not read")

_MAY_HAVE_TEXT = {"accepted", "doubled", "unknown"}

ReadNumber = Callable[[str], str]
"""Turns a number as written into the gateway's form. Raises InvalidNumberError if it cannot."""


def write_report(rows: Iterable[Row], receipt: Receipt, file: IO[str]) -> None:
    """Write every row of a list with its outcome."""
    with _Writer(file) as writer:
        for position, row in enumerate(rows):
            writer.write(position, row.line, row.number, _outcome(receipt.outcomes, position))


async def write_journal_report(journal: JournalLike, receipt: Receipt, file: IO[str]) -> None:
    """Write every recipient of a journal with its outcome.

    A journal does not keep the numbers of duplicates, so these are empty. Raises JournalError if
    the journal cannot be read.
    """
    with _Writer(file) as writer:
        position = 0
        async for kept, number in journal_numbers(journal):
            for not_kept in range(position, kept):
                writer.write(not_kept, None, "", receipt.outcomes[not_kept])
            writer.write(kept, None, number, receipt.outcomes[kept])
            position = kept + 1
        for not_kept in range(position, receipt.total):
            writer.write(not_kept, None, "", receipt.outcomes[not_kept])


def rejected_rows(
    rows: Iterable[Row],
    invalid: Iterable[InvalidRecipient],
    outcomes: Sequence[Outcome],
    read_number: ReadNumber,
) -> dict[int, str]:
    """Return the reason for each invalid row, by its position.

    Leaves out rows whose number was sent to by another row: for example, the first row of a number
    lacks a field, and the second one has it.
    """
    reasons = {recipient.position: recipient.reason for recipient in invalid}
    positions: dict[str, list[int]] = {}
    for recipient in invalid:
        if (number := _read_or_none(recipient.number, read_number)) is not None:
            positions.setdefault(number, []).append(recipient.position)
    if positions:
        for outcome, row in zip(outcomes, rows, strict=False):
            if outcome.name in _MAY_HAVE_TEXT:
                for position in positions.get(read_number(row.number), ()):
                    reasons.pop(position, None)
    return reasons


def unsent_rows(
    receipt: Receipt, excluded: Collection[str], read_number: ReadNumber
) -> Callable[[int, Row], str | None]:
    """Return a function that returns why a row was not sent, or None if it was or may have been.

    It must be called for each row in order. A row was not sent if its outcome is unsent, or if the
    campaign stopped before it was read, unless its number is one of `excluded`, which are in the
    gateway's form.
    """
    excluded = frozenset(excluded)
    # The numbers that have the text, or may have it: a later, unread row with such a number is a
    # duplicate, and sending it would text that recipient twice.
    settled: set[str] = set()

    def reason(position: int, row: Row) -> str | None:
        outcome = _outcome(receipt.outcomes, position)
        if outcome.name != "unsent":
            if outcome.name not in {"invalid", "excluded"}:
                settled.add(read_number(row.number))
            return None
        if outcome is not _NOT_READ:
            return "not sent"
        number = _read_or_none(row.number, read_number)
        return None if number in settled or number in excluded else "not read"

    return reason


def _read_or_none(number: str, read_number: ReadNumber) -> str | None:
    try:
        return read_number(number)
    except InvalidNumberError:
        return None


def _outcome(outcomes: Sequence[Outcome], position: int) -> Outcome:
    return outcomes[position] if position < len(outcomes) else _NOT_READ


class _Writer:
    """Writes CSV, or one JSON array if the file's name ends in .json."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._is_json = PurePath(file.name).suffix.lower() == ".json"
        self._csv = RowWriter(file)
        self._separator = "[\n"

    def __enter__(self) -> Self:
        if not self._is_json:
            self._csv.write(_COLUMNS)
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_json:
            self._file.write("[]\n" if self._separator == "[\n" else "\n]\n")

    def write(self, position: int, line: int | None, number: str, outcome: Outcome) -> None:
        if not self._is_json:
            name, message_id, reason = outcome
            texts = (name, guard(message_id or ""), guard(reason or ""))
            self._csv.write((position, line, guard_number(number), *texts))
            return
        cells = (position, line, number, *outcome)
        self._file.write(self._separator)
        self._file.write(json.dumps(dict(zip(_COLUMNS, cells, strict=True)), ensure_ascii=False))
        self._separator = ",\n"
