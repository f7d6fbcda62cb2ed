"""Numbers in national format, and whether a number is in use at all.

The only module that uses the package phonenumbers, which is an extra. It is imported only when a
reader is made that needs it.
"""

# ruff: noqa: PLC0415 - see above

import re
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from os.path import commonprefix
from typing import NamedTuple

from ..errors import InvalidNumberError
from .notations import OldNotationError
from .numbers import calling_code, normalize, number_error, old_notation_error, readings

__all__ = ["number_reader", "only_in_use"]

# These dial no 0 (any more), but wrote their own numbers with one, also in brackets.
_WROTE_ZERO = frozenset({"CZ", "IT", "PL", "SM", "VA"})


_Found = dict[str, int]  # numbers in the gateway's form -> phonenumbers' type


def number_reader(
    default_region: str | None = None, *, strict: bool = False
) -> Callable[[str], str]:
    """Return a function that reads one number and returns it in the gateway's form.

    The reader raises `InvalidNumberError` as `normalize` does. Without arguments it is `normalize`.

    With `default_region`, an ISO 3166 alpha-2 code such as "IT", a number without an international
    prefix is read as dialled in that region. A wrong guess would text a stranger. So such a number
    is refused unless the region's numbering plan has it, and also if it may begin with a calling
    code that lost its plus sign, if it has a zero in brackets where the region writes none, or if
    it begins as the region dials abroad. A number with an international prefix is checked for its
    shape only, unless `strict`: then it is refused if no numbering plan has it.

    ```python
    number_reader("IT")("340 123.45.67")  # "+39-3401234567"
    ```

    Both arguments need the package phonenumbers: raises ValueError without it, or for a region
    that it does not know.
    """
    if default_region is not None and not isinstance(default_region, str):
        raise TypeError(f"default_region is a str or None, not {type(default_region).__name__}")
    read: Callable[[str], str] = normalize
    if default_region is not None:
        _check_installed("default_region")
        read = _reader_in(_known_region(default_region))
    return only_in_use(read) if strict else read


def _check_installed(asked: str) -> None:
    if find_spec("phonenumbers") is None:
        raise ValueError(
            f'{asked} needs the package phonenumbers: pip install "gateway-sms-async[phone]"'
        )


class _Region(NamedTuple):
    """A region and how it dials.

    - `code`: its calling code, such as `+39`; `abroad` matches what it dials before another one.
    - `dials_zero`: whether it dials a 0 before a number at home.
    - `before_zero`: the digits that may stand before a zero in brackets. Empty if the region
      writes no such zero: there it marks a number of another country.
    """

    name: str
    code: str
    abroad: re.Pattern[str]
    dials_zero: bool
    before_zero: tuple[str, ...]


def _known_region(region: str) -> _Region:
    import phonenumbers

    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region.upper())
    if metadata is None:
        raise ValueError(
            f"default_region: there is no region {region!r}: write two letters of ISO 3166, as in "
            "'IT'"
        )
    name, code = region.upper(), f"+{metadata.country_code}"
    trunk = metadata.national_prefix or ""
    dials_zero = re.fullmatch(metadata.national_prefix_for_parsing or "(?!)", "0") is not None
    return _Region(
        name,
        code,
        re.compile(metadata.international_prefix or "(?!)"),
        dials_zero,
        ("", code[1:], trunk) if dials_zero or name in _WROTE_ZERO else (),
    )


def _reader_in(region: _Region) -> Callable[[str], str]:
    # In regions that dial 001 or 009 for abroad, a leading 00 alone proves nothing.
    abroad = ("+", "00") if region.abroad.pattern == "00" else ("+",)

    def read(number: str) -> str:
        if number.startswith(abroad):
            return normalize(number)
        written = readings(number)
        if written[0].startswith(abroad) or _is_foreign_zero(written, region):
            return normalize(number)
        return _read_at_home(number, written, region)

    return read


def _is_foreign_zero(written: list[str], region: _Region) -> bool:
    """Whether there is a zero in brackets, and not where the region may write one."""
    return len(written) > 1 and commonprefix(written) not in region.before_zero  # noqa: RUF071


def _read_at_home(number: str, written: list[str], region: _Region) -> str:
    found: _Found = {}
    for digits in written:
        found |= _dialled_in(region, digits)
    # A zero in brackets, as in +39 (0) 6, may belong to the number or not: two readings.
    in_brackets = len(written) > 1
    in_doubt = not in_brackets and written[0].startswith("00")
    if in_doubt:
        by_00 = _in_use(number)
        if not found:
            _refuse_dialled(number, written[0], by_00, region)
        found |= by_00
    if len(found) == 1:
        _refuse_lost_plus(number, written, found, region)
        return next(iter(found))
    if in_brackets or (in_doubt and not found):
        return normalize(number)
    if not found and (old := _old_in(region, written[0])):
        raise old_notation_error(number, old.reason, old.current)
    raise number_error(number, _why_not(region, several=bool(found), begins_00=in_doubt))


