"""The names of a list's columns: which one holds the number, which ones the fields.

Names are compared without case where that helps, and regardless of spaces around them and of how
accents are composed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

NUMBER_NAMES = ("number", "phone", "mobile", "telefono", "cellulare", "numero", "msisdn")

_DIGITS_OF_A_NUMBER = 6

_NAMES_SHOWN = 20

_LETTERS_SHOWN = 40


class NumberColumn(NamedTuple):
    """Finds the column, or the JSON key, that holds the number.

    `wanted` is its name, None for any of `NUMBER_NAMES`. If `wanted` is missing and not `binding`,
    any of those names is accepted too.
    """

    wanted: str | None = None
    binding: bool = True

    def places(self, names: Sequence[str]) -> list[int]:
        """Return the indexes of all names that may hold the number."""
        return self._wanted_places(names) or self._known_places(names)

    def find(self, names: Sequence[str], what: str) -> int:
        """Return the index of the one name that holds the number, else raise ValueError."""
        places = self.places(names)
        if len(places) == 1:
            return places[0]
        if self._wanted_places(names):
            raise ValueError(f"more than one {what} is named {self.wanted!r}; keep one")
        if places:
            raise ValueError(
                f"more than one {what} may hold the number: {show_names(names[at] for at in places)}; "
                "choose one with --number-column NAME"
            )
        possible = [] if self.wanted is None else [repr(self.wanted)]
        if self.wanted is None or not self.binding:
            possible += NUMBER_NAMES
        *most, last = possible
        raise ValueError(
            f"no {what} is named {', '.join(most)}{' or ' if most else ''}{last}; name the one that "
            f"holds the number with --number-column NAME (there are {show_names(names) or 'none'})"
        )

    def _wanted_places(self, names: Sequence[str]) -> list[int]:
        if self.wanted is None:
            return []
        wanted, plain = plain_name(self.wanted), list(map(plain_name, names))
        exact = [at for at, name in enumerate(plain) if name == wanted]
        return exact or [at for at, name in enumerate(plain) if name.lower() == wanted.lower()]

    def _known_places(self, names: Sequence[str]) -> list[int]:
        if self.wanted is not None and self.binding:
            return []
        return [at for at, name in enumerate(names) if plain_name(name).lower() in NUMBER_NAMES]


def looks_like_number(text: str) -> bool:
    """Whether a header line, or a cell in it, is more likely a number than a name."""
    return holds_number(text) and not any(map(str.isalpha, text))


def show_names(names: Iterable[str]) -> str:
    """Return names for an error message: on one line, a limited length, phone numbers hidden."""
    shown = [
        "…" if holds_number(name) else repr(name.strip()[:_LETTERS_SHOWN])
        for name in names
        if name.strip()
    ]
    more = ", …" if len(shown) > _NAMES_SHOWN else ""
    return ", ".join(shown[:_NAMES_SHOWN]) + more


def holds_number(name: str) -> bool:
    """Whether a name contains enough digits to be a phone number."""
    return sum(map(str.isdigit, name)) >= _DIGITS_OF_A_NUMBER


def plain_name(name: str) -> str:
    """Return a name as it is compared: macOS decomposes accents, and {{ name }} has spaces."""
    return unicodedata.normalize("NFC", name.strip())


def field_places(names: Sequence[str], field: str) -> list[int]:
    """Return the indexes of all names that match a placeholder: exactly, else by `plain_name`."""
    exact = [at for at, name in enumerate(names) if name == field]
    # {{ }} must not match a column without a name.
    plain = plain_name(field) or field
    return exact or [at for at, name in enumerate(names) if plain_name(name) == plain]


def name_additions(fields: Sequence[str], number: str) -> tuple[str, str]:
    """Return the names of the line and reason that are added to a row when it is written."""
    taken = set(map(plain_name, (*fields, number)))
    return "line_" if "line" in taken else "line", "reason_" if "reason" in taken else "reason"
