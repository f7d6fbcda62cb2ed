"""The recipients of a journal without opening it: read when they are asked for, some thousand at a time.

The recipients of a journal never change, so nothing is locked. Blocks. Raises JournalError.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import closing
from itertools import chain

from .._journal_place import JournalPlace, JournalReader
from ..errors import JournalCorruptError, JournalError
from .records import Ranges
from .schema import StoredRow, decode_row, decode_settings, decode_source

__all__ = ["StoredRecipients"]


class StoredRecipients:
    """The recipients in the journal of one shard.

    `campaign` is the id in its settings: after a purge, another journal may have the same place.
    """

    def __init__(self, place: JournalPlace, campaign: str) -> None:
        self._place = place
        self._campaign = campaign

    def numbers(self, recipients: Ranges) -> Iterator[str]:
        """Yield the numbers of the recipients with these ordinals, in the gateway's form."""
        for first, end in recipients:
            at = first
            while at < end:
                start, row = self._row_at(at)
                stop = min(end, start + len(row.numbers))
                yield from row.numbers[at - start : stop - start]
                at = stop

    def positions(self) -> Iterator[int]:
        """Yield the position in the source of each recipient, by ordinal."""
        for row in self._rows():
            yield from chain.from_iterable(range(*run) for run in row.positions)

    def as_written(self) -> Iterator[tuple[int, str]]:
        """Yield all numbers as the caller wrote them, each with its position in the source."""
        refused = deque((position, number) for number, _, position in self._source()[1])
        for row in self._rows():
            positions = chain.from_iterable(range(*run) for run in row.positions)
            for i, (position, number) in enumerate(zip(positions, row.numbers, strict=True)):
                while refused and refused[0][0] < position:
                    yield refused.popleft()
                yield position, row.written.get(i, number)
        yield from refused

    def _rows(self) -> Iterator[StoredRow]:
        at, end = 0, self._source()[0]
        while at < end:
            start, row = self._row_at(at)
            yield row
            at = start + len(row.numbers)

    def _source(self) -> tuple[int, list[tuple[str, str, int]]]:
        """Return how many recipients are to be sent to, and those that are refused."""
        with closing(self._place.peek()) as reader:
            self._check(reader)
            taken = decode_source(reader.meta()["taken"])
        return taken.people, taken.invalid

    def _row_at(self, ordinal: int) -> tuple[int, StoredRow]:
        """Return the row that has this ordinal, and the first ordinal in it."""
        # Opened for a moment only: there may be a thousand such places.
        with closing(self._place.peek()) as reader:
            self._check(reader)
            start, value = reader.recipients(ordinal)
        row = decode_row(value)
        if not start <= ordinal < start + len(row.numbers):
            raise JournalCorruptError(
                f"{self._place}: the journal is damaged: recipients are missing"
            )
        return start, row

    def _check(self, reader: JournalReader) -> None:
        if decode_settings(reader.meta()["settings"]).campaign != self._campaign:
            raise JournalError(
                f"{self._place}: another campaign has this place now, so the recipients of the one "
                "before cannot be read any more"
            )
