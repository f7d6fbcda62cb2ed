"""The names of a list's columns: which ones hold numbers, and which ones the fields.

Names are compared without case where that helps, and regardless of spaces around them and of how
accents are composed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from .number_shapes import holds_number

NUMBER_NAMES = ("number", "phone", "mobile", "telefono", "cellulare", "numero", "msisdn")
"""A column with one of these names is taken for the number column."""

# Words of other names for such a column: Tel. cellulare, MobilePhone, Handynummer, Téléphone portable.
# Without accents, as they are compared.
_LIKELY = re.compile(
    r".*(?:phone|telefon|telemov|handy|whatsapp|rufnummer|puhelin|телефон|τηλεφων).*"
    r"|.*(?:携帯|電話|电话|手机|手機).*"
    r"|(?:mobil|мобил|κινητ|cellul|celular|natel|tel(?:mob|mov|cel)|ceptel).*"
    r"|tel|telf|telef|telem|tlf|tlm|fono|mob|mobno|movil|cell|celln[or]|cellnum.*|cel|gsm"
    r"|portable|komorka|sms|wa"
)

_WORDS = re.compile(r"[^\W\d_]+")

_BETWEEN_CASES = re.compile(r"(?<=[a-z])(?=[A-Z])")

_NAMES_SHOWN = 20

_LETTERS_SHOWN = 40


class Single(NamedTuple):
    """The place of the number column of a list, and of those that may hold another number.

    Those of `likely` have such a name, those of `rest` have not; one of fax numbers is neither. Both
    are empty if the user has chosen the column.
    """

    place: int
    likely: tuple[int, ...]
    rest: tuple[int, ...]


class Several(NamedTuple):
    """The places of all columns of a file of exclusions: each may hold numbers.

    `certain` hold them. `likely` and `doubtful` have such a name, and `rest` have not. What is in a
    `doubtful` one need not be a number.
    """

    certain: tuple[int, ...]
    likely: tuple[int, ...]
    doubtful: tuple[int, ...]
    rest: tuple[int, ...]


class NumberColumns(NamedTuple):
    """Finds the columns, or the JSON keys, that hold numbers.

    `wanted` are names that the user gives. If a file has none of them and they are not `binding`,
    or if none is given, the columns called one of `NUMBER_NAMES` hold the numbers. Another column
    may hold another number, above all one with a similar name, as MobilePhone: its cells decide.
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
                return Single(places[0], (), ())
        places = self._known_places(names)
        if not places:
            raise self.missing(names, what)
        if len(places) > 1:
            raise ValueError(choose_one(what, [names[at] for at in places]))
        likely = _others(names, places, _is_likely_name)
        rest = _others(names, (*places, *likely), lambda name: not is_fax_name(name))
        return Single(places[0], likely, rest)

    def find_several(self, names: Sequence[str], what: str) -> Several:
        """Return the places of all columns, else raise ValueError if it is certain of none."""
        places = self.divide(names)
        if not places.certain:
            raise self.missing(names, what)
        return places

    def divide(self, names: Sequence[str]) -> Several:
        """Return the places of all columns. If the user has named one, no other has to hold numbers."""
        wanted = self._wanted_places(names)
        certain = wanted or self._known_places(names)
        likely = () if wanted else _others(names, certain, _is_likely_name)
        doubtful = _others(names, (*certain, *likely), may_name_numbers)
        return Several(
            tuple(certain), likely, doubtful, _others(names, (*certain, *likely, *doubtful))
        )

    def are_all_among(self, names: Sequence[str]) -> bool:
        """Whether all wanted names are among these."""
        return all(_same_places(names, wanted) for wanted in self.wanted)

    def are_any_among(self, names: Sequence[str]) -> bool:
        """Whether any wanted name is among these."""
        return bool(self._wanted_places(names))

    def is_number_name(self, name: str) -> bool:
        """Whether a column with this name holds numbers, or should do so."""
        places = self.divide([name])
        return bool(places.certain or places.likely)

    def missing(self, names: Sequence[str], what: str) -> ValueError:
        """Return the error of a file in which no column is certain to hold numbers."""
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


ANY_KNOWN = NumberColumns()


def choose_one(what: str, names: Collection[str]) -> str:
    """Return the error of a list with several columns, or keys, that may hold the number."""
    nameless = "" if all(map(str.strip, names)) else f" and a {what} without a name (give it one)"
    return (
        f"more than one {what} may hold the number: {show_names(names)}{nameless}; "
        "choose one with --number-column NAME"
    )


def _others(
    names: Sequence[str], places: Collection[int], is_one: Callable[[str], bool] | None = None
) -> tuple[int, ...]:
    """Return the other places than these, or those of them whose name is one."""
    return tuple(
        at for at, name in enumerate(names) if at not in places and (is_one is None or is_one(name))
    )


def _same_places(names: Sequence[str], wanted: str) -> list[int]:
    """Return the indexes of all names equal to a wanted one: exactly, else without case."""
    wanted, plain = plain_name(wanted), list(map(plain_name, names))
    exact = [at for at, name in enumerate(plain) if name == wanted]
    return exact or [at for at, name in enumerate(plain) if name.lower() == wanted.lower()]


def _is_likely_name(name: str) -> bool:
    """Whether a column should hold telephone numbers: MobilePhone, Tel. cellulare, Phone 2."""
    return may_name_numbers(name) and not _names_fax(name)


def is_fax_name(name: str) -> bool:
    """Whether a column holds fax numbers only."""
    return _names_fax(name) and not may_name_numbers(name)


def _names_fax(name: str) -> bool:
    return any("fax" in word for word in _words(name))


def may_name_numbers(name: str) -> bool:
    """Whether a column may hold telephone numbers: also Tel/Fax."""
    words = _words(name)
    # "Number 2" has a known name, and "Customer number" has not. Joined: WhatsApp is one word.
    together = "".join(words)
    return together in NUMBER_NAMES or any(map(_LIKELY.fullmatch, (*words, together)))


def _words(name: str) -> list[str]:
    letters = unicodedata.normalize("NFD", name)
    without_accents = "".join(one for one in letters if not unicodedata.combining(one))
    return [word.lower() for word in _WORDS.findall(_BETWEEN_CASES.sub(" ", without_accents))]


def show_names(names: Iterable[str]) -> str:
    """Return names for an error message: on one line, a limited length, phone numbers hidden."""
    shown = [
        "…" if holds_number(name) else repr(name.strip()[:_LETTERS_SHOWN])
        for name in names
        if name.strip()
    ]
    more = ", …" if len(shown) > _NAMES_SHOWN else ""
    return ", ".join(shown[:_NAMES_SHOWN]) + more


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
