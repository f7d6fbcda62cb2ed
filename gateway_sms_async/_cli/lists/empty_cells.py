"""Cells that say nothing: empty ones, and those with a program's word for an absent value."""

from __future__ import annotations

import re
from collections import Counter

_WORDS = frozenset(
    [
        *(
            "nan",
            "nat",
            "na",
            "<na>",
            "none",
            "nil",
            "null",
            "(null)",
            "<null>",
            r"\n",
            "undefined",
        ),
        *("n/a", "n.a.", "n/d", "n.d.", "-", "--", "---", ".", "?"),
    ]
)

_SPREADSHEET_ERROR = re.compile(r"#[^\W_]+(?:/[^\W_]+)?[!?]|#[NK]/?[^\W_]{1,4}")

_LONGEST = 16
"""Characters of a cell that says nothing, at most; not counting blanks."""

_LINES_KEPT = 10


def says_nothing(cell: str) -> bool:
    """Whether a cell has no text to read: blanks only, or a word such as NaN, NULL or #N/A."""
    # Fast path: most names begin with another letter than all of the words.
    if cell[:1].isalnum() and cell[0] not in "nNuU":
        return False
    if not cell.isascii():
        cell = "".join(filter(_is_visible, cell))
    cell = cell.strip()
    if len(cell) > _LONGEST:
        return False
    return not cell or cell.lower() in _WORDS or _SPREADSHEET_ERROR.fullmatch(cell) is not None


def _is_visible(character: str) -> bool:
    return character.isprintable() or character == " "


class FirstLines:
    """Counts rows of a file, and keeps the lines that the first of them begin on."""

    def __init__(self) -> None:
        self.count: int = 0
        self.lines: list[int] = []

    def add(self, line: int) -> None:
        """Count the row that begins on this line."""
        self.count += 1
        if len(self.lines) < _LINES_KEPT:
            self.lines.append(line)


class EmptyCells:
    """The rows whose cell of one column says nothing; `words` are the words in these cells."""

    def __init__(self) -> None:
        self.rows: FirstLines = FirstLines()
        self.words: Counter[str] = Counter()

    def add(self, line: int, cell: str) -> None:
        """Count a row that begins on this line."""
        self.rows.add(line)
        if cell := cell.strip():
            self.words[cell] += 1
