"""Phone numbers in the international format of E.164.

The only module that knows how the gateway writes a number, when two numbers are the same, and how
a number is masked in logs and errors. No I/O, and no guess at a country.
"""

import re
from collections.abc import Sequence

import msgspec

from ..errors import InvalidNumberError
from .notations import OLD_NOTATIONS, OldNotationError
from .plans import (
    CODE_OF,
    FAST_LENGTHS,
    LENGTHS,
    LOWEST,
    MAX_DIGITS,
    NO_LENGTHS,
    NO_ZERO,
    TRUNK,
    TRUNK_SHAPES,
    all_shapes,
)

_CODE_DIGITS = 3  # the longest calling code


# Names of their own, because Python calls a method of an imported name more slowly.
_code_of = CODE_OF.get
_fast_lengths_of = FAST_LENGTHS.get


_MASK_ALL_BELOW = 9  # digits


_MASK_MOST_BELOW = 11


_NOT_DIGITS = re.compile(r"[^0-9]+")


# Characters that stand for a plain one, and invisible marks: telephones and chats put them around
# a number that they copy. East Asian keyboards type full-width characters.
_PLAIN = {
    **dict.fromkeys(
        map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\u30fc\ufe58\ufe63"), "-"
    ),
    **dict.fromkeys((0xA0, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000), " "),
    **dict.fromkeys((0x2018, 0x2019), "'"),
    **dict.fromkeys((0xAD, 0x61C, *range(0x200B, 0x2010), *range(0x202A, 0x202F)), ""),
    **dict.fromkeys((*range(0x2060, 0x2065), *range(0x2066, 0x206A), 0xFEFF), ""),
    **{ord(sign) + 0xFEE0: sign for sign in "0123456789+-.()[]/"},
    0xB7: ".",
}


_SEPARATORS = " .()[]/-"


_AROUND = _SEPARATORS.replace("-", "")


_DIGITS = re.compile(r"\+?[0-9]*")


_FOREIGN = re.compile(r"[^0-9+]")


_ZERO_IN_BRACKETS = re.compile(r"[(\[]\s*0\s*[)\]]")


_SECOND_ENDING = re.compile(r"/\s*[0-9]{1,2}\Z")


# Patterns of common mistakes, for the reason of a refusal.
_EXPONENT = re.compile(
    r"[+-]?[0-9]+(?:[.,][0-9]+)?\s*E(?P<sign>[+-]?)(?P<power>[0-9]{1,3})", re.IGNORECASE
)


_DECIMAL = re.compile(r"\+?[0-9]+[.,]0+")


_NEGATIVE_IN_BRACKETS = re.compile(r"[(\[]\s*[1-9][0-9 .,]*[)\]]")


_EXPORT = "format the column as text and export again"


_COMPUTED = "a spreadsheet computed this number: take it from the original list"


# Compiled on first use.
_OF_SPREADSHEETS = {
    _DECIMAL.pattern: f"made a decimal by a spreadsheet (.0): {_EXPORT}",
    r"[0-9]{1,3}(?:(?:,[0-9]{3}){2,}(?:\.0+)?|(?:\.[0-9]{3}){2,},0+)": (
        f"written with thousands by a spreadsheet: {_EXPORT}"
    ),
    "#+": "hidden by a spreadsheet (####): widen the column and export again",
    "#.*": "an error of a spreadsheet (#…): correct the cell",
}


_EXTENSION = re.compile(
    r"[0-9)\]][\s.,;-]*(?:e?xt(?:n|ension)?|int(?:erno)?|x|#)[\s.:=-]*[0-9]{1,6}\Z", re.IGNORECASE
)


_BETWEEN_TWO = re.compile(r"[,;:|&/+*_\\\r\n\t]|\s(?:[^\W\d_]+|-)\s|(?<=[0-9]{9})\s+(?=[0-9]{9})")


_LONGEST_AREA_CODE = 6  # digits, with the trunk 0


_TWO_FROM = 6  # digits in each: an area code has fewer


_TWO = "two numbers in one field: write one"


def normalize(number: str) -> str:
    """Return the number in the gateway's form, `+39-3401234567`: calling code, hyphen, the rest.

    Accepts the international forms `+39-340…`, `+39340…`, `0039340…` and `tel:+39…`, with spaces,
    dots, brackets, slashes and hyphens between the digits. Full-width characters count as plain
    ones, and invisible ones are ignored. A slash is accepted after an area code, but not after a
    whole number. A trunk prefix, as in +44 (0) 20, is not accepted, nor are a number with a minus
    at an end, which a spreadsheet has computed, and a notation that its country has given up, such
    as +52 1.

    ```python
    normalize("0039 340 123.45.67")  # "+39-3401234567"
    ```

    Raises InvalidNumberError for anything else; its `reason` says what to change.
    """
    code, hyphen, rest = number.partition("-")
    if not hyphen:
        code = _code_of(number[:4], "")
        rest = number[len(code) :]
    if (
        len(rest) in _fast_lengths_of(code, NO_LENGTHS)
        and rest.isdigit()
        and rest.isascii()
        and (rest >= "2" or rest >= LOWEST[code])
    ):
        return number if hyphen else f"{code}-{rest}"
    return _normalize_loose(number)


