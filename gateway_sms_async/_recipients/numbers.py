"""Phone numbers in the international format of E.164.

The only module that knows how the gateway writes a number, when two numbers are the same, and how
a number is masked in logs and errors. No I/O, and no guess at a country.
"""

import re
from collections.abc import Sequence
from functools import cache

import msgspec

from ..errors import InvalidNumberError

# The calling codes of ITU-T E.164. No code is a prefix of another, so the digits determine the code.
# In the first group 0 (06 in Hungary) is a trunk prefix: it is dialled before a number inside the
# country, and never begins a number that can be called from abroad.
_TRUNK_ZERO = (
    "20 27 31 32 33 36 40 41 43 44 46 49 51 53 54 55 57 58 60 61 62 63 64 66 81 82 84 86 90 91 92 "
    "93 94 95 98 211 212 213 218 231 232 233 234 243 249 251 252 254 255 256 260 261 262 263 264 "
    "265 291 353 355 358 359 370 373 374 377 380 381 382 383 385 386 387 389 421 423 508 590 591 "
    "593 594 595 596 598 686 850 855 856 880 886 961 962 963 964 966 967 970 971 972 976 977 994 "
    "995 996"
)


_OTHERS = (
    "1 7 30 34 39 45 47 48 52 56 65 216 220 221 222 223 224 225 226 227 228 229 230 235 236 237 "
    "238 239 240 241 242 244 245 246 247 248 250 253 257 258 266 267 268 269 290 297 298 299 350 "
    "351 352 354 356 357 371 372 375 376 378 420 500 501 502 503 504 505 506 507 509 592 597 599 "
    "670 672 673 674 675 676 677 678 679 680 681 682 683 685 687 688 689 690 691 692 800 808 852 "
    "853 870 878 881 882 883 888 960 965 968 973 974 975 979 992 993 998"
)


_MAX_DIGITS = 15  # E.164: calling code and number together


_CODE_DIGITS = 3  # the longest calling code


_SHORTEST = {1: 10, 2: 6, 3: 4}  # digits after a code of that many digits


def _lengths(code: str) -> frozenset[int]:
    shortest = 5 if code == "27" else _SHORTEST[len(code)]
    longest = 10 if code in {"1", "7"} else _MAX_DIGITS - len(code)
    return frozenset(range(shortest, longest + 1))


# Codes include their plus sign, so that a number is sliced only once.
_LENGTHS = {f"+{code}": _lengths(code) for code in f"{_TRUNK_ZERO} {_OTHERS}".split()}


_NO_ZERO = frozenset(f"+{code}" for code in _TRUNK_ZERO.split())


# Trunk prefixes other than 0.
_TRUNK = {"+1": "1", "+7": "8", "+36": "06", "+375": "8", "+692": "1", "+993": "8"}


# Where the trunk prefix may also begin a number, or is not 0: the digits that can only be a number
# with the prefix. Landlines in Rwanda are 06 and six digits; toll-free numbers in Belarus begin
# with 8.
_TRUNK_SHAPES = {
    "+1": "1[0-9]{10}",
    "+7": "8[0-9]{10}",
    "+241": "0[0-9]{8,}",
    "+250": "0(?:[0-57-9][0-9]*|[0-9]{8,})",
    "+375": "0[0-9]*|8(?:1[5-7]|2[1-59]|33|44)[0-9]{7}|8(?:[013-9][0-9]|2[1-9])[0-9]{8,}",
    "+692": "1[0-9]*",
    "+993": "8[0-9]*",
}


_WITH_TRUNK = {code: re.compile(shape) for code, shape in _TRUNK_SHAPES.items()}


# Fast path: for these calling codes, length and first digit decide and no pattern is needed. (With
# only one valid length, a trunk prefix would make the number too long.)
_FAST_LENGTHS = {
    code: lengths
    for code, lengths in _LENGTHS.items()
    if code not in _TRUNK_SHAPES or len(lengths) == 1
}


# "+390" … "+399" -> "+39": one lookup of the first four characters finds the code.
_CODE_OF = {
    start: code
    for start in (f"+{digits:03}" for digits in range(1000))
    for code in (start[:2], start[:3], start)
    if code in _LENGTHS
}


def _digits_after(begun: str, codes: Sequence[str]) -> str:
    """Return a pattern of what may follow `begun`: the rest of one of the codes, then the number."""
    if codes == [begun]:
        fewest, most = min(_LENGTHS[begun]), max(_LENGTHS[begun])
        if begun in _NO_ZERO:
            return f"-[1-9][0-9]{{{fewest - 1},{most - 1}}}"
        trunk = f"(?!(?:{_TRUNK_SHAPES[begun]})\n)" if begun in _TRUNK_SHAPES else ""
        return f"-{trunk}[0-9]{{{fewest},{most}}}"
    longer = {code[: len(begun) + 1] for code in codes}
    ways = [
        digit[-1] + _digits_after(digit, [code for code in codes if code.startswith(digit)])
        for digit in sorted(longer)
    ]
    return f"(?:{'|'.join(ways)})"


@cache
def _all_shapes() -> re.Pattern[str]:
    """Return the pattern of normalized numbers, one per line. Compiled on first use: it takes long."""
    return re.compile(rf"(?:\+{_digits_after('+', sorted(_LENGTHS))}\n)*+")


