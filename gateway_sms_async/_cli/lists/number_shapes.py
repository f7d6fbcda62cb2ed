"""Which texts may be phone numbers, or hold one, by their characters alone.

Whether it is a number, and whose, is decided where numbers are read.
"""

from __future__ import annotations

import re

_DIGITS_OF_A_NUMBER = 6

_TEL = re.compile(r"\s*tel:", re.IGNORECASE)

# With the month or the day first, and perhaps the time. It is no part of a longer number.
_DATE = re.compile(
    r"(?<!\d)(?<!\d[-/.])"
    r"(?:(?:19|20)\d\d([-/.])[01]?\d\1[0-3]?\d|[0-3]?\d([-/.])[0-3]?\d\2(?:19|20)?\d\d)"
    r"(?:[ T]\d\d?:\d\d(?::\d\d)?)?(?![-/.]?\d)"
)

# What may stand between two digits of one number. A slash with a blank, or before 00, stands
# between two numbers.
_GAP = r"(?:[^\w+\uff0b,;:|&*/\r\n\t]|(?<!\s)/(?!00|\s))*"

_DIGIT_RUN = re.compile(rf"\d(?:{_GAP}\d){{{_DIGITS_OF_A_NUMBER - 1},}}")

# The shortest numbers have seven digits, and no calling code begins with 0. Also in full width.
_INTERNATIONAL = re.compile(
    r"(?:\s*[Tt][Ee][Ll]:)?[^\w+\uff0b]*(?:[+\uff0b]\W*|[0\uff10]{2}[^\w:]*)(?![0\uff10])\d(?:\W*\d){6,}\W*"
)

_INTERNATIONAL_RUN = re.compile(
    rf"(?:[+\uff0b]|(?<!\d)[0\uff10]{{2}}){_GAP}(?![0\uff10])\d(?:{_GAP}\d){{6,}}"
)


def holds_number(text: str) -> bool:
    """Whether a name or a cell contains enough digits to be a phone number."""
    return sum(map(str.isdigit, text)) >= _DIGITS_OF_A_NUMBER


def looks_like_number(text: str) -> bool:
    """Whether a text has the digits of a number, and no letters."""
    text = _TEL.sub("", text, count=1)
    return holds_number(text) and not any(map(str.isalpha, text))


def is_number_no_date(text: str) -> bool:
    """Whether a text looks like a number, and is not a date or a time."""
    return looks_like_number(_DATE.sub("", text))


def is_international(cell: str) -> bool:
    """Whether a whole cell looks like a number that begins with + or 00."""
    return _INTERNATIONAL.fullmatch(cell) is not None


def find_international(text: str) -> list[str]:
    """Return the parts of a text that look like a number that begins with + or 00."""
    # Fast path: a search for characters is faster than one for a pattern.
    if text.isascii() and "+" not in text and "00" not in text:
        return []
    return _INTERNATIONAL_RUN.findall(text)


def find_possible(cell: str, *, named: bool) -> list[str]:
    """Return the texts in a cell that may be numbers to exclude.

    If its column is `named` like one of numbers, the whole cell may also be a number in national
    form.
    """
    found = find_international(cell)
    return [cell, *found] if named and holds_number(cell) else found


def comment_holds_number(comment: str) -> bool:
    """Whether there is a number among the words of a comment. A date is none."""
    return _DIGIT_RUN.search(_DATE.sub("d", comment)) is not None
