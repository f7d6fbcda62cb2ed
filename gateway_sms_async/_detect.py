"""Which form a list is written in, found out by the file's name and its first line.

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

from ._files import ListError, Text
from ._formats import Form, Header, JSONLines, PlainLines, Table, number_places

__all__ = ["choose_form"]

_USUAL_DELIMITERS = ",;\t|"
# What stands inside the names of columns, as in phone_number and tel./cell., separates none.
_NO_DELIMITERS = frozenset(" \n\u00a0_-./\\'\"()[]{}#+&?")
_COMMENT = re.compile(r"\s#|^#\s")
_EXCEL_DELIMITER = re.compile(r'"?sep=([^"\n])"?\n?', re.IGNORECASE)


def choose_form(
    text: Text, *, number_column: str | None = None, delimiter: str | None = None
) -> Form:
    """Go by the name of the file, else by its first line that is not blank.

    `number_column` names what holds the number, `delimiter` is the character between two cells;
    None leaves them to be found. Raises ListError.
    """
    opening = _read_opening(text)
    forced = opening.delimiter if delimiter is None else _check_delimiter(delimiter)
    suffix = PurePath(text.name.lower().removesuffix(".gz")).suffix
    if suffix in {".jsonl", ".ndjson"}:
        return JSONLines(text, number_column)
    if not opening.first and not opening.excel:
        return PlainLines(text)
    if forced is not None:
        return Table(text, _parse_header(text, opening, forced), number_column)
    first = opening.first.lstrip()
    is_csv = suffix in {".csv", ".tsv"}
    # A comment after a number may hold anything, and is no cell.
    number, *comment = _COMMENT.split(first, maxsplit=1)
    is_plain = bool(comment) and not is_csv and not _has_cells(number)
    header = None if is_plain else _find_header(text, opening, number_column)
    if header is None and not is_csv:
        if first.startswith(("{", "[")) or (first.startswith('"') and not _has_cells(first)):
            return JSONLines(text, number_column)
        if is_plain or first.startswith("#") or not (number_column or _has_cells(first)):
            return PlainLines(text)
    return Table(text, header or _guess_header(text, opening), number_column)


class _Opening(NamedTuple):
    """How a file begins: Excel's line that names the delimiter, then the first one of the list.

    `first` stands on `line`; both texts are empty where there is nothing.
    """

    excel: str
    delimiter: str | None
    first: str
    line: int


def _read_opening(text: Text) -> _Opening:
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


# The header of CSV


def _find_header(text: Text, opening: _Opening, number_column: str | None) -> Header | None:
    """Return the header by the delimiter that makes one of its cells a column of the number."""
    candidates = list(_USUAL_DELIMITERS)
    if not any(one in opening.first for one in candidates):
        candidates += dict.fromkeys(
            one for one in opening.first if not one.isalnum() and one not in _NO_DELIMITERS
        )
    for header in _try_headers(text, opening, candidates):
        if number_places(header.columns, number_column):
            return header
    return None


def _guess_header(text: Text, opening: _Opening) -> Header:
    """Return the header by the usual delimiter that makes the most columns of it."""
    headers = list(_try_headers(text, opening, _USUAL_DELIMITERS))
    if not headers:
        return _parse_header(text, opening, _USUAL_DELIMITERS[0])
    return max(headers, key=lambda header: len(header.columns))


def _try_headers(text: Text, opening: _Opening, delimiters: Iterable[str]) -> Iterator[Header]:
    for delimiter in delimiters:
        with suppress(ListError):
            yield _parse_header(text, opening, delimiter)


def _parse_header(text: Text, opening: _Opening, delimiter: str) -> Header:
    # A name may hold line breaks, so it is more than the first line that counts.
    lines = islice(text.lines(), opening.line - 1, None)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        columns = next(reader, None) or []
    except csv.Error as error:
        raise text.error(f"broken header ({error}); look for a stray quote", opening.line) from None
    excel = opening.excel if delimiter == opening.delimiter else ""
    return Header(columns, delimiter, excel, opening.line)
