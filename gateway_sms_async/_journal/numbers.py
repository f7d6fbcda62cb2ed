"""Numbers in a journal without opening it: read when they are asked for, some thousand at a time.

The recipients of a journal never change, so nothing is locked. Blocks. Raises JournalError.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from itertools import chain

from .._journal_place import JournalPlace, JournalReader
from ..errors import JournalCorruptError
from .records import Ranges
from .schema import StoredRow, decode_row, decode_source

__all__ = ["numbers_as_written", "numbers_at"]


def numbers_at(place: JournalPlace, recipients: Ranges) -> Iterator[str]:
    """Yield the numbers of the recipients with these ordinals, in the gateway's form."""
    for first, end in recipients:
        at = first
        while at < end:
            start, row = _row_at(place, at)
            stop = min(end, start + len(row.numbers))
            yield from row.numbers[at - start : stop - start]
            at = stop


def numbers_as_written(place: JournalPlace) -> Iterator[tuple[int, str]]:
    """Yield all numbers as the caller wrote them, each with its position in the source."""
    with _opened(place) as file:
        taken = decode_source(file.meta()["taken"])
    refused = deque((position, number) for number, _, position in taken.invalid)
    at = 0
    while at < taken.people:
        start, row = _row_at(place, at)
        positions = chain.from_iterable(range(*run) for run in row.positions)
        for i, (position, number) in enumerate(zip(positions, row.numbers, strict=True)):
            while refused and refused[0][0] < position:
                yield refused.popleft()
            yield position, row.written.get(i, number)
        at = start + len(row.numbers)
    yield from refused


def _row_at(place: JournalPlace, ordinal: int) -> tuple[int, StoredRow]:
    """Return the row that has this ordinal, and the first ordinal in it."""
    with _opened(place) as file:
        start, value = file.recipients(ordinal)
        row = decode_row(value)
        if not start <= ordinal < start + len(row.numbers):
            raise JournalCorruptError(f"{place}: the journal is damaged: recipients are missing")
        return start, row


@contextmanager
def _opened(place: JournalPlace) -> Generator[JournalReader]:
    """Open it for a moment only: there may be a thousand such places."""
    with closing(place.peek()) as reader:
        yield reader