def all_normalized(numbers: Sequence[str]) -> bool:
    """Whether `normalize` would return each of these unchanged. Checks all at once, for speed."""
    lines = "\n".join((*numbers, ""))
    return lines.count("\n") == len(numbers) and all_shapes().fullmatch(lines) is not None


def _normalize_loose(number: str) -> str:
    # Fast path: most numbers have no other separators than these, and these hide no mistake.
    plain = _with_plus(number.replace(" ", "").replace("-", "").replace("\u00a0", ""))
    if not (
        plain.startswith("+")
        and plain[1:].isdigit()
        and plain.isascii()
        # Else there may be a minus at an end, which is a mistake.
        and number[0] in "+0"
        and number[-1].isdigit()
    ):
        plain = _international(number)
    if len(plain) <= 1 + _CODE_DIGITS:
        raise number_error(number, "too short")
    code = _code_of(plain[:4])
    if code is None:
        if plain.startswith("+0"):
            raise number_error(
                number, "no country code begins with 0: write + and the country code"
            )
        raise number_error(number, f"unknown country code {plain[:4]}")
    rest = plain[len(code) :]
    if len(rest) in _fast_lengths_of(code, NO_LENGTHS) and rest >= LOWEST[code]:
        return f"{code}-{rest}"
    if trunk := _trunk_before(code, rest):
        kind = "trunk zero" if trunk == "0" else f"trunk prefix {trunk}"
        raise number_error(number, f"{kind} after {code}: leave the {trunk} out")
    _refuse_old(number, code, rest)
    if len(rest) not in LENGTHS[code]:
        if len(rest) < min(LENGTHS[code]):
            raise number_error(number, f"too short for {code}")
        raise number_error(number, _TWO if _is_two(number) else f"too long for {code}")
    if rest < LOWEST[code]:
        raise number_error(number, f"no number of {code} begins with {rest[0]}: check its digits")
    return f"{code}-{rest}"


def _refuse_old(number: str, code: str, rest: str) -> None:
    for old in OLD_NOTATIONS.get(code, ()):
        if len(rest) == old.length and re.fullmatch(old.pattern, rest):
            if old.current is None:
                raise number_error(number, old.advice)
            current = f"{code}-{re.sub(old.pattern, old.current, rest)}"
            raise old_notation_error(number, old.advice, current)


def _trunk_before(code: str, rest: str) -> str:
    """Return the trunk prefix that a number begins with, or an empty text."""
    shape = TRUNK_SHAPES.get(code)
    if re.fullmatch(shape, rest) if shape else rest[0] == "0" and code in NO_ZERO:
        trunk = TRUNK.get(code, "0")
        return trunk if rest.startswith(trunk) else "0"
    return ""


def _with_plus(written: str) -> str:
    return "+" + written[2:] if written.startswith("00") else written


def _international(number: str) -> str:
    """Return the number as a plus sign and digits; raises InvalidNumberError if it cannot be."""
    written = readings(number)
    if len(written) > 1:
        # The reason does not say "leave it out", because +39 numbers keep their zero.
        raise number_error(
            number, "trunk zero in brackets: write the number as dialled from abroad"
        )
    plain = _with_plus(written[0])
    if not plain.startswith("+"):
        # 011 is the international prefix in America, and the area code of Turin.
        hint = ", not with 011" if plain.startswith("011") else ""
        reason = f"no international prefix: begin with + and the country code{hint}"
        raise number_error(number, reason)
    return plain


def readings(number: str) -> list[str]:
    """Return the digits of a number, after a plus sign if it has one; checks nothing else.

    Returns two readings if the number has a zero in brackets: with it and without it. Raises
    InvalidNumberError if the number holds anything but digits and separators.
    """
    text = (number if number.isascii() else number.translate(_PLAIN)).strip()
    # An apostrophe marks a spreadsheet cell as text, and protects a plus sign in an export.
    text = text.removeprefix("'")
    if text[:4].lower() == "tel:":
        text = text[4:].strip()
    if not text:
        raise number_error(number, "empty")
    digits = _without_separators(text)
    if sign := _damage_by_sign(text):
        raise number_error(number, sign)
    if not _DIGITS.fullmatch(digits) or ("." in text and _DECIMAL.fullmatch(text)):
        raise number_error(number, _why_malformed(text))
    if "/" in text:
        if _SECOND_ENDING.search(text):
            raise number_error(number, "two endings after a slash: write one number")
        if _is_whole(text.rstrip(_SEPARATORS).rpartition("/")[0]):
            raise number_error(number, _TWO)
    if len(digits) > len("00") + MAX_DIGITS and _is_two(text):
        raise number_error(number, _TWO)
    if _ZERO_IN_BRACKETS.search(text):
        return [digits, _without_separators(_ZERO_IN_BRACKETS.sub("", text))]
    return [digits]


