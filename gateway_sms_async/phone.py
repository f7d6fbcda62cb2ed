"""Numbers as they are dialled at home, and whether a number is in use at all.

The client enters, with what its caller said about numbers. The only room that knows the package
phonenumbers, which is an extra: nothing of it is imported before it is asked for.
"""

# ruff: noqa: PLC0415 - see above

from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec

from .errors import InvalidNumberError
from .recipients import calling_code, normalize, readings, refused

__all__ = ["number_reader"]


def number_reader(
    default_region: str | None = None, *, strict: bool = False
) -> Callable[[str], str]:
    """Return a function that reads one number and returns it in the gateway's form.

    It raises `InvalidNumberError` as `normalize` does, and is `normalize` itself when nothing is
    asked for. With `default_region`, an ISO 3166 alpha-2 code such as "IT", a number without an
    international prefix is read as it is dialled in that region. With `strict`, a number that no
    numbering plan has is refused. Both take the package phonenumbers; without it, or for a region
    that it does not know, a `ValueError` is raised here.
    """
    if default_region is not None and not isinstance(default_region, str):
        raise TypeError(f"default_region is a str or None, not {type(default_region).__name__}")
    if default_region is None and not strict:
        return normalize
    _check_installed("strict" if default_region is None else "default_region")
    read = normalize if default_region is None else _reader_in(_known_region(default_region))
    return _strict(read) if strict else read


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
    # Where 001 or 009 leads abroad, 00 alone tells nothing.
    dials_00 = metadata is not None and metadata.international_prefix == "00"
    abroad = ("+", "00") if dials_00 else ("+",)

    def read(number: str) -> str:
        if number.startswith(abroad):
            return normalize(number)
        written = readings(number)
        if written[0].startswith(abroad):
            return normalize(number)
        if len(written) > 1 or written[0].startswith("00"):
            return _read_doubtful(number, written, region)
        found = _dialled_in(region, written[0])
        if found is None:
            raise refused(
                number,
                f"not a number of {region}: write it in full, or with + and its country code",
            )
        return found

    return read


def _dialled_in(region: str, digits: str) -> str | None:
    """Return the gateway's form of digits as they are dialled in a region, None if it has none."""
    import phonenumbers

    try:
        number = phonenumbers.parse(digits, region)
        # Local numbers, without their area code, cannot be reached from outside.
        fit = phonenumbers.is_possible_number_with_reason(number)
        if fit != phonenumbers.ValidationResult.IS_POSSIBLE:
            return None
        national = phonenumbers.national_significant_number(number)
        return normalize(f"+{number.country_code}-{national}")
    except (phonenumbers.NumberParseException, InvalidNumberError):
        return None


def _read_doubtful(number: str, written: list[str], region: str) -> str:
    """Return the only form that some numbering plan has; what `normalize` says, if none has.

    The number has a zero in brackets, which belongs to it or does not, or it begins with 00
    where that is not how one dials abroad.
    """
    forms = {form for digits in written if (form := _dialled_in(region, digits))}
    in_brackets = len(written) > 1
    if not in_brackets:
        with suppress(InvalidNumberError):
            forms.add(normalize(number))
    in_use = [form for form in forms if _is_in_use(form)]
    if len(in_use) == 1:
        return in_use[0]
    if in_use and not in_brackets:
        raise refused(number, "the 00 can be read in two ways: begin with + and the country code")
    return normalize(number)


def _strict(read: Callable[[str], str]) -> Callable[[str], str]:
    def read_in_use(number: str) -> str:
        normalized = read(number)
        if not _is_in_use(normalized):
            code = calling_code(normalized)
            raise refused(number, f"not a number in use in {code}: check its digits")
        return normalized

    return read_in_use


def _is_in_use(normalized: str) -> bool:
    import phonenumbers

    code, _, rest = normalized.partition("-")
    # Not by `parse`: that may drop digits, and what is checked is what is sent.
    zeros = len(rest) - len(rest.lstrip("0"))
    number = phonenumbers.PhoneNumber(
        country_code=int(code),
        national_number=int(rest),
        italian_leading_zero=zeros > 0,
        number_of_leading_zeros=zeros,
    )
    return phonenumbers.is_valid_number(number)
