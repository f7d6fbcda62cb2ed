"""What is known of the numbers under each calling code: lengths, first digits, trunk prefixes.

Data only, for `numbers.py`. Lengths are generous: a plan that gets longer must not make this library
refuse numbers. They are exact only where a wrong length is a known mistake.
"""

import re
from collections.abc import Sequence
from functools import cache

from .notations import OLD_NOTATIONS

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


MAX_DIGITS = 15  # E.164: calling code and number together


_SHORTEST = {1: 10, 2: 6, 3: 4}  # digits after a code of that many digits


# Benin, Ivory Coast: shorter numbers are old. Argentina: longer ones hold a 15. Brazil: they hold the
# code of a carrier. Mexico, Lithuania: they begin with what is dialled inside the country.
_EXACT = {
    "1": (10, 10),
    "7": (10, 10),
    "52": (10, 10),
    "54": (10, 11),
    "55": (8, 11),
    "225": (10, 10),
    "229": (10, 10),
    "370": (8, 8),
}


def _lengths(code: str) -> frozenset[int]:
    shortest = 5 if code == "27" else _SHORTEST[len(code)]
    fewest, most = _EXACT.get(code, (shortest, MAX_DIGITS - len(code)))
    return frozenset(range(fewest, most + 1))


# Codes include their plus sign, so that a number is sliced only once.
LENGTHS = {f"+{code}": _lengths(code) for code in f"{_TRUNK_ZERO} {_OTHERS}".split()}


NO_ZERO = frozenset(f"+{code}" for code in _TRUNK_ZERO.split())


# Trunk prefixes other than 0.
TRUNK = {
    "+1": "1",
    "+7": "8",
    "+36": "06",
    "+370": "8",
    "+375": "8",
    "+692": "1",
    "+993": "8",
}


# Where the trunk prefix may also begin a number, or is not 0: the digits that can only be a number
# with the prefix. Landlines in Rwanda are 06 and six digits; toll-free numbers in Belarus begin
# with 8.
TRUNK_SHAPES = {
    "+1": "1[0-9]{10}",
    "+7": "8[0-9]{10}",
    "+241": "0[0-9]{8,}",
    "+250": "0(?:[0-57-9][0-9]*|[0-9]{8,})",
    "+370": "0[0-9]*|8[0-9]{8}",
    "+375": "0[0-9]*|8(?:1[5-7]|2[1-59]|33|44)[0-9]{7}|8(?:[013-9][0-9]|2[1-9])[0-9]{8,}",
    "+692": "1[0-9]*",
    "+993": "8[0-9]*",
}


# The lowest first digit of a number.
LOWEST = dict.fromkeys(LENGTHS, "0") | dict.fromkeys(NO_ZERO, "1") | {"+1": "2"}


# Fast path: for these calling codes, length and first digit decide and no pattern is needed. (With
# only one valid length, a trunk prefix would make the number too long.)
FAST_LENGTHS = {
    code: lengths - {old.length for old in OLD_NOTATIONS.get(code, ())}
    for code, lengths in LENGTHS.items()
    if code not in TRUNK_SHAPES or len(lengths) == 1
}


# "+390" … "+399" -> "+39": one lookup of the first four characters finds the code.
CODE_OF = {
    start: code
    for start in (f"+{digits:03}" for digits in range(1000))
    for code in (start[:2], start[:3], start)
    if code in LENGTHS
}


def _refused_shapes(code: str) -> list[str]:
    old = [old.pattern for old in OLD_NOTATIONS.get(code, ()) if old.length in LENGTHS[code]]
    return [TRUNK_SHAPES[code], *old] if code in TRUNK_SHAPES else old


def _digits_after(begun: str, codes: Sequence[str]) -> str:
    """Return a pattern of what may follow `begun`: the rest of one of the codes, then the number."""
    if codes == [begun]:
        fewest, most = min(LENGTHS[begun]), max(LENGTHS[begun])
        refused = "|".join(_refused_shapes(begun))
        ahead = f"(?!(?:{refused})\n)" if refused else ""
        if LOWEST[begun] == "0":
            return f"-{ahead}[0-9]{{{fewest},{most}}}"
        return f"-{ahead}[{LOWEST[begun]}-9][0-9]{{{fewest - 1},{most - 1}}}"
    longer = {code[: len(begun) + 1] for code in codes}
    ways = [
        digit[-1] + _digits_after(digit, [code for code in codes if code.startswith(digit)])
        for digit in sorted(longer)
    ]
    return f"(?:{'|'.join(ways)})"


@cache
def all_shapes() -> re.Pattern[str]:
    """Return the pattern of normalized numbers, one per line. Compiled on first use: it takes long."""
    return re.compile(rf"(?:\+{_digits_after('+', sorted(LENGTHS))}\n)*+")


NO_LENGTHS: frozenset[int] = frozenset()