def _without_separators(text: str) -> str:
    for separator in _SEPARATORS:
        text = text.replace(separator, "")
    return text


def _damage_by_sign(text: str) -> str:
    """Return why a number that looks like a negative one is refused, or an empty text.

    A spreadsheet takes +39-3401234567 for a difference, and shows -3401234528.
    """
    bare = text.strip(_AROUND)
    if bare.startswith("-") and bare.strip("-"):
        return f"a minus before the digits: {_COMPUTED}"
    if bare.endswith("-") and bare.strip("-"):
        return f"a minus after the digits: {_COMPUTED}"
    if _NEGATIVE_IN_BRACKETS.fullmatch(text):
        return f"all in brackets, as a negative number: {_COMPUTED}"
    return ""


def _is_whole(before_slash: str) -> bool:
    """Whether the text before a slash can be a whole number, so that it is no area code."""
    digits = _with_plus(_without_separators(before_slash))
    code = CODE_OF.get(digits[:4])
    if code is None:
        return len(digits) > _LONGEST_AREA_CODE
    return len(digits) - len(code) >= min(LENGTHS[code])


def _is_two(text: str) -> bool:
    parts = _BETWEEN_TWO.split(text)
    return sum(len(_NOT_DIGITS.sub("", part)) >= _TWO_FROM for part in parts) > 1


def _why_malformed(text: str) -> str:
    """Return why a number with other characters than digits and separators is refused.

    The reason quotes no digits: it is shown in places where the number must not be.
    """
    if exponent := _EXPONENT.fullmatch(text):
        sign = exponent["sign"] or "+"
        return f"rounded by a spreadsheet (E{sign}{exponent['power']}): {_EXPORT}"
    for pattern, reason in _OF_SPREADSHEETS.items():
        if re.fullmatch(pattern, text):
            return reason
    if _EXTENSION.search(text):
        return "an extension: leave it out"
    if _is_two(text):
        return _TWO
    if any(map(str.isalpha, text)):
        return "letters in the number"
    foreign = _FOREIGN.search(_without_separators(text))
    return _why_foreign(foreign[0]) if foreign else "a plus sign inside the number"


def _why_foreign(character: str) -> str:
    if character in "\r\n":
        return "a line break inside the number"
    if character.isnumeric():
        return "digits other than 0-9"
    if not character.isprintable():
        return f"a control or invisible character (U+{ord(character):04X})"
    return f"unexpected character {character!r}"


def number_error(number: str, reason: str) -> InvalidNumberError:
    """Return the error to raise for a number; its message shows the number masked."""
    return InvalidNumberError(f"{mask(number)}: {reason}", number=number, reason=reason)


def old_notation_error(number: str, reason: str, current: str) -> OldNotationError:
    """Return the error to raise for a number in an old notation; `current` is the one in use."""
    return OldNotationError(
        f"{mask(number)}: {reason}", number=number, reason=reason, current=current
    )


def calling_code(normalized: str) -> str:
    """Return the calling code, such as `+39`, of a normalized number."""
    return normalized.partition("-")[0]


def digits_key(normalized: str) -> int:
    """Return the digits of a normalized number as an integer: equal for equal numbers.

    No calling code begins with 0, so no digit is lost.
    """
    return int(normalized.replace("-", ""))


_read_integers = msgspec.json.Decoder(list[int]).decode


def digits_keys(normalized: Sequence[str]) -> list[int]:
    """Return the `digits_key` of each of these. Reads all at once, for speed."""
    return _read_integers(f"[{','.join(normalized)}]".replace("+", "").replace("-", ""))


def mask(number: str) -> str:
    """Return the number masked for logs and errors, such as `+39…4567`.

    Takes any text. Shows the calling code and the last two or four digits, and nothing of a short
    number.
    """
    digits = _NOT_DIGITS.sub("", number)
    if len(digits) < _MASK_ALL_BELOW:
        return "…"
    code = CODE_OF.get(f"+{digits[:3]}", "") if number.lstrip().startswith("+") else ""
    return f"{code}…{digits[-2:] if len(digits) < _MASK_MOST_BELOW else digits[-4:]}"
