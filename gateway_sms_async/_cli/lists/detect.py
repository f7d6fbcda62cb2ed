"""Detects the format of a list by its first line, and in doubt by the file's name.

Only the beginning of the file is read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import PurePath
from typing import NamedTuple

from .cells import BrokenRowError, read_rows
from .columns import ANY_KNOWN, NumberColumns
from .csv_table import CSVTable, Header
from .formats import Format, PlainLines
from .json_lines import JSONLines, is_json
from .number_shapes import looks_like_number
from .text_file import ListError, TextFile

_USUAL_DELIMITERS = ",;\t|"

# Characters that occur inside the names of columns, as in phone_number and tel./cell.
_NO_DELIMITERS = frozenset(" \n\u00a0_-./\\'\"()[]{}#+&?")

_COMMENT = re.compile(r"\s#|^#\s")

_WRITTEN_BACK = re.compile(r"  # line \d+: ")
"""The comment that `PlainLines.write` adds."""

_OTHER_KINDS = {
    re.compile(shape, re.IGNORECASE): kind
    for shape, kind in {
        r"\s*<\?mso-application|\s*<\?xml": "XML, as of Excel 2003",
        r"\s*<(?:!|(?:html|head|meta|body|table|style|div|p)\b)": "an HTML page",
        r"\s*BEGIN:VCARD": "a file of contacts (vCard)",
        r"\{\\rtf": "a document in Rich Text Format (.rtf)",
        r"ID;P": "a SYLK file (.slk)",
    }.items()
}
"""The first lines of other kinds of text. Some portals call their HTML page .xls."""

_EXCEL_DELIMITER = re.compile(r'"?sep=([^"\n])"?\n?', re.IGNORECASE)


def choose_format(
    text: TextFile,
    columns: NumberColumns = ANY_KNOWN,
    *,
    delimiter: str | None = None,
    binding: bool = True,
) -> Format:
    """Return the format of a file, by its first line that is not blank, else by its name.

    `delimiter` is the character between two cells. It is detected if it is None, or if it is not
    `binding` and does not fit the file. Raises ListError.
    """
    opening = _read_opening(text)
    if kind := _other_kind(opening.first):
        raise ListError(f"{text.name}: this is {kind}; export the list as CSV in UTF-8")
    forced = opening.delimiter
    if delimiter is not None:
        given = _check_delimiter(delimiter)
        if binding or any(_find_headers(text, opening, [given], columns)):
            forced = given
    suffix = PurePath(text.name.lower().removesuffix(".gz")).suffix
    if _is_json_lines(opening.first.strip(), suffix):
        return JSONLines(text, columns)
    if not opening.first and not opening.excel:
        return PlainLines(text)
    if forced is not None:
        return CSVTable(text, _parse_header(text, opening, forced), columns)
    return _choose_by_cells(text, opening, columns, is_csv=suffix in {".csv", ".tsv"})


def _other_kind(first: str) -> str | None:
    """Return the kind of a text file whose first line shows that it is no list, else None."""
    return next((kind for shape, kind in _OTHER_KINDS.items() if shape.match(first)), None)


def _is_json_lines(first: str, suffix: str) -> bool:
    """Whether a first line is JSON for certain: CSV can begin with a quote, but not with an object."""
    if suffix in {".jsonl", ".ndjson"}:
        return first.startswith(("{", "[")) or is_json(first)
    return first == "[" or (first.startswith("{") and is_json(first))


def _choose_by_cells(
    text: TextFile, opening: _Opening, columns: NumberColumns, *, is_csv: bool
) -> Format:
    """Choose by the number column, if one is found. `is_csv` is what the file's name says."""
    first = opening.first.lstrip()
    # A comment after a number may contain delimiters, which do not make cells.
    number, *comment = _COMMENT.split(first, maxsplit=1)
    is_plain = bool(comment) and not is_csv and not _has_cells(number)
    is_plain = is_plain or _WRITTEN_BACK.search(first) is not None
    header = None if is_plain else next(_find_headers(text, opening, None, columns), None)
    if header is not None:
        return CSVTable(text, header, columns)
    named = columns.binding and bool(columns.wanted)
    # In a file named .csv, any first line that is not a number is a header, if perhaps a wrong one.
    is_number = _begins_with_number(text) if is_csv else not _has_cells(first)
    if first.startswith("{" if is_csv else ("{", "[")) or (first.startswith('"') and is_number):
        return JSONLines(text, columns)
    if is_plain or (first.startswith("#") and not is_csv) or (is_number and not named):
        return PlainLines(text)
    return CSVTable(text, _guess_header(text, opening), columns)


class _Opening(NamedTuple):
    """The beginning of a file: Excel's `sep=` line and its delimiter, then the first line.

    `line` is the number of the first line. `excel` and `first` are empty if they are missing.
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
    # A tab is hard to type in a shell, so its name is accepted.
    delimiter = {"tab": "\t", r"\t": "\t"}.get(delimiter.lower(), delimiter)
    if len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise ListError(f"{delimiter!r} cannot be a delimiter; give one character, or tab")
    return delimiter


def _has_cells(first: str) -> bool:
    """Whether a first line is more likely several cells than a number."""
    return any(map(str.isalpha, first)) and any(
        delimiter in first for delimiter in _USUAL_DELIMITERS
    )


def _begins_with_number(text: TextFile) -> bool:
    """Whether the first line that is not a comment is a number without other cells."""
    _, number, _ = next(PlainLines(text).rows(()), (0, "", None))
    return looks_like_number(number) and not any(
        delimiter in number for delimiter in _USUAL_DELIMITERS
    )


def _find_headers(
    text: TextFile, opening: _Opening, delimiters: Iterable[str] | None, columns: NumberColumns
) -> Iterator[Header]:
    """Yield the headers that have a number column, one for each delimiter that gives one.

    If `delimiters` is None, all that may separate the first line are tried.
    """
    for header in _try_headers(text, opening, delimiters or _list_delimiters(opening.first)):
        if columns.places(header.columns):
            yield header


def _list_delimiters(first: str) -> list[str]:
    candidates = list(_USUAL_DELIMITERS)
    if not any(delimiter in first for delimiter in candidates):
        candidates += dict.fromkeys(
            one for one in first if not one.isalnum() and one not in _NO_DELIMITERS
        )
    return candidates


def _guess_header(text: TextFile, opening: _Opening) -> Header:
    """Return the header by that usual delimiter that gives the most columns."""
    headers = list(_try_headers(text, opening, _USUAL_DELIMITERS))
    if not headers:
        return _parse_header(text, opening, _USUAL_DELIMITERS[0])
    return max(headers, key=lambda header: len(header.columns))


def _try_headers(text: TextFile, opening: _Opening, delimiters: Iterable[str]) -> Iterator[Header]:
    for delimiter in delimiters:
        with suppress(ListError):
            yield _parse_header(text, opening, delimiter)


def _parse_header(text: TextFile, opening: _Opening, delimiter: str) -> Header:
    # The name of a column may hold line breaks, so the header may be more than one line.
    lines = islice(text.lines(), opening.line - 1, None)
    try:
        _, columns = next(read_rows(lines, delimiter), (1, list[str]()))
    except BrokenRowError as error:
        raise text.error(f"broken header {error}", opening.line) from None
    excel = opening.excel if delimiter == opening.delimiter else ""
    return Header(columns, delimiter, excel, opening.line)
