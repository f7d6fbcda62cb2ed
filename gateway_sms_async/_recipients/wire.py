"""Recipients in the form that a request carries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from .._template import field_check, missing_field
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
    body: str = "",
) -> WireRecipients:
    """Return recipients in the gateway's form, each number once.

    `body` is the text that their fields fill, empty if it is not known. Raises InvalidNumberError
    for a number that cannot be read, ValueError for a missing field that the text uses, or for
    fields with which the text cannot be sent.
    """
    if type(recipients) is str and not placeholders:
        return normalize(recipients)
    if isinstance(recipients, str | Recipient):
        number, fields = coerce(recipients)
        _check_fields(placeholders, fields, 0)
        _check_text(body, {0: fields} if fields else {})
        number = normalize(number)
        return number if fields is None else Addressee(number, fields)
    check_source(recipients)
    seen: set[int] = set()
    numbers: list[str] = []
    all_fields: list[dict[str, str]] = []
    with_fields: dict[int, Fields] = {}
    plain = True
    for position, item in enumerate(recipients):
        try:
            number, fields = coerce(item)
        except TypeError as error:
            raise TypeError(f"recipients, position {position}: {error}") from None
        if fields:
            with_fields[position] = fields
        _check_fields(placeholders, fields, position)
        number = normalize(number)
        if (key := digits_key(number)) not in seen:
            seen.add(key)
            numbers.append(number)
            all_fields.append(fields or {})
            plain = plain and fields is None
    _check_text(body, with_fields)
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


def _check_text(body: str, with_fields: Mapping[int, Fields]) -> None:
    """Raise ValueError if the text cannot be sent to one of these recipients with its fields."""
    check = field_check(body) if with_fields else None
    if check is None:
        return
    for position, fields in with_fields.items():
        if reason := check(fields):
            raise ValueError(f"recipient {position}: {reason}")