_NO_LENGTHS: frozenset[int] = frozenset()


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


_DIGITS = re.compile(r"\+?[0-9]*")


_FOREIGN = re.compile(r"[^0-9+]")


_ZERO_IN_BRACKETS = re.compile(r"[(\[]\s*0\s*[)\]]")


_SECOND_ENDING = re.compile(r"/\s*[0-9]{1,2}\Z")


# Patterns of common mistakes, for the reason of a refusal.
_EXPONENT = re.compile(r"\+?[0-9]+(?:[.,][0-9]+)?E\+?([0-9]{1,2})", re.IGNORECASE)


_DECIMAL = re.compile(r"\+?[0-9]+[.,]0+")


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
    whole number. A trunk prefix, as in +44 (0) 20, is not accepted.

    Raises InvalidNumberError for anything else; its `reason` says what to change.
    """
    code, hyphen, rest = number.partition("-")
    if not hyphen:
        code = _CODE_OF.get(number[:4], "")
        rest = number[len(code) :]
    if (
        len(rest) in _FAST_LENGTHS.get(code, _NO_LENGTHS)
        and rest.isdigit()
        and rest.isascii()
        and (rest >= "1" or code not in _NO_ZERO)
    ):
        return number if hyphen else f"{code}-{rest}"
    return _normalize_loose(number)


def all_normalized(numbers: Sequence[str]) -> bool:
    """Whether `normalize` would return each of these unchanged. Checks all at once, for speed."""
    lines = "\n".join((*numbers, ""))
    return lines.count("\n") == len(numbers) and _all_shapes().fullmatch(lines) is not None


def _normalize_loose(number: str) -> str:
    # Fast path: most numbers have no other separators than these, and these hide no mistake.
    plain = _with_plus(number.replace(" ", "").replace("-", "").replace("\u00a0", ""))
    if not (plain.startswith("+") and plain[1:].isdigit() and plain.isascii()):
        plain = _international(number)
    if len(plain) <= 1 + _CODE_DIGITS:
        raise number_error(number, "too short")
    code = _CODE_OF.get(plain[:4])
    if code is None:
        if plain.startswith("+0"):
            raise number_error(
                number, "no country code begins with 0: write + and the country code"
            )
        raise number_error(number, f"unknown country code {plain[:4]}")
    rest = plain[len(code) :]
    if trunk := _trunk_before(code, rest):
        kind = "trunk zero" if trunk == "0" else f"trunk prefix {trunk}"
        raise number_error(number, f"{kind} after {code}: leave the {trunk} out")
    if len(rest) not in _LENGTHS[code]:
        if len(rest) < min(_LENGTHS[code]):
            raise number_error(number, f"too short for {code}")
        raise number_error(number, _TWO if _is_two(number) else f"too long for {code}")
    return f"{code}-{rest}"


def _trunk_before(code: str, rest: str) -> str:
    """Return the trunk prefix that a number begins with, or an empty text."""
    shape = _WITH_TRUNK.get(code)
    if shape.fullmatch(rest) if shape else rest[0] == "0" and code in _NO_ZERO:
        trunk = _TRUNK.get(code, "0")
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
    if not _DIGITS.fullmatch(digits) or ("." in text and _DECIMAL.fullmatch(text)):
        raise number_error(number, _why_malformed(text))
    if "/" in text:
        if _SECOND_ENDING.search(text):
            raise number_error(number, "two endings after a slash: write one number")
        if _is_whole(text.rstrip(_SEPARATORS).rpartition("/")[0]):
            raise number_error(number, _TWO)
    if len(digits) > len("00") + _MAX_DIGITS and _is_two(text):
        raise number_error(number, _TWO)
    if _ZERO_IN_BRACKETS.search(text):
        return [digits, _without_separators(_ZERO_IN_BRACKETS.sub("", text))]
    return [digits]


def _without_separators(text: str) -> str:
    for separator in _SEPARATORS:
        text = text.replace(separator, "")
    return text


def _is_whole(before_slash: str) -> bool:
    """Whether the text before a slash can be a whole number, so that it is no area code."""
    digits = _with_plus(_without_separators(before_slash))
    code = _CODE_OF.get(digits[:4])
    if code is None:
        return len(digits) > _LONGEST_AREA_CODE
    return len(digits) - len(code) >= min(_LENGTHS[code])


def _is_two(text: str) -> bool:
    parts = _BETWEEN_TWO.split(text)
    return sum(len(_NOT_DIGITS.sub("", part)) >= _TWO_FROM for part in parts) > 1


def _why_malformed(text: str) -> str:
    """Return why a number with other characters than digits and separators is refused.

    The reason quotes no digits: it is shown in places where the number must not be.
    """
    export = "format the column as text and export again"
    if exponent := _EXPONENT.fullmatch(text):
        return f"rounded by a spreadsheet (E+{exponent[1]}): {export}"
    if _DECIMAL.fullmatch(text):
        return f"made a decimal by a spreadsheet (.0): {export}"
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
    code = _CODE_OF.get(f"+{digits[:3]}", "") if number.lstrip().startswith("+") else ""
    return f"{code}…{digits[-2:] if len(digits) < _MASK_MOST_BELOW else digits[-4:]}"
