"""Numbers in national format, and whether a number is in use at all.

The only module that uses the package phonenumbers, which is an extra. It is imported only when a
reader is made that needs it.
"""

# ruff: noqa: PLC0415 - see above

from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec

from ..errors import InvalidNumberError
from .numbers import calling_code, normalize, number_error, readings

__all__ = ["number_reader", "only_in_use"]

_Found = dict[str, int]  # numbers in the gateway's form -> phonenumbers' type


def number_reader(
    default_region: str | None = None, *, strict: bool = False
) -> Callable[[str], str]:
    """Return a function that reads one number and returns it in the gateway's form.

    The reader raises `InvalidNumberError` as `normalize` does. Without arguments it is `normalize`.

    With `default_region`, an ISO 3166 alpha-2 code such as "IT", a number without an international
    prefix is read as dialled in that region. A wrong guess would text a stranger. So such a number
    is refused unless the region's numbering plan has it, and also if it may begin with a calling
    code that lost its plus sign. A number with an international prefix is checked for its shape
    only, unless `strict`: then it is refused if no numbering plan has it.

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


def _known_region(region: str) -> str:
    import phonenumbers

    if (known := region.upper()) in phonenumbers.SUPPORTED_REGIONS:
        return known
    raise ValueError(
        f"default_region: there is no region {region!r}: write two letters of ISO 3166, as in 'IT'"
    )


def _reader_in(region: str) -> Callable[[str], str]:
    import phonenumbers

    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    # In regions that dial 001 or 009 for abroad, a leading 00 alone proves nothing.
    dials_00 = metadata is not None and metadata.international_prefix == "00"
    abroad = ("+", "00") if dials_00 else ("+",)

    def read(number: str) -> str:
        if number.startswith(abroad):
            return normalize(number)
        written = readings(number)
        if written[0].startswith(abroad):
            return normalize(number)
        found: _Found = {}
        for digits in written:
            found |= _dialled_in(region, digits)
        # A zero in brackets, as in +39 (0) 6, may belong to the number or not: two readings.
        in_brackets = len(written) > 1
        in_doubt = not in_brackets and written[0].startswith("00")
        if in_doubt:
            found |= _in_use(number)
        if len(found) == 1:
            if _can_be_foreign(found, written):
                raise number_error(
                    number, "may begin with a country code: write it with + if it does"
                )
            return next(iter(found))
        if in_brackets or (in_doubt and not found):
            return normalize(number)
        raise number_error(number, _why_not(region, several=bool(found), begins_00=in_doubt))

    return read


def _dialled_in(region: str, digits: str) -> _Found:
    """Return every number that these digits, without a plus sign, may be in a region.

    There may be two if the digits begin with the region's own calling code. An export that loses
    the plus sign leaves it in place, but 49, for example, also begins national numbers in Germany.
    Only numbers of the numbering plan count: lengths alone would fit numbers of other regions.
    """
    import phonenumbers

    code = f"{phonenumbers.country_code_for_region(region)}"
    found = _parsed(digits, region)
    if digits.startswith(code):
        # `parse` guesses whether to remove the code, so both readings are tried explicitly.
        found |= _parsed(f"+{digits}", region) | _in_use(f"+{code}-{digits}")
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


def _can_be_foreign(found: _Found, written: list[str]) -> bool:
    """Whether the digits may be a foreign number, and are not a mobile number of the region.

    German landlines have almost any length and first digit, so digits that lost their zero or
    their plus sign may be either. A mobile number of the region is always taken as one, because
    texts go to mobile numbers.
    """
    import phonenumbers

    kinds = phonenumbers.PhoneNumberType
    if set(found.values()) <= {kinds.MOBILE, kinds.FIXED_LINE_OR_MOBILE}:
        return False
    return any(
        _parsed(f"+{digits}", None).keys() - found.keys()
        for digits in written
        if not digits.startswith("0")
    )


def _why_not(region: str, *, several: bool, begins_00: bool) -> str:
    import phonenumbers

    if not several:
        return f"not a number of {region}: write it in full, or with + and its country code"
    if begins_00:
        return "the 00 can be read in two ways: begin with + and the country code"
    code = phonenumbers.country_code_for_region(region)
    return f"may begin with the country code: write +{code}…"


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
