"""The rows of CSV, each as its cells. Cells that are in the wrong columns are an error.

Spaces after a delimiter are not part of a cell, also before a quote. Any other character before a
quote makes the quote part of the cell, and a delimiter in such quotes would split the cell: all
cells after it would be read under the wrong names.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence

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
    may_be_split = may_be_empty = False
    # Where a cell is quoted properly, a quote is beside a delimiter or beside another quote.
    beside = f'"\n{re.escape(delimiter)}'
    # The literal quote comes first, because a search for it is fast.
    inside_a_cell = re.compile(rf'"(?<=[^{beside}]")(?=[^{beside}])')
    empty_after_blank = re.compile(rf'""(?<=[{_BLANKS}]"")(?=[\n{re.escape(delimiter)}]|\Z)')

    def watched() -> Iterator[str]:
        nonlocal may_be_split, may_be_empty
        for content in lines:
            if ('"' in content and inside_a_cell.search(content)) or (
                not content.isascii() and _TYPOGRAPHIC.search(content)
            ):
                may_be_split = True
            if '""' in content and empty_after_blank.search(content):
                may_be_empty = True
            yield content

    reader = csv.reader(
        watched(), delimiter=delimiter, strict=True, skipinitialspace=delimiter != " "
    )
    line = 1
    try:
        for cells in reader:
            if may_be_split or may_be_empty:
                is_odd = may_be_empty and any(map(_EMPTY_AFTER_BLANK.fullmatch, cells))
                if is_odd or (may_be_split and _is_split(cells)):
                    raise BrokenRowError(
                        "a quote inside a cell, so its text may be in two columns",
                        "begin the cell with a straight quote, directly after the delimiter",
                        line,
                    )
                may_be_split = may_be_empty = False
            yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise BrokenRowError(str(error), "look for a stray quote", line) from None


def _is_split(cells: Sequence[str]) -> bool:
    """Whether a quote begins inside a cell after a blank, or ends in another cell."""
    opened = False
    for cell in cells:
        if _BLANK_BEFORE_QUOTE.match(cell) or (opened and _CLOSED.match(cell)):
            return True
        opened = opened or _OPENED.search(cell) is not None
    return False
