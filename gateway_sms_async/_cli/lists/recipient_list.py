"""Lists of recipients in files, as people have them: to read, and to write some rows back.

The command line enters. A list is looked through when it is opened, so that what is wrong with
the file as a whole is known before anything is sent; each pass holds one row at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count, islice, starmap
from typing import IO, NamedTuple

from ..._recipients.numbers import mask
from ..._recipients.recipient import RecipientLike
from ...errors import InvalidNumberError
from .detect import choose_form
from .formats import Form
from .text_file import ListError, open_text

__all__ = ["RecipientList", "Row", "open_list", "read_exclusions", "write_rows"]

_WATCHED_EVERY = 20_000
"""Rows between two reports of how far a file is read."""


Watch = Callable[[int], object]


class Row(NamedTuple):
    """One recipient as the file has it, and the line it begins on."""

    line: int
    number: str
    fields: dict[str, str] | None


class RecipientList:
    """The recipients of one open file: `total` of them, in an iterable that starts anew each time.

    `name` is what the file is called, `form` how it is written, `fields` are the names that each
    recipient brings values for, as far as its row has them. A position is the place of a row among
    the rows, from 0.
    """

    def __init__(
        self, name: str, form: Form, fields: Sequence[str], watch: Watch | None = None
    ) -> None:
        self.name = name
        self.fields: tuple[str, ...] = tuple(fields)
        self.form = form
        self.total: int = self._count(watch)
        if not self.total:
            raise ListError(f"{name}: nobody is listed in this file")

    def _count(self, watch: Watch | None) -> int:
        total = 0
        rows = self.form.rows(self.fields)
        while more := sum(1 for _ in islice(rows, _WATCHED_EVERY)):
            total += more
            if watch is not None:
                watch(total)
        return total

    def rows(self) -> Iterator[Row]:
        """Go through the file from its beginning."""
        return starmap(Row, self.form.rows(self.fields))

    def __iter__(self) -> Iterator[RecipientLike]:
        for _, number, fields in self.form.rows(self.fields):
            yield number if fields is None else (number, fields)

    def lines(self, positions: Iterable[int]) -> dict[int, int]:
        """Return the line that the row at each of these positions begins on, in one pass."""
        wanted = set(positions)
        rows = islice(self.form.rows(()), max(wanted, default=-1) + 1)
        return {at: line for at, (line, _, _) in enumerate(rows) if at in wanted}


@contextmanager
def open_list(
    path: str,
    fields: Sequence[str] = (),
    *,
    allow_missing_fields: bool = False,
    number_column: str | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    watch: Watch | None = None,
) -> Generator[RecipientList]:
    """Open a file of recipients, `-` for standard input, and look it through.

    `fields` names what to keep of a row besides its number. Unless `allow_missing_fields`, a file
    that has no such column at all is refused. `number_column`, `encoding` and `delimiter` say
    what the file does not say itself. `watch` is called now and then with the number of rows
    looked through so far. Raises ListError.
    """
    with open_text(path, encoding) as text:
        form = choose_form(text, number_column=number_column, delimiter=delimiter)
        if not allow_missing_fields:
            form.check_fields(fields)
        yield RecipientList(text.name, form, fields, watch)


def write_rows(
    recipients: RecipientList,
    reasons: Mapping[int, str] | Callable[[int, Row], str | None],
    file: IO[str],
) -> None:
    """Write some rows in the list's own form, so that they can be corrected and be a list again.

    `reasons` are those of the positions to write, or what tells the reason of a position and its
    row, None to leave it out. Each row has its line in the list and its reason with it: in CSV
    and JSON as `line` and `reason` (`line_` or `reason_` where the text uses that name), after a
    plain number as a comment.
    """
    each = (
        starmap(reasons, enumerate(recipients.rows()))
        if callable(reasons)
        else map(reasons.get, count())
    )
    recipients.form.write(each, recipients.fields, file)


def read_exclusions(
    path: str,
    read: Callable[[str], str],
    *,
    number_column: str | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    watch: Watch | None = None,
) -> Iterator[str]:
    """Go through the numbers of a file in any form of a list, each as `read` returns it.

    `number_column`, `encoding` and `delimiter` may be those of another list: they count where
    this file has such a column, is no UTF-8, and is parted so. An empty file excludes nobody. Of
    a campaign's report, those who were not texted are passed over, unless they were excluded.
    Raises ListError; also for a number that `read` refuses with InvalidNumberError: whoever it
    belongs to would be texted.
    """
    with open_text(path, encoding, utf8_first=True) as text:
        form = choose_form(text, number_column=number_column, delimiter=delimiter, binding=False)
        for read_so_far, (line, number, outcome) in enumerate(form.outcomes(), 1):
            if not _is_passed_over(number, outcome):
                try:
                    yield read(number)
                except InvalidNumberError as error:
                    problem = f"{mask(number)}: {error.reason}"
                    raise text.error(
                        f"{problem}; correct it, or this one would be texted", line
                    ) from None
            if watch is not None and not read_so_far % _WATCHED_EVERY:
                watch(read_so_far)


def _is_passed_over(number: str, outcome: str) -> bool:
    """Tell whether a row of a report names nobody who must not be texted."""
    # A journal keeps no numbers of duplicates and of those who were excluded.
    return outcome in {"invalid", "unsent"} or (
        outcome in {"duplicate", "excluded"} and not number.strip()
    )
