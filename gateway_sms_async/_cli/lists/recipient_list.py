"""Lists of recipients in files: opened and checked, read, and written back in part.

A list is read through once when it is opened, so that a broken file is reported before anything is
sent. Each pass keeps one row in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count, islice, starmap
from typing import IO, NamedTuple

from ..._recipients.recipient import RecipientLike
from .columns import ANY_KNOWN, NumberColumns
from .detect import choose_format
from .empty_cells import EmptyCells, says_nothing
from .formats import Format
from .text_file import ListError, open_text

_ON_READ_EVERY = 20_000
"""Rows between two calls of `on_read`."""

OnRead = Callable[[int], object]
"""Called now and then with the number of rows read so far."""


class Row(NamedTuple):
    """One recipient as written in the file, and the line that it begins on."""

    line: int
    number: str
    fields: dict[str, str] | None


class RecipientList:
    """The recipients in one open file, as an iterable that can be iterated any number of times.

    `total` is the number of rows, `name` that of the file, `format` how it is written; `fields` are
    the names of the values that are read for each recipient, as far as its row has them, and
    `empty` the rows without any text in one of them. The position of a row is its index among the
    rows, from 0.
    """

    def __init__(
        self, name: str, list_format: Format, fields: Sequence[str], on_read: OnRead | None = None
    ) -> None:
        self.name = name
        self.fields: tuple[str, ...] = tuple(fields)
        self.format = list_format
        self.empty: dict[str, EmptyCells] = {}
        self.total: int = self._count(on_read)
        if not self.total:
            raise ListError(f"{name}: there are no recipients in this file")

    def _count(self, on_read: OnRead | None) -> int:
        total = 0
        for total, (line, _, fields) in enumerate(self.format.rows(self.fields), 1):
            if fields:
                self._find_empty(line, fields)
            if on_read is not None and not total % _ON_READ_EVERY:
                on_read(total)
        if on_read is not None and total % _ON_READ_EVERY:
            on_read(total)
        return total

    def _find_empty(self, line: int, fields: Mapping[str, str]) -> None:
        for name, value in fields.items():
            if says_nothing(value):
                self.empty.setdefault(name, EmptyCells()).add(line, value)

    def rows(self) -> Iterator[Row]:
        """Yield all rows, from the beginning of the file."""
        return starmap(Row, self.format.rows(self.fields))

    def __iter__(self) -> Iterator[RecipientLike]:
        for _, number, fields in self.format.rows(self.fields):
            yield number if fields is None else (number, fields)

    def lines(self, positions: Iterable[int]) -> dict[int, int]:
        """Return the line that each of these positions begins on, found in one pass."""
        wanted = set(positions)
        rows = islice(self.format.rows(()), max(wanted, default=-1) + 1)
        return {at: line for at, (line, _, _) in enumerate(rows) if at in wanted}


@contextmanager
def open_list(
    path: str,
    fields: Sequence[str] = (),
    *,
    allow_missing_fields: bool = False,
    columns: NumberColumns = ANY_KNOWN,
    encoding: str | None = None,
    delimiter: str | None = None,
    on_read: OnRead | None = None,
) -> Generator[RecipientList]:
    """Open a list, `-` for standard input, and read it through once.

    `fields` are the columns to keep besides the number. A file without one of these columns is
    refused, unless `allow_missing_fields`. `encoding` and `delimiter` are detected if they are None.
    Raises ListError.
    """
    with open_text(path, encoding) as text:
        list_format = choose_format(text, columns, delimiter=delimiter)
        if not allow_missing_fields:
            list_format.check_fields(fields)
        yield RecipientList(text.name, list_format, fields, on_read)


def write_rows(
    recipients: RecipientList,
    reasons: Mapping[int, str] | Callable[[int, Row], str | None],
    file: IO[str],
) -> None:
    """Write some rows in the format of the list, so that they can be corrected and sent.

    `reasons` maps the positions of the rows to write to a reason, or is a function that returns the
    reason for a position and its row, None to leave it out. Line and reason are added to each row:
    in CSV and JSON as `line` and `reason` (`line_` or `reason_` if the text uses that name), after
    a plain number as a comment.
    """
    each = (
        starmap(reasons, enumerate(recipients.rows()))
        if callable(reasons)
        else map(reasons.get, count())
    )
    recipients.format.write(each, recipients.fields, file)


def divide_rows(
    recipients: RecipientList, part_of: Callable[[int, Row], int], files: Sequence[IO[str]]
) -> None:
    """Write each row, as it is, to the file that `part_of` returns for its position and row.

    Each file is a list in the format of the whole one.
    """
    recipients.format.divide(starmap(part_of, enumerate(recipients.rows())), files)
