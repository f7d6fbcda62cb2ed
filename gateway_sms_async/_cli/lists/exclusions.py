"""Lists of numbers not to send to, in any format of a list.

Such a list protects its recipients. All columns that hold numbers are read, and a number that
cannot be read is an error. A number in any other column is excluded too. A row without a number
excludes no recipient, and is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..._recipients.numbers import mask
from ...errors import InvalidNumberError
from .columns import ANY_KNOWN, NumberColumns, show_names
from .detect import choose_format
from .empty_cells import FirstLines
from .formats import Exclusion
from .text_file import ListError, TextFile, open_text

_ON_READ_EVERY = 20_000
"""Rows between two calls of `on_read`."""


@dataclass(frozen=True, kw_only=True)
class Exclusions:
    """The numbers of one file that are not sent to, and where they were found.

    `columns` are the names of the columns, or JSON keys, that the numbers are in. `without_number`
    are the rows that have no number.
    """

    name: str
    numbers: list[str]
    columns: list[str]
    without_number: FirstLines


def read_exclusions(
    path: str,
    read_number: Callable[[str], str],
    *,
    columns: NumberColumns = ANY_KNOWN,
    encoding: str | None = None,
    delimiter: str | None = None,
    on_read: Callable[[int], object] | None = None,
) -> Exclusions:
    """Read all numbers of a file, each as `read_number` returns it.

    `columns`, `encoding` and `delimiter` may be those of another list: each is used only if it fits
    this file, the encoding only if the file is not UTF-8. An empty file is allowed. In the report
    of a campaign, recipients that were not sent to are skipped, unless they were excluded.

    Raises ListError, also for a number that `read_number` refuses, and if there are rows of which
    none has a number.
    """
    columns = columns._replace(binding=False)
    numbers: list[str] = []
    without_number = FirstLines()
    with open_text(path, encoding, utf8_first=True) as text:
        list_format = choose_format(text, columns, delimiter=delimiter, binding=False)
        for rows_read, row in enumerate(list_format.exclusions(), 1):
            if not _is_skipped(row):
                try:
                    found = _read_numbers(row, read_number)
                except InvalidNumberError as error:
                    raise _unreadable(text, row, error, list_format.number_names) from None
                for column, number in _read_possible(row, read_number) if row.possible else ():
                    found.append(number)
                    if column not in list_format.number_names:
                        list_format.number_names.append(column)
                numbers += dict.fromkeys(found)
                if not found:
                    without_number.add(row.line)
            if on_read is not None and not rows_read % _ON_READ_EVERY:
                on_read(rows_read)
        names = list_format.number_names
        if without_number.count and not numbers:
            where = f" in {show_names(names)}" if names else ""
            raise ListError(
                f"{text.name}: no row has a number{where}, so this list would exclude no recipient; "
                "give the list that holds the numbers, or name their column with --number-column"
            )
        return Exclusions(
            name=text.name, numbers=numbers, columns=names, without_number=without_number
        )


def _is_skipped(row: Exclusion) -> bool:
    """Whether a row of a report has no recipient to exclude."""
    # A journal does not keep the numbers of duplicate and excluded recipients.
    return row.outcome in {"invalid", "unsent"} or (
        row.outcome in {"duplicate", "excluded"} and not any(map(str.strip, row.numbers))
    )


def _read_numbers(row: Exclusion, read_number: Callable[[str], str]) -> list[str]:
    """Return the numbers of a row. A row of a report must have its number."""
    written = row.numbers if row.outcome else filter(_has_digits, row.numbers)
    return list(map(read_number, written))


def _read_possible(row: Exclusion, read_number: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """Yield the numbers among the texts of a row that need not be numbers, each with its column."""
    for column, text in row.possible:
        with suppress(InvalidNumberError):
            yield column, read_number(text)


def _has_digits(cell: str) -> bool:
    """Whether a cell can be a number; zeros alone stand for no number in some exports."""
    return any(one.isdigit() and one != "0" for one in cell)


def _unreadable(
    text: TextFile, row: Exclusion, error: InvalidNumberError, columns: Sequence[str]
) -> ListError:
    problem = f"{mask(error.number)}: {error.reason}"
    remedy = "correct it, else this recipient would get the text"
    if len(columns) > 1:
        remedy += (
            f", or, if a column of {show_names(columns)} holds no numbers, name the others with "
            "--number-column NAME"
        )
    return text.error(f"{problem}; {remedy}", row.line)
