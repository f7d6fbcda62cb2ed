"""What the columns of a list are called: which one holds the number, which ones the fields.

The forms of lists enter, and what chooses among them. Names are compared as people mean them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = [
    "NUMBER_NAMES",
    "NumberColumn",
    "field_places",
    "holds_number",
    "looks_like_number",
    "name_additions",
    "plain_name",
    "show_names",
]

NUMBER_NAMES = ("number", "phone", "mobile", "telefono", "cellulare", "numero", "msisdn")


_DIGITS_OF_A_NUMBER = 6


_NAMES_SHOWN = 20


_LETTERS_SHOWN = 40


class NumberColumn(NamedTuple):
    """The name of what holds the number; `wanted` is None for any known name.

    Unless it is `binding`, a known name does as well where the wanted one is missing.
    """

    wanted: str | None = None
    binding: bool = True

    def places(self, names: Sequence[str]) -> list[int]:
        """Return the places of all names that stand for the number."""
        return self._wanted_places(names) or self._known_places(names)

    def find(self, names: Sequence[str], what: str) -> int:
        """Return the place of the one name that stands for the number; else raise ValueError."""
        places = self.places(names)
        if len(places) == 1:
            return places[0]
        if self._wanted_places(names):
            raise ValueError(f"more than one {what} is called {self.wanted!r}; keep one")
        if places:
            raise ValueError(
                f"more than one {what} may hold the number: {show_names(names[at] for at in places)}; "
                "say which one with --number-column NAME"
            )
        called = [] if self.wanted is None else [repr(self.wanted)]
        if self.wanted is None or not self.binding:
            called += NUMBER_NAMES
        *most, last = called
        raise ValueError(
            f"no {what} is called {', '.join(most)}{' or ' if most else ''}{last}; say which one "
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
    """Tell whether a first line or a cell in it is rather a number than a name."""
    return holds_number(text) and not any(map(str.isalpha, text))


def show_names(names: Iterable[str]) -> str:
    """Return names as errors may show them: on one line, not endless, no number among them."""
    shown = [
        "…" if holds_number(name) else repr(name.strip()[:_LETTERS_SHOWN])
        for name in names
        if name.strip()
    ]
    more = ", …" if len(shown) > _NAMES_SHOWN else ""
    return ", ".join(shown[:_NAMES_SHOWN]) + more


def holds_number(name: str) -> bool:
    """Whether a name would show somebody's number."""
    return sum(map(str.isdigit, name)) >= _DIGITS_OF_A_NUMBER


def plain_name(name: str) -> str:
    """Return a name as it is compared: macOS decomposes accents, and {{ name }} has blanks."""
    return unicodedata.normalize("NFC", name.strip())


def field_places(names: Sequence[str], field: str) -> list[int]:
    """Return the places of all names that a placeholder means: its own spelling, else any."""
    exact = [at for at, name in enumerate(names) if name == field]
    # {{ }} does not mean a column without a name.
    plain = plain_name(field) or field
    return exact or [at for at, name in enumerate(names) if plain_name(name) == plain]


def name_additions(fields: Sequence[str], number: str) -> tuple[str, str]:
    """Return what the line and the reason of a row that is written are called."""
    taken = set(map(plain_name, (*fields, number)))
    return "line_" if "line" in taken else "line", "reason_" if "reason" in taken else "reason"
