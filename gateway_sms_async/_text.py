"""The text of a message: how many SMS parts it takes, and cheaper spellings.

Pure functions on strings. The alphabet is the GSM 7-bit default alphabet with its extension table
(3GPP TS 23.038), without national tables. Texts are split as in TS 23.040, 9.2.3.24.1.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from ._template import PLACEHOLDER

Encoding = Literal["GSM-7", "UCS-2"]


def is_encodable(text: str) -> bool:
    """Return whether the text can be encoded as UTF-8: it has no half of a surrogate pair."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)


_EXTENSION = "€[]{}~^\\|\f"  # two septets each, the first of them an escape


_is_basic = re.compile(f"[{re.escape(_BASIC)}]*").fullmatch


_is_gsm = re.compile(f"[{re.escape(_BASIC + _EXTENSION)}]*").fullmatch


_find_foreign = re.compile(f"[^{re.escape(_BASIC + _EXTENSION)}]").findall


_LIMITS: dict[Encoding, tuple[int, int]] = {"GSM-7": (160, 153), "UCS-2": (70, 67)}
"""The units in a text of one part, and in each part of a longer text."""


_ESCAPE = "\x1b"


_LOW_SURROGATES = range(0xDC, 0xE0)  # the high byte of the second unit of a pair


@dataclass(frozen=True, slots=True)
class TextSize:
    """The size of a text as SMS.

    - `encoding`: "GSM-7" or "UCS-2".
    - `parts`: the number of SMS parts, at least one: an empty text is sent as one part.
    - `units`: septets in GSM-7, two for an extension character such as `€`; UTF-16 units in UCS-2,
      two for a character beyond U+FFFF, such as most emoji.
    - `units_left`: the units that are free in the last part, the vendor's `remaining_chr`.
    """

    encoding: Encoding
    parts: int
    units: int
    units_left: int


def measure(text: str) -> TextSize:
    """Return the size of a text. A placeholder is measured as it is written.

    ```python
    size = measure("Ciao, ci vediamo alle 18")
    print(size.parts, size.encoding, size.units_left)
    ```

    The two units of one character are never split between two parts; the last unit of the first
    part is then left empty. Half of a surrogate pair, which cannot be sent, counts as one unit.
    """
    if _is_basic(text):
        return _even("GSM-7", len(text))
    return _with_escapes(text) if _is_gsm(text) else _in_ucs2(text)


def _with_escapes(text: str) -> TextSize:
    septets = text
    for character in _EXTENSION:
        if character in septets:  # much cheaper than a replace that finds nothing
            septets = septets.replace(character, _ESCAPE + character)
    if len(septets) <= _LIMITS["GSM-7"][0]:
        return _even("GSM-7", len(septets))
    return _uneven("GSM-7", len(septets), lambda at: septets[at - 1] == _ESCAPE)


def _in_ucs2(text: str) -> TextSize:
    octets = text.encode("utf-16-be", "surrogatepass")
    units = len(octets) // 2
    if units == len(text) or units <= _LIMITS["UCS-2"][0]:
        return _even("UCS-2", units)
    return _uneven("UCS-2", units, lambda at: octets[2 * at] in _LOW_SURROGATES)


# A million texts have a few hundred sizes, and a lookup is faster than creating one.
_size = lru_cache(maxsize=2048)(TextSize)


