"""Cells of the tables that the command line writes: each reads back as it was.

A spreadsheet computes a cell that begins like a formula, and in a country with a decimal comma it
also ends cells at semicolons. Such a cell is guarded: written as `="text"`, which a spreadsheet
shows as the text, and which a list of recipients is read without.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import IO

# Blanks, quotes and invisible characters may stand before the sign that begins a formula. Those that
# end a cell are not among them: each is looked at by itself, so that no text takes long.
_BEGINS = r"[ \"'\v\f\x00-\x08\x0e-\x1f\x7f-\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2069\u3000\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]"

_ENDS = r"[;\t\n\r]"

# What no list can hold: a NUL is no text, and a carriage return is read as a line break.
_UNREADABLE = r"[\x00\r\ud800-\udfff]"

# Blanks that a list is read without at the beginning of a cell.
_ODD_START = r"^[\t\u00a0\u2007\u202f\u3000\ufeff]"

_GUARDED = re.compile(rf"(?:^|{_ENDS}){_BEGINS}|{_UNREADABLE}|{_ODD_START}")

_ESCAPED = re.compile(rf"{_ENDS}(?={_BEGINS})|{_UNREADABLE}|_(?=x[0-9A-F]{{4}})")

_ESCAPE = re.compile(r"_x([0-9A-F]{4})_")

_SUM = re.compile(r"[+-][0-9 ().+/-]*")
"""A number in some notation: at worst it is added up, and it must stay readable for programs."""

_GATEWAY_FORM = re.compile(r"(\+[0-9]{1,3})-([0-9]+)")


def guard(text: str) -> str:
    """Return a text so that no spreadsheet takes it, or a part of it, for a formula.

    Most texts are returned as they are. In a guarded one, a character that could begin another cell
    or row is written as in Excel's own files: `_x000D_` is a carriage return.
    """
    if not _GUARDED.search(text):
        return text
    escaped = _ESCAPED.sub(lambda found: f"_x{ord(found[0]):04X}_", text)
    doubled = escaped.replace('"', '""')
    return f'="{doubled}"'


def unguard(cell: str) -> str:
    """Return the text of a cell that `guard` or a spreadsheet has written as `="text"`."""
    if not (cell.startswith('="') and cell.endswith('"') and len(cell) > len('="')):
        return cell
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), cell[2:-1].replace('""', '"'))


def guard_number(number: str) -> str:
    """Return a number as a cell that a program can read; what is no number is guarded.

    A spreadsheet adds up `+39-3401234567`, so that form is written with a blank.
    """
    if parts := _GATEWAY_FORM.fullmatch(number):
        return f"{parts[1]} {parts[2]}"
    return number if _SUM.fullmatch(number) else guard(number)


class RowWriter:
    """Writes rows of CSV, one a line, in the same way on every version of Python.

    A cell of None is empty. Cells are written as they are: `guard` those with text from elsewhere.
    """

    def __init__(self, file: IO[str], delimiter: str = ",") -> None:
        self._file = file
        self._delimiter = delimiter
        # All that some program takes for the end of a line, and blanks that one may leave out.
        special = rf"[{re.escape(delimiter)}\"\x00-\x1f\x7f-\x9f\u2028\u2029]|^\s|\s$"
        self._needs_quotes = re.compile(special).search

    def write(self, cells: Iterable[object]) -> None:
        """Write one row."""
        row = self._delimiter.join(map(self._cell, cells))
        # An empty line would be no row.
        self._file.write((row or '""') + "\n")

    def _cell(self, value: object) -> str:
        text = "" if value is None else str(value)
        if not self._needs_quotes(text):
            return text
        quoted = text.replace('"', '""')
        return f'"{quoted}"'
