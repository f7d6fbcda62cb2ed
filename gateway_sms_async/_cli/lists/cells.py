"""The rows of CSV, each as its cells. Cells that are in the wrong columns are an error.

Spaces after a delimiter are not part of a cell, also before a quote. Any other character before a
quote makes the quote part of the cell, and a delimiter in such quotes would split the cell: all
cells after it would be read under the wrong names. A stray quote at the beginning of a cell makes the
rows up to the next quote part of that cell.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence

from .number_shapes import is_number_no_date, looks_like_number

_QUOTES = '"“”„«»'

_TYPOGRAPHIC = re.compile("[“„«»]")

_BLANKS = r"\s\u200b-\u200f\u2060\ufeff"

_BLANK_BEFORE_QUOTE = re.compile(rf'(?! )[{_BLANKS}]+"')

_EMPTY_AFTER_BLANK = re.compile(rf'[{_BLANKS}]+""')

_OPENED = re.compile(rf'(?:^|[\s(])["“„«»]\s?[^\s{_QUOTES}][^{_QUOTES}]*\Z')

_CLOSED = re.compile(rf'[^{_QUOTES}]*[^{_QUOTES}\s]\s?["”“«»](?=[\s).,;:!?]|\Z)')


class BrokenRowError(ValueError):
    """A row that is not CSV, or whose cells are in the wrong columns. `line` is where it begins.

    Its text is the reason in brackets, and the remedy.
    """

    def __init__(self, reason: str, remedy: str, line: int) -> None:
        super().__init__(f"({reason}); {remedy}")
        self.line = line


def read_rows(lines: Iterable[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows: the line that each begins on, from 1, and its cells.

    Raises BrokenRowError.
    """
    watched = _Watched(lines, delimiter)
    reader = csv.reader(
        watched, delimiter=delimiter, strict=True, skipinitialspace=delimiter != " "
    )
    line = 1
    try:
        for cells in reader:
            if watched.is_odd:
                watched.check(cells, line)
            end = reader.line_num
            if end > line and _may_hold_rows(cells, delimiter):
                raise BrokenRowError(
                    "a cell over several lines holds a number, so it may hold other rows",
                    "look for a stray quote, or write the cell on one line",
                    line,
                )
            yield line, cells
            line = end + 1
    except csv.Error as error:
        raise BrokenRowError(str(error), "look for a stray quote", line) from None


class _Watched:
    """The lines on their way to the reader of CSV. `is_odd` after one whose quotes need a look."""

    def __init__(self, lines: Iterable[str], delimiter: str) -> None:
        self.is_odd: bool = False
        self._lines = lines
        self._may_be_split = False
        self._may_be_empty = False
        self._between = f'"{delimiter}"'
        # Where a cell is quoted properly, a quote is beside a delimiter or beside another quote.
        delimiter = re.escape(delimiter)
        beside = f'"\n{delimiter}'
        # The literal quote comes first, because a search for it is fast.
        self._inside_a_cell = re.compile(
            rf'"(?:(?<=[^{beside}]")(?=[^{beside}])|(?<=[{_BLANKS}]")(?<![ {delimiter}]")(?={delimiter}))'
        )
        self._empty_after_blank = re.compile(rf'""(?<=[{_BLANKS}]"")(?=[\n{delimiter}]|\Z)')

    def __iter__(self) -> Iterator[str]:
        for content in self._lines:
            if '"' in content and not self._is_all_quoted(content):
                if self._inside_a_cell.search(content):
                    self.is_odd = self._may_be_split = True
                if '""' in content and self._empty_after_blank.search(content):
                    self.is_odd = self._may_be_empty = True
            if not content.isascii() and _TYPOGRAPHIC.search(content):
                self.is_odd = self._may_be_split = True
            yield content

    def _is_all_quoted(self, content: str) -> bool:
        """Whether each cell of a line is quoted, and no quote is inside one. Much faster than a search."""
        return (
            content.startswith('"')
            and content.endswith('"\n')
            and content.count('"') == 2 * content.count(self._between) + 2
        )

    def check(self, cells: Sequence[str], line: int) -> None:
        """Raise BrokenRowError if the row of these lines has a quote inside a cell."""
        if (self._may_be_empty and any(map(_EMPTY_AFTER_BLANK.fullmatch, cells))) or (
            self._may_be_split and _is_split(cells)
        ):
            raise BrokenRowError(
                "a quote inside a cell, so its text may be in two columns",
                "begin the cell with a straight quote, directly after the delimiter",
                line,
            )
        self.is_odd = self._may_be_split = self._may_be_empty = False


def _is_split(cells: Sequence[str]) -> bool:
    """Whether a quote begins inside a cell after a blank, or ends in another cell."""
    opened = False
    for cell in cells:
        if _BLANK_BEFORE_QUOTE.match(cell) or (opened and _CLOSED.match(cell)):
            return True
        opened = opened or _OPENED.search(cell) is not None
    return False


def _may_hold_rows(cells: Sequence[str], delimiter: str) -> bool:
    """Whether a cell of several lines has a number after a line break or a delimiter.

    Also in its first line: the row that it begins in may have its number there. A cell of numbers
    alone holds no rows: a number that is written so is invalid, and reported.
    """
    for cell in cells:
        if "\n" in cell and (delimiter in cell or not looks_like_number(cell)):
            pieces = cell.replace(delimiter, "\n").split("\n")
            if any(map(is_number_no_date, pieces[1:])):
                return True
    return False
