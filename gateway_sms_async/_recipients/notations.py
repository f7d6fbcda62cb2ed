"""Countries where one phone has two international notations.

Most changed their numbers, and lists still hold the old ones. An old notation that no plan has any
more is refused, with the way to write it. Where both notations can still be called, both are
accepted, and a list that holds both has two recipients. A number to exclude is excluded in both.

Sources: the metadata of libphonenumber for Argentina and for what is in use elsewhere (the tests
compare); IFT for Mexico, 2019; ANATEL for Brazil, 2012 to 2016; ARCEP Benin, 30 November 2024;
ARTCI for Ivory Coast, 31 January 2021; Vietnam's Ministry of Information and Communications,
15 September 2018; ARCEP Gabon, 15 November 2019.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from ..errors import InvalidNumberError

__all__ = ["OLD_NOTATIONS", "OldNotation", "OldNotationError", "in_any_notation", "others"]

_Replacement = str | Callable[[re.Match[str]], str]


class OldNotation(NamedTuple):
    """Numbers that are not in use any more, as digits after their calling code.

    `length` is their number of digits, `pattern` matches them, `advice` says what to write.
    `current` replaces them with the number in use; None if the digits do not tell it.
    """

    length: int
    pattern: str
    current: _Replacement | None
    advice: str


_VIETNAM = {
    **{f"16{last}": f"3{last}" for last in "23456789"},
    **{f"12{last}": f"7{new}" for last, new in ("00", "19", "27", "66", "88")},
    **{f"12{last}": f"8{new}" for last, new in ("33", "44", "55", "71", "92")},
    **{f"1{last}": f"5{new}" for last, new in (("86", 6), ("88", 8), ("99", 9))},
}


def _vietnam(old: re.Match[str]) -> str:
    return _VIETNAM[old[1]] + old[2]


OLD_NOTATIONS = {
    "+52": (
        OldNotation(11, "1([2-9][0-9]{9})", r"\1", "the 1 after +52 is out of use: leave it out"),
    ),
    "+54": (
        OldNotation(
            12,
            "(11|[23][0-9]{2,3})15([0-9]{6,8})",
            r"9\1\2",
            "15 is dialled in Argentina only: write a 9 after +54, and no 15",
        ),
        OldNotation(
            13,
            "(9(?:11|[23][0-9]{2,3}))15([0-9]{6,8})",
            r"\1\2",
            "15 is dialled in Argentina only: leave it out, as there is a 9 after +54",
        ),
    ),
    "+55": (
        OldNotation(
            10,
            "([1-9][1-9])([689][0-9]{7})",
            r"\g<1>9\2",
            "mobile numbers in Brazil got a ninth digit: write a 9 after the area code",
        ),
    ),
    "+84": (
        OldNotation(
            10,
            f"({'|'.join(_VIETNAM)})([0-9]{{7}})",
            _vietnam,
            "mobile numbers in Vietnam changed in 2018: write the new beginning",
        ),
    ),
    "+225": (
        OldNotation(
            8,
            "[0-9]{8}",
            None,
            "numbers in Ivory Coast have ten digits since 2021: write the operator's first two",
        ),
    ),
    "+229": (
        OldNotation(
            8,
            "([2-9][0-9]{7})",
            r"01\1",
            "numbers in Benin have ten digits since 2024: write 01 after +229",
        ),
    ),
}
"""By calling code: the notations that are refused."""


# Calling code -> pairs of a pattern and its replacement: another notation of the same phone, also
# accepted. Argentina: with and without the 9 for mobile phones. Brazil: numbers in 7 of a network
# that got no ninth digit. Gabon: the metadata still has the numbers of before 2019.
_OTHERS = {
    "+54": (("9([1-3][0-9]{9})", r"\1"), ("([1-3][0-9]{9})", r"9\1")),
    "+55": (
        ("([1-9][1-9])9(7[0-9]{7})", r"\1\2"),
        ("([1-9][1-9])(7[0-9]{7})", r"\g<1>9\2"),
    ),
    "+241": (
        ("0?([256][0-9]{6})", r"6\1"),
        ("0?([47][0-9]{6})", r"7\1"),
        ("6([256][0-9]{6})", r"0\1"),
        ("6([256][0-9]{6})", r"\1"),
        ("7([47][0-9]{6})", r"0\1"),
        ("7([47][0-9]{6})", r"\1"),
        ("0([24-7][0-9]{6})", r"\1"),
        ("([24-7][0-9]{6})", r"0\1"),
        ("01([0-9]{6})", r"11\1"),
        ("11([0-9]{6})", r"01\1"),
    ),
}


class OldNotationError(InvalidNumberError):
    """A number in an old notation. `current` is the number in use, in the gateway's form."""

    def __init__(self, message: str, *, number: str, reason: str, current: str) -> None:
        super().__init__(message, number=number, reason=reason)
        self.current = current


def in_any_notation(read: Callable[[str], str]) -> Callable[[str], str]:
    """Return a reader that takes an old notation as the number in use, for numbers to exclude."""

    def read_any(number: str) -> str:
        try:
            return read(number)
        except OldNotationError as error:
            return error.current

    return read_any


def others(normalized: str) -> list[str]:
    """Return the other notations of the same phone, in the gateway's form, that are accepted too."""
    code, _, rest = normalized.partition("-")
    return [
        f"{code}-{re.sub(pattern, replacement, rest)}"
        for pattern, replacement in _OTHERS.get(code, ())
        if re.fullmatch(pattern, rest)
    ]
