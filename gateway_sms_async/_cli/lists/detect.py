"""Which form a list is written in, found out by its first line and the file's name.

`lists` enters. Only the beginning of a file is looked at here; reading it is up to `_formats`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import PurePath
from typing import NamedTuple

from .columns import NumberColumn, looks_like_number
from .formats import Form, Header, JSONLines, PlainLines, Table, is_json
from .text_file import ListError, TextFile

__all__ = ["choose_form"]

_USUAL_DELIMITERS = ",;\t|"


# What stands inside the names of columns, as in phone_number and tel./cell., separates none.
_NO_DELIMITERS = frozenset(" \n\u00a0_-./\\'\"()[]{}#+&?")


_COMMENT = re.compile(r"\s#|^#\s")


_WRITTEN_BACK = re.compile(r"  # line \d+: ")


_EXCEL_DELIMITER = re.compile(r'"?sep=([^"\n])"?\n?', re.IGNORECASE)


def choose_form(
    text: TextFile,
    *,
    number_column: str | None = None,
    delimiter: str | None = None,
    binding: bool = True,
) -> Form:
    """Go by the first line that is not blank, and where that leaves a doubt by the file's name.

    `number_column` names what holds the number, `delimiter` is the character between two cells;
    None leaves them to be found. Unless they are `binding`, they are also found where the file
    has no such column or is not parted so. Raises ListError.
    """
    opening = _read_opening(text)
    column = NumberColumn(number_column, binding)
    forced = opening.delimiter
    if delimiter is not None:
        given = _check_delimiter(delimiter)
        if binding or any(_find_headers(text, opening, [given], column)):
            forced = given
    suffix = PurePath(text.name.lower().removesuffix(".gz")).suffix
    if _is_json_lines(opening.first.strip(), suffix):
        return JSONLines(text, column)
    if not opening.first and not opening.excel:
        return PlainLines(text)
    if forced is not None:
        return Table(text, _parse_header(text, opening, forced), column)
    return _choose_by_cells(text, opening, column, is_csv=suffix in {".csv", ".tsv"})


def _is_json_lines(first: str, suffix: str) -> bool:
    """Tell whether a first line leaves no doubt: CSV has quotes too, but no objects."""
    if suffix in {".jsonl", ".ndjson"}:
        return first.startswith(("{", "[")) or is_json(first)
    return first == "[" or (first.startswith("{") and is_json(first))


def _choose_by_cells(
    text: TextFile, opening: _Opening, column: NumberColumn, *, is_csv: bool
) -> Form:
    """Look for a column of the number first; `is_csv` as far as the file's name tells."""
    first = opening.first.lstrip()
    # A comment after a number may hold anything, and is no cell.
    number, *comment = _COMMENT.split(first, maxsplit=1)
    is_plain = bool(comment) and not is_csv and not _has_cells(number)
    is_plain = is_plain or _WRITTEN_BACK.search(first) is not None
    header = None if is_plain else next(_find_headers(text, opening, None, column), None)
    if header is not None:
        return Table(text, header, column)
    named = column.binding and column.wanted is not None
    # In a CSV anything else is a name of a column, if a wrong one.
    is_one = _begins_with_number(text) if is_csv else not _has_cells(first)
    if first.startswith("{" if is_csv else ("{", "[")) or (first.startswith('"') and is_one):
        return JSONLines(text, column)
    if is_plain or (first.startswith("#") and not is_csv) or (is_one and not named):
        return PlainLines(text)
    return Table(text, _guess_header(text, opening), column)


class _Opening(NamedTuple):
    """How a file begins: Excel's line that names the delimiter, then the first one of the list.

    `first` stands on `line`; both texts are empty where there is nothing.
    """

    excel: str
    delimiter: str | None
    first: str
    line: int


def _read_opening(text: TextFile) -> _Opening:
    excel, delimiter = "", None
    for line, content in enumerate(text.lines(), 1):
        if not excel and (found := _EXCEL_DELIMITER.fullmatch(content)):
            excel, delimiter = content, found[1]
        elif content.strip():
            return _Opening(excel, delimiter, content, line)
    return _Opening(excel, delimiter, "", 1)


def _check_delimiter(delimiter: str) -> str:
    # A tab is hard to type in a shell.
    delimiter = {"tab": "\t", r"\t": "\t"}.get(delimiter.lower(), delimiter)
    if len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise ListError(f"{delimiter!r} is no delimiter; give one character, or tab")
    return delimiter


def _has_cells(first: str) -> bool:
    """Tell whether a first line is rather one of cells than a number."""
    return any(map(str.isalpha, first)) and any(one in first for one in _USUAL_DELIMITERS)


def _begins_with_number(text: TextFile) -> bool:
    """Tell whether the first line that is no comment is a number without other cells."""
    _, number, _ = next(PlainLines(text).rows(()), (0, "", None))
    return looks_like_number(number) and not any(one in number for one in _USUAL_DELIMITERS)


# The header of CSV


def _find_headers(
    text: TextFile, opening: _Opening, delimiters: Iterable[str] | None, column: NumberColumn
) -> Iterator[Header]:
    """Return the headers by the delimiters that make one of the cells a column of the number.

    None stands for all that the first line may have.
    """
    for header in _try_headers(text, opening, delimiters or _list_delimiters(opening.first)):
        if column.places(header.columns):
            yield header


def _list_delimiters(first: str) -> list[str]:
    candidates = list(_USUAL_DELIMITERS)
    if not any(one in first for one in candidates):
        candidates += dict.fromkeys(
            one for one in first if not one.isalnum() and one not in _NO_DELIMITERS
        )
    return candidates


def _guess_header(text: TextFile, opening: _Opening) -> Header:
    """Return the header by the usual delimiter that makes the most columns of it."""
    headers = list(_try_headers(text, opening, _USUAL_DELIMITERS))
    if not headers:
        return _parse_header(text, opening, _USUAL_DELIMITERS[0])
    return max(headers, key=lambda header: len(header.columns))


def _try_headers(text: TextFile, opening: _Opening, delimiters: Iterable[str]) -> Iterator[Header]:
    for delimiter in delimiters:
        with suppress(ListError):
            yield _parse_header(text, opening, delimiter)


def _parse_header(text: TextFile, opening: _Opening, delimiter: str) -> Header:
    # A name may hold line breaks, so it is more than the first line that counts.
    lines = islice(text.lines(), opening.line - 1, None)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        columns = next(reader, None) or []
    except csv.Error as error:
        raise text.error(f"broken header ({error}); look for a stray quote", opening.line) from None
    excel = opening.excel if delimiter == opening.delimiter else ""
    return Header(columns, delimiter, excel, opening.line)
