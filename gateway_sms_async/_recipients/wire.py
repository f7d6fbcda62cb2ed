"""Recipients in the form that a request carries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from .._text import missing_field
from .numbers import digits_key, normalize
from .recipient import Fields, Recipient, RecipientLike, check_source, coerce

__all__ = ["WireRecipients", "pack", "wire_recipients"]


class Addressee(Struct, frozen=True, gc=False):
    """A recipient with fields, as a request carries it."""

    number: str
    fields: dict[str, str]

    def __repr__(self) -> str:
        return "Addressee(...)"


WireRecipients = str | Addressee | Sequence[str] | Sequence[Addressee]


def wire_recipients(
    recipients: str | Recipient | Iterable[RecipientLike],
    placeholders: Sequence[str] = (),
) -> WireRecipients:
    """Return recipients in the gateway's form, each number once.

    Raises InvalidNumberError for a number that cannot be read, ValueError for a missing field that
    the text uses.
    """
    if type(recipients) is str and not placeholders:
        return normalize(recipients)
    if isinstance(recipients, str | Recipient):
        number, fields = coerce(recipients)
        _check_fields(placeholders, fields, 0)
        number = normalize(number)
        return number if fields is None else Addressee(number, fields)
    check_source(recipients)
    seen: set[int] = set()
    numbers: list[str] = []
    all_fields: list[dict[str, str]] = []
    plain = True
    for position, item in enumerate(recipients):
        number, fields = coerce(item)
        _check_fields(placeholders, fields, position)
        number = normalize(number)
        if (key := digits_key(number)) not in seen:
            seen.add(key)
            numbers.append(number)
            all_fields.append(fields or {})
            plain = plain and fields is None
    return numbers if plain else pack(numbers, all_fields)


def pack(numbers: Sequence[str], fields: Sequence[dict[str, str]]) -> WireRecipients:
    """Return recipients as objects; all become objects if at least one has fields."""
    objects = list(map(Addressee, numbers, fields))
    # The vendor documents the form of a single object, but not that of a list of objects.
    return objects[0] if len(objects) == 1 else objects


def _check_fields(placeholders: Sequence[str], fields: Fields | None, position: int) -> None:
    missing = missing_field(placeholders, fields or {}) if placeholders else None
    if missing is not None:
        raise ValueError(
            f"recipient {position} has no field {missing!r}, which the text uses as a placeholder"
        )
