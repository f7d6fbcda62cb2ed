"""The names of a list's columns: which ones hold numbers, and which ones the fields.

Names are compared without case where that helps, and regardless of spaces around them and of how
accents are composed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

NUMBER_NAMES = ("number", "phone", "mobile", "telefono", "cellulare", "numero", "msisdn")
"""A column with one of these names is taken for the number column."""

# Words of other names for such a column: Tel. cellulare, MobilePhone, Handynummer, Téléphone portable.
_LIKELY = re.compile(
    r".*(?:phone|telefon|handy|whatsapp|rufnummer|puhelin|телефон).*|(?:mobil|мобил|cellul|celular).*"
    r"|tel|telf|tlf|fono|mob|movil|cell|cellno|cel|gsm|natel|portable|komorka|sms"
)

_WORDS = re.compile(r"[^\W\d_]+")

_BETWEEN_CASES = re.compile(r"(?<=[a-z])(?=[A-Z])")

_DIGITS_OF_A_NUMBER = 6

_NAMES_SHOWN = 20

_LETTERS_SHOWN = 40


class Single(NamedTuple):
    """The place of the number column of a list, and of those that may hold another number."""

    place: int
    others: tuple[int, ...]


class Several(NamedTuple):
    """The places of all columns that hold numbers, and of those that may hold one."""

    certain: tuple[int, ...]
    likely: tuple[int, ...]


class NumberColumns(NamedTuple):
    """Finds the columns, or the JSON keys, that hold numbers.

    `wanted` are names that the user gives. If a file has none of them and they are not `binding`,
    or if none is given, the columns called one of `NUMBER_NAMES` hold the numbers. A column with a
    similar name, as MobilePhone, may hold another number: its cells decide.
    """

    wanted: tuple[str, ...] = ()
    binding: bool = True

    def places(self, names: Sequence[str]) -> list[int]:
        """Return the indexes of all names that are wanted, else of all known ones."""
        return self._wanted_places(names) or self._known_places(names)

    def find_single(self, names: Sequence[str], what: str) -> Single:
        """Return the place of the one number column of a list, else raise ValueError.

        Of several that are wanted, it is the first. `what` is column or key.
        """
        for wanted in self.wanted:
            if places := _same_places(names, wanted):
                if len(places) > 1:
                    raise ValueError(f"more than one {what} is named {wanted!r}; keep one")
                return Single(places[0], ())
        places = self._known_places(names)
        if not places:
            raise self._missing(names, what)
        if len(places) > 1:
            raise ValueError(choose_one(what, [names[at] for at in places]))
        return Single(places[0], self._likely_places(names))

    def find_several(self, names: Sequence[str], what: str) -> Several:
        """Return the places of all columns that hold numbers, else raise ValueError."""
        if wanted := self._wanted_places(names):
            return Several(tuple(wanted), ())
        if known := self._known_places(names):
            return Several(tuple(known), self._likely_places(names))
        raise self._missing(names, what)

    def are_all_among(self, names: Sequence[str]) -> bool:
        """Whether all wanted names are among these."""
        return all(_same_places(names, wanted) for wanted in self.wanted)

    def _missing(self, names: Sequence[str], what: str) -> ValueError:
        possible = list(map(repr, self.wanted))
        if not self.wanted or not self.binding:
            possible += NUMBER_NAMES
        *most, last = possible
        return ValueError(
            f"no {what} is named {', '.join(most)}{' or ' if most else ''}{last}; name the one that "
            f"holds the number with --number-column NAME (there are {show_names(names) or 'none'})"
        )

    def _wanted_places(self, names: Sequence[str]) -> list[int]:
        places = [at for wanted in self.wanted for at in _same_places(names, wanted)]
        return list(dict.fromkeys(places))

    def _known_places(self, names: Sequence[str]) -> list[int]:
        if self.wanted and self.binding:
            return []
        return [at for at, name in enumerate(names) if plain_name(name).lower() in NUMBER_NAMES]

    def _likely_places(self, names: Sequence[str]) -> tuple[int, ...]:
        known = self._known_places(names)
        return tuple(
            at for at, name in enumerate(names) if at not in known and _is_likely_name(name)
        )


ANY_KNOWN = NumberColumns()


def choose_one(what: str, names: Iterable[str]) -> str:
    """Return the error of a list with several columns, or keys, that may hold the number."""
    return (
        f"more than one {what} may hold the number: {show_names(names)}; "
        "choose one with --number-column NAME"
    )


def _same_places(names: Sequence[str], wanted: str) -> list[int]:
    """Return the indexes of all names equal to a wanted one: exactly, else without case."""
    wanted, plain = plain_name(wanted), list(map(plain_name, names))
    exact = [at for at, name in enumerate(plain) if name == wanted]
    return exact or [at for at, name in enumerate(plain) if name.lower() == wanted.lower()]


def _is_likely_name(name: str) -> bool:
    """Whether a column may hold telephone numbers: MobilePhone, Tel. cellulare, Phone 2."""
    letters = unicodedata.normalize("NFD", name)
    without_accents = "".join(one for one in letters if not unicodedata.combining(one))
    words = [word.lower() for word in _WORDS.findall(_BETWEEN_CASES.sub(" ", without_accents))]
    if any("fax" in word for word in words):
        return False
    # "Number 2" has a known name, and "Customer number" has not. Joined: WhatsApp is one word.
    together = "".join(words)
    return together in NUMBER_NAMES or any(map(_LIKELY.fullmatch, (*words, together)))


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


def holds_number(text: str) -> bool:
    """Whether a name or a cell contains enough digits to be a phone number."""
    return sum(map(str.isdigit, text)) >= _DIGITS_OF_A_NUMBER


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