@lru_cache(maxsize=2048)
def _even(encoding: Encoding, units: int) -> TextSize:
    """Return the size of a text in which no split can fall inside a pair of units."""
    alone, each = _LIMITS[encoding]
    if units <= alone:
        return TextSize(encoding, 1, units, alone - units)
    parts = -(-units // each)
    return TextSize(encoding, parts, units, parts * each - units)


def _uneven(encoding: Encoding, units: int, is_second: Callable[[int], bool]) -> TextSize:
    """Return the size of a text of several parts.

    `is_second` returns whether the unit at a position is the second of a pair.
    """
    each = _LIMITS[encoding][1]
    parts, end = 1, each
    while end < units:
        if is_second(end):
            end -= 1
        parts, end = parts + 1, end + each
    return _size(encoding, parts, units, end - units)


def not_gsm(text: str) -> tuple[str, ...]:
    """Return the distinct characters that force a text into UCS-2, in the order of first use."""
    return tuple(dict.fromkeys(_find_foreign(text)))


# Characters that GSM-7 lacks, and their equivalents in it. Written as code points, because half of
# them look the same and the other half are invisible. Characters whose replacement would read
# differently are left out: fractions (1½ is not 11/2), № (No is a word), º and ° (1º is not 1o),
# arrows and other signs, and every letter without its accent.
_DOTS = "\u00b7\u2022\u2023\u2043\u2219\u22c5\u25aa\u25e6"  # bullets and middle dots


_EQUIVALENTS = {
    # Full-width forms, before the quotes: the equivalent of a full-width backtick is an apostrophe.
    **{chr(code + 0xFEE0): chr(code) for code in range(0x21, 0x7F)},
    "\uffe1": "£",
    "\uffe5": "¥",
    # Double quotes, guillemets, double primes.
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u301d\u301e\u301f\u275d\u275e", '"'),
    **dict.fromkeys("\u2033\u2036\u02ba", '"'),
    # Single quotes, apostrophes, okinas, primes, and accents without a letter.
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2039\u203a\u275b\u275c\u02bb\u02bc\u02bd", "'"),
    **dict.fromkeys("\u2032\u2035\u02b9\u0060\u00b4\u02ca\u02cb\u1fef\u1ffd\uff40", "'"),
    **dict.fromkeys("\u2034\u2037", "'''"),
    # Hyphens, dashes, minus; two and three dots.
    **dict.fromkeys(
        "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u02d7\u2e3a\u2e3b\ufe58\ufe63", "-"
    ),
    **dict.fromkeys(_DOTS, "-"),
    "\u2025": "..",
    "\u2026": "...",
    # Spaces, including the tab.
    **dict.fromkeys("\t\u00a0\u1680\u202f\u205f\u3000", " "),
    **dict.fromkeys(map(chr, range(0x2000, 0x200B)), " "),
    # Line ends. After a lone CR, a phone may overwrite the line before it.
    **dict.fromkeys(("\r\n", "\r", "\v", "\u0085", "\u2028", "\u2029"), "\n"),
    # Invisible characters: soft hyphens, joiners, direction marks, byte order marks, variation
    # selectors. Not U+202E, which reverses the letters.
    **dict.fromkeys("\u00ad\u034f\u061c\u180e\u2060\ufeff", ""),
    **dict.fromkeys(map(chr, range(0x200B, 0x2010)), ""),
    **dict.fromkeys("\u202a\u202b\u202c\u2066\u2067\u2068\u2069", ""),
    **dict.fromkeys(map(chr, range(0xFE00, 0xFE10)), ""),
    # Ligatures.
    "\ufb00": "ff",
    "\ufb01": "fi",
    "\ufb02": "fl",
    "\ufb03": "ffi",
    "\ufb04": "ffl",
    "\ufb05": "st",
    "\ufb06": "st",
    # Signs that are usually typed like this on keyboards that lack them.
    "\u00a9": "(c)",
    "\u00ae": "(R)",
    "\u2122": "(TM)",
    # Ohm, kelvin, angstrom and the Greek question mark: for Unicode the same characters.
    "\u2126": "Ω",
    "\u212a": "K",
    "\u212b": "Å",
    "\u037e": ";",
}


_SINGLE = "".join(one for one in _EQUIVALENTS if len(one) == 1)


# Not a dot between digits, which is a decimal point or a product sign.
# Compiled on first use, because many programs never use them.
_REPLACEABLE = rf"[{_SINGLE}](?<![0-9][{_DOTS}](?=[0-9]))(?:(?<=\r)\n)?"


_REPLACED = rf"[A-Za-z][\u0300\u0301\u0303\u0308\u030a\u0327]|{_REPLACEABLE}"


# A letter and the accents that follow it, or the parts of a Korean syllable.
_APART = r"[^\W\d_][\u0300-\u036f\u3099\u309a]+|[\u1100-\u1112][\u1161-\u1175][\u11a8-\u11c2]?"


# A run without blanks, and what makes it a web or mail address: any change leads elsewhere.
_RUN = r"(?:\{\{[^{}]+\}\}|\S)+"


_ADDRESS = r"\w://|\bwww\.|\w\.[^\W\d_]{2,}/|\w@\w"


# The quotes and full stops around an address are no part of it.
_AROUND = r"[^\w/{}]+"


def to_gsm(text: str) -> str:
    """Return the text with typographic characters replaced, if that makes it GSM-7 and no longer.

    ```python
    body = to_gsm("Ciao\u2026 10\u00a0\u20ac")  # Ciao... 10 €, in GSM-7
    print(measure(body).parts)
    ```

    Quotes, dashes, dots, spaces, line ends, full-width forms, invisible characters, and a letter
    that is followed by its accent (`e` and U+0300) become their equivalents in GSM-7. A letter
    that GSM-7 lacks is never replaced by another one. A web or mail address stays as it is.

    All or nothing: a text that would still be UCS-2, or take more parts (an ellipsis becomes three
    dots), is returned unchanged. So the joiners of emoji or of letters of other scripts are never
    lost. Of a text that stays UCS-2, only letters and the accents that follow them are put together,
    if that saves a part. A GSM-7 text is returned unchanged, except that CR LF and CR become LF.

    A placeholder is neither changed nor measured. The values that fill it may be UCS-2 again.
    """
    if "\r" not in text and _is_gsm(text):
        return text
    replaced = _change(text, _replaced)
    after = _without_placeholders(replaced)
    parts = measure(_without_placeholders(text)).parts
    if _is_gsm(after) and measure(after).parts <= parts:
        # The replacement must not create a placeholder: full-width braces, or a joiner between two
        # braces, may have prevented one.
        return replaced if PLACEHOLDER.findall(replaced) == PLACEHOLDER.findall(text) else text
    composed = _change(text, _composed)
    return composed if measure(_without_placeholders(composed)).parts < parts else text


def replacements(text: str) -> dict[str, str]:
    """Return what `to_gsm` replaces in this text, and by what, in the order of first use.

    There is one entry for each distinct character, letter with accents, or CR LF. The value is
    empty for a character that is removed. Returns an empty dict if `to_gsm` returns the text
    unchanged.
    """
    new = to_gsm(text)
    if new == text:
        return {}
    is_gsm = _is_gsm(_without_placeholders(new))
    pattern, change = (_REPLACED, _replaced) if is_gsm else (_APART, _composed)
    changes = {
        one: change(one) for literal in _split(text)[::2] for one in re.findall(pattern, literal)
    }
    return {one: new for one, new in changes.items() if new != one}


def _change(text: str, change: Callable[[str], str]) -> str:
    pieces = _split(text)
    pieces[::2] = map(change, pieces[::2])
    return "".join(pieces)


def _split(text: str) -> list[str]:
    """Return the text as a part that may change, one that stays, one that may change, and so on."""
    pieces: list[str] = []
    end = 0
    for start, stop in _staying(text):
        pieces += text[end:start], text[start:stop]
        end = stop
    return [*pieces, text[end:]]


def _staying(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the addresses and the placeholders in a text are."""
    for run in re.finditer(_RUN, text):
        if re.search(_ADDRESS, run[0]):
            before, after = re.match(_AROUND, run[0]), re.search(rf"(?:{_AROUND})\Z", run[0])
            yield (
                run.start() + (len(before[0]) if before else 0),
                run.end() - (len(after[0]) if after else 0),
            )
        else:
            yield from (one.span() for one in PLACEHOLDER.finditer(text, *run.span()))


def _without_placeholders(text: str) -> str:
    return PLACEHOLDER.sub("", text) if "{{" in text else text


def _replaced(literal: str) -> str:
    return re.sub(_REPLACEABLE, _equivalent, unicodedata.normalize("NFC", literal))


def _equivalent(found: re.Match[str]) -> str:
    return _EQUIVALENTS[found[0]]


def _composed(literal: str) -> str:
    return re.sub(_APART, lambda found: unicodedata.normalize("NFC", found[0]), literal)