def _dialled_in(region: _Region, digits: str) -> _Found:
    """Return every number that these digits, without a plus sign, may be in a region.

    There may be two if the digits begin with the region's own calling code. An export that loses
    the plus sign leaves it in place, but 49, for example, also begins national numbers in Germany.
    Only numbers of the numbering plan count: lengths alone would fit numbers of other regions.
    """
    found = _parsed(digits, region.name)
    if f"+{digits}".startswith(region.code):
        # `parse` guesses whether to remove the code, so both readings are tried explicitly.
        found |= _parsed(f"+{digits}", region.name) | _in_use(f"{region.code}-{digits}")
    return found


def _parsed(written: str, region: str | None) -> _Found:
    """Return the number that phonenumbers reads, if it can be a subscriber's; else nothing."""
    import phonenumbers

    with suppress(phonenumbers.NumberParseException, InvalidNumberError):
        number = phonenumbers.parse(written, region)
        kind = phonenumbers.number_type(number)
        if _is_subscriber(kind):
            national = phonenumbers.national_significant_number(number)
            return {normalize(f"+{number.country_code}-{national}"): kind}
    return {}


def _in_use(written: str) -> _Found:
    """Return the number that `normalize` reads, if it can be a subscriber's; else nothing."""
    with suppress(InvalidNumberError):
        normalized = normalize(written)
        kind = _type_of(normalized)
        if _is_subscriber(kind):
            return {normalized: kind}
    return {}


def _is_subscriber(kind: int) -> bool:
    import phonenumbers

    # Voicemail numbers in Italy are a digit or two longer than telephone numbers, so a foreign
    # number could pass for one.
    kinds = phonenumbers.PhoneNumberType
    return kind not in (kinds.UNKNOWN, kinds.VOICEMAIL)


def _refuse_dialled(number: str, digits: str, by_00: _Found, region: _Region) -> None:
    """Raise InvalidNumberError for a number that begins as a region dials abroad, and is damaged.

    With 00 as a plus sign, 001 44 7400 1234 from Singapore would be a number in Illinois. A mobile
    number is taken.
    """
    import phonenumbers

    dialled = region.abroad.match(digits)
    if dialled is None or dialled[0] == "00":
        return
    if phonenumbers.PhoneNumberType.MOBILE not in by_00.values():
        raise number_error(
            number,
            f"begins as numbers abroad are dialled in {region.name}, and no plan has it: begin "
            "with + and the country code",
        )


def _refuse_lost_plus(number: str, written: list[str], found: _Found, region: _Region) -> None:
    """Raise InvalidNumberError if the digits may begin with a calling code that lost its plus sign.

    German landlines have almost any length and first digit, so digits that lost their zero or
    their plus sign may be either. A mobile number of the region is always taken as one, because
    texts go to mobile numbers.
    """
    import phonenumbers

    kinds = phonenumbers.PhoneNumberType
    if set(found.values()) <= {kinds.MOBILE, kinds.FIXED_LINE_OR_MOBILE}:
        return
    # Also if no plan has the number after the region's own code: damaged, it may be another one's.
    if region.dials_zero and any(
        f"+{digits}".startswith(region.code) and f"{region.code}-{digits}" in found
        for digits in written
    ):
        raise number_error(number, _own_code(region))
    if any(
        _parsed(f"+{digits}", None).keys() - found.keys()
        for digits in written
        if not digits.startswith("0")
    ):
        raise number_error(number, "may begin with a country code: write it with + if it does")


def _old_in(region: _Region, digits: str) -> OldNotationError | None:
    """Return the error for digits that are an old notation of a number in use in a region."""
    for written in (f"{region.code}{digits.removeprefix('0')}", f"+{digits}"):
        try:
            normalize(written)
        except OldNotationError as old:
            if calling_code(old.current) == region.code and _in_use(old.current):
                return old
        except InvalidNumberError:
            pass
    return None


def _why_not(region: _Region, *, several: bool, begins_00: bool) -> str:
    if not several:
        return f"not a number of {region.name}: write it in full, or with + and its country code"
    if begins_00:
        return "the 00 can be read in two ways: begin with + and the country code"
    return _own_code(region)


def _own_code(region: _Region) -> str:
    return f"may begin with the country code: write {region.code}…"


def only_in_use(read: Callable[[str], str]) -> Callable[[str], str]:
    """Return a reader that also refuses a number that no numbering plan has."""
    _check_installed("strict")

    def read_in_use(number: str) -> str:
        normalized = read(number)
        if not _is_in_use(normalized):
            code = calling_code(normalized)
            raise number_error(number, f"not a number in use in {code}: check its digits")
        return normalized

    return read_in_use


def _is_in_use(normalized: str) -> bool:
    import phonenumbers

    return _type_of(normalized) != phonenumbers.PhoneNumberType.UNKNOWN


def _type_of(normalized: str) -> int:
    import phonenumbers

    code, _, rest = normalized.partition("-")
    # Not with `parse`, which may drop digits: the number checked must be the number sent.
    zeros = len(rest) - len(rest.lstrip("0"))
    number = phonenumbers.PhoneNumber(
        country_code=int(code),
        national_number=int(rest),
        italian_leading_zero=zeros > 0,
        number_of_leading_zeros=zeros,
    )
    return phonenumbers.number_type(number)
